-- Up Migration

-- How far the look for usage that was never published has come. Of every consumption that began up to here, in the order of
-- (created_at, id), the look has found the event, has published it, or has written the consumption into postponed_usage. It goes on
-- from here however long ago that was: the age of what is lost is no reason not to find it. The first look begins at the beginning.
CREATE TABLE usage_look (
  one_row      boolean PRIMARY KEY DEFAULT true CHECK (one_row),
  looked_until timestamptz NOT NULL,
  looked_id    uuid NOT NULL,
  updated_at   timestamptz NOT NULL DEFAULT now()
);
INSERT INTO usage_look (looked_until, looked_id) VALUES ('-infinity', '00000000-0000-0000-0000-000000000000');

-- Consumptions that the look has passed while their workflow was open: it will publish them, or leave that to the look as well.
CREATE TABLE postponed_usage (
  consumption_id uuid PRIMARY KEY,
  looked_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX postponed_usage_looked ON postponed_usage (looked_at);
