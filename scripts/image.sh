#!/usr/bin/env bash
# The steps of the Dockerfile, so that a test can run the very same ones without a Docker engine. Each works in the current folder.
#   image.sh dependencies   the packages that the services run on, in node_modules/
#   image.sh program        everything else that they need, in out/; wants all packages and the sources
set -euo pipefail

# Optional packages are the embedded PostgreSQL and compilers. Nothing that is left builds or downloads anything at its install.
dependencies() {
  npm ci --omit=dev --omit=optional --ignore-scripts
  # Temporal's engine comes for every platform, with its sources: 110 of 330 MB.
  local engine=node_modules/@temporalio/core-bridge
  find $engine/releases -mindepth 1 -maxdepth 1 ! -name "$(uname -m)-unknown-linux-gnu" -exec rm -r {} +
  [ -f "$engine/releases/$(uname -m)-unknown-linux-gnu/index.node" ]
  rm -r $engine/sdk-core
}

# Beside the compiled code: package files, migrations and whatever else is no source.
program() {
  node scripts/build.mjs
  mkdir out
  find . \( -path ./node_modules -o -path ./out -o -path ./scripts \) -prune -o -type f ! -name '*.ts' ! -name tsconfig.json -exec cp --parents {} out/ \;
}

"$1"
