import type { ConsumptionOutcome, ConsumptionRequest } from '../../activities/consumption-ports.js';
import type { Providers } from '../../activities/ports.js';
import { Problem, type ErrorCode } from '../../contracts/errors.js';
import type { BucketDecision, BucketRule } from '../../domain/leaky-bucket.js';
import { NoPlace, type SharedPlaces } from '../../platform/shared-places.js';
import type { BatchStarter } from './batch-starter.js';
import { asReplay, consumedOf, keyReused, reachedProvider, stillInFlight, unknownYet, type Consumed } from './consumed.js';
import { asAttempt, callerOf, requestOf, type ConsumeCommand } from './consumption-request.js';
import { EarlierOutcomes, inTime, type EarlierOutcomesDeps } from './earlier-outcomes.js';
import type { BucketStore } from './ports.js';
import type { RefusalRecorder } from './refusals.js';

export interface ConsumeDeps extends EarlierOutcomesDeps {
  buckets: BucketStore;
  providers: Pick<Providers, 'refusalFor'>;
  starter: BatchStarter;
  refusals: RefusalRecorder;
  /** Of accepted consumptions in progress, those included whose caller has left */
  inFlight: SharedPlaces;
}

export type Consume = (command: ConsumeCommand) => Promise<Consumed>;

/**
 * Decides a consumption request in the order that costs least: what was decided before under its key, then the refusals
 * that need no durable work (provider away, service full, bucket), then a workflow.
 */
export function createConsume(deps: ConsumeDeps): Consume {
  const { intake, buckets, refusals, inFlight, waiters } = deps;
  const earlier = new EarlierOutcomes(deps);

  /** The first request under each key, while it is decided here: the others share what becomes of it. */
  const underway = new Map<string, { payloadHash: string; outcome: Promise<Consumed> }>();

  async function consume(command: ConsumeCommand): Promise<Consumed> {
    const request = requestOf(command);
    if (!request.keyed) return decide(request, command.rule);
    const keyId = request.id;
    const first = underway.get(keyId);
    if (first) {
      if (first.payloadHash === request.payloadHash) {
        const shared = await waiters.wait(keyId, callerOf(request), () => first.outcome);
        return shared === null ? stillInFlight : asReplay(shared);
      }
      return (await earlier.find(request)) ?? keyReused;
    }
    const outcome = earlier.find(request).then((found) => found ?? decide(request, command.rule));
    underway.set(keyId, { payloadHash: request.payloadHash, outcome });
    return outcome.finally(() => underway.delete(keyId));
  }

  async function decide(request: ConsumptionRequest, rule: BucketRule): Promise<Consumed> {
    const away = deps.providers.refusalFor(request.provider, callerOf(request));
    if (away) return refuse(request, { code: 'PROVIDER_UNAVAILABLE', ...away });
    const place = placeFor(request);
    if (typeof place !== 'function') return refuse(request, place);

    const key = `bucket:{${request.userId}}:${request.provider}`;
    const decision = await buckets.pour(key, rule, request.tokens).catch((fault: unknown) => {
      place();
      return asRefusal(fault);
    });
    if ('code' in decision) return refuse(request, decision);
    request.bucket = { capacity: decision.capacity, used: decision.used, remaining: decision.remaining };
    if (!decision.allowed) {
      place();
      return overflow(request, decision);
    }
    const accepted = accept(request);
    // Also when its caller has left, or has been told to come back: it is in progress all the same.
    void accepted.then(place);
    const outcome = await inTime(accepted, deps.answerWithinMs);
    if (outcome === null) return unknownYet(request.id);
    if (!reachedProvider(outcome)) await buckets.unpour(key, rule, request.tokens);
    return outcome.kind === 'foreign' ? earlier.awaitRow(request) : consumedOf(request, outcome);
  }

  function accept(request: ConsumptionRequest): Promise<ConsumptionOutcome> {
    const outcome = intake.accept(request);
    deps.starter.submit(request);
    return outcome;
  }

  /** What gives the place back, or why there is none. */
  function placeFor(request: ConsumptionRequest): (() => void) | { code: ErrorCode; detail: string; retryAfterSeconds: number } {
    try {
      return inFlight.take(callerOf(request));
    } catch (error) {
      if (!(error instanceof NoPlace)) throw error;
      const whose = error.taken === 'share' ? 'You have' : 'This service has';
      return { code: 'OVERLOADED', detail: `${whose} as many consumptions in progress as it takes`, retryAfterSeconds: 1 };
    }
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
