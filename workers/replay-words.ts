/**
 * The sentences of the SDK's native core about a replay that failed, in words for someone who has just changed a workflow.
 * Whatever is not known here is shown as the core says it. Seen on SDK 1.24.
 */
const SENTENCES: readonly [RegExp, (...parts: string[]) => string][] = [
  [
    /Activity type of scheduled event '(.+?)' does not match activity type of activity command '(.+?)'/,
    (then, now) => `the history has activity ${then} where the code now schedules ${now}`,
  ],
  [
    /Activity type of recorded marker '(.+?)' does not match activity type of local activity command '(.+?)'/,
    (then, now) => `the history has local activity ${then} where the code now runs ${now}`,
  ],
  [
    /Missing associated machine for LocalActivity\((\d+)\)/,
    (number) => `the history has a result of local activity number ${number}, which the code did not run at that point`,
  ],
  [
    /No command scheduled for event HistoryEvent\(id: (\d+), (\w+)\)/,
    (id, type) => `the history has ${type} (event ${id}) where the code now does nothing`,
  ],
  [
    /(\w[\w ]*) machine does not handle this event: HistoryEvent\(id: (\d+), (\w+)\)/,
    (now, id, type) => `the history has ${type} (event ${id}) where the code now wants: ${now.toLowerCase()}`,
  ],
];

/** @param message of the error of a replay; the core's own sentence is quoted in it as a string of a Rust structure */
export function inPlainWords(message: string): string {
  const quoted = /message: ("(?:[^"\\]|\\.)*")/.exec(message)?.[1];
  const sentence = quoted ? unquote(quoted) : message;
  for (const [pattern, words] of SENTENCES) {
    const match = pattern.exec(sentence);
    if (match) return words(...match.slice(1));
  }
  return sentence;
}

/** Rust's escapes are JSON's, for all that occurs in these sentences but a quote in a quote (\'). */
function unquote(quoted: string): string {
  return quoted
    .slice(1, -1)
    .replace(/\\(["'\\])/g, '$1')
    .replaceAll('\\n', '\n');
}
