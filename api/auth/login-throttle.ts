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
  /** Attempts that have asked for a point; it may be a server that answers */
  const asking = new Underway();
  /** Logins that have a point, and may give it back */
  const holding = new Underway();

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

  /** In an object, so that waiting for a point is not waiting for the login. */
  const enter = async <T>(key: string, login: () => Promise<T | null>): Promise<{ work: Promise<T | null> }> => {
    await limiter.consume(key);
    return { work: holding.add(key, guarded(key, login)) };
  };

  return {
    async attempt(key, login) {
      for (;;) {
        try {
          const { work } = await asking.add(key, enter(key, login));
          return work;
        } catch (state) {
          if (!(state instanceof RateLimiterRes)) throw state;
          while (!holding.has(key)) {
            if (!asking.has(key)) throw refusal(state);
            await asking.next(key);
          }
          await holding.next(key);
        }
      }
    },
  };
}

/** Work in progress by key. */
class Underway {
  private readonly works = new Map<string, Set<Promise<void>>>();

  add<T>(key: string, work: Promise<T>): Promise<T> {
    const others = this.works.get(key) ?? new Set();
    this.works.set(key, others);
    const forget = () => {
      others.delete(ended);
      if (others.size === 0) this.works.delete(key);
    };
    const ended = work.then(forget, forget);
    others.add(ended);
    return work;
  }

  has(key: string): boolean {
    return this.works.has(key);
  }

  /** Resolves when one of them has ended, however it ended. */
  async next(key: string): Promise<void> {
    const works = this.works.get(key);
    if (works) await Promise.race(works);
  }
}

function refusal(state: RateLimiterRes): Problem {
  return new Problem('LOGIN_THROTTLED', 'Too many failed logins for this account; wait before the next', {
    retryAfterSeconds: state.msBeforeNext / 1_000,
  });
}
