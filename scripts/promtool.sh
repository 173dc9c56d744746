#!/usr/bin/env bash
# Prometheus' own checker of its files: promtool.sh ARGUMENTS... runs it; where it is missing it is installed by apt, as root.
source "$(dirname "${BASH_SOURCE[0]}")/servers/common.sh"

install_alone() {
  command -v promtool >/dev/null && return 0
  if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    fail "promtool is not on PATH. It comes with Prometheus (Debian and Ubuntu: apt-get install prometheus)."
  fi
  say "Installing promtool (once)"
  # Its package would start a server of its own, on the default port.
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  { apt-get -qq update && apt-get -qq install --yes --no-install-recommends prometheus; } >&2 </dev/null
}

alone promtool install_alone
exec promtool "$@"
