#!/usr/bin/env bash
# kind.sh up|down - a Kubernetes of kind (0.27 or later) in Docker with a registry beside it, for the demo; `up` prints what to evaluate
set -euo pipefail
NAME=clustergraph-demo
REGISTRY=$NAME-registry
PORT=${CLUSTERGRAPH_DEMO_REGISTRY_PORT:-5001}
KUBECONFIG=${TMPDIR:-/tmp}/$NAME.kubeconfig
export KUBECONFIG

case ${1:-} in
up)
  docker run --detach --name "$REGISTRY" --publish "127.0.0.1:$PORT:5000" registry:3 >&2
  kind create cluster --name "$NAME" --wait 180s >&2
  docker network connect kind "$REGISTRY" >&2
  # What this machine calls localhost, the node finds by the registry's name.
  for node in $(kind get nodes --name "$NAME"); do
    docker exec "$node" mkdir -p "/etc/containerd/certs.d/localhost:$PORT"
    docker exec --interactive "$node" cp /dev/stdin "/etc/containerd/certs.d/localhost:$PORT/hosts.toml" <<<"[host.\"http://$REGISTRY:5000\"]"
  done
  echo "export KOMANDAN_TEST_KUBECONFIG=$KUBECONFIG CLUSTERGRAPH_REGISTRY=localhost:$PORT/demo"
  ;;
down)
  kind delete cluster --name "$NAME" >&2 || true
  docker rm --force --volumes "$REGISTRY" >/dev/null 2>&1 || true
  rm -f "$KUBECONFIG"
  ;;
*)
  echo "kind.sh: up or down" >&2
  exit 2
  ;;
esac
