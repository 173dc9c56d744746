import { createHash } from 'node:crypto';
import { v5 } from 'uuid';
import type { ConsumptionRequest } from '../../activities/consumption-ports.js';
import type { ConsumeBody } from '../../contracts/http/tokens.js';
import type { BucketRule } from '../../domain/leaky-bucket.js';
import { newId } from './new-id.js';

/** Namespace of the ids that consumptions with an Idempotency-Key get from user and key. */
const KEY_NAMESPACE = 'c1b1a3f6-55f5-4f0e-8a55-8c6f0c8a9a3e';

export interface ConsumeCommand {
  body: Omit<ConsumeBody, 'orgId'> & { orgId: string | null };
  /** Whose Idempotency-Keys these are: an ADMIN acts for a user, but the user's answers are not its own */
  callerId: string;
  idempotencyKey: string | undefined;
  /** Whose share of shared places it takes */
  shareKey: string;
  correlationId: string;
  rule: BucketRule;
}

export function requestOf({ body, callerId, shareKey, idempotencyKey, correlationId }: ConsumeCommand): ConsumptionRequest {
  const { userId, orgId, provider, tokens, prompt = null, model = null, tag = null } = body;
  const keyHolder = callerId === userId ? userId : `${callerId} for ${userId}`;
  return {
    id: idempotencyKey === undefined ? newId() : v5(`${keyHolder}:${idempotencyKey}`, KEY_NAMESPACE),
    userId,
    caller: shareKey,
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

/** Whose share of shared places it takes. */
export const callerOf = (request: ConsumptionRequest): string => request.caller ?? request.userId;

const hashOf = (members: unknown[]): string => createHash('sha256').update(JSON.stringify(members)).digest('base64url');

/** A refusal that may be retried under the same key gets an id of its own: the key stays free for the request that goes through. */
export const asAttempt = (request: ConsumptionRequest): ConsumptionRequest =>
  request.keyed ? { ...request, id: newId(), keyed: false } : request;

/** The id of the next attempt under a key whose last one left it free; the same in every process. */
export const nextUnderKey = (id: string): string => v5(id, KEY_NAMESPACE);
