import { z } from 'zod';
import { accessSync, constants } from 'node:fs';
import { count, port, secret, type Env } from './fields.js';

/** The parameters of libpq, so that one address serves this program, psql and pg_dump alike. */
const SSL_FILES = ['sslrootcert', 'sslcert', 'sslkey'] as const;
/** The driver takes `prefer`, `require` and `verify-ca` for `verify-full`, pg_dump does not: only what means the same to both. */
const SSL_MODES = ['disable', 'verify-full'];

export const schema = {
  LEAKY_POSTGRES_URL: secret(
    z
      .string()
      .superRefine((text, context) => [...faultsOf(text)].forEach((message) => context.addIssue({ code: 'custom', message })))
      .optional()
      .describe(
        'postgres://user:password@host:port/database; TLS: ?sslmode=verify-full with sslrootcert, sslcert, sslkey (paths). Unset: the embedded PostgreSQL is started',
      ),
    'password',
  ),
  LEAKY_POSTGRES_PASSWORD: secret(z.string().optional().describe('Put into LEAKY_POSTGRES_URL, for a password that is kept apart from it')),
  LEAKY_POSTGRES_PORT: port(5439).describe('Port of the embedded PostgreSQL'),
  LEAKY_POSTGRES_TOOLS_DIR: z.string().optional().describe('Folder with pg_dump and pg_restore, for backup and restore; unset: on PATH'),
  LEAKY_POSTGRES_POOL_SIZE: count(12).describe('Connections of one process'),
};

export const shape = (env: Env<typeof schema>) => ({
  postgres: {
    url: withPassword(env.LEAKY_POSTGRES_URL, env.LEAKY_POSTGRES_PASSWORD),
    embeddedPort: env.LEAKY_POSTGRES_PORT,
    toolsDir: env.LEAKY_POSTGRES_TOOLS_DIR,
    poolSize: env.LEAKY_POSTGRES_POOL_SIZE,
  },
});

function withPassword(url: string | undefined, password: string | undefined): string | undefined {
  if (url === undefined || password === undefined) return url;
  const complete = new URL(url);
  complete.password = encodeURIComponent(password);
  return complete.href;
}

function* faultsOf(text: string): Generator<string> {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['postgres:', 'postgresql:'].includes(url.protocol))
    return yield 'not of the form postgres://user:password@host:port/database';
  const mode = url.searchParams.get('sslmode');
  if (mode !== null && !SSL_MODES.includes(mode)) yield `sslmode=${mode}: one of ${SSL_MODES.join(', ')}`;
  for (const name of SSL_FILES) {
    const file = url.searchParams.get(name);
    if (file === null) continue;
    if (mode !== 'verify-full') yield `${name}: means nothing without sslmode=verify-full`;
    try {
      accessSync(file, constants.R_OK);
    } catch (error) {
      yield `${name}: ${(error as Error).message}`;
    }
  }
}
