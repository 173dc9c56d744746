import type { RequestHandler, Response } from 'express';
import { ERRORS } from '../../contracts/errors.js';
import { consumeBody, idempotencyHeaders } from '../../contracts/http/tokens.js';
import { poolOf } from '../../contracts/temporal.js';
import type { BucketRule } from '../../domain/leaky-bucket.js';
import { metrics } from '../../telemetry/metrics.js';
import { callerOf, shareKeyOf, type Caller, type Memberships } from '../http/caller.js';
import { sendJson } from '../http/send-json.js';
import { sendProblem } from '../http/problem.js';
import { spendingOwner } from '../identity/authority.js';
import type { PoolSnapshot, QuotaStore } from './ports.js';
import { publicText } from './public-texts.js';
import type { Consume } from './consume.js';
import type { Consumed } from './consumed.js';

export interface ConsumeRouteDeps {
  /** Lets a caller in, until its outcome is known; null when it has its share inside */
  claim: (caller: string, res: Response) => (() => void) | null;
  consume: Consume;
  memberships: Memberships;
  bucketRuleOf: (caller: Caller, userId: string) => Promise<BucketRule>;
  quota: Pick<QuotaStore, 'read'>;
  upgradeUrl: string;
}

export function consumeRoute({ claim, consume, memberships, bucketRuleOf, quota, upgradeUrl }: ConsumeRouteDeps): RequestHandler {
  return async (req, res) => {
    const caller = callerOf(res);
    const body = consumeBody.parse(req.body);
    const { 'idempotency-key': idempotencyKey } = idempotencyHeaders.parse(req.headers);
    const shareKey = spenderOf(caller, body.userId);
    const leave = claim(shareKey, res);
    if (!leave) {
      sendProblem(res, 'OVERLOADED', 'You have as many calls in progress here as one caller may have; nothing was charged', {
        retryAfterSeconds: 1,
      });
      return;
    }
    const decide = async () => {
      const owner = await spendingOwner(memberships, caller, body);
      const rule = await bucketRuleOf(caller, body.userId);
      const { correlationId } = res.locals;
      const command = { body: { ...body, ...owner }, callerId: caller.userId, shareKey, idempotencyKey, correlationId, rule };
      return { owner, consumed: await consume(command) };
    };
    const { owner, consumed } = await decide().finally(leave);
    if ('id' in consumed) res.locals.consumptionId = consumed.id;
    metrics.decisions.inc({ provider: body.provider, outcome: outcomeLabel(consumed) });
    if ('replayed' in consumed && consumed.replayed) res.setHeader('Idempotent-Replayed', 'true');
    const short = consumed.kind === 'refused' && consumed.code === 'INSUFFICIENT_QUOTA' && !consumed.replayed;
    send(res, consumed, { upgradeUrl, ...(short && named(await quota.read(poolOf({ ...body, ...owner })))) });
  };
}

/** An ADMIN who spends for others takes their shares: its own would bound all of them together. */
const spenderOf = (caller: Caller, userId: string): string => (caller.userId === userId ? shareKeyOf(caller) : userId);

const outcomeLabel = (consumed: Consumed): string =>
  consumed.kind === 'settled' ? 'OK' : consumed.kind === 'overflow' ? 'BUCKET_OVERFLOW' : consumed.code;

/** The members that name the violated quota. Without a pool there is no window, thus no time at which it ends. */
const named = (pool: PoolSnapshot | null) =>
  pool
    ? { limit: pool.totalTokens, used: pool.totalTokens - pool.remainingTokens, resetAt: pool.resetAt.toISOString() }
    : { limit: 0, used: 0 };

function send(res: Response, consumed: Consumed, quotaMembers: object): void {
  switch (consumed.kind) {
    case 'settled':
      sendJson(res, {
        allowed: true,
        ...consumed.bucket,
        waitSeconds: 0,
        timestamp: consumed.decidedAt.toISOString(),
        consumptionId: consumed.id,
        providerResponse: consumed.answer,
      });
      return;
    case 'overflow':
      sendOverflow(res, consumed);
      return;
    case 'conflict':
      sendProblem(res, consumed.code, consumed.detail, consumed.code === 'IDEMPOTENCY_IN_FLIGHT' ? { retryAfterSeconds: 1 } : {});
      return;
    case 'refused':
      sendRefusal(res, consumed, quotaMembers);
  }
}

function sendOverflow(res: Response, { id, decision, detail }: Extract<Consumed, { kind: 'overflow' }>): void {
  const { capacity, used, remaining, waitSeconds } = decision;
  sendProblem(res, 'BUCKET_OVERFLOW', detail, {
    allowed: false,
    capacity,
    used,
    remaining,
    waitSeconds,
    consumptionId: id,
    providerResponse: {},
    policy: 'rate-bucket',
    limit: capacity,
    ...(waitSeconds !== null && { retryAfterSeconds: waitSeconds, resetAt: new Date(Date.now() + waitSeconds * 1000).toISOString() }),
  });
}

function sendRefusal(res: Response, consumed: Extract<Consumed, { kind: 'refused' }>, quotaMembers: object): void {
  const { id, code, detail, available, retryAfterSeconds } = consumed;
  const quota =
    code === 'INSUFFICIENT_QUOTA'
      ? { policy: 'token-quota', ...quotaMembers, ...(available !== undefined && { remaining: available }) }
      : {};
  // A 502 or 504 says when to come back only if the provider said so.
  const waitSeconds = retryAfterSeconds ?? (ERRORS[code].status === 503 ? 1 : undefined);
  const wait = waitSeconds === undefined ? {} : { retryAfterSeconds: waitSeconds };
  sendProblem(res, code, publicText(code, detail), { allowed: false, consumptionId: id, ...quota, ...wait });
}
