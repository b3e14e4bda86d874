#!/usr/bin/env bash
# env.sh - what the tests need to know, as lines for the shell:  eval "$(tests/machine/env.sh)"
# Prints only; what up.sh has not started is named all the same, or left out where the name would mislead.
set -euo pipefail
PROGRAM='env'
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/lib.sh"

# The engine of engine.sh listens on the default socket, unless that belongs to somebody.
if [ -n "${DOCKER_HOST:-}" ]; then
  printf 'export DOCKER_HOST=%q\n' "$DOCKER_HOST"
elif ours "$RUN/engine.process" >/dev/null && s=$(cat "$RUN/engine.socket" 2>/dev/null) && [ "$s" != /var/run/docker.sock ]; then
  printf 'export DOCKER_HOST=%q\n' "unix://$s"
fi
[ "${1:-}" != docker ] || exit 0
printf 'export CLUSTERGRAPH_MIRROR=%q\n' "$REGISTRY"
printf 'export CLUSTERGRAPH_REGISTRY=%q\n' "$REGISTRY/test"
printf 'export KOMANDAN_TEST_KUBECONFIG=%q\n' "$("$HERE/../cluster/up.sh" -k)"
# kubectl, and what the machine lacked
# shellcheck disable=SC2016
printf 'export PATH=%q:"$PATH"\n' "$TOOLS"
