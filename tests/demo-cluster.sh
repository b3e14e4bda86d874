#!/usr/bin/env bash
# demo-cluster.sh [CONTEXT] - the shop on a Kubernetes, changed and taken back under load: on the cluster of a context of your
# kubeconfig, whose registry CLUSTERGRAPH_REGISTRY names, else (as root on Debian) on a real Kubernetes that it makes here
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$HERE/.."

made=
finish() { [ -z "$made" ] || "$HERE/machine/down.sh" >/dev/null 2>&1 || true; }
trap finish EXIT

if [ $# = 1 ]; then
  [ -n "${CLUSTERGRAPH_REGISTRY:-}" ] || { echo "demo: CLUSTERGRAPH_REGISTRY names the registry that images are pushed to, and that $1 pulls from" >&2; exit 2; }
  KOMANDAN_TEST_KUBECONFIG=$(mktemp)
  trap 'rm -f "$KOMANDAN_TEST_KUBECONFIG"' EXIT
  kubectl config view --raw --minify --context="$1" >"$KOMANDAN_TEST_KUBECONFIG"
  export KOMANDAN_TEST_KUBECONFIG
elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  # What was up before stays up.
  case $("$HERE/machine/engine.sh" status 2>/dev/null) in *"of ours"*) ;; *) made=1 ;; esac
  "$HERE/machine/up.sh"
  eval "$("$HERE/machine/env.sh")"
else
  echo "demo: name a context of your kubeconfig: make demo-cluster CONTEXT=..." >&2
  exit 2
fi
cargo build --quiet --locked --package clustergraph-komandan
cargo run --quiet --locked --package clustergraph-tests --bin demo-cluster
