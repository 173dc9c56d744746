import type { Config } from '../../config.js';
import { Problem } from '../../contracts/errors.js';
import type { Logger } from '../../telemetry/log.js';
import { metrics } from '../../telemetry/metrics.js';
import type { RedisClient } from './connection.js';

/** At most one line in so long, however often the state changes. */
const LOG_EVERY_MS = 5_000;

/** Label of the metric: what was to be decided */
export type Limit = 'bucket' | 'window' | 'login';

/**
 * What happens to decisions on limits while Redis cannot make them (LEAKY_REDIS_OUTAGE):
 *
 *   local    this process decides by itself, from an empty start: each process then admits up to the whole limit
 *   refuse   503 with Retry-After
 *
 * Nothing is remembered of an outage: every call asks Redis first, which costs nothing while the connection is away and
 * LEAKY_REDIS_TIMEOUT_MS in the short time in which a hanging server is found out. So the first call after it is Redis's again.
 */
export class RedisOutage {
  private away = false;
  private loggedAt = -Infinity;

  constructor(
    private readonly client: Pick<RedisClient, 'status'>,
    private readonly policy: Config['redis']['outage'],
    private readonly log: Logger,
  ) {}

  /**
   * Puts a question to the shared store, or as configured to the local one.
   * @throws Problem LIMITS_UNAVAILABLE when Redis does not answer and the policy is to refuse
   */
  between<Store>(limit: Limit, shared: Store, local: Store) {
    return async <Answer>(ask: (store: Store) => Promise<Answer>): Promise<Answer> => {
      let fault: unknown;
      try {
        if (this.client.status !== 'ready') throw new Error(`no connection (${this.client.status})`);
        const answer = await ask(shared);
        this.change(false);
        return answer;
      } catch (error) {
        fault = error;
      }
      this.change(true, fault);
      metrics.decisionsWithoutRedis.inc({ limit });
      if (this.policy === 'local') return ask(local);
      throw new Problem('LIMITS_UNAVAILABLE', 'The limits cannot be checked now; try again', { retryAfterSeconds: 1 }, { cause: fault });
    };
  }

  private change(away: boolean, fault?: unknown): void {
    if (away === this.away) return;
    this.away = away;
    metrics.redisAway.set(away ? 1 : 0);
    const now = performance.now();
    if (now - this.loggedAt < LOG_EVERY_MS && away) return;
    this.loggedAt = now;
    if (away) this.log.warn({ err: fault, policy: this.policy }, 'Redis does not decide on limits; see LEAKY_REDIS_OUTAGE');
    else this.log.info('Redis decides on limits again');
  }
}
