-- Up Migration

-- An account that is disabled may do nothing until it is enabled again; what it owns stays. Tokens that were issued before
-- `tokens_valid_after` are refused, whatever they say.
ALTER TABLE users ADD COLUMN disabled_at timestamptz, ADD COLUMN tokens_valid_after timestamptz;

-- What an organisation's members bought outlives the account that founded it.
ALTER TABLE orgs ALTER COLUMN created_by DROP NOT NULL;
ALTER TABLE orgs DROP CONSTRAINT orgs_created_by_fkey;
ALTER TABLE orgs ADD CONSTRAINT orgs_created_by_fkey FOREIGN KEY (created_by) REFERENCES users (id) ON DELETE SET NULL;

CREATE INDEX token_purchase_saga_of_org ON token_purchase_saga (org_id, created_at DESC, id DESC) WHERE org_id IS NOT NULL;

-- Accounts whose tokens have ended: those issued before `valid_after`, or all of them (a year that never comes) while the account
-- is disabled or gone. Caches learn of it by notification; this table tells one that was not listening at that moment, as
-- api_key_endings does for keys. Rows matter only as long as a token may live.
CREATE TABLE user_endings (
  user_id uuid PRIMARY KEY,
  valid_after timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX user_endings_by_time ON user_endings (recorded_at);

-- Whatever takes authority away is announced by triggers, so that no code path and no operator with psql can forget it. A message is
-- delivered if and only if its change commits. All of them go through one channel, as `{what} {epoch ms}`:
--   {hash}                 the secret of an API key ends at that time
--   user:{userId}          tokens of the user that were issued before that time have ended
--   memberships:{userId}   the user's memberships have changed
-- The functions run with the rights of who made them: who may delete a member needs no right on the tables of endings.

CREATE FUNCTION end_secret(p_hash bytea, p_valid_until timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
  DELETE FROM api_key_endings WHERE secret_hash IN (
    SELECT secret_hash FROM api_key_endings WHERE valid_until < now() - interval '1 day' LIMIT 100 FOR UPDATE SKIP LOCKED);
  WITH recorded AS (
    INSERT INTO api_key_endings (secret_hash, valid_until) VALUES (p_hash, p_valid_until)
    ON CONFLICT (secret_hash) DO UPDATE SET valid_until = least(api_key_endings.valid_until, excluded.valid_until)
    RETURNING secret_hash, valid_until)
  SELECT pg_notify('leaky_key_endings', encode(secret_hash, 'hex') || ' ' || floor(extract(epoch FROM valid_until) * 1000)::bigint)
    FROM recorded;
$$;

CREATE FUNCTION api_keys_announce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  -- Past by any clock: that of a service may be behind this one.
  gone timestamptz := clock_timestamp() - interval '5 seconds';
BEGIN
  IF TG_OP = 'DELETE' THEN
    PERFORM end_secret(OLD.secret_hash, gone);
    IF OLD.previous_hash IS NOT NULL THEN PERFORM end_secret(OLD.previous_hash, least(OLD.previous_valid_until, gone)); END IF;
    RETURN NULL;
  END IF;
  IF NEW.secret_hash IS DISTINCT FROM OLD.secret_hash THEN
    PERFORM end_secret(OLD.secret_hash, CASE WHEN NEW.previous_hash = OLD.secret_hash THEN NEW.previous_valid_until ELSE gone END);
  ELSIF NEW.expires_at < coalesce(OLD.expires_at, 'infinity') THEN
    PERFORM end_secret(NEW.secret_hash, NEW.expires_at);
  END IF;
  IF OLD.previous_hash IS NOT NULL AND OLD.previous_hash IS DISTINCT FROM NEW.previous_hash AND OLD.previous_hash <> NEW.secret_hash THEN
    PERFORM end_secret(OLD.previous_hash, least(OLD.previous_valid_until, gone));
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER api_keys_announce AFTER DELETE OR UPDATE OF secret_hash, previous_hash, expires_at ON api_keys
  FOR EACH ROW EXECUTE FUNCTION api_keys_announce();

CREATE FUNCTION end_tokens(p_user_id uuid, p_valid_after timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
  DELETE FROM user_endings WHERE user_id IN (
    SELECT user_id FROM user_endings WHERE recorded_at < now() - interval '1 day' LIMIT 100 FOR UPDATE SKIP LOCKED);
  WITH recorded AS (
    INSERT INTO user_endings (user_id, valid_after) VALUES (p_user_id, p_valid_after)
    ON CONFLICT (user_id) DO UPDATE SET valid_after = excluded.valid_after, recorded_at = clock_timestamp()
    RETURNING user_id, valid_after)
  SELECT pg_notify('leaky_key_endings', 'user:' || user_id || ' ' || floor(extract(epoch FROM valid_after) * 1000)::bigint) FROM recorded;
$$;

-- Tokens tell their time of issue to the millisecond: one made in this very millisecond ends too, and so do those made since the last time.
CREATE FUNCTION tokens_end_now(p_last timestamptz) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
  SELECT greatest(date_trunc('milliseconds', clock_timestamp()), date_trunc('milliseconds', p_last)) + interval '1 millisecond';
$$;

-- Enabled again, the account needs new tokens: those from before do not come back to life.
CREATE FUNCTION users_enable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.tokens_valid_after := tokens_end_now(OLD.tokens_valid_after);
  RETURN NEW;
END $$;
CREATE TRIGGER users_enable BEFORE UPDATE OF disabled_at ON users
  FOR EACH ROW WHEN (OLD.disabled_at IS NOT NULL AND NEW.disabled_at IS NULL) EXECUTE FUNCTION users_enable();

CREATE FUNCTION users_announce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    PERFORM end_tokens(OLD.id, '9999-12-31Z');
  ELSIF NEW.disabled_at IS NOT NULL THEN
    PERFORM end_tokens(NEW.id, '9999-12-31Z');
  ELSIF NEW.tokens_valid_after IS NOT NULL THEN
    PERFORM end_tokens(NEW.id, NEW.tokens_valid_after);
  END IF;
  RETURN NULL;
END $$;
-- Not `UPDATE OF`: the trigger before may set a column that the statement does not name.
CREATE TRIGGER users_announce_change AFTER UPDATE ON users FOR EACH ROW
  WHEN (NEW.disabled_at IS DISTINCT FROM OLD.disabled_at OR NEW.tokens_valid_after IS DISTINCT FROM OLD.tokens_valid_after)
  EXECUTE FUNCTION users_announce();
CREATE TRIGGER users_announce_end AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION users_announce();

-- A token names the roles of its user, so those that name a lost one end with it.
CREATE FUNCTION user_roles_announce() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  UPDATE users SET tokens_valid_after = tokens_end_now(tokens_valid_after) WHERE id = OLD.user_id;
  RETURN NULL;
END $$;
CREATE TRIGGER user_roles_announce AFTER DELETE OR UPDATE ON user_roles FOR EACH ROW EXECUTE FUNCTION user_roles_announce();

CREATE FUNCTION org_members_announce() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('leaky_key_endings', 'memberships:' || coalesce(NEW.user_id, OLD.user_id) || ' 0');
  RETURN NULL;
END $$;
CREATE TRIGGER org_members_announce AFTER INSERT OR UPDATE OR DELETE ON org_members
  FOR EACH ROW EXECUTE FUNCTION org_members_announce();
