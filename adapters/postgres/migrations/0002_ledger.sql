-- Up Migration

-- Who pays under which terms. An owner without a row has tier STANDARD and the zone UTC.
CREATE TABLE quota_policies (
  owner_kind text NOT NULL CHECK (owner_kind IN ('user', 'org')),
  owner_id uuid NOT NULL,
  tier text NOT NULL,
  -- Only for the custom tier; null elsewhere
  custom jsonb,
  zone text NOT NULL DEFAULT 'UTC',
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (owner_kind, owner_id)
);

-- One balance per owner and provider. Burnt in the order allowance, purchased.
-- allowance_remaining + purchased_remaining is spendable; reserved is held by consumptions in flight; pending is bought
-- but not captured yet and counts for nothing but the cap. The CHECK `balanced` is invariant 1 of the ledger, at every instant.
CREATE TABLE pools (
  owner_kind text NOT NULL,
  owner_id uuid NOT NULL,
  provider text NOT NULL CHECK (provider IN ('openai', 'gemini', 'qwen')),
  allowance_remaining bigint NOT NULL DEFAULT 0 CHECK (allowance_remaining >= 0),
  purchased_remaining bigint NOT NULL DEFAULT 0 CHECK (purchased_remaining >= 0),
  reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
  pending bigint NOT NULL DEFAULT 0 CHECK (pending >= 0),
  purchased_total bigint NOT NULL DEFAULT 0,
  granted_total bigint NOT NULL DEFAULT 0,
  consumed_total bigint NOT NULL DEFAULT 0,
  refunded_total bigint NOT NULL DEFAULT 0,
  expired_total bigint NOT NULL DEFAULT 0,
  -- Recurring terms, copied from the owner's policy so that the hot path reads one row
  allowance bigint NOT NULL DEFAULT 0 CHECK (allowance >= 0),
  cap bigint CHECK (cap >= 0),
  zone text NOT NULL DEFAULT 'UTC',
  reset_at timestamptz NOT NULL,
  -- Counts the windows that ended
  window_no bigint NOT NULL DEFAULT 0,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (owner_kind, owner_id, provider),
  CONSTRAINT balanced CHECK (
    purchased_total + granted_total
      = allowance_remaining + purchased_remaining + reserved + consumed_total + refunded_total + expired_total
  )
) PARTITION BY LIST (owner_kind);

-- Every consumption rewrites its pool's row: room on the page keeps those updates in place (HOT), and a low vacuum
-- threshold keeps the version chains short.
CREATE TABLE token_pools PARTITION OF pools FOR VALUES IN ('user')
  WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
CREATE TABLE token_org_pools PARTITION OF pools FOR VALUES IN ('org')
  WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- Append-only. One entry of a kind for each cause (consumption, saga, window, admin grant): a repeated step adds nothing.
CREATE TABLE ledger_entries (
  ref_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('grant', 'purchase', 'hold', 'settle', 'release', 'refund', 'expire')),
  owner_kind text NOT NULL,
  owner_id uuid NOT NULL,
  provider text NOT NULL,
  allowance_tokens bigint NOT NULL DEFAULT 0,
  purchased_tokens bigint NOT NULL DEFAULT 0,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (ref_id, kind)
);

-- HELD -> SETTLED | RELEASED, once; REFUSED is born final. `workflow_id` names the workflow that owns the row: no other acts on it.
-- A refusal at the edge starts no workflow and has none.
CREATE TABLE consumptions (
  id uuid PRIMARY KEY,
  workflow_id text,
  user_id uuid NOT NULL,
  org_id uuid,
  provider text NOT NULL,
  tokens bigint NOT NULL CHECK (tokens > 0),
  state text NOT NULL CHECK (state IN ('HELD', 'SETTLED', 'RELEASED', 'REFUSED')),
  held_allowance bigint NOT NULL DEFAULT 0 CHECK (held_allowance >= 0),
  held_purchased bigint NOT NULL DEFAULT 0 CHECK (held_purchased >= 0),
  -- The window the allowance part of the hold came from: a release after its reset must not bring it back
  window_no bigint,
  charged bigint NOT NULL DEFAULT 0 CHECK (charged >= 0),
  outcome_code text,
  detail text,
  attempts int NOT NULL DEFAULT 0,
  request jsonb,
  answer jsonb,
  bucket jsonb,
  payload_hash text NOT NULL,
  -- True when the caller sent an Idempotency-Key: someone may come back for the answer
  keyed boolean NOT NULL,
  correlation_id text NOT NULL,
  tag text,
  created_at timestamptz NOT NULL DEFAULT now(),
  decided_at timestamptz
) WITH (fillfactor = 70);

-- Few rows are HELD at a time, so this stays tiny however many rows the table holds.
CREATE INDEX consumptions_held ON consumptions (created_at) WHERE state = 'HELD';
CREATE INDEX consumptions_created ON consumptions (created_at);

CREATE TABLE allocations (
  saga_id uuid PRIMARY KEY,
  owner_kind text NOT NULL,
  owner_id uuid NOT NULL,
  provider text NOT NULL,
  tokens bigint NOT NULL CHECK (tokens >= 0),
  state text NOT NULL CHECK (state IN ('PENDING', 'POSTED', 'VOIDED')),
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- Holds tokens for a batch. Items: [{id, ownerKind, ownerId, userId, orgId, provider, tokens, request, bucket, payloadHash,
-- keyed, correlationId, tag}]. Each succeeds or is refused on its own; within a batch the smallest go first, so as many as
-- possible fit (concurrent requests have no order of their own). Outcomes:
--   the row's state  it belongs to this workflow (new or from an earlier execution of this step)
--   FOREIGN          another workflow owns this id
--   WINDOW_DUE       the pool's quota window has ended: reset it (reset_window), then try again; nothing was written
CREATE FUNCTION reserve_tokens(p_workflow_id text, p_items jsonb, p_enforce boolean)
RETURNS TABLE (id uuid, outcome text, code text, available bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  -- All writers lock pools before anything else and in this order, so they cannot deadlock.
  PERFORM 1 FROM pools p
   WHERE (p.owner_kind, p.owner_id, p.provider) IN (
     SELECT i."ownerKind", i."ownerId", i.provider
       FROM jsonb_to_recordset(p_items) AS i("ownerKind" text, "ownerId" uuid, provider text))
   ORDER BY p.owner_kind, p.owner_id, p.provider FOR UPDATE;

  -- A new statement, so it sees what the holders of those locks committed.
  RETURN QUERY
  WITH item AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(p_items) AS i(
      id uuid, "ownerKind" text, "ownerId" uuid, "userId" uuid, "orgId" uuid, provider text, tokens bigint, request jsonb,
      bucket jsonb, "payloadHash" text, keyed boolean, "correlationId" text, tag text)
  ), known AS (
    SELECT i.id, CASE WHEN c.workflow_id = p_workflow_id THEN c.state ELSE 'FOREIGN' END AS outcome, c.outcome_code AS code
      FROM item i JOIN consumptions c ON c.id = i.id
  ), fresh AS (
    SELECT i.*, p.allowance_remaining, p.purchased_remaining, p.window_no,
           coalesce(p.allowance_remaining + p.purchased_remaining, 0) AS available,
           p.reset_at <= now() AS window_due,
           sum(i.tokens) OVER (PARTITION BY i."ownerKind", i."ownerId", i.provider ORDER BY i.tokens, i.id) AS upto
      FROM item i
      LEFT JOIN pools p ON p.owner_kind = i."ownerKind" AND p.owner_id = i."ownerId" AND p.provider = i.provider
     WHERE NOT EXISTS (SELECT 1 FROM known k WHERE k.id = i.id)
  ), decided AS (
    SELECT f.*, (f.upto <= f.available OR NOT p_enforce) AS accepted,
           -- Items lie end to end on the pool's balance; the part that lies below allowance_remaining is allowance.
           CASE WHEN f.upto <= f.available
                THEN greatest(0, least(f.upto, f.allowance_remaining) - (f.upto - f.tokens)) ELSE 0 END AS from_allowance
      FROM fresh f WHERE f.window_due IS NOT TRUE
  ), inserted AS (
    INSERT INTO consumptions (id, workflow_id, user_id, org_id, provider, tokens, state, held_allowance, held_purchased,
                              window_no, outcome_code, request, bucket, payload_hash, keyed, correlation_id, tag, decided_at)
    SELECT d.id, p_workflow_id, d."userId", d."orgId", d.provider, d.tokens,
           CASE WHEN d.accepted THEN 'HELD' ELSE 'REFUSED' END,
           d.from_allowance, CASE WHEN d.upto <= d.available THEN d.tokens - d.from_allowance ELSE 0 END,
           d.window_no, CASE WHEN d.accepted THEN NULL ELSE 'INSUFFICIENT_QUOTA' END,
           d.request, d.bucket, d."payloadHash", d.keyed, d."correlationId", d.tag,
           CASE WHEN d.accepted THEN NULL ELSE clock_timestamp() END
      FROM decided d
    ON CONFLICT DO NOTHING
    RETURNING *
  ), per_pool AS (
    SELECT CASE WHEN n.org_id IS NULL THEN 'user' ELSE 'org' END AS owner_kind, coalesce(n.org_id, n.user_id) AS owner_id, n.provider,
           sum(n.held_allowance) AS allowance, sum(n.held_purchased) AS purchased
      FROM inserted n WHERE n.held_allowance + n.held_purchased > 0 GROUP BY 1, 2, 3
  ), charged AS (
    UPDATE pools p
       SET allowance_remaining = p.allowance_remaining - s.allowance, purchased_remaining = p.purchased_remaining - s.purchased,
           reserved = p.reserved + s.allowance + s.purchased, updated_at = now()
      FROM per_pool s
     WHERE p.owner_kind = s.owner_kind AND p.owner_id = s.owner_id AND p.provider = s.provider
  ), entries AS (
    INSERT INTO ledger_entries (ref_id, kind, owner_kind, owner_id, provider, allowance_tokens, purchased_tokens)
    SELECT n.id, 'hold', CASE WHEN n.org_id IS NULL THEN 'user' ELSE 'org' END, coalesce(n.org_id, n.user_id), n.provider,
           n.held_allowance, n.held_purchased
      FROM inserted n WHERE n.state = 'HELD'
  )
  SELECT k.id, k.outcome, k.code, 0::bigint FROM known k
  UNION ALL
  SELECT d.id, coalesce(n.state, 'FOREIGN'), n.outcome_code, d.available FROM decided d LEFT JOIN inserted n ON n.id = d.id
  UNION ALL
  SELECT f.id, 'WINDOW_DUE', NULL, f.available FROM fresh f WHERE f.window_due;
END $$;

-- Ends holds. Items: [{id, workflowId, charge, code, detail, attempts, answer}]; code null settles `charge` (never more than
-- was held), else releases in full. Rows that are not HELD or belong to another workflow are left as they are.
-- Returns the rows it ended.
CREATE FUNCTION settle_consumptions(p_items jsonb)
RETURNS TABLE (id uuid, state text, charged bigint, decided_at timestamptz)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM 1 FROM pools p
   WHERE (p.owner_kind, p.owner_id, p.provider) IN (
     SELECT CASE WHEN c.org_id IS NULL THEN 'user' ELSE 'org' END, coalesce(c.org_id, c.user_id), c.provider
       FROM consumptions c
      WHERE c.id IN (SELECT i.id FROM jsonb_to_recordset(p_items) AS i(id uuid)))
   ORDER BY p.owner_kind, p.owner_id, p.provider FOR UPDATE;

  RETURN QUERY
  WITH item AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(p_items) AS i(
      id uuid, "workflowId" text, charge bigint, code text, detail text, attempts int, answer jsonb)
  ), ended AS (
    UPDATE consumptions c
       SET state = CASE WHEN i.code IS NULL THEN 'SETTLED' ELSE 'RELEASED' END,
           charged = CASE WHEN i.code IS NULL THEN least(greatest(i.charge, 0), c.held_allowance + c.held_purchased) ELSE 0 END,
           outcome_code = i.code, detail = i.detail, attempts = i.attempts, answer = i.answer, decided_at = clock_timestamp(),
           -- The prompt was kept for a takeover; from here on nobody needs it.
           request = NULL
      FROM item i
     WHERE c.id = i.id AND c.state = 'HELD' AND c.workflow_id = i."workflowId"
    RETURNING c.*
  ), part AS (
    SELECT e.id, e.state, CASE WHEN e.org_id IS NULL THEN 'user' ELSE 'org' END AS owner_kind, coalesce(e.org_id, e.user_id) AS owner_id,
           e.provider, e.charged, e.held_allowance, e.held_purchased,
           least(e.charged, e.held_allowance) AS charged_allowance, greatest(e.charged - e.held_allowance, 0) AS charged_purchased,
           p.window_no IS DISTINCT FROM e.window_no AS window_over
      FROM ended e
      JOIN pools p ON p.owner_kind = CASE WHEN e.org_id IS NULL THEN 'user' ELSE 'org' END
                  AND p.owner_id = coalesce(e.org_id, e.user_id) AND p.provider = e.provider
  ), per_pool AS (
    SELECT owner_kind, owner_id, provider, sum(held_allowance + held_purchased) AS held, sum(charged) AS charged,
           sum(held_allowance - charged_allowance) FILTER (WHERE NOT window_over) AS back_to_allowance,
           sum(held_allowance - charged_allowance) FILTER (WHERE window_over) AS expired,
           sum(held_purchased - charged_purchased) AS back_to_purchased
      FROM part GROUP BY 1, 2, 3
  ), moved AS (
    UPDATE pools p
       SET reserved = p.reserved - s.held, consumed_total = p.consumed_total + s.charged,
           allowance_remaining = p.allowance_remaining + coalesce(s.back_to_allowance, 0),
           purchased_remaining = p.purchased_remaining + s.back_to_purchased,
           expired_total = p.expired_total + coalesce(s.expired, 0), updated_at = now()
      FROM per_pool s
     WHERE p.owner_kind = s.owner_kind AND p.owner_id = s.owner_id AND p.provider = s.provider
  ), entries AS (
    INSERT INTO ledger_entries (ref_id, kind, owner_kind, owner_id, provider, allowance_tokens, purchased_tokens)
    SELECT id, 'settle', owner_kind, owner_id, provider, charged_allowance, charged_purchased FROM part WHERE state = 'SETTLED'
    UNION ALL
    SELECT id, 'release', owner_kind, owner_id, provider,
           CASE WHEN window_over THEN 0 ELSE held_allowance - charged_allowance END, held_purchased - charged_purchased
      FROM part WHERE held_allowance + held_purchased > charged
    UNION ALL
    SELECT id, 'expire', owner_kind, owner_id, provider, held_allowance - charged_allowance, 0
      FROM part WHERE window_over AND held_allowance > charged_allowance
  )
  SELECT e.id, e.state, e.charged, e.decided_at FROM ended e;
END $$;

-- Ends a pool's window: what is left of the allowance expires, the new allowance is granted as far as the cap lets it.
-- Guarded by the reset time the caller saw (to the millisecond, all that a JavaScript Date holds): of many callers one resets. p_ref is made from pool and reset time.
CREATE FUNCTION reset_window(p_owner_kind text, p_owner_id uuid, p_provider text, p_seen timestamptz, p_next timestamptz, p_ref uuid)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  pool pools%ROWTYPE;
  granted bigint;
BEGIN
  SELECT * INTO pool FROM pools p
   WHERE p.owner_kind = p_owner_kind AND p.owner_id = p_owner_id AND p.provider = p_provider AND date_trunc('milliseconds', p.reset_at) = p_seen FOR UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;
  granted := least(pool.allowance, greatest(0, coalesce(pool.cap - pool.purchased_remaining - pool.reserved - pool.pending, pool.allowance)));
  UPDATE pools p
     SET expired_total = p.expired_total + p.allowance_remaining, granted_total = p.granted_total + granted,
         allowance_remaining = granted, reset_at = p_next, window_no = p.window_no + 1, updated_at = now()
   WHERE p.owner_kind = p_owner_kind AND p.owner_id = p_owner_id AND p.provider = p_provider;
  INSERT INTO ledger_entries (ref_id, kind, owner_kind, owner_id, provider, allowance_tokens)
  SELECT p_ref, e.kind, p_owner_kind, p_owner_id, p_provider, e.tokens
    FROM (VALUES ('expire', pool.allowance_remaining), ('grant', granted)) AS e(kind, tokens) WHERE e.tokens > 0;
  RETURN true;
END $$;

-- Sets bought tokens aside until the payment is captured. Creates the pool on first use. Answers OK, OVER_CAP or VOIDED.
CREATE FUNCTION allocate_purchase(p_saga_id uuid, p_owner_kind text, p_owner_id uuid, p_provider text, p_tokens bigint)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  pool pools%ROWTYPE;
  seen text;
BEGIN
  SELECT * INTO pool FROM pools p
   WHERE p.owner_kind = p_owner_kind AND p.owner_id = p_owner_id AND p.provider = p_provider FOR UPDATE;
  SELECT a.state INTO seen FROM allocations a WHERE a.saga_id = p_saga_id;
  IF FOUND THEN RETURN CASE seen WHEN 'VOIDED' THEN 'VOIDED' ELSE 'OK' END; END IF;
  IF pool.cap IS NOT NULL AND
     pool.allowance_remaining + pool.purchased_remaining + pool.reserved + pool.pending + p_tokens > pool.cap THEN
    RETURN 'OVER_CAP';
  END IF;
  INSERT INTO allocations (saga_id, owner_kind, owner_id, provider, tokens, state)
  VALUES (p_saga_id, p_owner_kind, p_owner_id, p_provider, p_tokens, 'PENDING');
  UPDATE pools p SET pending = p.pending + p_tokens, updated_at = now()
   WHERE p.owner_kind = p_owner_kind AND p.owner_id = p_owner_id AND p.provider = p_provider;
  RETURN 'OK';
END $$;

-- Makes an allocation spendable (post) or takes it back (void), once. A void leaves a mark even when nothing was allocated,
-- so that an allocation arriving late is refused.
CREATE FUNCTION end_allocation(p_saga_id uuid, p_state text)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  allocation allocations%ROWTYPE;
BEGIN
  PERFORM 1 FROM pools p JOIN allocations a USING (owner_kind, owner_id, provider) WHERE a.saga_id = p_saga_id FOR UPDATE OF p;
  SELECT * INTO allocation FROM allocations a WHERE a.saga_id = p_saga_id FOR UPDATE;
  IF allocation.saga_id IS NULL THEN
    IF p_state = 'POSTED' THEN RETURN 'MISSING'; END IF;
    INSERT INTO allocations (saga_id, owner_kind, owner_id, provider, tokens, state)
    VALUES (p_saga_id, 'user', '00000000-0000-0000-0000-000000000000', '-', 0, 'VOIDED')
    ON CONFLICT (saga_id) DO NOTHING;
    IF FOUND THEN RETURN 'VOIDED'; END IF;
    RETURN end_allocation(p_saga_id, p_state);
  END IF;
  IF allocation.state <> 'PENDING' THEN RETURN allocation.state; END IF;
  UPDATE allocations a SET state = p_state, updated_at = now() WHERE a.saga_id = p_saga_id;
  UPDATE pools p
     SET pending = p.pending - allocation.tokens,
         purchased_remaining = p.purchased_remaining + CASE p_state WHEN 'POSTED' THEN allocation.tokens ELSE 0 END,
         purchased_total = p.purchased_total + CASE p_state WHEN 'POSTED' THEN allocation.tokens ELSE 0 END,
         updated_at = now()
   WHERE p.owner_kind = allocation.owner_kind AND p.owner_id = allocation.owner_id AND p.provider = allocation.provider;
  IF p_state = 'POSTED' THEN
    INSERT INTO ledger_entries (ref_id, kind, owner_kind, owner_id, provider, purchased_tokens)
    VALUES (p_saga_id, 'purchase', allocation.owner_kind, allocation.owner_id, allocation.provider, allocation.tokens);
  END IF;
  RETURN p_state;
END $$;
