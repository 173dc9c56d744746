import type { ConsumptionLedger, ConsumptionRequest, ConsumptionRow } from '../../activities/consumption-ports.js';
import type { ErrorCode } from '../../contracts/errors.js';
import { GroupCommit } from '../../domain/group-commit.js';
import { rememberTrace, tracedBatch } from '../../telemetry/tracing.js';
import { consumedOf, keyReused, replayOf, stillInFlight, type Consumed } from './consumed.js';
import { callerOf, nextUnderKey } from './consumption-request.js';
import type { KeyWaiters } from './key-waiters.js';
import type { MemoryIntake } from './intake.js';

const FIRST_POLL_MS = 50;
const LAST_POLL_MS = 500;

export interface EarlierOutcomesDeps {
  ledger: Pick<ConsumptionLedger, 'find'>;
  intake: MemoryIntake;
  waiters: KeyWaiters;
  /** How long a caller waits for an outcome before it is told to ask later */
  answerWithinMs: number;
}

/** What became of the requests that came before under an Idempotency-Key. Look-ups share statements. */
export class EarlierOutcomes {
  private readonly lookups: GroupCommit<ConsumptionRequest, ConsumptionRow | null>;

  constructor(private readonly deps: EarlierOutcomesDeps) {
    this.lookups = new GroupCommit({
      lanes: 2,
      maxItems: 500,
      write: async (requests) => {
        const ids = requests.map(({ id }) => id);
        const rows = await tracedBatch('look up earlier outcomes', requests, { attributes: { 'leaky.batch.items': ids.length } }, () =>
          deps.ledger.find(ids),
        );
        const found = new Map(rows.map((row) => [row.id, row]));
        return ids.map((id) => found.get(id) ?? null);
      },
    });
  }

  /** The first request under the key, in flight here, or decided or in flight elsewhere. */
  async find(request: ConsumptionRequest): Promise<Consumed | null> {
    const here = this.deps.intake.find(request.id);
    if (here) {
      if (here.request.payloadHash !== request.payloadHash) return keyReused;
      const outcome = await this.waiting(request, () => inTime(here.outcome, this.deps.answerWithinMs));
      if (outcome === null) return stillInFlight;
      return outcome.kind === 'foreign' ? this.awaitRow(request) : { ...consumedOf(here.request, outcome), replayed: true };
    }
    rememberTrace(request);
    const row = await this.lookups.submit(request);
    if (!row) return null;
    if (!leavesKeyFree(row, request)) return row.state === 'HELD' ? this.awaitRow(request) : replayOf(row, request);
    request.id = nextUnderKey(request.id);
    return this.find(request);
  }

  /** Waits for the outcome that another process, or the takeover of a dead one, writes. */
  async awaitRow(request: ConsumptionRequest): Promise<Consumed> {
    return (await this.waiting(request, () => this.pollRow(request))) ?? stillInFlight;
  }

  /** Null when too many wait already. */
  private waiting<T>(request: ConsumptionRequest, until: () => Promise<T>): Promise<T | null> {
    // Not among the repeats of this process: they wait for this one, which is the only one to look.
    return this.deps.waiters.wait(`first:${request.id}`, callerOf(request), until);
  }

  private async pollRow(request: ConsumptionRequest): Promise<Consumed> {
    const deadline = Date.now() + this.deps.answerWithinMs;
    for (let pause = FIRST_POLL_MS; Date.now() < deadline; pause = Math.min(pause * 2, LAST_POLL_MS)) {
      const row = await this.lookups.submit(request);
      if (row && (row.state !== 'HELD' || row.payloadHash !== request.payloadHash)) return replayOf(row, request);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    return stillInFlight;
  }
}

/**
 * Held, but given back before a provider worked for it: like any refusal to be tried again later it leaves the key free. The next
 * attempt under the key gets an id made from this one's, the same in every process.
 */
const leavesKeyFree = (row: ConsumptionRow, request: ConsumptionRequest): boolean =>
  row.state === 'RELEASED' &&
  row.payloadHash === request.payloadHash &&
  ((row.attempts === 0 && NEVER_CALLED.includes(row.outcomeCode)) || TURNED_AWAY.includes(row.outcomeCode));
const NEVER_CALLED: readonly (ErrorCode | null)[] = ['SERVICE_UNAVAILABLE', 'PROVIDER_UNAVAILABLE', 'ABANDONED'];
/** By the provider, before it did anything */
const TURNED_AWAY: readonly (ErrorCode | null)[] = ['PROVIDER_RATE_LIMITED', 'PROVIDER_QUOTA_EXHAUSTED'];

/** Null when the time is up. */
export async function inTime<T>(outcome: Promise<T>, withinMs: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => (timer = setTimeout(() => resolve(null), withinMs)));
  return Promise.race([outcome, late]).finally(() => clearTimeout(timer));
}
