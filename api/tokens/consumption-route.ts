import type { RequestHandler } from 'express';
import type { ConsumptionLedger, ConsumptionRow } from '../../activities/consumption-ports.js';
import { ERRORS, Problem } from '../../contracts/errors.js';
import { consumptionParams, type consumptionView, type z } from '../../contracts/http/tokens.js';
import { callerOf, type Memberships } from '../http/caller.js';
import { sightOf } from '../identity/authority.js';

/** Explains one consumption: why it was let through or refused, and which workflow carried it. What was said is for its caller. */
export function consumptionRoute(ledger: Pick<ConsumptionLedger, 'find'>, memberships: Memberships): RequestHandler {
  return async (req, res) => {
    const caller = callerOf(res);
    const { consumptionId } = consumptionParams.parse(req.params);
    const [row] = await ledger.find([consumptionId]);
    const sight = row ? await sightOf(memberships, caller, row) : 'NONE';
    if (!row || sight === 'NONE') throw new Problem('NOT_FOUND', 'There is no such consumption');
    res.json({ ...viewOf(row), providerResponse: sight === 'ALL' ? row.answer : null });
  };
}

function viewOf(row: ConsumptionRow): Omit<z.output<typeof consumptionView>, 'providerResponse'> {
  return {
    consumptionId: row.id,
    userId: row.userId,
    orgId: row.orgId,
    provider: row.provider,
    tokens: row.tokens,
    state: row.state,
    allowed: row.state === 'HELD' ? null : row.state === 'SETTLED',
    charged: row.charged,
    reasons: reasonsOf(row),
    attempts: row.attempts,
    bucket: row.bucket,
    workflowId: row.workflowId,
    temporalCommand: row.workflowId === null ? null : `temporal workflow show --workflow-id ${row.workflowId}`,
    correlationId: row.correlationId,
    createdAt: row.createdAt.toISOString(),
    decidedAt: row.decidedAt?.toISOString() ?? null,
  };
}

function reasonsOf(row: ConsumptionRow): { code: string; detail: string }[] {
  if (row.outcomeCode !== null) return [{ code: row.outcomeCode, detail: row.detail ?? ERRORS[row.outcomeCode].title }];
  const bucket = {
    code: 'BUCKET_ADMITTED',
    detail: `The rate bucket had room: ${row.bucket.used} of ${row.bucket.capacity} tokens used afterwards`,
  };
  if (row.state === 'HELD') return [bucket, { code: 'QUOTA_HELD', detail: `${row.tokens} tokens are held while the provider is called` }];
  return [
    bucket,
    { code: 'QUOTA_HELD', detail: `${row.tokens} tokens were held` },
    { code: 'PROVIDER_ANSWERED', detail: `The provider answered after ${row.attempts} call(s); ${row.charged} tokens were charged` },
  ];
}
