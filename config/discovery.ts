import { z } from 'zod';
import { local, type AddressEnv } from './addresses.js';
import { count, list, type Env } from './fields.js';

/** `http(s)://…`, several of them separated by commas, or one `lb://name`. */
const addresses = () =>
  z.string().superRefine((text, context) => {
    const items = text.split(',').map((item) => item.trim());
    const fault = items.find((item) => !/^https?:\/\//.test(item) || !URL.canParse(item));
    if (fault === undefined || /^lb:\/\/[\w.-]+(?::\d{1,5})?$/.test(text)) return;
    context.addIssue({ code: 'custom', message: `"${fault}" is neither an http(s) URL nor lb://name or lb://name:port` });
  });

export const schema = {
  LEAKY_AUTH_URL: addresses().optional().describe('Where the auth service is: URLs, comma-separated, or lb://name; default: this host'),
  LEAKY_TOKENS_URL: addresses().optional().describe('Where the token service is, likewise'),
  LEAKY_ANALYTICS_URL: addresses().optional().describe('Where the analytics service is, likewise'),
  LEAKY_DISCOVERY: z
    .enum(['static', 'dns', 'registry'])
    .default('static')
    .describe(
      'What finds the instances behind lb:// names: dns (A with lb://name:port, SRV with lb://name) or the registry in Redis, where services then register; default addresses are lb:// then',
    ),
  LEAKY_DISCOVERY_REFRESH_MS: count(1_000, 100).describe('How often instances are looked up'),
  LEAKY_DISCOVERY_HEARTBEAT_SECONDS: count(30).describe(
    'How often an instance registers; without it, it expires after two and a half times as long',
  ),
  LEAKY_DISCOVERY_DNS_SERVERS: list().describe('address:port of DNS servers; unset: those of the system'),
  LEAKY_ADVERTISED_HOST: z
    .string()
    .optional()
    .describe(
      'Host that a service registers for others to reach it by; default: LEAKY_HOST, or the first address of the machine when that is 0.0.0.0',
    ),
};

type DiscoveryEnv = Env<typeof schema> & AddressEnv;

const own = (address: string | undefined) => (address?.startsWith('http') ? address.split(',', 1)[0] : undefined);

const REGISTERED = { auth: 'auth-service', tokens: 'token-service', analytics: 'analytics-service' } as const;

export const shape = (env: DiscoveryEnv) => {
  const byDefault = (name: keyof typeof REGISTERED, port: number) =>
    env.LEAKY_DISCOVERY === 'registry' ? `lb://${REGISTERED[name]}` : local(env, port);
  return {
    /** Each: URLs separated by commas, or lb://name */
    services: {
      auth: env.LEAKY_AUTH_URL ?? byDefault('auth', env.LEAKY_AUTH_PORT),
      tokens: env.LEAKY_TOKENS_URL ?? byDefault('tokens', env.LEAKY_TOKENS_PORT),
      analytics: env.LEAKY_ANALYTICS_URL ?? byDefault('analytics', env.LEAKY_ANALYTICS_PORT),
    },
    /** Each: where the service is said to be that runs here */
    ownUrls: {
      auth: own(env.LEAKY_AUTH_URL) ?? local(env, env.LEAKY_AUTH_PORT),
      tokens: own(env.LEAKY_TOKENS_URL) ?? local(env, env.LEAKY_TOKENS_PORT),
      analytics: own(env.LEAKY_ANALYTICS_URL) ?? local(env, env.LEAKY_ANALYTICS_PORT),
    },
    discovery: {
      by: env.LEAKY_DISCOVERY,
      registeredNames: REGISTERED,
      refreshMs: env.LEAKY_DISCOVERY_REFRESH_MS,
      heartbeatMs: env.LEAKY_DISCOVERY_HEARTBEAT_SECONDS * 1_000,
      dnsServers: env.LEAKY_DISCOVERY_DNS_SERVERS,
      /** null: an address of the machine */
      advertisedHost: env.LEAKY_ADVERTISED_HOST ?? (env.LEAKY_HOST === '0.0.0.0' ? null : env.LEAKY_HOST),
    },
  };
};
