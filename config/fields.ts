import { createPrivateKey, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import type { Rule } from './rules.js';

/**
 * What the sections are made of. A section declares its variables (`schema`) and how the program sees them (`shape`).
 * Units are in the names; durations are integers in milliseconds unless the name says seconds.
 */
export type Env<Schema extends z.ZodRawShape> = z.output<z.ZodObject<Schema>>;

export const port = (fallback: number) => z.coerce.number().int().min(0).max(65_535).default(fallback);
export const count = (fallback: number, min = 1) => z.coerce.number().int().min(min).default(fallback);
/** A part of a whole */
export const fraction = (fallback: number) => z.coerce.number().min(0.001).max(1).default(fallback);
export const flag = (fallback: boolean) =>
  z
    .enum(['true', 'false', '1', '0', 'on', 'off'])
    .default(fallback ? 'true' : 'false')
    .transform((value) => value === 'true' || value === '1' || value === 'on');

/** `whole`: the value itself is secret. `password`: a URL that may carry a password. */
export type Secrecy = 'whole' | 'password';

/** Marks a variable whose value is never shown. Call it last: what follows makes another schema, without the mark. */
export const secret = <Schema extends z.ZodType>(schema: Schema, secrecy: Secrecy = 'whole'): Schema =>
  schema.meta({ ...schema.meta(), secret: secrecy });

/** Set by the surroundings, not by people: in no list and no file. */
export const ambient = <Schema extends z.ZodType>(schema: Schema): Schema => schema.meta({ ...schema.meta(), ambient: true });

export const list = (fallback = '') =>
  z
    .string()
    .default(fallback)
    .transform((text) =>
      text
        .split(',')
        .map((item) => item.trim())
        .filter(Boolean),
    );

/** A variable whose text is JSON; its faults are reported with all the others. */
export const json = <T>(inner: z.ZodType<T>, fallback: T) =>
  z
    .string()
    .default('')
    .transform((text, context) => {
      if (text === '') return fallback;
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch (error) {
        context.addIssue({ code: 'custom', message: `not JSON: ${error instanceof Error ? error.message : String(error)}` });
        return z.NEVER;
      }
      const parsed = inner.safeParse(value);
      if (parsed.success) return parsed.data;
      for (const { path, message } of parsed.error.issues)
        context.addIssue({ code: 'custom', message: [path.join('.'), message].join(': ') });
      return z.NEVER;
    });

/** PEM text that Node can read: it would only say so at the first connection. */
const pem = (read: (text: string) => unknown) =>
  z
    .string()
    .refine((text) => {
      try {
        read(text);
        return /-----BEGIN [A-Z ]+-----/.test(text);
      } catch {
        return false;
      }
    }, 'not PEM text')
    .optional();
const certificate = () => pem((text) => new X509Certificate(text));
const privateKey = () => pem((text) => createPrivateKey(text));

/** TLS towards one kind of server: PEM texts, which `<NAME>_FILE` reads from files. What `node:tls` takes is `tlsOptions`. */
export function tlsSchema<const Prefix extends string>(prefix: Prefix) {
  return {
    [`${prefix}_TLS_CA`]: certificate().describe('PEM of the authorities that may have signed the server; unset: those of Node'),
    [`${prefix}_TLS_CERT`]: certificate().describe('PEM of the client certificate'),
    [`${prefix}_TLS_KEY`]: secret(privateKey().describe('PEM of the key of the client certificate')),
    [`${prefix}_TLS_SERVER_NAME`]: z
      .string()
      .optional()
      .describe('Name the certificate of the server must carry; unset: the host of its address'),
  } as TlsSchema<Prefix>;
}

type Text = z.ZodOptional<z.ZodString>;
type TlsSchema<Prefix extends string> = Record<`${Prefix}_TLS_${'CA' | 'CERT' | 'KEY' | 'SERVER_NAME'}`, Text>;

/** Settings of TLS that nothing would read, and a certificate without its key. `off` says why TLS is not spoken. */
export function tlsRules<Prefix extends string, Environment extends Env<TlsSchema<Prefix>>>(
  prefix: Prefix,
  isOn: (env: Environment) => boolean,
  decidedBy: keyof Environment & string,
  off: string,
): Rule<Environment>[] {
  const name = (part: string) => `${prefix}_TLS_${part}` as keyof Environment & string;
  const parts = ['CA', 'CERT', 'KEY', 'SERVER_NAME'].map(name);
  return [
    {
      of: [...parts, decidedBy],
      fault: (env) => (parts.some((part) => env[part] !== undefined) && !isOn(env) ? `the settings of TLS mean nothing: ${off}` : null),
    },
    {
      of: [name('CERT'), name('KEY')],
      fault(env) {
        const [cert, key] = [env[name('CERT')] as string | undefined, env[name('KEY')] as string | undefined];
        if (cert === undefined || key === undefined) return cert === key ? null : `and ${name('KEY')} are set together or not at all`;
        return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)) ? null : 'is not the certificate of this key';
      },
    },
  ];
}

export interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
}

/** Only what is set: an empty object means TLS with the defaults of Node, if TLS is spoken at all. */
export function tlsOptions<Prefix extends string>(prefix: Prefix, env: Env<TlsSchema<Prefix>>): TlsOptions {
  const values = env as Record<string, string | undefined>;
  const named = { ca: 'CA', cert: 'CERT', key: 'KEY', servername: 'SERVER_NAME' };
  return Object.fromEntries(
    Object.entries(named).flatMap(([option, name]) => {
      const value = values[`${prefix}_TLS_${name}`];
      return value === undefined ? [] : [[option, value]];
    }),
  );
}
