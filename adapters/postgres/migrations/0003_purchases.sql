-- Up Migration

-- The durable record of a purchase. Its engine is the workflow `workflow_id`; this row outlives the workflow's retention,
-- answers repeated idempotency keys for ever, and is written by the workflow's activities only.
-- id is made from user + Idempotency-Key (uuid v5), so the primary key is the dedupe and needs no second index.
CREATE TABLE token_purchase_saga (
  id              uuid PRIMARY KEY,
  user_id         uuid NOT NULL,
  org_id          uuid,
  provider        text NOT NULL,
  tokens          bigint NOT NULL CHECK (tokens > 0),
  amount_cents    bigint NOT NULL CHECK (amount_cents > 0),
  payment_method  text NOT NULL,
  idempotency_key text,
  payload_hash    text NOT NULL,
  status          text NOT NULL CHECK (status IN ('STARTED', 'PAYMENT_RESERVED', 'TOKENS_ALLOCATED', 'COMPLETED', 'FAILED')),
  failure_reason  text,
  failure_detail  text,
  -- what a parked step is stuck on; null while nothing is parked
  parked_on       text,
  correlation_id  text NOT NULL,
  workflow_id     text NOT NULL,
  -- first execution of the workflow that owns the row: another one may not run the same purchase again
  run_id          text NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL DEFAULT now(),
  CHECK ((status = 'FAILED') = (failure_reason IS NOT NULL))
);
CREATE INDEX token_purchase_saga_newest ON token_purchase_saga (user_id, created_at DESC, id DESC);
CREATE INDEX token_purchase_saga_open ON token_purchase_saga (created_at) WHERE status NOT IN ('COMPLETED', 'FAILED');
CREATE INDEX token_purchase_saga_parked ON token_purchase_saga (updated_at) WHERE parked_on IS NOT NULL;

-- The payment simulator's books: one row for each payment idempotency key (the saga id). The checks make money that was
-- taken twice, or given back without being taken, an error at the moment it happens.
CREATE TABLE sim_payments (
  payment_key  uuid PRIMARY KEY,
  amount_cents bigint NOT NULL CHECK (amount_cents > 0),
  method       text NOT NULL,
  state        text NOT NULL CHECK (state IN ('DECLINED', 'AUTHORIZED', 'CAPTURED', 'RELEASED', 'REFUNDED')),
  captures     integer NOT NULL DEFAULT 0 CHECK (captures BETWEEN 0 AND 1),
  refunds      integer NOT NULL DEFAULT 0 CHECK (refunds BETWEEN 0 AND captures),
  created_at   timestamptz NOT NULL DEFAULT now(),
  updated_at   timestamptz NOT NULL DEFAULT now(),
  CHECK ((state IN ('CAPTURED', 'REFUNDED')) = (captures = 1)),
  CHECK ((state = 'REFUNDED') = (refunds = 1))
);

-- Every call that reached the simulator and what it did. `effect` is what happened to the money, `answer` what the caller saw:
-- a time-out after the money was taken is ('CAPTURED', 'TIMEOUT').
CREATE TABLE sim_payment_calls (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  payment_key uuid NOT NULL,
  operation   text NOT NULL CHECK (operation IN ('RESERVE', 'CAPTURE', 'UNDO')),
  effect      text NOT NULL CHECK (effect IN ('NONE', 'DECLINED', 'AUTHORIZED', 'CAPTURED', 'RELEASED', 'REFUNDED')),
  answer      text NOT NULL CHECK (answer IN ('OK', 'DECLINED', 'TIMEOUT', 'ERROR')),
  at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX sim_payment_calls_by_key ON sim_payment_calls (payment_key, operation);
-- Each effect happens to a payment once, whatever the row above claims.
CREATE UNIQUE INDEX sim_payment_calls_once ON sim_payment_calls (payment_key, effect) WHERE effect <> 'NONE';

CREATE FUNCTION sim_payment_calls_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'sim_payment_calls is append-only';
END
$$;
CREATE TRIGGER sim_payment_calls_append_only BEFORE UPDATE OR DELETE ON sim_payment_calls
  FOR EACH ROW EXECUTE FUNCTION sim_payment_calls_append_only();
