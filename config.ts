import { z } from 'zod';
import path from 'node:path';

/**
 * The only reader of the environment. One schema, parsed once, every fault reported at once.
 * Units are in the names; durations are integers in milliseconds unless the name says seconds.
 */
const port = (fallback: number) => z.coerce.number().int().min(0).max(65_535).default(fallback);
const count = (fallback: number, min = 1) => z.coerce.number().int().min(min).default(fallback);
const flag = (fallback: boolean) =>
  z
    .enum(['true', 'false', '1', '0', 'on', 'off'])
    .default(fallback ? 'true' : 'false')
    .transform((value) => value === 'true' || value === '1' || value === 'on');

const environmentSchema = z.object({
  LEAKY_HOST: z.string().default('127.0.0.1').describe('Address every service listens on'),
  LEAKY_DATA_DIR: z.string().default('data').describe('The one folder that holds all state of the embedded form'),
  LEAKY_CACHE_DIR: z.string().default('.cache').describe('Downloaded tools (the Temporal CLI)'),
  LEAKY_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  LEAKY_PUBLIC_URL: z.url().optional().describe('Base URL shown in answers (upgradeUrl); default: the gateway address'),

  LEAKY_GATEWAY_PORT: port(8080),
  LEAKY_AUTH_PORT: port(8081),
  LEAKY_TOKENS_PORT: port(8082),
  LEAKY_ANALYTICS_PORT: port(8083),
  LEAKY_STUB_QWEN_PORT: port(8091),
  LEAKY_STUB_GEMINI_PORT: port(8092),
  LEAKY_STUB_OPENAI_PORT: port(8093),
  LEAKY_AUTH_URL: z.url().optional(),
  LEAKY_TOKENS_URL: z.url().optional(),
  LEAKY_ANALYTICS_URL: z.url().optional(),

  LEAKY_POSTGRES_URL: z.string().optional().describe('Unset: the embedded PostgreSQL is started'),
  LEAKY_POSTGRES_PORT: port(5439).describe('Port of the embedded PostgreSQL'),
  LEAKY_POSTGRES_POOL_SIZE: count(12),

  LEAKY_TEMPORAL_ADDRESS: z.string().optional().describe('host:port. Unset: the embedded dev server is started'),
  LEAKY_TEMPORAL_PORT: port(7233).describe('Port of the embedded Temporal dev server'),
  LEAKY_TEMPORAL_UI_PORT: port(8233),
  LEAKY_TEMPORAL_NAMESPACE: z.string().default('default'),
  TEMPORAL_CLI: z.string().optional().describe('Path of the temporal binary'),
  PATH: z.string().default('').describe('Searched for the temporal binary'),
  npm_lifecycle_event: z.string().optional().describe('Set by npm: the process then ends when npm does'),

  LEAKY_ADMIN_USERNAME: z.string().min(3).max(50).optional(),
  LEAKY_ADMIN_PASSWORD: z.string().min(8).max(72).optional(),
  LEAKY_JWT_ISSUER: z.string().default('https://leaky-tokens.local'),
  LEAKY_JWT_AUDIENCE: z.string().default('leaky-tokens'),
  LEAKY_JWT_TTL_SECONDS: count(3600),
  LEAKY_INTERNAL_JWT_TTL_SECONDS: count(300),
  LEAKY_SIGNING_KEY_ROTATION_DAYS: count(30),
  LEAKY_MASTER_KEY: z
    .string()
    .regex(/^[0-9a-f]{64}$/, '64 hex digits')
    .optional()
    .describe('256-bit key that encrypts signing keys at rest; embedded: generated once into the data folder'),
  LEAKY_KEY_CACHE_SECONDS: count(300),
  LEAKY_KEY_CACHE_ENTRIES: count(10_000),
  LEAKY_LOGIN_ATTEMPTS: count(10),
  LEAKY_LOGIN_WINDOW_SECONDS: count(300),

  LEAKY_RATE_LIMIT_REQUESTS: count(120),
  LEAKY_RATE_LIMIT_WINDOW_SECONDS: count(60),
  LEAKY_RATE_LIMIT_OVERRIDES: z.string().default('').describe('JSON: {"/api/v1/tokens/consume": {"requests": 600, "windowSeconds": 60}}'),
  LEAKY_RATE_LIMIT_KEY: z.enum(['api-key', 'user', 'ip']).default('api-key'),
  LEAKY_RATE_LIMIT_EXEMPT: z.string().default('').describe('Comma-separated paths that are never limited'),
  LEAKY_GATEWAY_ROUTES: z.string().default('').describe('JSON: header and path transformations per route'),
  LEAKY_CORS_ORIGINS: z.string().default('*').describe('Comma-separated origins'),
  LEAKY_TRUST_PROXY: z
    .string()
    .default('')
    .describe("Proxies in front of the gateway whose X-Forwarded-For counts: addresses, networks or 'loopback', comma-separated"),
  LEAKY_TRUSTED_GATEWAYS: z.string().default('loopback').describe('The same for the services behind the gateway: where the gateways are'),
  LEAKY_BODY_LIMIT_BYTES: count(1_048_576),
  LEAKY_SERVICE_TIMEOUT_MS: count(5_000),
  LEAKY_GATEWAY_BULKHEAD: count(100).describe('Calls in flight to one service; more wait'),
  LEAKY_GATEWAY_BULKHEAD_WAIT_MS: count(500).describe('How long a call waits for a place before 503'),

  LEAKY_BUCKET_STRATEGY: z.enum(['LEAKY_BUCKET', 'TOKEN_BUCKET', 'FIXED_WINDOW']).default('LEAKY_BUCKET'),
  LEAKY_BUCKET_CAPACITY: count(1000),
  LEAKY_BUCKET_LEAK_PER_SECOND: count(10),

  LEAKY_PROVIDER_TIMEOUT_MS: count(5_000),
  LEAKY_PROVIDER_ATTEMPTS: count(3),
  LEAKY_PROVIDER_BACKOFF_MS: count(1_000, 0),
  LEAKY_PROVIDER_BULKHEAD: count(1_000).describe('Calls in flight per provider before 503'),
  LEAKY_PROVIDER_BREAKER_WINDOW_MS: count(10_000, 1_000).describe('The breaker judges the calls of this window'),
  LEAKY_PROVIDER_BREAKER_MINIMUM_CALLS: count(20).describe('Fewer calls in the window never open the breaker'),
  LEAKY_PROVIDER_BREAKER_OPEN_MS: count(30_000).describe('How long the breaker stays open before a trial call'),
  LEAKY_OPENAI_BASE_URL: z.url().optional(),
  LEAKY_OPENAI_API_KEY: z.string().default('stub'),
  LEAKY_OPENAI_MODEL: z.string().default('gpt-4o-mini'),
  LEAKY_GEMINI_BASE_URL: z.url().optional(),
  LEAKY_GEMINI_API_KEY: z.string().default('stub'),
  LEAKY_GEMINI_MODEL: z.string().default('gemini-2.0-flash'),
  LEAKY_QWEN_BASE_URL: z.url().optional(),
  LEAKY_QWEN_API_KEY: z.string().default('stub'),
  LEAKY_QWEN_MODEL: z.string().default('qwen-plus'),
  LEAKY_STUB_LATENCY_MS: count(0, 0),

  LEAKY_BATCH_MAX_ITEMS: count(250),
  LEAKY_BATCH_MAX_BYTES: count(1_048_576),
  LEAKY_BATCH_STARTS_IN_FLIGHT: count(1).describe('More starts at a time make smaller batches, which cost more than they save'),
  LEAKY_CONSUMPTIONS_IN_FLIGHT: count(2_000).describe('Accepted consumptions in progress in one process before 503'),
  LEAKY_PURCHASE_LIMIT_SECONDS: count(600),
  LEAKY_APPROVAL_ABOVE_TOKENS: count(Number.MAX_SAFE_INTEGER).describe('Purchases above this wait for the approve signal'),
  LEAKY_PAYMENTS: z.enum(['simulator', 'stripe']).default('simulator'),
  LEAKY_STRIPE_API_KEY: z.string().optional().describe('Required when LEAKY_PAYMENTS is stripe'),
  LEAKY_STRIPE_BASE_URL: z.url().optional().describe("Unset: Stripe's own address"),
  LEAKY_RETENTION_DAYS: count(90),
  LEAKY_RECONCILE_SECONDS: count(30).describe('How often the ledger is reconciled'),
  LEAKY_ROLLUP_SECONDS: count(15),
  LEAKY_SHUTDOWN_GRACE_MS: count(10_000),

  LEAKY_FLAG_QUOTA_ENFORCEMENT: flag(true),
  LEAKY_FLAG_SAGA_PURCHASES: flag(true),
  LEAKY_FLAG_RATE_LIMITING: flag(true),
  LEAKY_FLAG_API_KEY_VALIDATION: flag(true),
});

export type Environment = z.output<typeof environmentSchema>;
export type Config = Readonly<ReturnType<typeof shape>>;

/** Raised with one line per faulty variable; the message is meant for the person who set them. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

const list = (text: string) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean);

function json<T>(name: string, text: string, schema: z.ZodType<T>, fallback: T): T {
  if (text === '') return fallback;
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new ConfigError(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const limitOverrides = z.record(z.string(), z.object({ requests: z.int().positive(), windowSeconds: z.int().positive() }));
const routeRules = z.record(
  z.string(),
  z.object({
    addRequestHeaders: z.record(z.string(), z.string()).default({}),
    removeRequestHeaders: z.array(z.string()).default([]),
    addResponseHeaders: z.record(z.string(), z.string()).default({}),
    removeResponseHeaders: z.array(z.string()).default([]),
    rewritePath: z.object({ from: z.string(), to: z.string() }).optional(),
  }),
);

function shape(env: Environment) {
  const local = (portNumber: number) => `http://${env.LEAKY_HOST === '0.0.0.0' ? '127.0.0.1' : env.LEAKY_HOST}:${portNumber}`;
  return {
    host: env.LEAKY_HOST,
    dataDir: path.resolve(env.LEAKY_DATA_DIR),
    cacheDir: path.resolve(env.LEAKY_CACHE_DIR),
    logLevel: env.LEAKY_LOG_LEVEL,
    publicUrl: env.LEAKY_PUBLIC_URL ?? local(env.LEAKY_GATEWAY_PORT),
    shutdownGraceMs: env.LEAKY_SHUTDOWN_GRACE_MS,
    startedByNpm: env.npm_lifecycle_event !== undefined,
    ports: {
      gateway: env.LEAKY_GATEWAY_PORT,
      auth: env.LEAKY_AUTH_PORT,
      tokens: env.LEAKY_TOKENS_PORT,
      analytics: env.LEAKY_ANALYTICS_PORT,
      stubs: { qwen: env.LEAKY_STUB_QWEN_PORT, gemini: env.LEAKY_STUB_GEMINI_PORT, openai: env.LEAKY_STUB_OPENAI_PORT },
    },
    services: {
      auth: env.LEAKY_AUTH_URL ?? local(env.LEAKY_AUTH_PORT),
      tokens: env.LEAKY_TOKENS_URL ?? local(env.LEAKY_TOKENS_PORT),
      analytics: env.LEAKY_ANALYTICS_URL ?? local(env.LEAKY_ANALYTICS_PORT),
    },
    postgres: { url: env.LEAKY_POSTGRES_URL, embeddedPort: env.LEAKY_POSTGRES_PORT, poolSize: env.LEAKY_POSTGRES_POOL_SIZE },
    temporal: {
      address: env.LEAKY_TEMPORAL_ADDRESS,
      embeddedPort: env.LEAKY_TEMPORAL_PORT,
      embeddedUiPort: env.LEAKY_TEMPORAL_UI_PORT,
      namespace: env.LEAKY_TEMPORAL_NAMESPACE,
      cli: env.TEMPORAL_CLI,
      searchPath: env.PATH,
    },
    auth: {
      adminUsername: env.LEAKY_ADMIN_USERNAME,
      adminPassword: env.LEAKY_ADMIN_PASSWORD,
      issuer: env.LEAKY_JWT_ISSUER,
      audience: env.LEAKY_JWT_AUDIENCE,
      tokenTtlSeconds: env.LEAKY_JWT_TTL_SECONDS,
      internalTokenTtlSeconds: env.LEAKY_INTERNAL_JWT_TTL_SECONDS,
      signingKeyRotationDays: env.LEAKY_SIGNING_KEY_ROTATION_DAYS,
      masterKey: env.LEAKY_MASTER_KEY,
      keyCacheSeconds: env.LEAKY_KEY_CACHE_SECONDS,
      keyCacheEntries: env.LEAKY_KEY_CACHE_ENTRIES,
      loginAttempts: env.LEAKY_LOGIN_ATTEMPTS,
      loginWindowSeconds: env.LEAKY_LOGIN_WINDOW_SECONDS,
    },
    gateway: {
      rateLimit: { requests: env.LEAKY_RATE_LIMIT_REQUESTS, windowSeconds: env.LEAKY_RATE_LIMIT_WINDOW_SECONDS },
      rateLimitOverrides: json('LEAKY_RATE_LIMIT_OVERRIDES', env.LEAKY_RATE_LIMIT_OVERRIDES, limitOverrides, {}),
      rateLimitKey: env.LEAKY_RATE_LIMIT_KEY,
      rateLimitExempt: list(env.LEAKY_RATE_LIMIT_EXEMPT),
      routeRules: json('LEAKY_GATEWAY_ROUTES', env.LEAKY_GATEWAY_ROUTES, routeRules, {}),
      serviceTimeoutMs: env.LEAKY_SERVICE_TIMEOUT_MS,
      bulkhead: env.LEAKY_GATEWAY_BULKHEAD,
      bulkheadWaitMs: env.LEAKY_GATEWAY_BULKHEAD_WAIT_MS,
    },
    http: {
      corsOrigins: list(env.LEAKY_CORS_ORIGINS),
      trustedProxies: list(env.LEAKY_TRUST_PROXY),
      trustedGateways: list(env.LEAKY_TRUSTED_GATEWAYS),
      bodyLimitBytes: env.LEAKY_BODY_LIMIT_BYTES,
    },
    bucket: {
      strategy: env.LEAKY_BUCKET_STRATEGY,
      capacity: env.LEAKY_BUCKET_CAPACITY,
      leakPerSecond: env.LEAKY_BUCKET_LEAK_PER_SECOND,
    },
    providers: {
      timeoutMs: env.LEAKY_PROVIDER_TIMEOUT_MS,
      attempts: env.LEAKY_PROVIDER_ATTEMPTS,
      backoffMs: env.LEAKY_PROVIDER_BACKOFF_MS,
      bulkhead: env.LEAKY_PROVIDER_BULKHEAD,
      breaker: {
        windowMs: env.LEAKY_PROVIDER_BREAKER_WINDOW_MS,
        minimumCalls: env.LEAKY_PROVIDER_BREAKER_MINIMUM_CALLS,
        openMs: env.LEAKY_PROVIDER_BREAKER_OPEN_MS,
      },
      openai: {
        baseUrl: env.LEAKY_OPENAI_BASE_URL ?? local(env.LEAKY_STUB_OPENAI_PORT),
        apiKey: env.LEAKY_OPENAI_API_KEY,
        model: env.LEAKY_OPENAI_MODEL,
      },
      gemini: {
        baseUrl: env.LEAKY_GEMINI_BASE_URL ?? local(env.LEAKY_STUB_GEMINI_PORT),
        apiKey: env.LEAKY_GEMINI_API_KEY,
        model: env.LEAKY_GEMINI_MODEL,
      },
      qwen: {
        baseUrl: env.LEAKY_QWEN_BASE_URL ?? local(env.LEAKY_STUB_QWEN_PORT),
        apiKey: env.LEAKY_QWEN_API_KEY,
        model: env.LEAKY_QWEN_MODEL,
      },
    },
    stubLatencyMs: env.LEAKY_STUB_LATENCY_MS,
    consumption: {
      batchMaxItems: env.LEAKY_BATCH_MAX_ITEMS,
      batchMaxBytes: env.LEAKY_BATCH_MAX_BYTES,
      startsInFlight: env.LEAKY_BATCH_STARTS_IN_FLIGHT,
      maxInFlight: env.LEAKY_CONSUMPTIONS_IN_FLIGHT,
    },
    payments: { provider: env.LEAKY_PAYMENTS, stripe: { apiKey: env.LEAKY_STRIPE_API_KEY, baseUrl: env.LEAKY_STRIPE_BASE_URL } },
    purchase: { limitSeconds: env.LEAKY_PURCHASE_LIMIT_SECONDS, approvalAboveTokens: env.LEAKY_APPROVAL_ABOVE_TOKENS },
    schedules: {
      retentionDays: env.LEAKY_RETENTION_DAYS,
      reconcileSeconds: env.LEAKY_RECONCILE_SECONDS,
      rollupSeconds: env.LEAKY_ROLLUP_SECONDS,
    },
    flags: {
      quotaEnforcement: env.LEAKY_FLAG_QUOTA_ENFORCEMENT,
      sagaPurchases: env.LEAKY_FLAG_SAGA_PURCHASES,
      rateLimiting: env.LEAKY_FLAG_RATE_LIMITING,
      apiKeyValidation: env.LEAKY_FLAG_API_KEY_VALIDATION,
    },
  };
}

/** @throws ConfigError naming every faulty variable at once */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const parsed = environmentSchema.safeParse(environment);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`);
    throw new ConfigError(`The configuration has ${lines.length} fault(s):\n${lines.join('\n')}`);
  }
  return shape(parsed.data);
}
