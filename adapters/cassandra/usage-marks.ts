import type { Client } from 'cassandra-driver';
import { v4 } from 'uuid';
import type { ProviderName } from '../../contracts/providers.js';
import type { Span } from '../../domain/usage.js';
import { inLanes } from './connection.js';
import { periodsOf, type Bucket, type Grain, type Retention } from './usage-buckets.js';
import { floorTo } from '../../domain/usage.js';

/*
 * Marks tell whether a roll-up is still true. A process that is about to store events raises its mark (`opened`) in every bucket they
 * belong to, and only then stores them; when all are stored it sets `closed` to the same number. A roll-up says which marks it covers
 * and is in force while each mark of its bucket is the one it covers:
 *
 *   opened 7, closed 5    someone is storing: the roll-up is not in force, and no new one is made
 *   opened 7, closed 7    all is stored: a roll-up that counts from now on covers 7
 *
 * Nothing is ever added to a count and no mark is taken away, so a redelivery, a crash or two roll-ups at a time change nothing but how
 * much is read raw.
 */

const LANES = 32;

const OPEN = `INSERT INTO usage_marks (provider, grain, period, bucket, writer, opened) VALUES (?, ?, ?, ?, ?, ?) USING TTL ?`;
const CLOSE = `INSERT INTO usage_marks (provider, grain, period, bucket, writer, closed) VALUES (?, ?, ?, ?, ?, ?) USING TTL ?`;
const READ = `SELECT bucket, writer, opened, closed FROM usage_marks WHERE provider = ? AND grain = ? AND period = ? AND bucket >= ? AND bucket < ?`;

interface Entry {
  bucket: Bucket;
  /** Who is storing events of this bucket right now */
  active: number;
  opened: bigint;
  failed: boolean;
}

interface Writer {
  id: string;
  entries: Map<string, Entry>;
}

/** The marks of one process. */
export class MarkWriter {
  private writer: Writer = { id: v4(), entries: new Map() };
  private last = 0n;

  constructor(
    private readonly client: Client,
    private readonly retention: Retention,
  ) {}

  /** Runs `store` between the opening and the closing of the buckets' marks. */
  async around(buckets: readonly Bucket[], store: () => Promise<void>): Promise<void> {
    const writer = this.writer;
    const entries = buckets.map((bucket) => this.enter(writer, bucket));
    let opened = false;
    try {
      await inLanes(entries, LANES, (entry) => this.write(OPEN, writer, entry));
      opened = true;
      await store();
    } catch (error) {
      // What was sent may still arrive at any time: these marks stay open, and the process goes on as if it had been started anew.
      if (opened) this.abandon(writer, entries);
      throw error;
    } finally {
      // Not closed, a mark only keeps its bucket from being rolled up for a while; that is no reason to fail what is stored.
      await inLanes(this.leave(writer, entries), LANES, (entry) => this.write(CLOSE, writer, entry)).catch(() => undefined);
    }
  }

  private enter(writer: Writer, bucket: Bucket): Entry {
    const key = keyOf(bucket);
    const entry = writer.entries.get(key) ?? { bucket, active: 0, opened: 0n, failed: false };
    writer.entries.set(key, entry);
    entry.active++;
    entry.opened = this.tick();
    return entry;
  }

  /** @returns the entries that nobody uses any more and that may be closed */
  private leave(writer: Writer, entries: readonly Entry[]): Entry[] {
    const idle = entries.filter((entry) => --entry.active === 0);
    for (const { bucket } of idle) writer.entries.delete(keyOf(bucket));
    return idle.filter((entry) => !entry.failed).map((entry) => ({ ...entry }));
  }

  private abandon(writer: Writer, entries: readonly Entry[]): void {
    for (const entry of entries) entry.failed = true;
    if (this.writer === writer) this.writer = { id: v4(), entries: new Map() };
  }

  /** Microseconds, and always more than the last one. */
  private tick(): bigint {
    const now = BigInt(Date.now()) * 1_000n;
    return (this.last = now > this.last ? now : this.last + 1n);
  }

  private write(query: string, writer: Writer, { bucket, opened }: Entry): Promise<unknown> {
    const { provider, grain, start } = bucket;
    const period = floorTo(start, grain.periodSeconds);
    return this.client.execute(query, [
      provider,
      grain.seconds,
      period,
      start,
      writer.id,
      opened,
      this.retention.ttl(start + grain.seconds * 1_000),
    ]);
  }
}

const keyOf = ({ provider, grain, start }: Bucket) => `${provider} ${grain.seconds} ${start}`;

/** The marks of one bucket, by writer. */
export type Marks = Map<string, { opened: bigint; closed: bigint }>;

/** The marks of every bucket that touches one of the spans and may have events, by its start. */
export async function readMarks(client: Client, provider: ProviderName, grain: Grain, spans: readonly Span[]): Promise<Map<number, Marks>> {
  const found = new Map<number, Marks>();
  await inLanes(periodsOf(grain, spans), LANES, async ({ period, from, to }) => {
    for await (const row of await client.execute(READ, [provider, grain.seconds, period, from, to])) {
      const start = (row.bucket as Date).getTime();
      const marks: Marks = found.get(start) ?? new Map();
      found.set(start, marks);
      marks.set(String(row.writer), { opened: (row.opened as bigint | null) ?? 0n, closed: (row.closed as bigint | null) ?? 0n });
    }
  });
  return found;
}

/** A writer that left its mark open for this long has died: no request of its is on the way any more. */
const ABANDONED_US = 15n * 60n * 1_000_000n;

/** Whether nobody is storing into the bucket, nor has begun to within `quietMs`: what is read from now on is all that these marks mean. */
export function isSettled(marks: Marks, quietMs: number): boolean {
  const now = BigInt(Date.now()) * 1_000n;
  for (const { opened, closed } of marks.values()) {
    if (closed < opened && now - opened < ABANDONED_US) return false;
    if (now - opened < BigInt(Math.round(quietMs)) * 1_000n) return false;
  }
  return true;
}

export const coverOf = (marks: Marks): Record<string, bigint> =>
  Object.fromEntries([...marks].map(([writer, { opened }]) => [writer, opened]));

export function isCovered(marks: Marks, covers: Readonly<Record<string, bigint>>): boolean {
  for (const [writer, { opened }] of marks) if (covers[writer] !== opened) return false;
  return true;
}
