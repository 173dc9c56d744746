import { statfs } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { Restarts, type RestartLimits } from '../platform/restarts.js';
import type { GuardedChild } from './child.js';

export interface SupervisedOptions {
  name: string;
  /** Starts it; resolves when it takes work. `onSpawn` is called as soon as the process exists */
  start(onSpawn: (child: GuardedChild) => void): Promise<GuardedChild>;
  /** Resolves when it answers, whatever it says; bounded by `probeTimeoutMs` here */
  probe(): Promise<unknown>;
  /** On whose disk it needs room to start */
  dataDir: string;
  say: (line: string) => void;
  /** Called when it is not started any more */
  onGivenUp: (reason: string) => void;
  limits?: Partial<SupervisionLimits>;
}

export interface SupervisionLimits extends RestartLimits {
  probeEveryMs: number;
  probeTimeoutMs: number;
  /** So many probes in a row without an answer, and it has hung: it is killed and started anew */
  mostSilentProbes: number;
  /** For one end: as long as this its restart is tried again */
  restartForMs: number;
  /** PostgreSQL cannot even recover on a full disk: below this its start waits */
  neededBytes: number;
}

const LIMITS: SupervisionLimits = {
  most: 20,
  windowMs: 600_000,
  firstDelayMs: 100,
  longestDelayMs: 5_000,
  probeEveryMs: 1_500,
  probeTimeoutMs: 3_000,
  mostSilentProbes: 5,
  restartForMs: 120_000,
  neededBytes: 40_000_000,
};

const HUNG_GRACE_MS = 3_000;
const LAST_PROBE_MS = 1_500;
const NEXT_TRY_MS = 500;

/**
 * Keeps a child running that all the others need.
 *
 *   start ──▶ runs ──ended by itself──▶ started anew (a wait that grows; room on the disk) ──▶ runs
 *               └──silent for 5 probes──▶ killed ──▶ …          more than 20 ends in 10 minutes ──▶ given up
 *
 * A child that does not answer for a while (stopped, a machine that sleeps) and then does is left alone.
 */
export class Supervisor {
  private child: GuardedChild | null = null;
  private readonly limits: SupervisionLimits;
  private readonly restarts: Restarts;
  private readonly stopping = new AbortController();
  private silent = 0;
  private working: Promise<void> = Promise.resolve();

  constructor(private readonly options: SupervisedOptions) {
    this.limits = { ...LIMITS, ...options.limits };
    this.restarts = new Restarts(this.limits);
  }

  /** @throws whatever the first start throws: only what has run once is started anew */
  async start(): Promise<void> {
    await this.spawn();
    void this.watch();
  }

  /** Of the watchdog; null while none runs */
  get pid(): number | null {
    return this.child?.pid ?? null;
  }

  /**
   * Ahead of the end of those that use it: from now on it is not started anew, and one that does not answer is killed. Its users
   * would wait for its answers until their own limits, one after the other; so they learn at once that there are none.
   */
  async prepareStop(): Promise<void> {
    this.stopping.abort();
    const { child } = this;
    if (!child || (await answers(this.options.probe, LAST_PROBE_MS))) return;
    this.options.say(`${this.options.name} does not answer; it is killed`);
    child.kill();
    await child.ended;
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    // One that is just starting ends its start so.
    await this.end();
    await this.working;
    await this.end();
  }

  private async end(): Promise<void> {
    const { child } = this;
    if (!child) return;
    // One that has hung does not obey either: it gets a short time and no more.
    const timer = this.silent > 0 ? setTimeout(() => child.kill(), HUNG_GRACE_MS) : undefined;
    await child.stop();
    clearTimeout(timer);
  }

  private async spawn(): Promise<void> {
    const child = await this.options.start((spawned) => {
      this.child = spawned;
      void spawned.ended.then(() => (this.child = this.child === spawned ? null : this.child));
    });
    this.silent = 0;
    void child.ended.then((how) => {
      if (this.stopped()) return;
      this.options.say(`${this.options.name} has ended (${how}); starting it again:\n${child.logTail()}`);
      this.working = this.restart();
    });
  }

  private async restart(): Promise<void> {
    const { name, say, onGivenUp } = this.options;
    const wait = this.restarts.next();
    if (wait === null) return onGivenUp(`${name} has ended too often; see its log`);
    const began = Date.now();
    await this.pause(wait);
    for (let fault = ''; !this.stopped(); await this.pause(NEXT_TRY_MS)) {
      if (Date.now() - began > this.limits.restartForMs) return onGivenUp(`${name} does not start any more: ${fault}`);
      await this.untilRoom();
      if (this.stopped()) return;
      try {
        await this.spawn();
        say(`${name} is back after ${((Date.now() - began) / 1000).toFixed(1)} s`);
        return;
      } catch (error) {
        fault = error instanceof Error ? error.message : String(error);
        await this.end();
      }
    }
  }

  private async untilRoom(): Promise<void> {
    const { name, say, dataDir } = this.options;
    for (let told = false; !this.stopped(); told = true) {
      const room = await statfs(dataDir).then(
        ({ bavail, bsize }) => bavail * bsize,
        () => Infinity,
      );
      if (room >= this.limits.neededBytes) return;
      if (!told) say(`${name} waits for room on the disk of ${dataDir}: ${Math.floor(room / 1e6)} MB are free`);
      await this.pause(NEXT_TRY_MS);
    }
  }

  private async watch(): Promise<void> {
    const { name, say, probe } = this.options;
    while (!this.stopped()) {
      await this.pause(this.limits.probeEveryMs);
      const { child } = this;
      if (!child || this.stopped()) continue;
      const answered = await answers(probe, this.limits.probeTimeoutMs);
      if (child !== this.child) continue;
      this.silent = answered ? 0 : this.silent + 1;
      if (this.silent === 2) say(`${name} does not answer`);
      if (this.silent < this.limits.mostSilentProbes || this.stopped()) continue;
      say(`${name} has hung; it is killed`);
      child.kill();
      await child.ended;
    }
  }

  private readonly stopped = () => this.stopping.signal.aborted;
  /** A stop ends it early. */
  private readonly pause = (ms: number) => delay(ms, undefined, { signal: this.stopping.signal, ref: false }).catch(() => undefined);
}

async function answers(probe: () => Promise<unknown>, timeoutMs: number): Promise<boolean> {
  const late = delay(timeoutMs, false, { ref: false });
  return Promise.race([
    probe().then(
      () => true,
      () => false,
    ),
    late,
  ]);
}
