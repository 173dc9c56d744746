import { RateLimiterRes } from 'rate-limiter-flexible';
import type { LoginPoints, Points } from '../../api/auth/login-throttle.js';
import type { RateLimitStore } from '../../api/gateway/ports.js';
import type { BucketStore } from '../../api/tokens/ports.js';
import type { RedisOutage } from './outage.js';

/** The stores that decide in Redis and, while it is away, as LEAKY_REDIS_OUTAGE says. `local` is the process's own. */
export function bucketsDespite(outage: RedisOutage, shared: BucketStore, local: BucketStore): BucketStore {
  const put = outage.between('bucket', shared, local);
  return {
    pour: (key, rule, amount) => put((store) => store.pour(key, rule, amount)),
    // What is not given back leaks out: no reason to fail a request that is decided already.
    unpour: (key, rule, amount) => put((store) => store.unpour(key, rule, amount)).catch(() => undefined),
  };
}

export function windowsDespite(outage: RedisOutage, shared: RateLimitStore, local: RateLimitStore): RateLimitStore {
  const put = outage.between('window', shared, local);
  return {
    hit: (key, policy) => put((store) => store.hit(key, policy)),
    peek: (key, policy) => put((store) => store.peek(key, policy)),
  };
}

export function loginPointsDespite(outage: RedisOutage, shared: LoginPoints, local: LoginPoints): LoginPoints {
  const put = outage.between('login', shared, local);
  return {
    address: pointsDespite(outage, shared.address, local.address),
    account: pointsDespite(outage, shared.account, local.account),
    known: {
      has: (key) => put((store) => store.known.has(key)),
      // Who is not remembered is no worse off than at a first login.
      add: (key) => put((store) => store.known.add(key)).catch(() => undefined),
    },
  };
}

function pointsDespite(outage: RedisOutage, shared: Points, local: Points): Points {
  const put = outage.between('login', shared, local);
  return {
    async consume(...args) {
      const { points, left } = await put((store) => store.consume(...args).then(taken, refused));
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- how this library says it
      if (!left) throw points;
      return points;
    },
    // Both forgive what was counted: a login that succeeded stays one. What is not forgiven expires with its window.
    delete: (...args) => put((store) => store.delete(...args)).catch(() => false),
    reward: (...args) => put((store) => store.reward(...args)).catch(() => new RateLimiterRes()),
  };
}

const taken = (points: RateLimiterRes) => ({ points, left: true });

/** "None left" is an answer of the store, not a fault of it. */
function refused(reason: unknown) {
  if (reason instanceof RateLimiterRes) return { points: reason, left: false };
  throw reason;
}
