import { Problem } from '../../contracts/errors.js';
import { userView } from '../../contracts/http/users.js';
import type { ServiceFetch } from '../http/service-fetch.js';
import type { AskStanding } from './standings.js';

const TIMEOUT_MS = 3_000;

/** For a process without the database of the accounts: the auth service proves the token itself and says what its user is now. */
export function createRemoteStanding(auth: ServiceFetch): AskStanding {
  return async ({ userId, token }) => {
    try {
      const response = await auth(`/api/v1/auth/users/${userId}`, {
        headers: { authorization: `Bearer ${token}` },
        signal: AbortSignal.timeout(TIMEOUT_MS),
        redirect: 'error',
      });
      if (response.status === 200) {
        const { roles } = userView.parse(await response.json());
        return { admin: roles.includes('ADMIN'), validAfter: 0, keyEnded: false };
      }
      await response.body?.cancel();
      if (response.status < 500 && response.status !== 429) return null;
      throw new Error(`The auth service answered ${response.status}`);
    } catch (error) {
      const detail = 'The auth service does not answer, so it cannot be checked now what you may do';
      throw new Problem('SERVICE_UNAVAILABLE', detail, { retryAfterSeconds: 1 }, { cause: error });
    }
  };
}
