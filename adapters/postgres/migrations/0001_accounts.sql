-- Up Migration

CREATE TABLE users (
  id uuid PRIMARY KEY,
  username text NOT NULL,
  -- The folded name (NFKC, lower case) that must be unique. Folded by the program: lower() of a database in the C locale knows ASCII only.
  username_key text NOT NULL UNIQUE,
  -- Stored in lower case. Only the first ADMIN, which comes from configuration, may have none.
  email text UNIQUE CHECK (email = lower(email)),
  password_hash text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE roles (name text PRIMARY KEY);
INSERT INTO roles (name) VALUES ('USER'), ('ADMIN');

CREATE TABLE user_roles (
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role text NOT NULL REFERENCES roles (name),
  PRIMARY KEY (user_id, role)
);

CREATE TABLE orgs (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  created_by uuid NOT NULL REFERENCES users (id),
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE org_members (
  org_id uuid NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role text NOT NULL CHECK (role IN ('OWNER', 'MEMBER')),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (org_id, user_id)
);
CREATE INDEX org_members_by_user ON org_members (user_id);

CREATE TABLE api_keys (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  org_id uuid,
  name text NOT NULL,
  tier text,
  -- SHA-256 of the whole key. The key itself is shown once and stored nowhere.
  secret_hash bytea NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
  -- The secret before the last rotation, which works until the end of its grace.
  previous_hash bytea UNIQUE CHECK (length(previous_hash) = 32),
  previous_valid_until timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  last_used_at timestamptz,
  -- A key bound to an organisation exists only while its owner is a member, also when both change at once.
  FOREIGN KEY (org_id, user_id) REFERENCES org_members (org_id, user_id) ON DELETE CASCADE
);
CREATE INDEX api_keys_by_user ON api_keys (user_id);
CREATE INDEX api_keys_by_org_member ON api_keys (org_id, user_id) WHERE org_id IS NOT NULL;

-- Secrets that were revoked or rotated out. Caches learn of an ending by notification; this table tells one that was not
-- listening at that moment. Rows matter only as long as a token made from the secret may live.
CREATE TABLE api_key_endings (
  secret_hash bytea PRIMARY KEY,
  valid_until timestamptz NOT NULL
);
CREATE INDEX api_key_endings_by_time ON api_key_endings (valid_until);

CREATE TABLE signing_keys (
  kid text PRIMARY KEY,
  public_jwk jsonb NOT NULL,
  -- A JWE (dir, A256GCM) under the master key, or plain JSON without one. Erased when the key retires.
  private_jwk text,
  created_at timestamptz NOT NULL DEFAULT now(),
  retired_at timestamptz,
  CHECK ((retired_at IS NULL) = (private_jwk IS NOT NULL))
);
-- Two processes can never sign with two different active keys.
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys ((true)) WHERE retired_at IS NULL;
