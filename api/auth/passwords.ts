import { Piscina } from 'piscina';
import { Problem } from '../../contracts/errors.js';
import { PASSWORD_MAX_BYTES, byteLength } from '../../contracts/http/auth.js';
import { normalisePassword } from '../../domain/accounts/password.js';
import type { PasswordTask } from './password-worker.js';

export interface Passwords {
  hash(password: string): Promise<string>;
  /**
   * Takes the same time for `null` (no such account) and for a hash that doesn't match. `newHash`: the one that is to replace
   * this, which is of the password as it was sent and not as it is normalised.
   */
  matches(password: string, hash: string | null): Promise<{ same: boolean; newHash: string | null }>;
  close(): Promise<void>;
}

const COST = 10;
/** A real hash of cost 10 whose password nobody knows (its random input was thrown away). */
const DUMMY_HASH = '$2b$10$R4HSfOPca2Kws8jQY9raj.h9T5J1DiitYfgYu7Jr0W7v7DSCmtPdm';

/** About 80 ms of CPU each: this many may wait before newcomers are told to come back. */
const MAX_WAITING = 200;

/**
 * bcrypt in pure JavaScript holds a thread for 60 to 80 ms a hash (its asynchronous form only slices that time on the same
 * thread), so it runs in worker threads: at most two, started by the first password and ended after some idle seconds.
 */
export function createPasswords(): Passwords {
  const pool = new Piscina<PasswordTask, string | boolean>({
    filename: new URL('./password-worker.js', import.meta.url).href,
    minThreads: 0,
    maxThreads: 2,
    idleTimeout: 5_000,
    maxQueue: MAX_WAITING,
    // Threads only compute: they need neither the heap of a service nor its environment.
    resourceLimits: { maxOldGenerationSizeMb: 32 },
    env: {},
  });
  const run = async (task: PasswordTask): Promise<string | boolean> => {
    if (pool.queueSize >= MAX_WAITING) throw new Problem('OVERLOADED', 'Too many logins at once', { retryAfterSeconds: 2 });
    return pool.run(task);
  };
  const fits = (password: string) => byteLength(password) <= PASSWORD_MAX_BYTES;
  const hash = async (password: string) => (await run({ kind: 'hash', password, cost: COST })) as string;
  const compare = async (password: string, stored: string | null): Promise<boolean> => {
    // bcrypt would ignore what is beyond its limit, and so accept a right password with a tail.
    const usable = stored !== null && fits(password);
    const same = (await run({ kind: 'compare', password, hash: usable ? stored : DUMMY_HASH })) as boolean;
    return usable && same;
  };
  return {
    hash: (password) => hash(normalisePassword(password)),
    async matches(password, stored) {
      const normalised = normalisePassword(password);
      if (await compare(normalised, stored)) return { same: true, newHash: null };
      // Accounts of before have a hash of what was sent. Who has no account waits as long.
      if (normalised === password || !(await compare(password, stored))) return { same: false, newHash: null };
      return { same: true, newHash: fits(normalised) ? await hash(normalised) : null };
    },
    close: () => pool.destroy(),
  };
}
