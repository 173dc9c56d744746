import type { Client } from 'cassandra-driver';
import type { ProviderName } from '../../contracts/providers.js';
import { ceilTo, cover, floorTo, type Span } from '../../domain/usage.js';
import { inLanes } from './connection.js';
import { finerThan, grainOf, GRAINS, merged, MINUTE, SECONDS, spanOf, type Bucket, type Grain } from './usage-buckets.js';
import { isCovered, readMarks } from './usage-marks.js';
import { readRaw } from './usage-raw.js';
import { unpack, type Counts, type UserKey } from './usage-records.js';
import { readRollUps, readUsers, type RollUp } from './usage-rollups.js';
import type { Selection } from './usage-selection.js';

/** `user` is null when the counts are of several users whom nobody asked for. */
export type Visit = (at: number, user: UserKey | null, counts: Counts, orgId: string | null, tag: string | null) => void;

export interface FactsQuery {
  provider: ProviderName;
  span: Span;
  selections: readonly Selection[];
  /** No counts cross a multiple of it */
  withinSeconds?: number;
  /** Counts are wanted for each user */
  perUser: boolean;
}

/** How the span is covered: by roll-ups that are in force, and where there are none, by the events themselves. */
export interface Plan {
  rolledUp: { bucket: Bucket; rollUp: RollUp }[];
  raw: Span[];
}

const LANES = 8;
/** Roll-ups are read so many at a time, and then it is seen whether they still were in force. */
const CHUNK = 16;
const MAX_ROUNDS = 5;

/**
 * Visits counts such that each event of the span that was stored before is in exactly one of them; one that is being stored meanwhile
 * may be in one or not.
 */
export async function visitFacts(client: Client, query: FactsQuery, visit: Visit): Promise<void> {
  const { provider, span, withinSeconds } = query;
  let wanted = cover(span, withinSeconds, SECONDS);
  for (let round = 1; wanted.length > 0; round++) {
    const plan = await planFor(client, provider, wanted);
    if (round > MAX_ROUNDS) plan.raw.push(...plan.rolledUp.splice(0).map(({ bucket }) => spanOf(bucket)));
    await readRaw(client, query, merged(plan.raw), visit);
    const replaced: Bucket[] = [];
    for (let from = 0; from < plan.rolledUp.length; from += CHUNK)
      replaced.push(...(await visitRollUps(client, query, plan.rolledUp.slice(from, from + CHUNK), visit)));
    wanted = replaced.map((bucket) => ({ ...spanOf(bucket), grainSeconds: bucket.grain.seconds }));
  }
}

/** From the longest buckets downwards: what is not covered by a roll-up in force is looked for in shorter ones. */
export async function planFor(
  client: Client,
  provider: ProviderName,
  pieces: readonly (Span & { grainSeconds: number | null })[],
): Promise<Plan> {
  const plan: Plan = { rolledUp: [], raw: [] };
  const spans = new Map<number | null, Span[]>();
  for (const piece of pieces) spans.set(piece.grainSeconds, [...(spans.get(piece.grainSeconds) ?? []), piece]);
  for (const grain of [...GRAINS].reverse()) {
    const here = merged(spans.get(grain.seconds) ?? []);
    if (here.length === 0) continue;
    const finer = finerThan(grain)?.seconds ?? null;
    const { rolledUp, rest } = await inForce(client, provider, grain, here);
    plan.rolledUp.push(...rolledUp);
    spans.set(finer, [...(spans.get(finer) ?? []), ...rest]);
  }
  plan.raw = await withEvents(client, provider, merged(spans.get(null) ?? []));
  return plan;
}

/**
 * Sorts the buckets of a grain into those whose roll-up is in force and the `rest`. Buckets without a mark have no events. As marks
 * only rise, a roll-up that covers the marks that were seen has all that was stored before either of the two was read.
 */
export async function inForce(
  client: Client,
  provider: ProviderName,
  grain: Grain,
  spans: readonly Span[],
): Promise<{ rolledUp: Plan['rolledUp']; rest: Span[] }> {
  const marks = await readMarks(client, provider, grain, spans);
  const rollUps = await readRollUps(client, provider, grain, spans);
  const rolledUp: Plan['rolledUp'] = [];
  const rest: Span[] = [];
  for (const [start, marked] of marks) {
    const bucket = { provider, grain, start };
    if (!spans.some((span) => span.from <= start && start < span.to)) continue;
    const rollUp = rollUps.get(start);
    if (rollUp && isCovered(marked, rollUp.covers)) rolledUp.push({ bucket, rollUp });
    else rest.push(spanOf(bucket));
  }
  return { rolledUp, rest };
}

/** The parts of the spans that lie in minutes with a mark. */
async function withEvents(client: Client, provider: ProviderName, spans: readonly Span[]): Promise<Span[]> {
  if (spans.length === 0) return [];
  const whole = merged(spans.map(({ from, to }) => ({ from: floorTo(from, 60), to: ceilTo(to, 60) })));
  const marked = await readMarks(client, provider, MINUTE, whole);
  const found: Span[] = [];
  for (const span of spans) {
    for (let minute = floorTo(span.from, 60); minute < span.to; minute += 60_000) {
      if (marked.has(minute)) found.push({ from: Math.max(minute, span.from), to: Math.min(minute + 60_000, span.to) });
    }
  }
  return found;
}

/** @returns the buckets whose roll-up was replaced while it was read; nothing of these was visited */
async function visitRollUps(client: Client, query: FactsQuery, planned: Plan['rolledUp'], visit: Visit): Promise<Bucket[]> {
  const needsUsers = query.perUser || query.selections.some((selection) => !selection.entire);
  if (!needsUsers) {
    for (const { bucket, rollUp } of planned) visit(bucket.start, null, rollUp, null, null);
    return [];
  }
  const read = new Map<Bucket, (() => void)[]>();
  await inLanes(planned, LANES, async ({ bucket, rollUp }) => {
    const visits = await Promise.all(query.selections.map((selection) => readSelected(client, bucket, rollUp, selection, visit)));
    read.set(bucket, visits.flat());
  });
  const replaced: Bucket[] = [];
  const now = await currentVersions(client, planned);
  for (const { bucket, rollUp } of planned) {
    if (now.get(bucket) === rollUp.version) for (const visitRow of read.get(bucket) ?? []) visitRow();
    else replaced.push(bucket);
  }
  return replaced;
}

async function readSelected(client: Client, bucket: Bucket, rollUp: RollUp, selection: Selection, visit: Visit): Promise<(() => void)[]> {
  const { source } = selection;
  const part = source.of === 'user' ? { user: source.key } : source.of === 'organisation' ? { orgId: source.id } : {};
  const rows = await readUsers(client, bucket, rollUp.version, part);
  return rows
    .filter(({ orgId, tag }) => selection.acceptsGroup(orgId, tag))
    .map(({ orgId, tag, users }) => () => {
      unpack(users, (user, events, allowedEvents, tokens) => {
        if (source.of === 'user' && user !== source.key) return;
        if (selection.acceptsUser(user, orgId)) visit(bucket.start, user, { events, allowedEvents, tokens }, orgId, tag);
      });
    });
}

async function currentVersions(client: Client, planned: Plan['rolledUp']): Promise<Map<Bucket, string | undefined>> {
  const versions = new Map<Bucket, string | undefined>();
  for (const seconds of new Set(planned.map(({ bucket }) => bucket.grain.seconds))) {
    const buckets = planned.map(({ bucket }) => bucket).filter(({ grain }) => grain.seconds === seconds);
    const provider = buckets[0]?.provider;
    if (!provider) continue;
    const rollUps = await readRollUps(client, provider, grainOf(seconds), buckets.map(spanOf));
    for (const bucket of buckets) versions.set(bucket, rollUps.get(bucket.start)?.version);
  }
  return versions;
}
