import { Command } from 'commander';
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { v7 } from 'uuid';
import { connectCassandra } from '../../adapters/cassandra/connection.js';
import { migrateCassandra } from '../../adapters/cassandra/migrate.js';
import { Retention } from '../../adapters/cassandra/usage-buckets.js';
import { createUsageMaintenance } from '../../adapters/cassandra/usage-maintenance.js';
import { createUsageReader } from '../../adapters/cassandra/usage-reader.js';
import { createUsageSink } from '../../adapters/cassandra/usage-sink.js';
import { loadConfig } from '../../config.js';
import type { UsageEvent } from '../../contracts/events.js';
import { recount } from './recount.js';

/*
 * Fills a keyspace of its own with events the way the product does, rolls them up, and holds the report against a plain count of the
 * events. The keyspace is dropped at the end.
 */

const HOUR_MS = 3_600_000;
const BATCH = 2_000;
const LANES = 3;
const REPORTS = 7;
const TOP = 1_000;

interface Extent {
  events: number;
  users: number;
  hours: number;
  /** The keyspace goes with its node */
  keep: boolean;
}

async function run(extent: Extent): Promise<void> {
  const config = loadConfig();
  if (config.cassandra.contactPoints.length === 0) throw new Error('LEAKY_CASSANDRA_CONTACT_POINTS: required here');
  const keyspace = `million_${randomBytes(4).toString('hex')}`;
  // A node that is being filled as fast as it can answers late.
  const options = { ...config.cassandra, keyspace, patienceMs: 30_000, timeoutMs: Math.max(config.cassandra.timeoutMs, 20_000) };
  await migrateCassandra(options);
  const client = await connectCassandra(options);
  try {
    const retention = new Retention(config.schedules.retentionDays);
    const end = Date.now();
    const window = { from: new Date(end - extent.hours * HOUR_MS), to: new Date(end) };
    const reader = createUsageReader(client, retention);
    const report = () => reader.summarise('openai', 'all', window, TOP);

    const filled = await timed(() => fill(extent, window.from.getTime(), end, createUsageSink(client, retention)));
    say(
      `stored ${extent.events} events of ${extent.users} users in ${extent.hours} h: ${seconds(filled.ms)}, ${Math.round((extent.events * 1_000) / filled.ms)} a second; own CPU time ${seconds(filled.cpuMs)}`,
    );
    const maintenance = createUsageMaintenance(client, retention, { quietFraction: 0 });
    let rollUps = 0;
    const folded = await timed(async () => {
      for (let done = false; !done;) {
        const progress = await maintenance.fold(20_000);
        rollUps += progress.count;
        done = progress.done;
      }
    });
    say(`rolled up: ${rollUps} buckets in ${seconds(folded.ms)}; own CPU time ${seconds(folded.cpuMs)}`);
    const times: number[] = [];
    for (let turn = 0; turn < REPORTS; turn++) times.push((await timed(report)).ms);
    say(`report over all of them: first ${ms(times[0])}, then ${times.slice(1).map(ms).join(', ')}`);
    const own = await timed(() => reader.summarise('openai', { userId: userId(1), orgIds: [] }, window, TOP));
    say(`report of one user: ${ms(own.ms)}, ${own.value.events} events`);
    const counted = await timed(() => recount(client, 'openai', window, TOP));
    assert.deepEqual(await report(), counted.value);
    say(
      `equals the recount, which takes ${seconds(counted.ms)}: ${counted.value.events} events, ${counted.value.tokens} tokens, ${counted.value.uniqueUsers} users`,
    );
  } finally {
    if (!extent.keep) await client.execute(`DROP KEYSPACE ${keyspace}`, [], { prepare: false, isIdempotent: false, readTimeout: 60_000 });
    await client.shutdown();
  }
}

const userId = (number: number) => `00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`;

/** Events in the order of their time, a few batches at a time, every twentieth a refusal. */
async function fill({ events, users }: Extent, from: number, to: number, sink: ReturnType<typeof createUsageSink>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < events) {
      const first = next;
      next = Math.min(events, first + BATCH);
      await sink.publish(Array.from({ length: next - first }, (_, index) => eventOf(first + index)));
    }
  };
  const eventOf = (number: number): UsageEvent => ({
    id: v7(),
    timestamp: new Date(from + Math.floor(((to - from) * number) / events)).toISOString(),
    provider: 'openai',
    userId: userId((number * 7_919) % users),
    orgId: null,
    tokens: 1 + (number % 100),
    allowed: number % 20 !== 0,
    reason: number % 20 === 0 ? 'BUCKET_OVERFLOW' : null,
    requestId: `request-${number}`,
    tag: null,
  });
  await Promise.all(Array.from({ length: LANES }, lane));
}

async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; cpuMs: number; value: T }> {
  const [began, used] = [performance.now(), process.cpuUsage()];
  const value = await work();
  const { user, system } = process.cpuUsage(used);
  return { ms: performance.now() - began, cpuMs: (user + system) / 1_000, value };
}

const say = (line: string) => process.stdout.write(`${line}\n`);
const seconds = (time: number) => `${(time / 1_000).toFixed(1)} s`;
const ms = (time: number | undefined) => `${Math.round(time ?? NaN)} ms`;

const program = new Command('million')
  .description('Reports on Cassandra over very many events, and whether they equal a recount')
  .option('--events <count>', 'how many', '1000000')
  .option('--users <count>', 'who made them', '10000')
  .option('--hours <count>', 'the time that they are spread over', '48')
  .option('--keep', 'do not drop the keyspace at the end', false)
  .parse();
const given = program.opts<{ events: string; users: string; hours: string; keep: boolean }>();
await run({ events: Number(given.events), users: Number(given.users), hours: Number(given.hours), keep: given.keep });
