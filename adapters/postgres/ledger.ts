import type {
  ConsumptionLedger,
  ConsumptionRequest,
  ConsumptionRow,
  HoldState,
  ReserveOutcome,
  SettledRow,
} from '../../activities/consumption-ports.js';
import type { ProviderAnswer } from '../../activities/ports.js';
import type { ErrorCode } from '../../contracts/errors.js';
import type { UsageEvent } from '../../contracts/events.js';
import type { ProviderName } from '../../contracts/providers.js';
import { jsonb } from './json.js';
import type { Database } from './pool.js';
import { resetWindowOf } from './pools.js';

/** A window can end again between its reset and the next try; more than once would be a fault. */
const MAX_RESETS = 3;

export interface LedgerOptions {
  /** false: consumptions are recorded but hold and charge nothing */
  enforceQuota: boolean;
}

/** The consumption side of the ledger. The rules that must hold under concurrency are in migrations/0002_ledger.sql. */
export function createConsumptionLedger(db: Database, { enforceQuota }: LedgerOptions): ConsumptionLedger {
  async function reserve(workflowId: string, requests: readonly ConsumptionRequest[], resets = MAX_RESETS): Promise<ReserveOutcome[]> {
    const { rows } = await db.query<{ id: string; outcome: HoldState | 'FOREIGN' | 'WINDOW_DUE'; available: number }>({
      name: 'reserve_tokens',
      text: 'SELECT id, outcome, available FROM reserve_tokens($1, $2, $3)',
      values: [workflowId, jsonb(requests.map(reserveItem)), enforceQuota],
    });
    const done: ReserveOutcome[] = [];
    const due = new Set<string>();
    for (const { id, outcome, available } of rows) {
      if (outcome === 'WINDOW_DUE') due.add(id);
      else done.push({ id, state: outcome, available });
    }
    if (due.size === 0) return done;
    if (resets === 0) throw new Error('The quota windows of a batch are still over after they were reset');
    const again = requests.filter((request) => due.has(request.id));
    for (const request of again) await resetWindowOf(db, poolKeyOf(request));
    return [...done, ...(await reserve(workflowId, again, resets - 1))];
  }

  return {
    reserve: (workflowId, requests) => reserve(workflowId, requests),

    async settle(settlements): Promise<SettledRow[]> {
      const { rows } = await db.query<{ id: string; state: HoldState; charged: number; decided_at: Date }>({
        name: 'settle_consumptions',
        text: 'SELECT id, state, charged, decided_at FROM settle_consumptions($1)',
        values: [jsonb(settlements)],
      });
      return rows.map((row) => ({ id: row.id, state: row.state, charged: row.charged, decidedAt: row.decided_at }));
    },

    async find(ids) {
      const { rows } = await db.query<StoredConsumption>({
        name: 'find_consumptions',
        text: 'SELECT * FROM consumptions WHERE id = ANY($1::uuid[])',
        values: [ids],
      });
      return rows.map(consumptionOf);
    },

    async usageOf(workflowId, ids) {
      const { rows } = await db.query<StoredUsage>({
        name: 'usage_of_consumptions',
        text: `SELECT ${USAGE_COLUMNS}
                 FROM consumptions WHERE id = ANY($2::uuid[]) AND workflow_id = $1 AND state <> 'HELD'`,
        values: [workflowId, ids],
      });
      return rows.map(usageEventOf);
    },

    async recordRefusals(rows) {
      await db.query({
        name: 'record_refusals',
        text: `INSERT INTO consumptions (id, user_id, org_id, provider, tokens, state, outcome_code, detail, bucket, payload_hash,
                                         keyed, correlation_id, tag, created_at, decided_at)
               SELECT id, "userId", "orgId", provider, tokens, 'REFUSED', "outcomeCode", detail, bucket, "payloadHash",
                      keyed, "correlationId", tag, "createdAt", "decidedAt"
                 FROM jsonb_to_recordset($1::jsonb) AS i(id uuid, "userId" uuid, "orgId" uuid, provider text, tokens bigint,
                      "outcomeCode" text, detail text, bucket jsonb, "payloadHash" text, keyed boolean, "correlationId" text,
                      tag text, "createdAt" timestamptz, "decidedAt" timestamptz)
               ON CONFLICT DO NOTHING`,
        values: [jsonb(rows)],
      });
    },
  };
}

function poolKeyOf(request: Pick<ConsumptionRequest, 'orgId' | 'userId' | 'provider'>) {
  return {
    ownerKind: request.orgId === null ? ('user' as const) : ('org' as const),
    ownerId: request.orgId ?? request.userId,
    provider: request.provider,
  };
}

const reserveItem = ({ prompt, model, ...request }: ConsumptionRequest) => ({
  ...request,
  ...poolKeyOf(request),
  request: { prompt, model },
});

/** The columns of consumptions that a usage event is made of */
export const USAGE_COLUMNS = 'id, provider, user_id, org_id, tokens, charged, state, outcome_code, correlation_id, tag, decided_at';

export interface StoredUsage {
  id: string;
  provider: ProviderName;
  user_id: string;
  org_id: string | null;
  tokens: number;
  charged: number;
  state: HoldState;
  outcome_code: ErrorCode | null;
  correlation_id: string;
  tag: string | null;
  decided_at: Date;
}

interface StoredConsumption extends StoredUsage {
  workflow_id: string | null;
  detail: string | null;
  attempts: number;
  request: { prompt: string | null; model: string | null } | null;
  answer: ProviderAnswer | null;
  bucket: ConsumptionRow['bucket'];
  payload_hash: string;
  keyed: boolean;
  created_at: Date;
}

export function usageEventOf(row: StoredUsage): UsageEvent {
  const allowed = row.state === 'SETTLED';
  return {
    id: row.id,
    timestamp: row.decided_at.toISOString(),
    provider: row.provider,
    userId: row.user_id,
    orgId: row.org_id,
    tokens: allowed ? row.charged : row.tokens,
    allowed,
    reason: row.outcome_code,
    requestId: row.correlation_id,
    tag: row.tag,
  };
}

function consumptionOf(row: StoredConsumption): ConsumptionRow {
  return {
    id: row.id,
    workflowId: row.workflow_id,
    userId: row.user_id,
    orgId: row.org_id,
    provider: row.provider,
    tokens: row.tokens,
    state: row.state,
    charged: row.charged,
    outcomeCode: row.outcome_code,
    detail: row.detail,
    attempts: row.attempts,
    prompt: row.request?.prompt ?? null,
    model: row.request?.model ?? null,
    answer: row.answer,
    bucket: row.bucket,
    payloadHash: row.payload_hash,
    keyed: row.keyed,
    correlationId: row.correlation_id,
    tag: row.tag,
    createdAt: row.created_at,
    decidedAt: row.state === 'HELD' ? null : row.decided_at,
  };
}
