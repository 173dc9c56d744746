import type { RequestHandler } from 'express';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { createMemoryRateLimitStore } from '../../adapters/memory/rate-limit-store.js';
import { createServiceResolver } from '../../adapters/discovery/resolver.js';
import type { BreakerSettings } from '../../api/gateway/breaker.js';
import type { RateLimitStore, ServiceResolver } from '../../api/gateway/ports.js';
import { startGateway } from '../../api/gateway/start.js';
import type { Authenticator } from '../../api/http/authenticate.js';
import { loadConfig } from '../../config.js';
import { Problem } from '../../contracts/errors.js';
import { createLogger } from '../../telemetry/log.js';

export interface Upstream {
  url: string;
  /** Requests as they came */
  seen: { method: string; url: string; headers: IncomingMessage['headers']; body: string }[];
  handler: RequestListener;
  close(): Promise<void>;
}

/** A service of the test's own; it answers 200 with what it was sent until `handler` is replaced. */
export async function startUpstream(port = 0): Promise<Upstream> {
  const seen: Upstream['seen'] = [];
  const echo: RequestListener = (_req, res) => {
    res.setHeader('Content-Type', 'application/json').end(JSON.stringify(seen.at(-1)));
  };
  const server = createServer((req, res) => {
    let body = '';
    req.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    req.on('end', () => {
      seen.push({ method: req.method ?? '', url: req.url ?? '', headers: req.headers, body });
      upstream.handler(req, res);
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const upstream: Upstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    handler: echo,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return upstream;
}

/** Knows `jwt-<name>` tokens and the keys `leaky_<name>`, `leaky_<name>_second` and `leaky_<name>_of_<org>`. */
export const stubAuthenticator: Pick<Authenticator, 'identify'> = {
  async identify(req) {
    const key = req.headers['x-api-key'];
    const bearer = req.headers.authorization?.replace(/^Bearer /, '');
    if (key === undefined && bearer === undefined) return null;
    const name = /^(?:leaky_|jwt-)(\w+)$/.exec(String(bearer ?? key))?.[1];
    if (!name || name === 'wrong') throw new Problem('UNAUTHENTICATED', 'The credentials are not valid');
    const [, user = name, org = null] = /^(\w+?)(?:_second|_of_(\w+))$/.exec(name) ?? [];
    return {
      caller: {
        userId: user,
        username: user,
        roles: ['USER'],
        apiKeyId: key ? `id-${name}` : null,
        keyTier: null,
        keyOrgId: org,
      },
      internalJwt: bearer ?? `internal-${name}`,
    };
  },
};

export interface TestGateway {
  url: string;
  port: number;
  tokens: Upstream;
  auth: Upstream;
  analytics: Upstream;
  close(): Promise<void>;
}

export interface TestGatewayOptions {
  env?: Record<string, string>;
  breaker?: Partial<BreakerSettings>;
  limits?: RateLimitStore;
  /** Default: the three test services */
  services?: ServiceResolver;
  authenticator?: Pick<Authenticator, 'identify'>;
  /** Called in place of the upstream that is the token service */
  localTokens?: RequestHandler;
}

export async function startTestGateway({
  env = {},
  breaker,
  limits,
  services,
  authenticator = stubAuthenticator,
  localTokens,
}: TestGatewayOptions = {}): Promise<TestGateway> {
  const [tokens, auth, analytics] = await Promise.all([startUpstream(), startUpstream(), startUpstream()]);
  const log = createLogger('silent');
  const config = loadConfig({
    LEAKY_TOKENS_URL: tokens.url,
    LEAKY_AUTH_URL: auth.url,
    LEAKY_ANALYTICS_URL: analytics.url,
    LEAKY_RATE_LIMIT_REQUESTS: '10000',
    LEAKY_PROVIDER_TIMEOUT_MS: '100',
    LEAKY_PROVIDER_ATTEMPTS: '1',
    ...env,
  });
  const gateway = await startGateway({
    config,
    log,
    authenticator,
    limits: limits ?? createMemoryRateLimitStore(),
    services: services ?? (await createServiceResolver({ services: config.services, refreshMs: 1_000, log })),
    operations: [],
    port: 0,
    ...(localTokens && { local: new Map([['tokens', localTokens]]) }),
    ...(breaker && { breaker }),
  });
  const running: TestGateway = {
    url: `http://127.0.0.1:${gateway.port}`,
    port: gateway.port,
    tokens,
    auth,
    analytics,
    close: async () => {
      await gateway.close(0);
      // A test may have replaced one of them.
      await Promise.all([running.tokens.close(), running.auth.close(), running.analytics.close()]);
    },
  };
  return running;
}

export const asUser = (name = 'ada') => ({ Authorization: `Bearer jwt-${name}` });

/** Polls until the condition holds; the test's own time limit bounds it. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** One request as raw bytes, as no well-behaved client would send it; the whole answer as text. */
export function raw(port: number, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(request));
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    socket.once('end', () => resolve(answer));
    socket.once('close', () => resolve(answer));
    socket.once('error', reject);
  });
}
