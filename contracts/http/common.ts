import { extendZodWithOpenApi } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { PROVIDERS } from '../providers.js';
import { says, wholeNumber } from './messages.js';
import { text } from './text.js';

// Schemas are documented where they are declared, so every module that declares one starts from here.
extendZodWithOpenApi(z);

export { says, text, z };

/** A member that may be left out. null is the same as left out, here as on every route. */
export const optional = <Schema extends z.ZodType>(schema: Schema) =>
  schema
    .nullable()
    .transform((value) => value ?? undefined)
    .optional();

/** The same, where leaving it out means something. */
export const defaulted = <Schema extends z.ZodType>(schema: Schema, fallback: NonNullable<z.output<Schema>>) =>
  schema
    .nullable()
    .transform((value): z.output<Schema> => value ?? fallback)
    .default(fallback as never);

/** A number of a body. */
export const whole = (min: number, max: number) => {
  const error = says(wholeNumber(min, max));
  return z.int({ error }).min(min, { error, abort: true }).max(max, { error });
};

/** A number of a query: text that reads as one. */
export const wholeInQuery = (min: number, max: number, fallback: number) => {
  const error = says(wholeNumber(min, max));
  return z.coerce
    .number({ error })
    .int({ error, abort: true })
    .min(min, { error, abort: true })
    .max(max, { error })
    .default(fallback)
    .openapi({ type: 'integer', minimum: min, maximum: max, default: fallback });
};

/** A list whose length is looked at before its items: each bad one would be a complaint of its own. */
export const list = <Item extends z.ZodType>(item: Item, max: number) => z.preprocess(limitTo(max, 'items'), z.array(item).max(max));

/** The same for an object that maps names to values. */
export const entries = <Value extends z.ZodType>(name: z.ZodType<string, string>, value: Value, max: number) =>
  z.preprocess(limitTo(max, 'members'), z.record(name, value));

const limitTo =
  (max: number, what: string) =>
  (value: unknown, context: z.RefinementCtx): unknown => {
    const size = Array.isArray(value) ? value.length : typeof value === 'object' && value !== null ? Object.keys(value).length : 0;
    if (size <= max) return value;
    context.addIssue({ code: 'custom', message: `must have at most ${max} ${what}`, input: null });
    return z.NEVER;
  };

// Of any version and variant (RFC 9562, 4): ids come from other systems too, and PostgreSQL takes them all.
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
export const isUuid = (id: string): boolean => UUID.test(id);

/** Read in any case of letters and kept in lower case: one id must not be two keys. */
export const uuid = text({
  min: 36,
  max: 36,
  rawMax: 36,
  normalise: (id) => id.toLowerCase(),
  pattern: UUID,
  says: 'must be a UUID such as 7f0c3c54-4f1e-4d5e-9d7b-0d9f1a4b6c11',
  always: true,
}).openapi({ format: 'uuid', example: '7f0c3c54-4f1e-4d5e-9d7b-0d9f1a4b6c11' });

/** In answers */
export const timestamp = z.iso.datetime().openapi({ example: '2026-01-31T12:00:00.000Z' });

const DATETIME = z.core.regexes.datetime({ offset: true });
const FORM = 'must be a time such as 2026-01-31T12:00:00Z';

/**
 * A time that callers send, answered in UTC. The bounds hold for the instant and not for how it is written: the last hour of the
 * year 9999 at −12:00 is in the year 10000, which no reader of ours can say.
 */
export const instant = (from = '0001-01-01', before = '9999-12-31T23:59:59.999Z') => {
  const [first, end] = [Date.parse(from), Date.parse(before)];
  const inEra = (time: string) => Date.parse(time) >= first && Date.parse(time) <= end;
  const laws = [
    [(time: string) => DATETIME.test(time), FORM],
    [inEra, eraOf(from, before)],
  ] as const;
  return text({ max: 40, says: FORM, always: true, laws })
    .transform((time) => new Date(time).toISOString())
    .openapi({ format: 'date-time', example: '2026-01-31T12:00:00.000Z' });
};

const eraOf = (from: string, before: string) => `must be a time from the year ${Number(from.slice(0, 4))} to ${before.slice(0, 4)}, in UTC`;

export const providerName = z.enum(PROVIDERS);

/** Unknown members of request bodies are ignored everywhere: zod objects strip them. */
export const idempotencyKey = text({ max: 100, pattern: /^[\x21-\x7e]+$/, says: 'must be printable ASCII without spaces' }).optional();
