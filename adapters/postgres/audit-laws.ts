import type { Breach } from '../../activities/reconciliation-ports.js';

/** `breaks` selects one id for each breach. `settings.settled_before` is the time before which nothing may be on its way. */
export interface Law extends Pick<Breach, 'invariant' | 'law'> {
  breaks: string;
  /** Holds only where the usage events are in the same database; for another store there is usage-elsewhere.ts */
  usageHere?: true;
}

export const EVENT_OF_EACH = 'every consumption that ended is in the usage events, with the same outcome';
export const CHARGE_OF_EACH = 'every allowed usage event was charged in the ledger';
export const ROLL_UPS = 'roll-ups equal a recount of the raw events';

/** Longer than the 10-minute limit and the capture that may be under way when it ends. */
const SAGA_PATIENCE = `interval '20 minutes'`;

const POOL_ID = `concat_ws(':', p.owner_kind, p.owner_id, p.provider)`;
const ENTRY_SUMS = `
  SELECT e.owner_kind, e.owner_id, e.provider,
         coalesce(sum(tokens) FILTER (WHERE kind = 'purchase'), 0) AS purchased,
         coalesce(sum(tokens) FILTER (WHERE kind = 'grant'), 0) AS granted,
         coalesce(sum(tokens) FILTER (WHERE kind = 'settle'), 0) AS consumed,
         coalesce(sum(tokens) FILTER (WHERE kind = 'refund'), 0) AS refunded,
         coalesce(sum(tokens) FILTER (WHERE kind = 'expire'), 0) AS expired
    FROM (SELECT *, allowance_tokens + purchased_tokens AS tokens FROM ledger_entries) AS e GROUP BY 1, 2, 3`;

export const LAWS: readonly Law[] = [
  {
    invariant: 1,
    law: 'purchased + granted = remaining + reserved + consumed + refunded + expired in every pool',
    breaks: `SELECT ${POOL_ID} FROM pools p WHERE purchased_total + granted_total
               <> allowance_remaining + purchased_remaining + reserved + consumed_total + refunded_total + expired_total`,
  },
  {
    invariant: 1,
    law: "a pool's totals are the sums of its ledger entries",
    breaks: `SELECT ${POOL_ID} FROM pools p LEFT JOIN (${ENTRY_SUMS}) AS e USING (owner_kind, owner_id, provider)
              WHERE (p.purchased_total, p.granted_total, p.consumed_total, p.refunded_total, p.expired_total)
                 IS DISTINCT FROM (coalesce(e.purchased, 0), coalesce(e.granted, 0), coalesce(e.consumed, 0), coalesce(e.refunded, 0), coalesce(e.expired, 0))`,
  },
  {
    invariant: 1,
    law: "a pool's reserved tokens are what its consumptions hold",
    breaks: `SELECT ${POOL_ID} FROM pools p LEFT JOIN (
               SELECT CASE WHEN org_id IS NULL THEN 'user' ELSE 'org' END AS owner_kind, coalesce(org_id, user_id) AS owner_id, provider,
                      sum(held_allowance + held_purchased) AS held FROM consumptions WHERE state = 'HELD' GROUP BY 1, 2, 3
             ) AS h USING (owner_kind, owner_id, provider) WHERE p.reserved <> coalesce(h.held, 0)`,
  },
  {
    invariant: 1,
    law: "a pool's pending tokens are its pending allocations",
    breaks: `SELECT ${POOL_ID} FROM pools p LEFT JOIN (
               SELECT owner_kind, owner_id, provider, sum(tokens) AS tokens FROM allocations WHERE state = 'PENDING' GROUP BY 1, 2, 3
             ) AS a USING (owner_kind, owner_id, provider) WHERE p.pending <> coalesce(a.tokens, 0)`,
  },
  {
    invariant: 2,
    law: 'a captured payment has its tokens posted, or was refunded, or its purchase is open',
    breaks: `SELECT m.payment_key FROM sim_payments m LEFT JOIN token_purchase_saga s ON s.id = m.payment_key
               LEFT JOIN allocations a ON a.saga_id = m.payment_key
              WHERE m.state = 'CAPTURED' AND coalesce(a.state, '') <> 'POSTED' AND coalesce(s.status, '') IN ('COMPLETED', 'FAILED', '')`,
  },
  {
    invariant: 2,
    law: 'money is held for open purchases only',
    breaks: `SELECT m.payment_key FROM sim_payments m LEFT JOIN token_purchase_saga s ON s.id = m.payment_key
              WHERE m.state = 'AUTHORIZED' AND coalesce(s.status, 'FAILED') IN ('COMPLETED', 'FAILED')`,
  },
  {
    invariant: 2,
    law: 'a completed purchase was captured once and posted',
    breaks: `SELECT s.id FROM token_purchase_saga s LEFT JOIN allocations a ON a.saga_id = s.id
               LEFT JOIN sim_payments m ON m.payment_key = s.id
              WHERE s.status = 'COMPLETED'
                AND (coalesce(a.state, '') <> 'POSTED' OR a.tokens <> s.tokens OR (m.payment_key IS NOT NULL AND (m.state <> 'CAPTURED' OR m.captures <> 1)))`,
  },
  {
    invariant: 2,
    law: 'a failed purchase keeps neither money nor tokens',
    breaks: `SELECT s.id FROM token_purchase_saga s LEFT JOIN allocations a ON a.saga_id = s.id
               LEFT JOIN sim_payments m ON m.payment_key = s.id
              WHERE s.status = 'FAILED' AND s.parked_on IS NULL
                AND (coalesce(a.state, 'VOIDED') <> 'VOIDED' OR m.state IN ('AUTHORIZED', 'CAPTURED'))`,
  },
  {
    invariant: 2,
    law: 'every purchase ends, or is parked in sight',
    breaks: `SELECT id FROM token_purchase_saga WHERE status NOT IN ('COMPLETED', 'FAILED') AND parked_on IS NULL
                AND created_at < now() - ${SAGA_PATIENCE}`,
  },
  {
    invariant: 3,
    law: EVENT_OF_EACH,
    usageHere: true,
    breaks: `SELECT c.id FROM consumptions c CROSS JOIN settings LEFT JOIN usage_events u ON u.id = c.id
              WHERE c.state <> 'HELD' AND c.decided_at < settings.settled_before
                AND (u.id IS NULL OR (u.provider, u.user_id, u.tokens, u.allowed) IS DISTINCT FROM
                   (c.provider, c.user_id, CASE c.state WHEN 'SETTLED' THEN c.charged ELSE c.tokens END, c.state = 'SETTLED'))`,
  },
  {
    invariant: 3,
    // Against the ledger, whose entries stay: retention deletes consumptions a little before their events.
    law: CHARGE_OF_EACH,
    usageHere: true,
    breaks: `SELECT u.id FROM usage_events u LEFT JOIN ledger_entries e ON e.ref_id = u.id AND e.kind = 'settle'
              WHERE u.allowed AND coalesce(e.allowance_tokens + e.purchased_tokens, 0) IS DISTINCT FROM u.tokens`,
  },
  {
    invariant: 4,
    law: 'no hold outlives its workflow: none is older than any provider call takes',
    breaks: `SELECT c.id FROM consumptions c CROSS JOIN settings WHERE c.state = 'HELD' AND c.created_at < settings.settled_before`,
  },
  {
    invariant: 5,
    law: 'nothing is overspent and no balance is negative',
    breaks: `SELECT ${POOL_ID} FROM pools p WHERE allowance_remaining < 0 OR purchased_remaining < 0 OR reserved < 0 OR pending < 0
                 OR consumed_total > purchased_total + granted_total`,
  },
  {
    invariant: 5,
    law: 'a quota window has no more allowance, left and held, than it was granted',
    breaks: `SELECT ${POOL_ID} FROM pools p LEFT JOIN (
               SELECT CASE WHEN org_id IS NULL THEN 'user' ELSE 'org' END AS owner_kind, coalesce(org_id, user_id) AS owner_id, provider,
                      window_no, sum(held_allowance) AS held FROM consumptions WHERE state = 'HELD' GROUP BY 1, 2, 3, 4
             ) AS h USING (owner_kind, owner_id, provider, window_no)
              WHERE p.allowance_remaining + coalesce(h.held, 0) > greatest(p.window_allowance, p.allowance)`,
  },
  {
    invariant: 6,
    law: 'what was answered with success is charged in the ledger and keeps its answer',
    // No entry is a charge of nothing: without quota enforcement a caller needs no pool.
    breaks: `SELECT c.id FROM consumptions c LEFT JOIN ledger_entries e ON e.ref_id = c.id AND e.kind = 'settle'
              WHERE c.state = 'SETTLED' AND (c.answer IS NULL OR coalesce(e.allowance_tokens + e.purchased_tokens, 0) <> c.charged)`,
  },
  {
    invariant: 6,
    law: 'what was refused or released is not charged',
    breaks: `SELECT c.id FROM consumptions c LEFT JOIN ledger_entries e ON e.ref_id = c.id AND e.kind = 'settle'
              WHERE c.state IN ('REFUSED', 'RELEASED') AND (e.ref_id IS NOT NULL OR c.charged <> 0)`,
  },
];
