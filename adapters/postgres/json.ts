/**
 * JSON that PostgreSQL's jsonb accepts: it stores neither NUL nor unpaired surrogates, and a provider's answer may hold both.
 * They become U+FFFD. The check for the escape first keeps the common case at the cost of one scan.
 */
export function jsonb(value: unknown): string {
  const text = JSON.stringify(value);
  if (!/\\u(?:0000|d[89a-f])/i.test(text)) return text;
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'string' ? member.toWellFormed().replaceAll('\0', '\uFFFD') : member,
  );
}
