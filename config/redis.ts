import { z } from 'zod';
import { count, flag, secret, tlsOptions, tlsRules, tlsSchema, type Env, type TlsOptions } from './fields.js';
import type { Rule } from './rules.js';

export const schema = {
  LEAKY_REDIS_URL: secret(
    z
      .string()
      .superRefine((text, context) => {
        const fault = faultOf(text);
        if (fault !== null) context.addIssue({ code: 'custom', message: fault });
      })
      .optional()
      .describe(
        'redis:// or rediss:// (TLS), with user:password@ where needed; more nodes of a cluster follow after commas. Unset: limits and the key cache live in the process',
      ),
    'password',
  ),
  LEAKY_REDIS_CLUSTER: flag(false).describe('The address names nodes of a Redis Cluster'),
  LEAKY_REDIS_OUTAGE: z
    .enum(['local', 'refuse'])
    .default('local')
    .describe('While Redis is away: decide on limits in the process (local), or answer 503 (refuse)'),
  LEAKY_REDIS_TIMEOUT_MS: count(500).describe('How long a decision waits for Redis before it counts as away'),
  ...tlsSchema('LEAKY_REDIS'),
};

export interface RedisAddress {
  nodes: { host: string; port: number }[];
  username?: string;
  password?: string;
  db: number;
  secure: boolean;
}

const DEFAULT_PORT = 6379;

/** The first item is a URL; those after it may be `host:port` alone and share its scheme and credentials. */
function parse(text: string): RedisAddress {
  const [first = '', ...others] = text.split(',').map((item) => item.trim());
  const scheme = first.slice(0, first.indexOf('://') + 3);
  const url = new URL(first);
  const node = ({ hostname, port }: URL) => ({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || DEFAULT_PORT) });
  return {
    nodes: [url, ...others.map((item) => new URL(item.includes('://') ? item : scheme + item))].map(node),
    ...(url.username && { username: decodeURIComponent(url.username) }),
    ...(url.password && { password: decodeURIComponent(url.password) }),
    db: Number(url.pathname.slice(1) || 0),
    secure: url.protocol === 'rediss:',
  };
}

/** Says what is wrong without repeating the text: it may hold a password. */
function faultOf(text: string): string | null {
  if (!/^rediss?:\/\//.test(text)) return 'must begin with redis:// or rediss://';
  try {
    const { nodes, db } = parse(text);
    if (nodes.some(({ host }) => host === '')) return 'an item has no host';
    return Number.isInteger(db) && db >= 0 ? null : 'what follows the last slash must be the number of a database';
  } catch {
    return 'not a URL, or one with host:port items after it, separated by commas';
  }
}

const isSecure = (env: Env<typeof schema>) => env.LEAKY_REDIS_URL?.startsWith('rediss://') === true;

export const rules: Rule<Env<typeof schema>>[] = [
  ...tlsRules('LEAKY_REDIS', isSecure, 'LEAKY_REDIS_URL', 'LEAKY_REDIS_URL does not begin with rediss://'),
  {
    of: ['LEAKY_REDIS_URL', 'LEAKY_REDIS_CLUSTER'],
    fault({ LEAKY_REDIS_URL: url, LEAKY_REDIS_CLUSTER: cluster }) {
      if (url === undefined) return null;
      const { nodes, db } = parse(url);
      if (cluster) return db === 0 ? null : 'a Redis Cluster has database 0 only';
      return nodes.length === 1 ? null : 'several nodes need LEAKY_REDIS_CLUSTER=true';
    },
  },
];

export const shape = (env: Env<typeof schema>) => {
  const address = env.LEAKY_REDIS_URL === undefined ? null : parse(env.LEAKY_REDIS_URL);
  const tls: TlsOptions | null = address?.secure ? tlsOptions('LEAKY_REDIS', env) : null;
  return {
    redis: {
      /** null: there is no Redis, and what it would hold lives in the process */
      address,
      cluster: env.LEAKY_REDIS_CLUSTER,
      outage: env.LEAKY_REDIS_OUTAGE,
      timeoutMs: env.LEAKY_REDIS_TIMEOUT_MS,
      /** null: plain text */
      tls,
    },
  };
};
