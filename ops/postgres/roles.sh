#!/usr/bin/env bash
# Run once by the image of PostgreSQL, when its data folder is new: the database, its owner, and a login for each service. Their rights
# are set by `leaky migrate`. Later: the same statements by hand, as the superuser.
set -euo pipefail

password() { cat "${SECRETS:-/run/secrets}/db-$1-password"; }

{
  for name in owner gateway auth tokens analytics worker; do
    printf "CREATE ROLE leaky_%s LOGIN PASSWORD '%s';\n" "$name" "$(password "$name")"
  done
  printf 'CREATE DATABASE leaky OWNER leaky_owner;\n'
  printf 'REVOKE ALL ON DATABASE leaky FROM PUBLIC;\n'
  printf 'GRANT CONNECT ON DATABASE leaky TO leaky_gateway, leaky_auth, leaky_tokens, leaky_analytics, leaky_worker;\n'
} | psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres
