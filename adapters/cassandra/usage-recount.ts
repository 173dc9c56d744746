import type { Client, types } from 'cassandra-driver';
import { PROVIDERS, type ProviderName } from '../../contracts/providers.js';
import { floorTo, type Span } from '../../domain/usage.js';
import { inLanes } from './connection.js';
import { GRAINS, grainOf, MINUTE, type Bucket, type Grain, type Retention } from './usage-buckets.js';
import { inForce } from './usage-facts.js';
import { readMarks } from './usage-marks.js';
import { readRaw } from './usage-raw.js';
import { Tally, unpack } from './usage-records.js';
import { readUsers, type RollUp } from './usage-rollups.js';
import { selectionsOf } from './usage-selection.js';

const DAY_MS = 86_400_000;
const LANES = 8;
const EVERYTHING = selectionsOf({}, 'all');

const BY_ID = `SELECT id, provider, occurred_at FROM token_usage_events`;
const HAS_ID = `SELECT id FROM token_usage_events WHERE id = ?`;
const IDS = `SELECT id FROM token_usage_by_provider WHERE provider = ? AND minute = ?`;

/**
 * Compares the events by id, the events by time and every roll-up that is in force with each other, a day at a time. What is in force
 * before and after its events were counted has not changed meanwhile, so it may run beside everything else.
 */
export async function countMismatches(client: Client, retention: Retention): Promise<number> {
  const byId = await countById(client);
  let mismatches = 0;
  for (const provider of PROVIDERS) {
    const perMinute = byId.get(provider) ?? new Map<number, number>();
    const from = floorTo(retention.oldest(), 86_400) + DAY_MS;
    const marked = await readMarks(client, provider, grainOf(86_400), [{ from, to: Date.now() + 2 * DAY_MS }]);
    const days = new Set([...marked.keys(), ...[...perMinute.keys()].map((minute) => floorTo(minute, 86_400))]);
    for (const day of days) if (day >= from) mismatches += await mismatchesOf(client, provider, { from: day, to: day + DAY_MS }, perMinute);
  }
  return mismatches;
}

/** Events by minute, from the table that knows them by id. */
async function countById(client: Client): Promise<Map<ProviderName, Map<number, number>>> {
  const counted = new Map<ProviderName, Map<number, number>>();
  for await (const row of await client.execute(BY_ID, [], { fetchSize: 5_000 })) {
    const provider = row.provider as ProviderName;
    const minute = floorTo((row.occurred_at as Date).getTime(), 60);
    const minutes = counted.get(provider) ?? new Map<number, number>();
    counted.set(provider, minutes.set(minute, (minutes.get(minute) ?? 0) + 1));
  }
  return counted;
}

async function mismatchesOf(client: Client, provider: ProviderName, day: Span, byId: ReadonlyMap<number, number>): Promise<number> {
  const before = await allInForce(client, provider, day);
  const marked = await readMarks(client, provider, MINUTE, [day]);
  const minutes = new Set([...marked.keys(), ...[...byId.keys()].filter((minute) => day.from <= minute && minute < day.to)]);
  const recounted = new Map<Grain, Map<number, Tally>>(GRAINS.map((grain) => [grain, new Map<number, Tally>()]));
  await inLanes([...minutes], LANES, async (minute) => {
    const span = { from: minute, to: minute + 60_000 };
    await readRaw(client, { provider, selections: EVERYTHING }, [span], (at, user, counts, orgId, tag) => {
      if (user !== null)
        for (const [grain, tallies] of recounted) tallyAt(tallies, floorTo(at, grain.seconds)).add(user, orgId, tag, counts);
    });
  });
  let mismatches = 0;
  const check = async ([key, { bucket, rollUp }]: [string, InForce]) => {
    if (before.get(key)?.rollUp.version !== rollUp.version) return;
    const expected = recounted.get(bucket.grain)?.get(bucket.start) ?? new Tally();
    const found = await differences(client, bucket, rollUp, expected);
    if (bucket.grain === MINUTE && expected.total.events !== (byId.get(bucket.start) ?? 0))
      mismatches += await unknownById(client, bucket, expected, byId);
    mismatches += found;
  };
  await inLanes([...(await allInForce(client, provider, day))], LANES, check);
  const unmarked = [...minutes].filter((minute) => !marked.has(minute));
  return mismatches + unmarked.length;
}

interface InForce {
  bucket: Bucket;
  rollUp: RollUp;
}

async function allInForce(client: Client, provider: ProviderName, day: Span): Promise<Map<string, InForce>> {
  const found = new Map<string, InForce>();
  for (const grain of GRAINS) {
    const { rolledUp } = await inForce(client, provider, grain, [day]);
    for (const one of rolledUp) found.set(`${grain.seconds} ${one.bucket.start}`, one);
  }
  return found;
}

function tallyAt(tallies: Map<number, Tally>, start: number): Tally {
  const tally = tallies.get(start) ?? new Tally();
  tallies.set(start, tally);
  return tally;
}

/** Keys whose counts differ, among all and in each organisation, and the totals. */
async function differences(client: Client, bucket: Bucket, rollUp: RollUp, expected: Tally): Promise<number> {
  const orgIds = [...expected.groups.values()].flatMap(({ orgId }) => orgId ?? []);
  const scopes = [undefined, ...new Set(orgIds)];
  let count = same(rollUp, expected.total) ? 0 : 1;
  for (const orgId of scopes) {
    const claimed = new Map<string, string>();
    for (const row of await readUsers(client, bucket, rollUp.version, orgId === undefined ? {} : { orgId }))
      unpack(row.users, (user, events, allowedEvents, tokens) => {
        claimed.set(`${row.orgId} ${row.tag} ${user}`, `${events} ${allowedEvents} ${tokens}`);
      });
    const counted = new Map<string, string>();
    for (const group of expected.groups.values()) {
      if (orgId !== undefined && group.orgId !== orgId) continue;
      for (const [user, { events, allowedEvents, tokens }] of group.users)
        counted.set(`${group.orgId} ${group.tag} ${user}`, `${events} ${allowedEvents} ${tokens}`);
    }
    for (const key of new Set([...claimed.keys(), ...counted.keys()])) if (claimed.get(key) !== counted.get(key)) count++;
  }
  return count;
}

const same = (a: RollUp, b: Tally['total']) => a.events === b.events && a.allowedEvents === b.allowedEvents && a.tokens === b.tokens;

/** Events that only one of the two tables knows. The one by id was counted earlier: what it did not have then is asked for again. */
async function unknownById(
  client: Client,
  { provider, start }: Bucket,
  { total }: Tally,
  byId: ReadonlyMap<number, number>,
): Promise<number> {
  const surplus = (byId.get(start) ?? 0) - total.events;
  if (surplus > 0) return surplus;
  let unknown = 0;
  const ids: types.Uuid[] = [];
  for await (const row of await client.execute(IDS, [provider, start], { fetchSize: 2_000 })) ids.push(row.id as types.Uuid);
  await inLanes(ids, LANES, async (id) => {
    if ((await client.execute(HAS_ID, [id])).rowLength === 0) unknown++;
  });
  return unknown;
}
