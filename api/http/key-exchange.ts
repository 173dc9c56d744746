import { z } from 'zod';
import { Problem } from '../../contracts/errors.js';
import { traceHeaders } from '../../telemetry/tracing.js';
import type { ServiceFetch } from './service-fetch.js';

/** What an API key is worth: an internal JWT. `validUntil`: when the secret itself stops working (epoch ms), null: never. */
export interface ExchangedKey {
  token: string;
  validUntil: number | null;
}

/** Null: the key is not valid. @throws Problem SERVICE_UNAVAILABLE when that can't be found out */
export type KeyExchange = (rawKey: string) => Promise<ExchangedKey | null>;

const TIMEOUT_MS = 3_000;
const answerSchema = z.object({ token: z.string(), keyValidUntil: z.iso.datetime().nullable() });

/** Asks the auth service. The key is its own proof, so the call carries nothing else. */
export function createRemoteKeyExchange(auth: ServiceFetch): KeyExchange {
  return async (rawKey) => {
    try {
      const response = await auth('/api/v1/auth/api-keys/exchange', {
        method: 'POST',
        headers: { 'x-api-key': rawKey, ...traceHeaders() },
        signal: AbortSignal.timeout(TIMEOUT_MS),
        redirect: 'error',
      });
      if (response.status === 401) {
        await response.body?.cancel();
        return null;
      }
      if (response.status !== 200) {
        await response.body?.cancel();
        throw new Error(`The auth service answered ${response.status}`);
      }
      const { token, keyValidUntil } = answerSchema.parse(await response.json());
      return { token, validUntil: keyValidUntil === null ? null : Date.parse(keyValidUntil) };
    } catch (error) {
      throw new Problem(
        'SERVICE_UNAVAILABLE',
        'The auth service does not answer, so the API key cannot be checked now',
        { retryAfterSeconds: 1 },
        { cause: error },
      );
    }
  };
}
