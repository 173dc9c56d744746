import type { Client } from 'cassandra-driver';
import type { UsageMaintenance } from '../../activities/ports.js';
import { PROVIDERS, type ProviderName } from '../../contracts/providers.js';
import { floorTo, type Span } from '../../domain/usage.js';
import { inLanes } from './connection.js';
import { finerThan, grainOf, spanOf, type Bucket, type Grain, type Retention } from './usage-buckets.js';
import { inForce, type Plan } from './usage-facts.js';
import { coverOf, isSettled, readMarks } from './usage-marks.js';
import { readRaw } from './usage-raw.js';
import { Tally, unpack } from './usage-records.js';
import { readRollUps, readUsers, writeRollUp } from './usage-rollups.js';
import { selectionsOf } from './usage-selection.js';

const DAY_MS = 86_400_000;
const LANES = 4;
/** What a roll-up costs beside the rows it reads, in rows. */
const ROWS_OF_A_BUCKET = 50;

export interface RollUpOptions {
  /** How long nobody must have stored into a bucket before it is rolled up, as a part of its length: what still changes is not counted again and again. */
  quietFraction: number;
}

/**
 * Rolls up, bottom-up, what has changed. A roll-up is counted from what is there, a minute from its events and anything longer from the
 * roll-ups below it; nothing is added to an older one. Old events, marks and roll-ups expire by themselves.
 */
export function createUsageMaintenance(
  client: Client,
  retention: Retention,
  { quietFraction }: RollUpOptions = { quietFraction: 1 / 60 },
): UsageMaintenance {
  const days = grainOf(86_400);

  /** @returns whether every bucket of the span is rolled up now */
  async function foldSpan(provider: ProviderName, grain: Grain, span: Span, budget: Budget): Promise<boolean> {
    const { rest } = await inForce(client, provider, grain, [span]);
    const finer = finerThan(grain);
    let all = true;
    rest.sort((a, b) => a.from - b.from);
    // Minutes do not need each other; anything longer is made of what is finer, one after the other.
    await inLanes(rest, finer === null ? LANES : 1, async ({ from, to }) => {
      if (budget.spent >= budget.limit) budget.exceeded = true;
      const ready = !budget.exceeded && (finer === null || (await foldSpan(provider, finer, { from, to }, budget)));
      if (!ready || !(await rollUp({ provider, grain, start: from }, budget))) all = false;
    });
    return all;
  }

  /** @returns whether a roll-up is in force now; false when someone is storing into the bucket */
  async function rollUp(bucket: Bucket, budget: Budget): Promise<boolean> {
    const { provider, grain, start } = bucket;
    const span = spanOf(bucket);
    const marks = (await readMarks(client, provider, grain, [span])).get(start);
    if (!marks || !isSettled(marks, quietFraction * grain.seconds * 1_000)) return false;
    const before = (await readRollUps(client, provider, grain, [span])).get(start);
    const finer = finerThan(grain);
    const tally = finer === null ? await tallyRaw(client, provider, span, budget) : await tallyFiner(client, provider, finer, span, budget);
    if (!tally) return false;
    await writeRollUp(client, retention, bucket, tally, coverOf(marks), before);
    budget.spent += ROWS_OF_A_BUCKET;
    budget.rolledUp++;
    return true;
  }

  return {
    async fold(limit) {
      const budget: Budget = { limit, spent: 0, rolledUp: 0, exceeded: false };
      const span = { from: floorTo(retention.oldest(), 86_400), to: Date.now() + DAY_MS };
      for (const provider of PROVIDERS) await foldSpan(provider, days, span, budget);
      return { count: budget.rolledUp, done: !budget.exceeded };
    },

    purgeOldest: () => Promise.resolve(null),
  };
}

interface Budget {
  limit: number;
  /** Rows read */
  spent: number;
  rolledUp: number;
  exceeded: boolean;
}

const EVERYTHING = selectionsOf({}, 'all');

async function tallyRaw(client: Client, provider: ProviderName, span: Span, budget: Budget): Promise<Tally> {
  const tally = new Tally();
  await readRaw(client, { provider, selections: EVERYTHING }, [span], (_at, user, counts, orgId, tag) => {
    if (user !== null) tally.add(user, orgId, tag, counts);
    budget.spent++;
  });
  return tally;
}

/** Null when the roll-ups below are not all in force, or cease to be while they are read. */
async function tallyFiner(client: Client, provider: ProviderName, finer: Grain, span: Span, budget: Budget): Promise<Tally | null> {
  const { rolledUp, rest } = await inForce(client, provider, finer, [span]);
  if (rest.length > 0) return null;
  const tally = new Tally();
  for (const { bucket, rollUp } of rolledUp) {
    for (const { orgId, tag, users } of await readUsers(client, bucket, rollUp.version)) {
      unpack(users, (user, events, allowedEvents, tokens) => {
        tally.add(user, orgId, tag, { events, allowedEvents, tokens });
        budget.spent++;
      });
    }
  }
  return (await unchanged(client, provider, finer, rolledUp)) ? tally : null;
}

async function unchanged(client: Client, provider: ProviderName, grain: Grain, read: Plan['rolledUp']): Promise<boolean> {
  const now = await readRollUps(
    client,
    provider,
    grain,
    read.map(({ bucket }) => spanOf(bucket)),
  );
  return read.every(({ bucket, rollUp }) => now.get(bucket.start)?.version === rollUp.version);
}
