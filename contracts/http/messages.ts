import { z } from 'zod';

type RawIssue = Parameters<z.core.$ZodErrorMap>[0];

const number = new Intl.NumberFormat('en-US');

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  record: 'an object',
  array: 'a list',
};

const NOUNS: Readonly<Record<string, string>> = { string: 'characters', array: 'items', record: 'members', object: 'members' };

/**
 * What people read about a member that is wrong, in place of the schema library's words. A schema that knows better says so
 * itself (`says`). Never contains what was sent: that may be a secret, or a megabyte.
 */
function forPeople(issue: RawIssue): string {
  if (issue.input === undefined || issue.input === null) return 'is required';
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${TYPES[issue.expected] ?? 'of another type'}`;
    case 'invalid_value':
      return issue.values.length === 1 ? `must be ${String(issue.values[0])}` : `must be one of ${issue.values.map(String).join(', ')}`;
    case 'too_small':
      return bound(issue.origin, 'at least', issue.minimum);
    case 'too_big':
      return bound(issue.origin, 'at most', issue.maximum);
    case 'invalid_format':
      return issue.format === 'email' ? 'must be an e-mail address such as ada@example.com' : 'does not have the required form';
    case 'unrecognized_keys':
      return 'has members that are not known here';
    default:
      return 'is not valid';
  }
}

function bound(origin: string, which: 'at least' | 'at most', limit: number | bigint): string {
  const noun = NOUNS[origin];
  if (which === 'at least' && noun !== undefined && Number(limit) === 1) return 'must not be empty';
  return noun === undefined ? `must be ${which} ${number.format(limit)}` : `must have ${which} ${number.format(limit)} ${noun}`;
}

/** One text for whatever is wrong with a member, except that it is missing. */
export const says =
  (text: string) =>
  ({ input }: { input?: unknown }): string =>
    input === undefined || input === null ? 'is required' : text;

export const wholeNumber = (min: number, max: number): string =>
  `must be a whole number from ${number.format(min)} to ${number.format(max)}`;

z.config({ customError: forPeople });
