#!/usr/bin/env bash
# down.sh - end what up.sh started: the cluster (number CG_CLUSTER_N), the engine and the registry, with all that they
# left in the system. What was there before stays, and so does the cache. Twice is fine.
set -euo pipefail
PROGRAM=down
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/lib.sh"

"$HERE/../cluster/down.sh" & cluster=$!
"$HERE/engine.sh" down & engine=$!
"$HERE/registry.sh" down & registry=$!
failed=0
for p in $cluster $engine $registry; do wait "$p" || failed=1; done
rmdir "$RUN" 2>/dev/null || true         # unless other clusters still run
[ $failed = 0 ] || die "not all of it ended"
stage "all of it has ended"
