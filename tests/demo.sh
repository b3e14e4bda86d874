#!/usr/bin/env bash
# demo.sh up|down - the shop, on whatever this machine is: with Docker where an engine answers, else as processes, for which
# missing programs are installed where that is possible. Ends with the page's address.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$HERE/..
SHOP=${DEMO_FOLDER:-$ROOT}

command -v cargo >/dev/null || {
  echo "demo: cargo is not on PATH: install Rust with rustup (rustup.rs) and run this again" >&2
  exit 1
}

# Docker answers on the socket that its own client would use.
engine_answers() { command -v docker >/dev/null && timeout 5 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

build() {
  echo "building ssi (a few minutes the first time)"
  (cd "$ROOT" && cargo build --quiet --locked --package clustergraph-ssi)
  SSI=${CARGO_TARGET_DIR:-$ROOT/target}/debug/ssi
}

case ${1:-up} in
up)
  if engine_answers; then
    # The tests' own engine has no way to Docker Hub; its images are in the registry beside it.
    case $("$HERE/machine/engine.sh" status 2>/dev/null) in *"of ours"*) eval "$("$HERE/machine/env.sh")" ;; esac
  elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    "$HERE/machine/packages.sh" demo
    "$HERE/machine/kafka.sh" >/dev/null
    eval "$("$HERE/machine/env.sh" | grep '^export PATH=')"
  fi
  build
  "$SSI" -C "$SHOP" up -d
  "$SSI" -C "$SHOP" ps
  address=$("$SSI" -C "$SHOP" ps | awk '$1 == "www" { print $NF }')
  echo
  echo "The shop is open: fill a cart and buy something; a card that pays is on the page, and nobody is charged."
  echo "Edit a file below $(realpath --relative-to="$PWD" "$SHOP")/services and run 'make demo' again; 'make demo-down' ends it. The page:"
  echo "$address"
  ;;
down)
  build
  "$SSI" -C "$SHOP" down --delete-data
  ;;
*) echo "usage: demo.sh up|down" >&2; exit 2 ;;
esac
