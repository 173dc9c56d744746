import type { ConsumptionOutcome, ConsumptionRequest } from '../../activities/consumption-ports.js';
import type { Providers } from '../../activities/ports.js';
import { Problem, type ErrorCode } from '../../contracts/errors.js';
import type { BucketDecision, BucketRule } from '../../domain/leaky-bucket.js';
import type { BatchStarter } from './batch-starter.js';
import { asReplay, consumedOf, keyReused, reachedProvider, unknownYet, type Consumed } from './consumed.js';
import { asAttempt, requestOf, type ConsumeCommand } from './consumption-request.js';
import { EarlierOutcomes, inTime, type EarlierOutcomesDeps } from './earlier-outcomes.js';
import type { BucketStore } from './ports.js';
import type { RefusalRecorder } from './refusals.js';

export interface ConsumeDeps extends EarlierOutcomesDeps {
  buckets: BucketStore;
  providers: Pick<Providers, 'refusalFor'>;
  starter: BatchStarter;
  refusals: RefusalRecorder;
  /** Accepted consumptions in progress before new ones are refused */
  maxInFlight: number;
}

export type Consume = (command: ConsumeCommand) => Promise<Consumed>;

/**
 * Decides a consumption request in the order that costs least: what was decided before under its key, then the refusals
 * that need no durable work (provider away, service full, bucket), then a workflow.
 */
export function createConsume(deps: ConsumeDeps): Consume {
  const { intake, buckets, refusals } = deps;
  const earlier = new EarlierOutcomes(deps);

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
      return (await earlier.find(request)) ?? keyReused;
    }
    const outcome = earlier.find(request).then((found) => found ?? decide(request, command.rule));
    underway.set(keyId, { payloadHash: request.payloadHash, outcome });
    return outcome.finally(() => underway.delete(keyId));
  }

  async function decide(request: ConsumptionRequest, rule: BucketRule): Promise<Consumed> {
    const refusal = cheapRefusal(request);
    if (refusal) return refuse(request, refusal);

    const key = `bucket:{${request.userId}}:${request.provider}`;
    entering++;
    const decision = await buckets
      .pour(key, rule, request.tokens)
      .catch(asRefusal)
      .finally(() => entering--);
    if ('code' in decision) return refuse(request, decision);
    request.bucket = { capacity: decision.capacity, used: decision.used, remaining: decision.remaining };
    if (!decision.allowed) return overflow(request, decision);
    const outcome = await inTime(accept(request), deps.answerWithinMs);
    if (outcome === null) return unknownYet(request.id);
    if (!reachedProvider(outcome)) await buckets.unpour(key, rule, request.tokens);
    return outcome.kind === 'foreign' ? earlier.awaitRow(request) : consumedOf(request, outcome);
  }

  function accept(request: ConsumptionRequest): Promise<ConsumptionOutcome> {
    const outcome = intake.accept(request);
    deps.starter.submit(request);
    return outcome;
  }

  function cheapRefusal(request: ConsumptionRequest): { code: ErrorCode; detail: string; retryAfterSeconds: number } | null {
    const away = deps.providers.refusalFor(request.provider, request.caller ?? request.userId);
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
        ? // A change of tier is in force within POLICY_TTL_MS of bucket-rule.ts: the refusal lasts as long as the tier, not for ever.
          `At this tier the bucket holds ${decision.capacity} tokens at most: no wait makes room for ${request.tokens}. Ask for at most ${decision.capacity}, or for a higher tier`
        : `The bucket has room for ${decision.remaining} of the ${request.tokens} tokens now; try again in ${decision.waitSeconds} s`;
    await refusals.record(attempt, 'BUCKET_OVERFLOW', detail);
    return { kind: 'overflow', id: attempt.id, decision, detail };
  }

  return consume;
}

/** A bucket store that cannot decide, and is configured to refuse then, refuses like everything else that is away. */
function asRefusal(fault: unknown): { code: ErrorCode; detail: string; retryAfterSeconds: number } {
  if (!(fault instanceof Problem && fault.status === 503)) throw fault;
  return { code: fault.code, detail: fault.detail, retryAfterSeconds: fault.extras.retryAfterSeconds ?? 1 };
}
