import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { UsageEvent } from '../../contracts/events.js';
import type { UsageSink } from '../../activities/ports.js';
import { distRoot } from '../../root.js';
import { event, id } from '../analytics/events.js';
import { eventually } from '../support/eventually.js';
import type { FaultStore } from './event-fault-stores.js';

export interface EventKills {
  events: number;
  kills: number;
  store: FaultStore;
  usage: UsageSink;
  /** Kafka settings of the consumer's process */
  environment: Record<string, string>;
  /** Messages that the consumers have committed, of all partitions */
  committed(): Promise<number>;
  say(line: string): void;
}

export interface Outcome {
  missing: number;
  doubled: number;
  strangers: number;
  counted: number;
  /** Kills that left work to the next one */
  interrupted: number;
  /** Stored and not committed when a consumer was killed: what came twice for certain */
  redelivered: number;
  seconds: number;
}

const BATCH = 500;
const PROGRESS_MS = 300_000;
const ARRIVAL_MS = 600_000;

/**
 * Publishes events while the consumer, a process of its own, is killed with -9, each time in the middle of what was
 * published since the last kill.
 * Then every published id is looked for in the store.
 */
export async function killConsumers(options: EventKills): Promise<Outcome> {
  const { events: total, kills, store, committed, say } = options;
  const beganAt = Date.now();
  const since = () => ((Date.now() - beganAt) / 1000).toFixed(1);
  const ids = new Set<string>();
  let consumer = start(options);
  let redelivered = 0;
  let interrupted = 0;
  try {
    const share = Math.ceil(total / (kills + 1));
    for (let kill = 1; kill <= kills; kill++) {
      await publish(options.usage, share, ids);
      const middle = ids.size - share / 2;
      const deadline = Date.now() + PROGRESS_MS;
      // Without a pause between the looks, or a quick consumer would be done before the next one.
      while ((await committed()) < middle) assert.ok(Date.now() < deadline, `consumer ${kill} does not get that far`);
      await freezeUncommitted(consumer, options, ids.size);
      await end(consumer, 'SIGKILL');
      const [stored, done] = [(await store.ids()).length, await committed()];
      redelivered += stored - done;
      if (done < ids.size) interrupted++;
      say(`${since()} s: killed consumer ${kill}: ${ids.size} published, ${stored} stored, ${done} committed`);
      consumer = start(options);
    }
    await publish(options.usage, total - ids.size, ids);
    say(`${since()} s: all ${ids.size} published`);
    await eventually('everything is committed', async () => (await committed()) >= total, ARRIVAL_MS);
  } finally {
    await end(consumer, 'SIGTERM');
  }
  const stored = await store.ids();
  const distinct = new Set(stored);
  const outcome: Outcome = {
    missing: [...ids].filter((one) => !distinct.has(one)).length,
    doubled: stored.length - distinct.size,
    strangers: [...distinct].filter((one) => !ids.has(one)).length,
    counted: await store.counted(),
    interrupted,
    redelivered,
    seconds: (Date.now() - beganAt) / 1000,
  };
  const { missing, doubled, counted, seconds } = outcome;
  say(
    `${total} events through Kafka to ${store.name}, ${kills} kills: ${missing} missing, ${doubled} double, ${counted} counted by roll-ups; ` +
      `${interrupted} kills in the middle of work, ${redelivered} events stored and delivered again; ${seconds.toFixed(1)} s`,
  );
  return outcome;
}

const LOOKS = 50;

/** Freezes the consumer at any moment until it is one at which it has stored more than it has committed: to die then costs most. */
async function freezeUncommitted(consumer: ChildProcess, { store, committed }: EventKills, published: number): Promise<void> {
  for (let look = 1; look <= LOOKS; look++) {
    consumer.kill('SIGSTOP');
    const [stored, done] = [(await store.ids()).length, await committed()];
    if (stored > done || done >= published) return;
    consumer.kill('SIGCONT');
    await committed();
  }
}

function publish(usage: UsageSink, count: number, ids: Set<string>): Promise<void> {
  const events = Array.from({ length: count }, (_, index): UsageEvent =>
    event({ userId: id(index % 1_000), provider: 'openai', tokens: index % 100, timestamp: new Date().toISOString() }),
  );
  for (const one of events) ids.add(one.id);
  const batches = Array.from({ length: Math.ceil(count / BATCH) }, (_, index) => events.slice(index * BATCH, (index + 1) * BATCH));
  return batches.reduce((before, batch) => before.then(() => usage.publish(batch)), Promise.resolve());
}

function start({ store, environment }: EventKills): ChildProcess {
  // As under npm: the process then ends when ours does.
  const env = { PATH: process.env.PATH, npm_lifecycle_event: 'test', ...environment, ...store.environment, LEAKY_ANALYTICS_PORT: '0' };
  return spawn(process.execPath, [path.join(distRoot, 'leaky.js'), 'analytics'], { env, stdio: ['ignore', 'ignore', 'inherit'] });
}

async function end(child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}
