import { LRUCache } from 'lru-cache';
import type { Logger } from '../../telemetry/log.js';
import { metrics } from '../../telemetry/metrics.js';

export interface FailedLogin {
  /** The account that was tried; null: there is none. Never the name: people type passwords there. */
  userId: string | null;
  address: string;
}

/** One line for an account and address in so long, which says how many there were: whoever guesses must not fill the log. */
const EVERY_MS = 60_000;
const LINES_REMEMBERED = 1_000;

/** Failed logins, counted all and logged some. */
export class LoginFailures {
  private readonly silent = new LRUCache<string, { times: number }>({ max: LINES_REMEMBERED, ttl: EVERY_MS });
  private unlogged = 0;

  constructor(private readonly log: Logger) {}

  note(outcome: 'refused' | 'throttled', { userId, address }: FailedLogin): void {
    metrics.loginFailures.inc({ outcome });
    const key = `${userId} ${address}`;
    if (this.silent.has(key)) {
      this.unlogged += 1;
      return;
    }
    this.silent.set(key, { times: 1 });
    this.log.warn({ userId, address, outcome, notLoggedBefore: this.unlogged }, 'a login failed');
    this.unlogged = 0;
  }
}
