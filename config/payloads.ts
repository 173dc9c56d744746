import { z } from 'zod';
import { count, port, secret, type Env } from './fields.js';
import { origins } from './network.js';
import type { Rule } from './rules.js';

/** `id:64 hex digits`, separated by commas or white space, so that a file may have one on each line. */
const keys = z
  .string()
  .default('')
  .transform((text, context) => {
    const found = new Map<string, string>();
    for (const item of text.split(/[\s,]+/).filter(Boolean)) {
      const [, id, hex] = /^([\w.-]{1,64}):([0-9a-fA-F]{64})$/.exec(item) ?? [];
      // The item itself is secret: only its place may be shown.
      const fault = !id || !hex ? 'is not id:64 hex digits' : found.has(id) ? `has the id ${id} of another one` : null;
      if (fault) context.addIssue({ code: 'custom', message: `key number ${found.size + 1} ${fault}` });
      else found.set(id ?? '', hex ?? '');
    }
    return found;
  });

export const schema = {
  LEAKY_PAYLOAD_KEYS: secret(
    keys.describe('id:64 hex digits, comma-separated: AES-256 keys of what workflows carry. None: payloads are not encrypted'),
  ),
  LEAKY_PAYLOAD_ACTIVE_KEY: z
    .string()
    .optional()
    .describe('Id of the key that encrypts; needed when there are several. "none": decrypt only'),
  LEAKY_CODEC_PORT: port(8085).describe('Port of the codec server'),
  LEAKY_CODEC_TOKEN: secret(z.string().min(16).optional().describe('Lets its bearer use the codec server, beside the tokens of an ADMIN')),
  LEAKY_CODEC_ORIGINS: origins('http://127.0.0.1:8233,http://localhost:8233', { any: false }).describe(
    'Origins of the Temporal Web UI, comma-separated',
  ),
  LEAKY_CODEC_BODY_LIMIT_BYTES: count(8_388_608).describe('A payload may have 2 MB, and its JSON form is a third larger'),
};

export const rules: Rule<Env<typeof schema>>[] = [
  {
    of: ['LEAKY_PAYLOAD_ACTIVE_KEY', 'LEAKY_PAYLOAD_KEYS'],
    fault({ LEAKY_PAYLOAD_ACTIVE_KEY: active, LEAKY_PAYLOAD_KEYS: keys }) {
      if (active === undefined) return keys.size > 1 ? `say which of ${[...keys.keys()].join(', ')} encrypts` : null;
      if (active === 'none' || keys.has(active)) return null;
      return `${active} is not in LEAKY_PAYLOAD_KEYS${keys.size > 0 ? ` (${[...keys.keys()].join(', ')})` : ', which has none'}`;
    },
  },
];

export const shape = (env: Env<typeof schema>) => ({
  payloads: { keys: env.LEAKY_PAYLOAD_KEYS, activeKey: env.LEAKY_PAYLOAD_ACTIVE_KEY },
  codec: {
    port: env.LEAKY_CODEC_PORT,
    token: env.LEAKY_CODEC_TOKEN,
    uiOrigins: env.LEAKY_CODEC_ORIGINS,
    bodyLimitBytes: env.LEAKY_CODEC_BODY_LIMIT_BYTES,
  },
});
