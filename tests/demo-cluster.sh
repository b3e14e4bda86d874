#!/usr/bin/env bash
# demo-cluster.sh [CONTEXT] - the shop on a Kubernetes, changed and taken back under load: on the cluster of a context of your
# kubeconfig, whose registry CLUSTERGRAPH_REGISTRY names; else on one of kind's, where that is installed and Docker and Docker Hub
# answer; else (as root on Debian) on a real Kubernetes that it makes here
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$HERE/.."

made=
finish() {
  case $made in
    kind) "$HERE/demo/kind.sh" down ;;
    machine) "$HERE/machine/down.sh" >/dev/null 2>&1 || true ;;
  esac
}
# kind takes its node's image from Docker Hub, and so does the shop.
has_kind() {
  command -v kind >/dev/null && docker info >/dev/null 2>&1 && curl --silent --max-time 5 --output /dev/null https://registry-1.docker.io/v2/
}
trap finish EXIT

if [ $# = 1 ]; then
  [ -n "${CLUSTERGRAPH_REGISTRY:-}" ] || { echo "demo: CLUSTERGRAPH_REGISTRY names the registry that images are pushed to, and that $1 pulls from" >&2; exit 2; }
  KOMANDAN_TEST_KUBECONFIG=$(mktemp)
  trap 'rm -f "$KOMANDAN_TEST_KUBECONFIG"' EXIT
  kubectl config view --raw --minify --context="$1" >"$KOMANDAN_TEST_KUBECONFIG"
  export KOMANDAN_TEST_KUBECONFIG
elif has_kind; then
  made=kind
  "$HERE/demo/kind.sh" down
  kind=$("$HERE/demo/kind.sh" up)
  eval "$kind"
elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  # What was up before stays up.
  case $("$HERE/machine/engine.sh" status 2>/dev/null) in *"of ours"*) ;; *) made=machine ;; esac
  "$HERE/machine/up.sh"
  eval "$("$HERE/machine/env.sh")"
else
  echo "demo: install kind, or name a context of your kubeconfig: make demo-cluster CONTEXT=..." >&2
  exit 2
fi
cargo build --quiet --locked --package clustergraph-komandan
cargo run --quiet --locked --package clustergraph-tests --bin demo-cluster
