import { z } from 'zod';
import { ambient, count, flag, port, secret, tlsOptions, tlsRules, tlsSchema, type Env } from './fields.js';
import { hostPort } from './network.js';
import type { Rule } from './rules.js';

export const schema = {
  LEAKY_TEMPORAL_ADDRESS: hostPort().optional().describe('host:port. Unset: the embedded dev server is started'),
  LEAKY_TEMPORAL_PORT: port(7233).describe('Port of the embedded Temporal dev server'),
  LEAKY_TEMPORAL_UI_PORT: port(8233).describe('Port of the Web UI of the embedded Temporal; 0: none'),
  LEAKY_TEMPORAL_NAMESPACE: z.string().default('default').describe('In Temporal Cloud with its account: leaky-tokens.a1b2c'),
  LEAKY_TEMPORAL_RETENTION_DAYS: count(3).describe(
    'How long a closed workflow can be looked at; leaky setup creates the namespace with it',
  ),
  LEAKY_TEMPORAL_TLS: z
    .enum(['true', 'false', '1', '0', 'on', 'off'])
    .optional()
    .describe('Unset: TLS is spoken when one of its settings or an API key is there'),
  ...tlsSchema('LEAKY_TEMPORAL'),
  LEAKY_TEMPORAL_API_KEY: secret(z.string().optional().describe('Sent with every call, as Temporal Cloud wants it')),
  LEAKY_WORKER_VERSIONING: flag(false).describe('Workers take work only of the version that leaky deploy promote has made current'),
  LEAKY_DEPLOYMENT_NAME: z.string().default('leaky-tokens').describe('Under which the server keeps the versions of the workers'),
  LEAKY_BUILD_ID: z.string().optional().describe('Names the version of the workers; unset: the package version and a hash of the sources'),
  TEMPORAL_CLI: z.string().optional().describe('Path of the temporal binary'),
  PATH: ambient(z.string().default('').describe('Searched for the temporal binary')),
};

export const rules: Rule<Env<typeof schema>>[] = [
  ...tlsRules('LEAKY_TEMPORAL', (env: Env<typeof schema>) => tls(env) !== null, 'LEAKY_TEMPORAL_TLS', 'LEAKY_TEMPORAL_TLS is off'),
];

export const shape = (env: Env<typeof schema>) => ({
  temporal: {
    address: env.LEAKY_TEMPORAL_ADDRESS,
    embeddedPort: env.LEAKY_TEMPORAL_PORT,
    embeddedUiPort: env.LEAKY_TEMPORAL_UI_PORT,
    namespace: env.LEAKY_TEMPORAL_NAMESPACE,
    retentionDays: env.LEAKY_TEMPORAL_RETENTION_DAYS,
    tls: tls(env),
    apiKey: env.LEAKY_TEMPORAL_API_KEY,
    versioning: { enabled: env.LEAKY_WORKER_VERSIONING, deploymentName: env.LEAKY_DEPLOYMENT_NAME, buildId: env.LEAKY_BUILD_ID },
    cli: env.TEMPORAL_CLI,
    searchPath: env.PATH,
  },
});

/** null: the connection is not encrypted. */
function tls(env: Env<typeof schema>) {
  const options = tlsOptions('LEAKY_TEMPORAL', env);
  const implied = Object.keys(options).length > 0 || env.LEAKY_TEMPORAL_API_KEY !== undefined ? 'true' : 'false';
  return ['true', '1', 'on'].includes(env.LEAKY_TEMPORAL_TLS ?? implied) ? options : null;
}
