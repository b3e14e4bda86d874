#!/usr/bin/env bash
# validators.sh - kubeconform and kube-score from their Go modules, into the cache (half a minute on two cores, once); prints
# the folder of both.
set -euo pipefail
PROGRAM=validators
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/lib.sh"
KUBECONFORM=v0.8.0 KUBE_SCORE=v1.20.0
FOLDER=$CACHE/tools/validators-$KUBECONFORM-$KUBE_SCORE
if [ ! -d "$FOLDER" ]; then
  NEW=$FOLDER.new
  rm -rf "$NEW"; mkdir -p "$NEW"
  for module in "github.com/yannh/kubeconform/cmd/kubeconform@$KUBECONFORM" "github.com/zegl/kube-score/cmd/kube-score@$KUBE_SCORE"; do
    GOBIN=$NEW CGO_ENABLED=0 GOFLAGS="-buildvcs=false -trimpath" go install -ldflags "-s -w" "$module" >&2
  done
  mv "$NEW" "$FOLDER"
fi
echo "$FOLDER"
