-- Up Migration

-- What we know of a payment at a provider that gives payments ids of its own (Stripe; the simulator's books know them by the saga).
-- Each column is written before the step that depends on it: the row before the payment is created, the id before any money is
-- held. So a payment is found again for ever, whatever the provider forgets: no row, or creations = 0, means that nothing was asked
-- for by anyone who writes rows; no id means that no money was held. A row without an id is never taken for "there is no payment".
CREATE TABLE payments (
  saga_id    uuid PRIMARY KEY,
  provider   text NOT NULL,
  payment_id text UNIQUE,
  -- when its creation was first asked for: the provider's idempotency key is good for a while from then on
  asked_at   timestamptz NOT NULL,
  -- how often the creation was asked for
  creations  integer NOT NULL CHECK (creations >= 0),
  -- from then on nothing may be held or taken for this purchase, also not by a call that is still on its way
  closed_at  timestamptz,
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- Up to where the audit has found every payment of a provider ended: it need not be read again.
CREATE TABLE payment_checks (
  provider     text PRIMARY KEY,
  ended_before timestamptz NOT NULL
);

-- The open purchases of a caller, each a place of its share. A place is taken before the purchase is started, by the API, and
-- counts until the purchase has ended or is parked. One whose purchase is not begun within a minute was refused by the engine
-- or waits for a worker: it counts no more.
CREATE TABLE purchase_places (
  saga_id  uuid PRIMARY KEY,
  caller   uuid NOT NULL,
  taken_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX purchase_places_by_caller ON purchase_places (caller);

-- Whether the caller may have this purchase open, and how many it has. Asking again for the same purchase takes no second place.
CREATE FUNCTION take_purchase_place(p_saga uuid, p_caller uuid, p_limit integer, OUT taken boolean, OUT used integer)
LANGUAGE plpgsql AS $$
BEGIN
  -- Callers of one share take turns; others are not in the way.
  PERFORM pg_advisory_xact_lock(hashtextextended(p_caller::text, 7));
  DELETE FROM purchase_places AS p
   WHERE p.caller = p_caller AND p.saga_id <> p_saga
     AND CASE
           WHEN EXISTS (SELECT 1 FROM token_purchase_saga s WHERE s.id = p.saga_id)
           THEN EXISTS (SELECT 1 FROM token_purchase_saga s
                         WHERE s.id = p.saga_id AND (s.status IN ('COMPLETED', 'FAILED') OR s.parked_on IS NOT NULL))
           ELSE p.taken_at < now() - interval '1 minute'
         END;
  SELECT count(*) INTO used FROM purchase_places WHERE caller = p_caller AND saga_id <> p_saga;
  taken := used < p_limit;
  IF taken THEN
    INSERT INTO purchase_places (saga_id, caller) VALUES (p_saga, p_caller) ON CONFLICT (saga_id) DO UPDATE SET taken_at = now();
  END IF;
END
$$;
