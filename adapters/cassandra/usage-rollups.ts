import type { Client } from 'cassandra-driver';
import { v4 } from 'uuid';
import type { ProviderName } from '../../contracts/providers.js';
import { floorTo, type Span } from '../../domain/usage.js';
import { inLanes } from './connection.js';
import { periodsOf, type Bucket, type Grain, type Retention } from './usage-buckets.js';
import { NIL, pack, shardOf, type Counts, type Tally, type UserKey } from './usage-records.js';

/*
 * A roll-up is a row of usage_rollups and, under its version, rows of usage_rollup_users. The rows of a new version are written first,
 * then the roll-up names it, then the rows of the version it named before are deleted. Who reads the rows looks at the roll-up again
 * afterwards: if it names the same version, none of them was missing.
 */

const LANES = 16;

export interface RollUp extends Counts {
  version: string;
  covers: Readonly<Record<string, bigint>>;
  /** Microseconds; the write time of the row */
  writtenAt: bigint;
}

const READ = `SELECT bucket, version, covers, events, allowed_events, tokens, writetime(version) AS written_at FROM usage_rollups
  WHERE provider = ? AND grain = ? AND period = ? AND bucket >= ? AND bucket < ?`;
const WRITE = `INSERT INTO usage_rollups (provider, grain, period, bucket, version, covers, events, allowed_events, tokens)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?`;
const WRITE_USERS = `INSERT INTO usage_rollup_users (scope, provider, grain, bucket, version, shard, org_id, tag, users)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?`;
const DELETE_USERS = `DELETE FROM usage_rollup_users WHERE scope = ? AND provider = ? AND grain = ? AND bucket = ? AND version = ?`;
const READ_USERS = `SELECT org_id, tag, users FROM usage_rollup_users WHERE scope = ? AND provider = ? AND grain = ? AND bucket = ? AND version = ?`;
const READ_SHARD = `${READ_USERS} AND shard = ?`;

/** The roll-ups of the buckets that touch one of the spans, in force or not, by the start of the bucket. */
export async function readRollUps(
  client: Client,
  provider: ProviderName,
  grain: Grain,
  spans: readonly Span[],
): Promise<Map<number, RollUp>> {
  const found = new Map<number, RollUp>();
  await inLanes(periodsOf(grain, spans), LANES, async ({ period, from, to }) => {
    for await (const row of await client.execute(READ, [provider, grain.seconds, period, from, to])) {
      found.set((row.bucket as Date).getTime(), {
        version: String(row.version),
        covers: (row.covers ?? {}) as Record<string, bigint>,
        events: Number(row.events),
        allowedEvents: Number(row.allowed_events),
        tokens: Number(row.tokens),
        writtenAt: row.written_at as bigint,
      });
    }
  });
  return found;
}

export interface UserRow {
  orgId: string | null;
  tag: string | null;
  users: Buffer;
}

/** The packed counts under one version; of an organisation or of the one shard that a user is in when so asked. */
export async function readUsers(
  client: Client,
  { provider, grain, start }: Bucket,
  version: string,
  { orgId, user }: { orgId?: string; user?: UserKey } = {},
): Promise<UserRow[]> {
  const key = [orgId ?? NIL, provider, grain.seconds, start, version];
  const shard = user === undefined ? [] : [shardOf(grain, user)];
  const rows: UserRow[] = [];
  for await (const row of await client.execute(shard.length > 0 ? READ_SHARD : READ_USERS, [...key, ...shard], { fetchSize: 500 })) {
    const org = String(row.org_id);
    rows.push({ orgId: org === NIL ? null : org, tag: (row.tag as string) || null, users: row.users as Buffer });
  }
  return rows;
}

/**
 * Puts a new roll-up in force in place of `before`. Two that do so at the same time both leave a true one: each covers the marks it
 * has seen. Only what this one has replaced is deleted, for that is nobody's any more.
 */
export async function writeRollUp(
  client: Client,
  retention: Retention,
  bucket: Bucket,
  tally: Tally,
  covers: Readonly<Record<string, bigint>>,
  before: RollUp | undefined,
): Promise<void> {
  const { provider, grain, start } = bucket;
  const version = v4();
  const ttl = retention.ttl(start + grain.seconds * 1_000);
  const scopes = new Set<string>([NIL]);
  const rows: unknown[][] = [];
  for (const { orgId, tag, users } of tally.groups.values()) {
    if (orgId !== null) scopes.add(orgId);
    for (const [shard, part] of byShard(grain, users)) {
      for (const scope of orgId === null ? [NIL] : [NIL, orgId])
        rows.push([scope, provider, grain.seconds, start, version, shard, orgId ?? NIL, tag ?? '', pack(part), ttl]);
    }
  }
  await inLanes(rows, LANES, (row) => client.execute(WRITE_USERS, row));
  const { events, allowedEvents, tokens } = tally.total;
  const now = BigInt(Date.now()) * 1_000n;
  // After the one that is replaced, whatever the clock of the process that wrote that one says.
  const timestamp = before && before.writtenAt >= now ? before.writtenAt + 1n : now;
  await client.execute(WRITE, [
    provider,
    grain.seconds,
    floorTo(start, grain.periodSeconds),
    start,
    version,
    covers,
    BigInt(events),
    BigInt(allowedEvents),
    BigInt(tokens),
    ttl,
    timestamp,
  ]);
  if (!before) return;
  await inLanes([...scopes], LANES, (scope) => client.execute(DELETE_USERS, [scope, provider, grain.seconds, start, before.version]));
}

function byShard(grain: Grain, users: ReadonlyMap<UserKey, Counts>): Map<number, Map<UserKey, Counts>> {
  const shards = new Map<number, Map<UserKey, Counts>>();
  for (const [user, counts] of users) {
    const shard = shardOf(grain, user);
    const part = shards.get(shard) ?? new Map<UserKey, Counts>();
    shards.set(shard, part.set(user, counts));
  }
  return shards;
}
