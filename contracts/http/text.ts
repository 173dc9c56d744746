import { z } from 'zod';
import { says } from './messages.js';

/** PostgreSQL stores neither NUL nor unpaired surrogates, and no caller means them. */
const storable = (text: string) => !text.includes('\0') && text.isWellFormed();

export interface TextRules {
  /** UTF-16 code units; default 1 */
  min?: number;
  max: number;
  /** Before `normalise`, which may make a text shorter; default: four times `max` */
  rawMax?: number;
  normalise?: (text: string) => string;
  pattern?: RegExp;
  /** Further laws with what is said when they are broken, in the order of their cost */
  laws?: readonly (readonly [law: (text: string) => boolean, says: string])[];
  /** What is said about a text that does not match the pattern */
  says?: string;
  /** `says` whatever is wrong, for texts of one form such as ids */
  always?: boolean;
}

/** Whether a schema looks at the length first, and at nothing else when that is wrong. test/http/text-bounds.test.ts refuses any other. */
export function isBounded(schema: z.ZodType): boolean {
  const first = schema instanceof z.ZodString ? schema.def.checks?.[0]?._zod.def : undefined;
  return first?.check === 'max_length' && first.abort === true;
}

/**
 * The one way to declare text that callers send. Its length is looked at before anything else is done with it, and the first
 * failure ends the work: a megabyte of combining marks takes minutes to normalise, and one caller's minutes are everybody's.
 * After normalising, which can make eighteen characters of one, it is bounded again.
 */
export function text(rules: TextRules): z.ZodType<string, string> {
  const { max, rawMax = 4 * max, normalise } = rules;
  if (normalise === undefined) return bare(rules);
  const raw = limited(z.string(rules.always ? told(rules) : undefined), 0, rawMax, rules);
  return raw
    .transform(normalise)
    .pipe(bare(rules))
    .openapi({ minLength: rules.min ?? 1, maxLength: max });
}

function bare(rules: TextRules): z.ZodString {
  const { min = 1, max, pattern, laws = [] } = rules;
  let schema = limited(z.string(rules.always ? told(rules) : undefined), min, max, rules);
  if (pattern) schema = schema.regex(pattern, { abort: true, ...told(rules) });
  for (const [law, broken] of laws) schema = schema.refine(law, { abort: true, error: broken });
  return schema;
}

function limited(schema: z.ZodString, min: number, max: number, rules: TextRules): z.ZodString {
  const error = rules.always ? told(rules) : {};
  const short = schema.max(max, { abort: true, ...error });
  return (min === 0 ? short : short.min(min, { abort: true, ...error })).refine(storable, {
    abort: true,
    error: rules.says ?? 'must be well-formed Unicode without NUL',
  });
}

const told = (rules: TextRules) => (rules.says === undefined ? {} : { error: says(rules.says) });
