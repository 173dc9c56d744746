import { Problem, type FieldError } from '../../contracts/errors.js';
import type { Operation } from './openapi.js';

const MAX_ERRORS = 20;
const MAX_NAME = 100;

/**
 * Refuses parameters that an operation does not have, and ones that are there twice: a filter that is ignored answers more than was
 * asked for. Reads the text itself, because the parser makes something of every text.
 * @throws Problem INVALID_REQUEST naming the parameters
 */
export function checkQuery(target: string, { query }: Pick<Operation, 'query'>): void {
  const start = target.indexOf('?');
  if (start === -1) return;
  const seen = new Set<string>();
  const errors: FieldError[] = [];
  for (const pair of target.slice(start + 1).split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decoded(equals === -1 ? pair : pair.slice(0, equals));
    if (equals !== -1) decoded(pair.slice(equals + 1));
    const message = faultOf(name, seen, query);
    if (message !== null && errors.length < MAX_ERRORS) errors.push({ field: name.slice(0, MAX_NAME), message });
    seen.add(name);
  }
  const [first] = errors;
  if (first) throw new Problem('INVALID_REQUEST', `${first.field}: ${first.message}`, { errors });
}

function faultOf(name: string, seen: ReadonlySet<string>, query: Operation['query']): string | null {
  const known = Object.keys(query?.shape ?? {});
  if (!known.includes(name)) {
    return known.length === 0 ? 'is not known: this operation has no query parameters' : `is not known; parameters are ${known.join(', ')}`;
  }
  return seen.has(name) ? 'must be given once' : null;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch (cause) {
    throw new Problem('INVALID_REQUEST', 'The query is not percent-encoded UTF-8', {}, { cause });
  }
}
