#!/usr/bin/env bash
# down.sh - end cluster CG_CLUSTER_N and take away every trace of it: processes, control groups, network, state. Twice is
# fine, and so is a cluster whose processes were killed.
set -euo pipefail
PROGRAM=cluster
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/cluster.sh"

if init=$(ours "$INIT"); then
  need_root
  kill -KILL "$init"                 # the first process of its PID namespace: the kernel ends all the others
  for ((i = 0; i < 200; i++)); do ours "$INIT" >/dev/null || break; sleep 0.02; done
fi
if [ ! -e "$STATE" ] && [ ! -e "$INIT" ] && ! ip link show "$NAME" >/dev/null 2>&1 && ! nft list table ip "${NAME//-/_}" >/dev/null 2>&1; then
  stage "number $N is not up"; exit
fi
need_root
cgroup_end "$NAME-system"
cgroup_end "$NAME"
ip link delete "$NAME" 2>/dev/null || true            # usually gone with the namespace at its other end, and its routes with it
nft delete table ip "${NAME//-/_}" 2>/dev/null || true
unmount_below "$STATE"
rm -rf --one-file-system "$STATE"
rm -f "$INIT"
stage "number $N ended"
