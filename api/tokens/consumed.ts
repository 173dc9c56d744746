import type { ConsumptionOutcome, ConsumptionRequest, ConsumptionRow } from '../../activities/consumption-ports.js';
import type { ProviderAnswer } from '../../activities/ports.js';
import type { ErrorCode } from '../../contracts/errors.js';
import type { BucketDecision } from '../../domain/leaky-bucket.js';

interface Bucket {
  capacity: number;
  used: number;
  remaining: number;
}

/** How a consumption ended, for the HTTP answer. `replayed`: an earlier request under the key had this outcome. */
export type Consumed =
  | Ended
  | { kind: 'overflow'; id: string; decision: BucketDecision; detail: string }
  | { kind: 'conflict'; code: 'IDEMPOTENCY_KEY_REUSED' | 'IDEMPOTENCY_IN_FLIGHT'; detail: string };

type Ended =
  | { kind: 'settled'; id: string; bucket: Bucket; answer: ProviderAnswer; decidedAt: Date; replayed: boolean }
  | { kind: 'refused'; id: string; code: ErrorCode; detail: string; replayed: boolean; available?: number; retryAfterSeconds?: number };

export const keyReused: Consumed = {
  kind: 'conflict',
  code: 'IDEMPOTENCY_KEY_REUSED',
  detail: 'This Idempotency-Key was used with another payload',
};
export const stillInFlight: Consumed = {
  kind: 'conflict',
  code: 'IDEMPOTENCY_IN_FLIGHT',
  detail: 'The first request with this Idempotency-Key is still in flight; try again',
};

export const unknownYet = (id: string): Consumed => ({
  kind: 'refused',
  id,
  code: 'SERVICE_UNAVAILABLE',
  detail: 'The outcome is not known yet; ask for this consumption later',
  replayed: false,
  retryAfterSeconds: 5,
});

/** Whatever ended before its provider call is taken back from the bucket. */
const NOT_CALLED: readonly ErrorCode[] = [
  'INSUFFICIENT_QUOTA',
  'SERVICE_UNAVAILABLE',
  'ENGINE_UNAVAILABLE',
  'PROVIDER_UNAVAILABLE',
  'ABANDONED',
];
export const reachedProvider = (outcome: ConsumptionOutcome): boolean =>
  outcome.kind === 'settled' || (outcome.kind === 'ended' && !NOT_CALLED.includes(outcome.code));

export const asReplay = (consumed: Consumed): Consumed =>
  consumed.kind === 'settled' || consumed.kind === 'refused' ? { ...consumed, replayed: true } : consumed;

export function consumedOf(request: ConsumptionRequest, outcome: Exclude<ConsumptionOutcome, { kind: 'foreign' }>): Ended {
  if (outcome.kind === 'settled') {
    return {
      kind: 'settled',
      id: request.id,
      bucket: request.bucket,
      answer: outcome.answer,
      decidedAt: outcome.decidedAt,
      replayed: false,
    };
  }
  const { code, detail, available, retryAfterSeconds } = outcome;
  return {
    kind: 'refused',
    id: request.id,
    code,
    detail,
    replayed: false,
    ...(available !== undefined && { available }),
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  };
}

/** The outcome of an earlier request under the key, from its row. */
export function replayOf(row: ConsumptionRow, request: ConsumptionRequest): Consumed {
  if (row.payloadHash !== request.payloadHash) return keyReused;
  const ended: ConsumptionOutcome =
    row.state === 'SETTLED' && row.answer && row.decidedAt
      ? { kind: 'settled', answer: row.answer, decidedAt: row.decidedAt }
      : { kind: 'ended', code: row.outcomeCode ?? 'INTERNAL', detail: publicDetail(row) };
  return { ...consumedOf(row, ended), replayed: true };
}

const publicDetail = (row: ConsumptionRow): string =>
  row.outcomeCode === 'INSUFFICIENT_QUOTA' ? 'insufficient token quota' : (row.detail ?? 'The consumption did not go through');
