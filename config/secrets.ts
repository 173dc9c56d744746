import type { z } from 'zod';
import type { Setting } from './sources.js';
import type { Secrecy } from './fields.js';

export const secrecyOf = (schema: z.ZodType): Secrecy | undefined => schema.meta()?.secret as Secrecy | undefined;

/** Shorter ones would redact words of the language. */
const LEAST_LENGTH = 8;
const LEAST_PART_LENGTH = 16;

/** What must never be in a log, out of the settings that are there: passwords out of addresses, and the parts of lists and PEM texts too. */
export function secretsIn(shape: Readonly<Record<string, z.ZodType>>, values: ReadonlyMap<string, Setting>): string[] {
  const found = new Set<string>();
  for (const [name, schema] of Object.entries(shape)) {
    const text = values.get(name)?.text;
    if (text === undefined || secrecyOf(schema) === undefined) continue;
    if (secrecyOf(schema) === 'password') passwordsIn(text).forEach((password) => found.add(password));
    else [text, ...text.split(/[\s,:]+/).filter((part) => isPartSecret(part))].forEach((secret) => found.add(secret));
  }
  return [...found].filter((secret) => secret.length >= LEAST_LENGTH);
}

/** Of what a list or a PEM text is made of. Its headers are no secrets, though they are long. */
const isPartSecret = (part: string) => part.length >= LEAST_PART_LENGTH && !part.startsWith('-----');

const PASSWORD = /(:\/\/[^:/@\s]*:)([^@/\s]+)(?=@)/g;

const passwordsIn = (text: string): string[] =>
  [...text.matchAll(PASSWORD)].flatMap(([, , password = '']) => [...new Set([password, decodeURIComponent(password)])]);

/** For people who look at the configuration: no secret, and no password in any address. */
export function shown(schema: z.ZodType, text: string): string {
  return secrecyOf(schema) === 'whole' ? '[redacted]' : text.replace(PASSWORD, '$1[redacted]');
}
