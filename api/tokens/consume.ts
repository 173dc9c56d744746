import { createHash } from 'node:crypto';
import { v5, v7 } from 'uuid';
import type { ConsumptionLedger, ConsumptionOutcome, ConsumptionRequest, ConsumptionRow } from '../../activities/consumption-ports.js';
import type { ProviderAnswer, Providers } from '../../activities/ports.js';
import type { ConsumeBody } from '../../contracts/http/tokens.js';
import type { ErrorCode } from '../../contracts/errors.js';
import { GroupCommit } from '../../domain/group-commit.js';
import type { BucketDecision, BucketRule } from '../../domain/leaky-bucket.js';
import type { BatchStarter } from './batch-starter.js';
import type { MemoryIntake } from './intake.js';
import type { BucketStore } from './ports.js';
import type { RefusalRecorder } from './refusals.js';

/** Namespace of the ids that consumptions with an Idempotency-Key get from user and key. */
const KEY_NAMESPACE = 'c1b1a3f6-55f5-4f0e-8a55-8c6f0c8a9a3e';
const FIRST_POLL_MS = 50;
const LAST_POLL_MS = 500;

export interface ConsumeDeps {
  ledger: Pick<ConsumptionLedger, 'find'>;
  buckets: BucketStore;
  providers: Pick<Providers, 'refusalFor'>;
  intake: MemoryIntake;
  starter: BatchStarter;
  refusals: RefusalRecorder;
  /** Accepted consumptions in progress before new ones are refused */
  maxInFlight: number;
  /** How long a caller waits for an outcome before it is told to ask later */
  answerWithinMs: number;
}

export interface ConsumeCommand {
  body: ConsumeBody;
  idempotencyKey: string | undefined;
  correlationId: string;
  rule: BucketRule;
}

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

export type Consume = (command: ConsumeCommand) => Promise<Consumed>;

/**
 * Decides a consumption request in the order that costs least: what was decided before under its key, then the refusals
 * that need no durable work (provider away, service full, bucket), then a workflow.
 */
export function createConsume(deps: ConsumeDeps): Consume {
  const { intake, buckets, refusals } = deps;
  const lookups = new GroupCommit<string, ConsumptionRow | null>({
    lanes: 2,
    maxItems: 500,
    write: async (ids) => {
      const found = new Map((await deps.ledger.find(ids)).map((row) => [row.id, row]));
      return ids.map((id) => found.get(id) ?? null);
    },
  });

  /** The first request under each key, while it is decided here: the others share what becomes of it. */
  const underway = new Map<string, { payloadHash: string; outcome: Promise<Consumed> }>();
  /** Requests between the check of the limit and the intake */
  let entering = 0;

  async function consume(command: ConsumeCommand): Promise<Consumed> {
    const request = requestOf(command);
    if (!request.keyed) return decide(request, command.rule);
    const keyId = request.id;
    const first = underway.get(keyId);
    if (first) {
      if (first.payloadHash === request.payloadHash) return asReplay(await first.outcome);
      return (await findEarlier(request)) ?? keyReused;
    }
    const outcome = findEarlier(request).then((earlier) => earlier ?? decide(request, command.rule));
    underway.set(keyId, { payloadHash: request.payloadHash, outcome });
    return outcome.finally(() => underway.delete(keyId));
  }

  async function decide(request: ConsumptionRequest, rule: BucketRule): Promise<Consumed> {
    const refusal = cheapRefusal(request);
    if (refusal) return refuse(request, refusal);

    const key = `bucket:${request.userId}:${request.provider}`;
    entering++;
    const decision = await buckets.pour(key, rule, request.tokens).finally(() => entering--);
    request.bucket = { capacity: decision.capacity, used: decision.used, remaining: decision.remaining };
    if (!decision.allowed) return overflow(request, decision);
    const outcome = await inTime(accept(request));
    if (outcome === null) return unknownYet(request.id);
    if (!reachedProvider(outcome)) await buckets.unpour(key, rule, request.tokens);
    return outcome.kind === 'foreign' ? awaitRow(request) : consumedOf(request, outcome);
  }

  function accept(request: ConsumptionRequest): Promise<ConsumptionOutcome> {
    const outcome = intake.accept(request);
    deps.starter.submit(request);
    return outcome;
  }

  /** The first request under the key, in flight here, or decided or in flight elsewhere. */
  async function findEarlier(request: ConsumptionRequest): Promise<Consumed | null> {
    const here = intake.find(request.id);
    if (here) {
      if (here.request.payloadHash !== request.payloadHash) return keyReused;
      const outcome = await inTime(here.outcome);
      if (outcome === null) return stillInFlight;
      return outcome.kind === 'foreign' ? awaitRow(request) : { ...consumedOf(here.request, outcome), replayed: true };
    }
    const row = await lookups.submit(request.id);
    if (!row) return null;
    if (!leavesKeyFree(row, request)) return row.state === 'HELD' ? awaitRow(request) : replayOf(row, request);
    request.id = v5(request.id, KEY_NAMESPACE);
    return findEarlier(request);
  }

  /** Waits for the outcome that another process, or the takeover of a dead one, writes. */
  async function awaitRow(request: ConsumptionRequest): Promise<Consumed> {
    const deadline = Date.now() + deps.answerWithinMs;
    for (let pause = FIRST_POLL_MS; Date.now() < deadline; pause = Math.min(pause * 2, LAST_POLL_MS)) {
      const row = await lookups.submit(request.id);
      if (row && (row.state !== 'HELD' || row.payloadHash !== request.payloadHash)) return replayOf(row, request);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    return stillInFlight;
  }

  function cheapRefusal(request: ConsumptionRequest): { code: ErrorCode; detail: string; retryAfterSeconds: number } | null {
    const away = deps.providers.refusalFor(request.provider);
    if (away) return { code: 'PROVIDER_UNAVAILABLE', ...away };
    if (intake.size + entering >= deps.maxInFlight) {
      return {
        code: 'OVERLOADED',
        detail: `This service has ${deps.maxInFlight} consumptions in progress, as many as it takes`,
        retryAfterSeconds: 1,
      };
    }
    return null;
  }

  async function refuse(
    request: ConsumptionRequest,
    refusal: { code: ErrorCode; detail: string; retryAfterSeconds: number },
  ): Promise<Consumed> {
    const attempt = asAttempt(request);
    await refusals.record(attempt, refusal.code, refusal.detail);
    return { kind: 'refused', id: attempt.id, replayed: false, ...refusal };
  }

  async function overflow(request: ConsumptionRequest, decision: BucketDecision): Promise<Consumed> {
    const attempt = asAttempt(request);
    const detail =
      decision.waitSeconds === null
        ? `The bucket holds ${decision.capacity} tokens at most, so no wait will make room for ${request.tokens}`
        : `The bucket has room for ${decision.remaining} of the ${request.tokens} tokens now; try again in ${decision.waitSeconds} s`;
    await refusals.record(attempt, 'BUCKET_OVERFLOW', detail);
    return { kind: 'overflow', id: attempt.id, decision, detail };
  }

  async function inTime<T>(outcome: Promise<T>): Promise<T | null> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => (timer = setTimeout(() => resolve(null), deps.answerWithinMs)));
    return Promise.race([outcome, late]).finally(() => clearTimeout(timer));
  }

  return consume;
}

const keyReused: Consumed = {
  kind: 'conflict',
  code: 'IDEMPOTENCY_KEY_REUSED',
  detail: 'This Idempotency-Key was used with another payload',
};
const stillInFlight: Consumed = {
  kind: 'conflict',
  code: 'IDEMPOTENCY_IN_FLIGHT',
  detail: 'The first request with this Idempotency-Key is still in flight; try again',
};

const unknownYet = (id: string): Consumed => ({
  kind: 'refused',
  id,
  code: 'SERVICE_UNAVAILABLE',
  detail: 'The outcome is not known yet; ask for this consumption later',
  replayed: false,
  retryAfterSeconds: 5,
});

function requestOf({ body, idempotencyKey, correlationId }: ConsumeCommand): ConsumptionRequest {
  const { userId, orgId = null, provider, tokens, prompt = null, model = null, tag = null } = body;
  return {
    id: idempotencyKey === undefined ? v7() : v5(`${userId}:${idempotencyKey}`, KEY_NAMESPACE),
    userId,
    orgId,
    provider,
    tokens,
    prompt,
    model,
    tag,
    payloadHash: idempotencyKey === undefined ? '' : hashOf([orgId, provider, tokens, prompt, model, tag]),
    keyed: idempotencyKey !== undefined,
    correlationId,
    bucket: { capacity: 0, used: 0, remaining: 0 },
  };
}

const hashOf = (members: unknown[]): string => createHash('sha256').update(JSON.stringify(members)).digest('base64url');

/** A refusal that may be retried under the same key gets an id of its own: the key stays free for the request that goes through. */
const asAttempt = (request: ConsumptionRequest): ConsumptionRequest => (request.keyed ? { ...request, id: v7(), keyed: false } : request);

/** Whatever ended before its provider call is taken back from the bucket. */
const NOT_CALLED: readonly ErrorCode[] = [
  'INSUFFICIENT_QUOTA',
  'SERVICE_UNAVAILABLE',
  'ENGINE_UNAVAILABLE',
  'PROVIDER_UNAVAILABLE',
  'ABANDONED',
];
const reachedProvider = (outcome: ConsumptionOutcome): boolean =>
  outcome.kind === 'settled' || (outcome.kind === 'ended' && !NOT_CALLED.includes(outcome.code));

/**
 * Held, but given back before the provider was called: like any refusal to be tried again later it leaves the key free. The next
 * attempt under the key gets an id made from this one's, the same in every process.
 */
const leavesKeyFree = (row: ConsumptionRow, request: ConsumptionRequest): boolean =>
  row.state === 'RELEASED' && row.attempts === 0 && row.payloadHash === request.payloadHash && NEVER_CALLED.includes(row.outcomeCode);
const NEVER_CALLED: readonly (ErrorCode | null)[] = ['SERVICE_UNAVAILABLE', 'PROVIDER_UNAVAILABLE', 'ABANDONED'];

const asReplay = (consumed: Consumed): Consumed =>
  consumed.kind === 'settled' || consumed.kind === 'refused' ? { ...consumed, replayed: true } : consumed;

function consumedOf(request: ConsumptionRequest, outcome: Exclude<ConsumptionOutcome, { kind: 'foreign' }>): Ended {
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
  const { code, detail, available } = outcome;
  return { kind: 'refused', id: request.id, code, detail, replayed: false, ...(available !== undefined && { available }) };
}

function replayOf(row: ConsumptionRow, request: ConsumptionRequest): Consumed {
  if (row.payloadHash !== request.payloadHash) return keyReused;
  const ended: ConsumptionOutcome =
    row.state === 'SETTLED' && row.answer && row.decidedAt
      ? { kind: 'settled', answer: row.answer, decidedAt: row.decidedAt }
      : { kind: 'ended', code: row.outcomeCode ?? 'INTERNAL', detail: publicDetail(row) };
  return { ...consumedOf(row, ended), replayed: true };
}

const publicDetail = (row: ConsumptionRow): string =>
  row.outcomeCode === 'INSUFFICIENT_QUOTA' ? 'insufficient token quota' : (row.detail ?? 'The consumption did not go through');
