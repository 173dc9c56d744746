import { setImmediate as turn } from 'node:timers/promises';
import { RateLimiterRes, type RateLimiterAbstract } from 'rate-limiter-flexible';
import { Problem } from '../../contracts/errors.js';

export interface LoginThrottle {
  /**
   * Runs one login attempt for a key (account name and address). Failures (null) count; a success forgets them.
   * @throws Problem LOGIN_THROTTLED with Retry-After when there were too many failures in the window
   */
  attempt<T>(key: string, login: () => Promise<T | null>): Promise<T | null>;
}

/** Who counts: one process alone, or all auth services together. `consume` rejects with a RateLimiterRes when no point is left. */
export type LoginPoints = Pick<RateLimiterAbstract, 'consume' | 'delete' | 'reward'>;

/**
 * A point is taken before the password is looked at, so that parallel guesses can't overtake the count. An attempt that finds
 * none left waits for those in flight first: many good logins of one person at once are no attack.
 */
export function createLoginThrottle(limiter: LoginPoints): LoginThrottle {
  const inFlight = new Map<string, Set<Promise<void>>>();

  const guarded = async <T>(key: string, login: () => Promise<T | null>): Promise<T | null> => {
    try {
      const result = await login();
      if (result !== null) await limiter.delete(key);
      return result;
    } catch (error) {
      await limiter.reward(key); // A fault of ours is no guess.
      throw error;
    }
  };

  const track = (key: string, work: Promise<unknown>): void => {
    const others = inFlight.get(key) ?? new Set();
    inFlight.set(key, others);
    const forget = () => {
      others.delete(ended);
      if (others.size === 0) inFlight.delete(key);
    };
    const ended = work.then(forget, forget);
    others.add(ended);
  };

  return {
    async attempt(key, login) {
      for (;;) {
        try {
          await limiter.consume(key);
        } catch (state) {
          if (!(state instanceof RateLimiterRes)) throw state;
          // Answers that arrived together are seen in any order: whoever took the last point may enter only now.
          if (!inFlight.has(key)) await turn();
          const others = inFlight.get(key);
          if (!others) throw refusal(state);
          await Promise.race(others);
          continue;
        }
        // No await between the point and the entry in `inFlight`: whoever finds no point must find who has it.
        const work = guarded(key, login);
        track(key, work);
        return work;
      }
    },
  };
}

function refusal(state: RateLimiterRes): Problem {
  return new Problem('LOGIN_THROTTLED', 'Too many failed logins for this account; wait before the next', {
    retryAfterSeconds: state.msBeforeNext / 1_000,
  });
}
