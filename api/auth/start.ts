import { createLocalJWKSet, errors, type JWK, type JWTVerifyGetKey } from 'jose';
import type { Config } from '../../config.js';
import { usernameSkeleton } from '../../domain/accounts/username.js';
import type { Logger } from '../../telemetry/log.js';
import { createAuthenticator } from '../http/authenticate.js';
import type { KeyRevocations } from '../http/key-revocations.js';
import { listen, type RunningService } from '../http/service.js';
import { announce, type AuthContext } from './context.js';
import { ensureFirstAdmin } from './first-admin.js';
import { createKeyProof } from './key-proof.js';
import { createKeyring, type Keyring } from './keyring.js';
import { createLoginThrottle, type LoginPoints } from './login-throttle.js';
import { createPasswords } from './passwords.js';
import type { Accounts } from './ports.js';
import { createAuthService } from './service.js';
import { createTokenIssuer } from './tokens.js';

export interface AuthDeps {
  config: Config;
  log: Logger;
  accounts: Accounts;
  /** In one process: the very instance the other services' authenticators subscribe to */
  revocations: KeyRevocations;
  loginPoints: LoginPoints;
}

const HOUR_MS = 3_600_000;

/** Starts the auth service on config.ports.auth. Signing key and first ADMIN exist when it resolves. */
export async function startAuth({ config, log, accounts, revocations, loginPoints }: AuthDeps): Promise<RunningService> {
  const keyring = createKeyring(accounts.signingKeys, config.auth, log);
  await keyring.rotateIfDue();
  const issuer = createTokenIssuer(keyring, config.auth);
  const keyProof = createKeyProof(accounts.apiKeys, issuer, log);
  const authenticator = createAuthenticator({
    config,
    log,
    revocations,
    keys: ownKeys(keyring),
    exchange: keyProof.exchange,
    standing: accounts.standing,
  });
  const context: AuthContext = {
    config,
    log,
    accounts,
    revocations,
    passwords: createPasswords(),
    keyring,
    issuer,
    keyProof,
    throttle: createLoginThrottle(loginPoints),
    authenticator,
  };
  await accounts.users.fillSkeletons(usernameSkeleton);
  await ensureFirstAdmin(context);
  await announceRecentEndings(context);
  const app = createAuthService(context);
  const server = await listen(app, config.host, config.ports.auth, config.http, app.trusts);
  const rotation = setInterval(() => {
    keyring.rotateIfDue().catch((error: unknown) => log.error({ err: error }, 'the signing key could not be checked for its age'));
    accounts.invitations.purge().catch((error: unknown) => log.warn({ err: error }, 'old invitations could not be deleted'));
    accounts.adminLog
      .purge(config.auth.adminLogDays)
      .catch((error: unknown) => log.warn({ err: error }, 'old entries of the admin log could not be deleted'));
  }, HOUR_MS);
  rotation.unref();
  return {
    port: server.port,
    inner: app.inner,
    async close(graceMs) {
      clearInterval(rotation);
      await server.close(graceMs);
      authenticator.close();
      await keyProof.close();
      await context.passwords.close();
    },
  };
}

/** The service verifies tokens with its own keys, and looks again when another process has rotated them. */
function ownKeys(keyring: Keyring): JWTVerifyGetKey {
  let from: JWK[] | undefined;
  let local: ReturnType<typeof createLocalJWKSet> | undefined;
  const keys = async (maxAgeMs?: number) => {
    const publicJwks = await keyring.publicJwks(maxAgeMs);
    if (!local || from !== publicJwks) local = createLocalJWKSet({ keys: (from = publicJwks) });
    return local;
  };
  return async (header, token) => {
    try {
      return await (
        await keys()
      )(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      return (await keys(0))(header, token);
    }
  };
}

/** A process that has just started remembers no ending, while tokens made from an ended secret may still live. */
async function announceRecentEndings({ accounts, revocations, config }: AuthContext): Promise<void> {
  const since = new Date(Date.now() - (config.auth.internalTokenTtlSeconds + 60) * 1_000);
  await announce(revocations, await accounts.apiKeys.endings(since));
}
