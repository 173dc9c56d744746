-- Up Migration

-- Who changed what, in the transaction of the change. Written by triggers, so that no code path and no operator with psql can
-- forget it: `leaky.actor` and `leaky.correlation` say who acts (set_config in adapters/postgres/admin-log.ts); without them the
-- actor is `database`. Only columns that are named below are shown, so no secret can get here.
CREATE TABLE admin_log (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- A user id, or `database`, `system` (by schedule), `configuration` (the first ADMIN)
  actor text NOT NULL,
  action text NOT NULL,
  target_kind text NOT NULL,
  target_id text NOT NULL,
  -- Every id the change is about: that of a member as well as that of the organisation
  about text[] NOT NULL,
  before jsonb,
  after jsonb,
  correlation_id text
);
CREATE INDEX admin_log_by_actor ON admin_log (actor, id DESC);
CREATE INDEX admin_log_about ON admin_log USING gin (about);
CREATE INDEX admin_log_by_time ON admin_log (at);

-- What is older than a month may be deleted, for the configured retention; nothing may be changed.
CREATE FUNCTION admin_log_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.at < now() - interval '30 days' THEN RETURN OLD; END IF;
  END IF;
  RAISE EXCEPTION 'admin_log is append-only';
END $$;
CREATE TRIGGER admin_log_append_only BEFORE UPDATE OR DELETE ON admin_log FOR EACH ROW EXECUTE FUNCTION admin_log_append_only();
CREATE TRIGGER admin_log_no_truncate BEFORE TRUNCATE ON admin_log FOR EACH STATEMENT EXECUTE FUNCTION admin_log_append_only();

CREATE FUNCTION log_admin_change(p_action text, p_kind text, p_id text, p_about text[], p_before jsonb, p_after jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
  INSERT INTO admin_log (actor, action, target_kind, target_id, about, before, after, correlation_id)
  VALUES (coalesce(nullif(current_setting('leaky.actor', true), ''), 'database'), p_action, p_kind, p_id,
          array_remove(p_about, NULL), p_before, p_after, nullif(current_setting('leaky.correlation', true), ''));
$$;

-- Arguments: what changed; kind of the target, or the column that has it; column with the target's id; columns with every id it is
-- about; columns to show.
CREATE FUNCTION log_row_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  old_row jsonb;
  new_row jsonb;
  the_row jsonb;
  before jsonb;
  after jsonb;
  verb text := CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'DELETE' THEN 'removed' ELSE 'changed' END;
BEGIN
  IF TG_OP <> 'INSERT' THEN
    old_row := to_jsonb(OLD);
    SELECT jsonb_object_agg(name, old_row -> name) INTO before FROM unnest(string_to_array(TG_ARGV[4], ',')) AS name WHERE old_row ? name;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    new_row := to_jsonb(NEW);
    SELECT jsonb_object_agg(name, new_row -> name) INTO after FROM unnest(string_to_array(TG_ARGV[4], ',')) AS name WHERE new_row ? name;
  END IF;
  IF TG_OP = 'UPDATE' AND new_row -> 'secret_hash' IS DISTINCT FROM old_row -> 'secret_hash' THEN
    verb := 'rotated';
  ELSIF TG_OP = 'UPDATE' AND before = after THEN
    RETURN NULL;
  END IF;
  the_row := coalesce(new_row, old_row);
  PERFORM log_admin_change(
    TG_ARGV[0] || '.' || verb, coalesce(the_row ->> TG_ARGV[1], TG_ARGV[1]), the_row ->> TG_ARGV[2],
    ARRAY(SELECT the_row ->> name FROM unnest(string_to_array(TG_ARGV[3], ',')) AS name), before, after);
  RETURN NULL;
END $$;

CREATE TRIGGER admin_log_user AFTER UPDATE OR DELETE ON users
  FOR EACH ROW EXECUTE FUNCTION log_row_change('user', 'user', 'id', 'id', 'username,disabled_at');
-- That everybody who registers is a USER is no change by anybody.
CREATE TRIGGER admin_log_role AFTER INSERT ON user_roles FOR EACH ROW WHEN (NEW.role <> 'USER')
  EXECUTE FUNCTION log_row_change('role', 'user', 'user_id', 'user_id', 'role');
CREATE TRIGGER admin_log_role_end AFTER UPDATE OR DELETE ON user_roles
  FOR EACH ROW EXECUTE FUNCTION log_row_change('role', 'user', 'user_id', 'user_id', 'role');
CREATE TRIGGER admin_log_key AFTER INSERT OR DELETE OR UPDATE OF user_id, org_id, name, tier, expires_at, secret_hash ON api_keys
  FOR EACH ROW EXECUTE FUNCTION
    log_row_change('key', 'key', 'id', 'id,user_id,org_id', 'user_id,org_id,name,tier,expires_at,previous_valid_until');
CREATE TRIGGER admin_log_org AFTER INSERT OR UPDATE OR DELETE ON orgs
  FOR EACH ROW EXECUTE FUNCTION log_row_change('org', 'org', 'id', 'id,created_by', 'name');
CREATE TRIGGER admin_log_member AFTER INSERT OR UPDATE OR DELETE ON org_members
  FOR EACH ROW EXECUTE FUNCTION log_row_change('member', 'org', 'org_id', 'org_id,user_id', 'user_id,role');
CREATE TRIGGER admin_log_tier AFTER INSERT OR UPDATE OR DELETE ON quota_policies
  FOR EACH ROW EXECUTE FUNCTION log_row_change('tier', 'owner_kind', 'owner_id', 'owner_id', 'tier,custom,zone');
CREATE TRIGGER admin_log_signing_key AFTER INSERT OR DELETE OR UPDATE OF retired_at ON signing_keys
  FOR EACH ROW EXECUTE FUNCTION log_row_change('signing_key', 'signing_key', 'kid', 'kid', 'created_at,retired_at');

-- OPEN -> ACCEPTED | DECLINED | REVOKED, once. Without `user_id`, `username` is a name that nobody has, and without both it is for
-- whoever has the link. What else must hold for one to be open: OPEN in adapters/postgres/invitations.ts.
CREATE TABLE org_invitations (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
  role text NOT NULL CHECK (role IN ('OWNER', 'MEMBER')),
  invited_by uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  user_id uuid REFERENCES users (id) ON DELETE CASCADE,
  -- As the inviter typed it, and folded as users.username_key is
  username text,
  username_key text,
  -- SHA-256 of the token in the link. The token itself is shown once and stored nowhere.
  token_hash bytea NOT NULL UNIQUE CHECK (length(token_hash) = 32),
  state text NOT NULL DEFAULT 'OPEN' CHECK (state IN ('OPEN', 'ACCEPTED', 'DECLINED', 'REVOKED')),
  ended_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  ended_at timestamptz,
  CHECK ((username IS NULL) = (username_key IS NULL)),
  CHECK ((state = 'OPEN') = (ended_at IS NULL))
);
CREATE INDEX org_invitations_of_org ON org_invitations (org_id, id);
CREATE UNIQUE INDEX org_invitations_one_open ON org_invitations (org_id, user_id) WHERE state = 'OPEN' AND user_id IS NOT NULL;
CREATE INDEX org_invitations_of_user ON org_invitations (user_id, id) WHERE state = 'OPEN';
CREATE INDEX org_invitations_of_name ON org_invitations (username_key) WHERE state = 'OPEN' AND user_id IS NULL;
CREATE INDEX org_invitations_by_inviter ON org_invitations (invited_by);
CREATE INDEX org_invitations_by_expiry ON org_invitations (expires_at);
CREATE TRIGGER admin_log_invitation AFTER INSERT OR UPDATE ON org_invitations FOR EACH ROW EXECUTE FUNCTION
  log_row_change('invitation', 'org', 'org_id', 'id,org_id,user_id,invited_by', 'id,role,user_id,username,expires_at,state,ended_by');

-- What names look like (UTS 39): two accounts must not look alike. Accounts of before get theirs at the next start of the auth
-- service, as far as it is free: null means that it was not, or that this did not happen yet.
ALTER TABLE users ADD COLUMN username_skeleton text;
CREATE UNIQUE INDEX users_username_skeleton_key ON users (username_skeleton);

CREATE INDEX orgs_by_creator ON orgs (created_by);

-- Organisations that are gone: a purchase that was on its way when its organisation was deleted must find no pool to fill, and so
-- ends with its payment released. Whoever deletes holds the lock exclusively and looks for pending tokens under it.
CREATE TABLE deleted_orgs (
  org_id uuid PRIMARY KEY,
  deleted_at timestamptz NOT NULL DEFAULT now()
);
CREATE FUNCTION allocations_of_orgs_that_are() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(hashtextextended(NEW.owner_id::text, 5));
  IF EXISTS (SELECT 1 FROM deleted_orgs WHERE org_id = NEW.owner_id) THEN
    RAISE EXCEPTION 'organisation % was deleted', NEW.owner_id;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER allocations_of_orgs_that_are BEFORE INSERT ON allocations FOR EACH ROW WHEN (NEW.owner_kind = 'org')
  EXECUTE FUNCTION allocations_of_orgs_that_are();
