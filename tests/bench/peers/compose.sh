#!/usr/bin/env bash
# compose.sh - Docker Compose from its Go module, into the cache (about five minutes on two cores, once); prints where it is.
# Benchmarks show its times beside ours; a machine without Go or without the module leaves that column empty.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${CLUSTERGRAPH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/clustergraph}
VERSION=$(sed -n 's,^\s*github.com/docker/compose/v2 v\([0-9.]*\).*,\1,p' "$HERE/compose/go.mod")
PROGRAM=$CACHE/tools/compose-$VERSION
if [ ! -x "$PROGRAM" ]; then
  mkdir -p "$CACHE/tools"
  (cd "$HERE/compose" &&
    CGO_ENABLED=0 GOFLAGS="-buildvcs=false -trimpath -mod=readonly" \
      go build -ldflags "-s -w -X github.com/docker/compose/v2/internal.Version=v$VERSION" -o "$PROGRAM.new" github.com/docker/compose/v2/cmd) >&2
  mv "$PROGRAM.new" "$PROGRAM"
fi
echo "$PROGRAM"
