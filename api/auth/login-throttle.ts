import { RateLimiterRes, type RateLimiterAbstract } from 'rate-limiter-flexible';
import { Problem } from '../../contracts/errors.js';

export interface LoginThrottle {
  /**
   * Runs one login attempt. Failures (null) count for the account at this address, and for the account at all addresses that never
   * logged in to it; a success forgets the former, and makes the address known.
   * @throws Problem LOGIN_THROTTLED with Retry-After when there were too many failures in the window
   */
  attempt<T>(who: LoginAttempt, login: () => Promise<T | null>): Promise<T | null>;
  /** Makes an address known to an account: its owner is there. */
  remember(account: string, address: string): Promise<void>;
}

export interface LoginAttempt {
  /** The key of the name, whether there is such an account or not */
  account: string;
  /** As limits count it: an IPv6 /64 is one */
  address: string;
}

/** `consume` rejects with a RateLimiterRes when no point is left. */
export type Points = Pick<RateLimiterAbstract, 'consume' | 'delete' | 'reward'>;

/** Who counts: one process alone, or all auth services together. */
export interface LoginPoints {
  /** Of an account at one address */
  address: Points;
  /** Of an account at all addresses it does not know: guesses from a thousand addresses are slowed down as well */
  account: Points;
  /** Pairs of account and address that logged in lately: their owner is let in while others guess */
  known: { has(key: string): Promise<boolean>; add(key: string): Promise<void> };
}

/**
 * A point is taken before the password is looked at, so that parallel guesses can't overtake the count. An attempt that finds
 * none left waits for those in flight first: many good logins of one person at once are no attack.
 */
export function createLoginThrottle({ address: limiter, account: brake, known }: LoginPoints): LoginThrottle {
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

  /** With a point of the account, unless it knows the address. A success gives it back: it is a guess that was none. */
  const braked = async <T>({ account }: LoginAttempt, key: string, login: () => Promise<T | null>): Promise<T | null> => {
    if (await known.has(key)) return login();
    await brake.consume(account).catch((state: unknown) => {
      throw state instanceof RateLimiterRes ? refusal(state) : state;
    });
    const result = await login().catch(async (error: unknown) => {
      await brake.reward(account); // A fault of ours is no guess.
      throw error;
    });
    if (result !== null) await Promise.all([brake.reward(account), known.add(key)]);
    return result;
  };

  return {
    remember: (account, address) => known.add(keyOf({ account, address })),
    async attempt(who, check) {
      const key = keyOf(who);
      const login = () => braked(who, key, check);
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

const keyOf = ({ account, address }: LoginAttempt): string => `${account} ${address}`;

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
