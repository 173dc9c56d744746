#!/usr/bin/env bash
# One Redis server. All its state is in DIR.
#   redis.sh install             nothing when redis-server is on PATH; else by apt, as root
#   redis.sh start DIR [PORT]    returns when it answers
#   redis.sh stop DIR
# Environment: REDIS_EXTRA (more lines of redis.conf, for instance "requirepass x" or TLS), LEAKY_SERVER_OWNER
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

install() { alone redis install_alone; }

install_alone() {
  command -v redis-server >/dev/null && return 0
  if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    fail "redis-server is not on PATH. Install Redis 6 or newer (Debian and Ubuntu: apt-get install redis-server)."
  fi
  say "Installing redis-server (once)"
  # Its package would start a server of its own, on the default port.
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  { apt-get -qq update && apt-get -qq install --yes --no-install-recommends redis-server; } >&2 </dev/null
}

start() { # start DIR [PORT]
  local dir=$1 port=${2:-6379}
  install
  cat >"$dir/redis.conf" <<CONF
port $port
bind 127.0.0.1
dir $dir
daemonize no
save ""
appendonly no
${REDIS_EXTRA:-}
CONF
  launch "$dir" redis TERM redis-server "$dir/redis.conf"
  await "$dir" redis 20 grep -q 'eady to accept connections' "$dir/redis.log"
  echo "Redis on 127.0.0.1:$port, process $(cat "$dir/redis.pid")"
}

stop() { halt "$1" redis TERM; }

dispatch "$@"
