-- Up Migration

-- The rules of docs/quota.md: an allowance belongs to its window and is granted once; the cap bounds what may be bought and
-- nothing else; no sum of a pool is ever larger than a reader can read. Processes of the release before go on calling
-- reset_window and allocate_purchase, so both keep their signature.

-- An allowance or a cap is 10^12 tokens at most from here on; earlier releases took up to 2^53 - 1. Policies go first, pools
-- second: a tier change in flight locks them in this order.
UPDATE quota_policies
   SET custom = jsonb_set(custom, '{allowance}', '1000000000000') WHERE (custom ->> 'allowance')::numeric > 1000000000000;
UPDATE quota_policies
   SET custom = jsonb_set(custom, '{cap}', '1000000000000') WHERE (custom ->> 'cap')::numeric > 1000000000000;

-- At once as it is needed below: what holds and settles meanwhile waits here, and no lock is upgraded under it.
LOCK TABLE pools IN ACCESS EXCLUSIVE MODE;

-- Pools whose sums cannot be read (an allowance of 2^53 - 1, granted twice): what is too much was never usable. It is taken
-- back from the grants, first what is left of it, then what has expired, and the entries say so by a reversal.
WITH excess AS (
  SELECT p.*, p.purchased_total + p.granted_total + p.pending - 4503599627370496 AS tokens FROM pools p
   WHERE p.purchased_total + p.granted_total + p.pending > 4503599627370496
), part AS (
  SELECT e.*, least(e.tokens, e.allowance_remaining) AS unspent,
         least(greatest(e.tokens - e.allowance_remaining, 0), e.expired_total) AS expired,
         least(greatest(e.tokens - e.allowance_remaining - e.expired_total, 0), e.purchased_remaining) AS bought
    FROM excess e
), mended AS (
  UPDATE pools p
     SET allowance_remaining = p.allowance_remaining - s.unspent, expired_total = p.expired_total - s.expired,
         purchased_remaining = p.purchased_remaining - s.bought, granted_total = p.granted_total - s.unspent - s.expired - s.bought
    FROM part s WHERE (p.owner_kind, p.owner_id, p.provider) = (s.owner_kind, s.owner_id, s.provider)
), reversal AS (
  SELECT s.*, gen_random_uuid() AS ref_id FROM part s
)
INSERT INTO ledger_entries (ref_id, kind, owner_kind, owner_id, provider, allowance_tokens, purchased_tokens)
SELECT r.ref_id, 'grant', r.owner_kind, r.owner_id, r.provider, -r.unspent - r.expired, -r.bought FROM reversal r
UNION ALL
SELECT r.ref_id, 'expire', r.owner_kind, r.owner_id, r.provider, -r.expired, 0 FROM reversal r WHERE r.expired > 0;

-- The largest allowance that was in force in this window, which is what the window was granted: a tier that is lowered and
-- raised again grants nothing twice. Never below `allowance`: a process of the release before raises only that.
ALTER TABLE pools ADD COLUMN window_allowance bigint NOT NULL DEFAULT 0;
UPDATE pools
   SET allowance = least(allowance, 1000000000000), cap = least(cap, 1000000000000),
       window_allowance = greatest(least(allowance, 1000000000000), allowance_remaining)
 WHERE allowance > 0 OR allowance_remaining > 0 OR cap > 1000000000000;
-- What was granted before a tier was lowered is known only as far as it is left or held.
UPDATE pools p
   SET window_allowance = greatest(p.window_allowance, p.allowance_remaining + h.tokens)
  FROM (SELECT CASE WHEN c.org_id IS NULL THEN 'user' ELSE 'org' END AS owner_kind, coalesce(c.org_id, c.user_id) AS owner_id, c.provider,
               c.window_no, sum(c.held_allowance) AS tokens
          FROM consumptions c WHERE c.state = 'HELD' GROUP BY 1, 2, 3, 4) AS h
 WHERE (p.owner_kind, p.owner_id, p.provider, p.window_no) = (h.owner_kind, h.owner_id, h.provider, h.window_no);

-- By `balanced` no other column, and no sum of columns that a reader makes, is larger than this one: all are below 2^53.
ALTER TABLE pools ADD CONSTRAINT readable CHECK (purchased_total + granted_total + pending <= 9007199254740991);

-- What the next window of a pool begins with: its whole allowance, whatever was bought or is in flight. (Only a pool at the
-- end of all numbers gets less: a reset must never fail.) Readers of a window that is over ask this, too.
CREATE FUNCTION window_grant(pool pools) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT greatest(0, least(pool.allowance, 9007199254740991 - pool.purchased_total - pool.granted_total - pool.pending))
$$;

-- Ends a pool's window: what is left of the allowance expires, the new one is granted. Guarded by the reset time the caller
-- saw (to the millisecond, all that a JavaScript Date holds): of many callers one resets. p_ref is made from pool and window.
CREATE OR REPLACE FUNCTION reset_window(p_owner_kind text, p_owner_id uuid, p_provider text, p_seen timestamptz, p_next timestamptz, p_ref uuid)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  pool pools%ROWTYPE;
  granted bigint;
BEGIN
  SELECT * INTO pool FROM pools p
   WHERE p.owner_kind = p_owner_kind AND p.owner_id = p_owner_id AND p.provider = p_provider AND date_trunc('milliseconds', p.reset_at) = p_seen FOR UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;
  granted := window_grant(pool);
  UPDATE pools p
     SET expired_total = p.expired_total + p.allowance_remaining, granted_total = p.granted_total + granted,
         allowance_remaining = granted, window_allowance = p.allowance, reset_at = p_next, window_no = p.window_no + 1, updated_at = now()
   WHERE p.owner_kind = p_owner_kind AND p.owner_id = p_owner_id AND p.provider = p_provider;
  INSERT INTO ledger_entries (ref_id, kind, owner_kind, owner_id, provider, allowance_tokens)
  SELECT p_ref, e.kind, p_owner_kind, p_owner_id, p_provider, e.tokens
    FROM (VALUES ('expire', pool.allowance_remaining), ('grant', granted)) AS e(kind, tokens) WHERE e.tokens > 0;
  RETURN true;
END $$;

-- What counts against the cap: bought tokens that are left, held, or not paid yet. The bought part of the holds is asked of
-- the rows, so that holding and settling need not keep one sum more; few rows are HELD, and they have an index of their own.
CREATE FUNCTION bought_tokens(pool pools) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT pool.purchased_remaining + pool.pending + CASE WHEN pool.reserved = 0 THEN 0 ELSE (
    SELECT coalesce(sum(c.held_purchased), 0)::bigint FROM consumptions c
     WHERE c.state = 'HELD' AND c.provider = pool.provider
       AND coalesce(c.org_id, c.user_id) = pool.owner_id AND (c.org_id IS NULL) = (pool.owner_kind = 'user')) END
$$;

-- Sets bought tokens aside until the payment is captured. Answers OK, OVER_CAP or VOIDED.
CREATE OR REPLACE FUNCTION allocate_purchase(p_saga_id uuid, p_owner_kind text, p_owner_id uuid, p_provider text, p_tokens bigint)
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
  -- Purchases and totals stop at 2^52: the other half of the numbers is for allowances, which nobody may refuse.
  IF pool.purchased_total + pool.granted_total + pool.pending + p_tokens > 4503599627370496 THEN RETURN 'OVER_CAP'; END IF;
  -- With all that is held counted as bought it often fits already; only else the holds are looked at.
  IF pool.purchased_remaining + pool.reserved + pool.pending + p_tokens > pool.cap THEN
    IF bought_tokens(pool) + p_tokens > pool.cap THEN RETURN 'OVER_CAP'; END IF;
  END IF;
  INSERT INTO allocations (saga_id, owner_kind, owner_id, provider, tokens, state)
  VALUES (p_saga_id, p_owner_kind, p_owner_id, p_provider, p_tokens, 'PENDING');
  UPDATE pools p SET pending = p.pending + p_tokens, updated_at = now()
   WHERE p.owner_kind = p_owner_kind AND p.owner_id = p_owner_id AND p.provider = p_provider;
  RETURN 'OK';
END $$;
