import assert from 'node:assert/strict';
import { createAuthenticator, type Authenticator, type AuthenticatorDeps } from '../../api/http/authenticate.js';
import { createServiceApp, listen, type RunningServer } from '../../api/http/service.js';
import { log, type AuthFixture } from './support.js';

export interface EchoService {
  url: string;
  authenticator: Authenticator;
  close(): Promise<void>;
}

/** A service like the others: it knows the auth service by its address only. /whoami, /maybe and /forward tell what it made of a request. */
export async function startEcho(
  { config, revocations }: Pick<AuthFixture, 'config' | 'revocations'>,
  extra: Partial<AuthenticatorDeps> = {},
) {
  const authenticator = createAuthenticator({ config, log, revocations, ...extra });
  const app = createServiceApp({
    name: 'echo',
    title: 'echo',
    config,
    log,
    operations: [],
    serverUrl: 'http://127.0.0.1',
    routes: (router) => {
      router.get('/whoami', authenticator.required, (_req, res) => void res.json(res.locals.caller));
      router.get('/maybe', authenticator.optional, (_req, res) => void res.json(res.locals.caller ?? null));
      router.get('/forward', async (req, res) => void res.json(await authenticator.identify(req)));
    },
  });
  const server: RunningServer = await listen(app, '127.0.0.1', 0);
  return {
    url: `http://127.0.0.1:${server.port}`,
    authenticator,
    async close() {
      authenticator.close();
      await server.close(500);
    },
  };
}

/** One echo service for the enclosing `describe`. */
export function withEcho(auth: () => AuthFixture): () => EchoService {
  let echo: EchoService | undefined;
  before('a service that authenticates', async () => {
    echo = await startEcho(auth());
  });
  after(async () => {
    await echo?.close();
  });
  return () => {
    assert.ok(echo);
    return echo;
  };
}
