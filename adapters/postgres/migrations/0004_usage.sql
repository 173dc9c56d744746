-- Up Migration

-- Every consumption attempt, refusals included; the id is the consumption id, which makes redelivery harmless.
CREATE TABLE usage_events (
  id          uuid PRIMARY KEY,
  provider    text NOT NULL,
  occurred_at timestamptz NOT NULL,
  user_id     uuid NOT NULL,
  org_id      uuid,
  tokens      bigint NOT NULL CHECK (tokens >= 0),
  allowed     boolean NOT NULL,
  reason      text,
  request_id  text NOT NULL,
  tag         text
);
CREATE INDEX usage_events_by_provider ON usage_events (provider, occurred_at);
CREATE INDEX usage_events_by_user ON usage_events (user_id, provider, occurred_at);
CREATE INDEX usage_events_by_org ON usage_events (org_id, provider, occurred_at) WHERE org_id IS NOT NULL;

-- What is stored and not yet folded. The statement that stores events adds their counts here, the statement that folds
-- moves rows from here to usage_rollups: every event is counted in exactly one of the two tables in every snapshot.
-- Nothing depends on transaction ids, sequence order or clocks, so a dump and restore, or an insert that commits late, changes nothing.
CREATE TABLE usage_deltas (
  seq            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  provider       text NOT NULL,
  minute         timestamptz NOT NULL,
  user_id        uuid NOT NULL,
  org_id         uuid,
  tag            text,
  events         integer NOT NULL,
  allowed_events integer NOT NULL,
  tokens         bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);

-- Sums over aligned spans of 1 minute, 10 minutes and 1 hour (grain, in seconds). tokens: of allowed events only.
-- A partition for each grain keeps the rows that one report reads next to each other.
CREATE TABLE usage_rollups (
  grain          integer NOT NULL,
  provider       text NOT NULL,
  bucket         timestamptz NOT NULL,
  user_id        uuid NOT NULL,
  org_id         uuid,
  tag            text,
  events         integer NOT NULL,
  allowed_events integer NOT NULL,
  tokens         bigint NOT NULL,
  CONSTRAINT usage_rollups_key UNIQUE NULLS NOT DISTINCT (grain, provider, bucket, user_id, org_id, tag)
) PARTITION BY LIST (grain);
CREATE TABLE usage_rollups_1m PARTITION OF usage_rollups FOR VALUES IN (60) WITH (fillfactor = 80);
CREATE TABLE usage_rollups_10m PARTITION OF usage_rollups FOR VALUES IN (600) WITH (fillfactor = 80);
CREATE TABLE usage_rollups_1h PARTITION OF usage_rollups FOR VALUES IN (3600) WITH (fillfactor = 80);

-- Purchase events as published; kept as long as the purchases themselves.
CREATE TABLE purchase_events (
  id          text PRIMARY KEY,
  saga_id     uuid NOT NULL,
  type        text NOT NULL,
  occurred_at timestamptz NOT NULL,
  body        jsonb NOT NULL
);
CREATE INDEX purchase_events_by_saga ON purchase_events (saga_id, occurred_at);
