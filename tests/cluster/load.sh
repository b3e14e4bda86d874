#!/usr/bin/env bash
# load.sh TAR... - images (of `docker save` or mkimage.py) into cluster CG_CLUSTER_N without a registry. Names in full
# (docker.io/demo/web:1), and imagePullPolicy Never or IfNotPresent.
set -euo pipefail
PROGRAM=load
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/cluster.sh"
for tar; do
  "$BIN/ctr" -a "$STATE/containerd.sock" -n k8s.io images import --local "$tar" >>"$STATE/log/import.log" 2>&1 || { tail -3 "$STATE/log/import.log" >&2; die "$tar cannot be loaded"; }
  stage "$tar"
done
