#!/usr/bin/env bash
# apiserver.sh PORT - becomes one more API server of cluster CG_CLUSTER_N, on the same etcd: for who wants to end one and
# start it again while others go on with the cluster's own. It is found by nobody who is not told its port.
#
#   CG_CLUSTER_N=5 tests/cluster/apiserver.sh 7001 &       https://10.200.5.2:7001, with the admin's certificate
set -euo pipefail
PROGRAM=apiserver
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/cluster.sh"

case ${1:-} in 7[0-9][0-9][0-9]) ;; *) die "usage: apiserver.sh PORT, from 7000 to 7999" ;; esac
need_root
init=$(ours "$INIT") || die "cluster $N is not up: run tests/cluster/up.sh first"
# No reconciler of endpoints: the Service `kubernetes` leads to the cluster's own server, and stays so.
mapfile -t arguments < <(apiserver "$1")
exec nsenter --target "$init" --net -- "$BIN/kube-apiserver" "${arguments[@]}" --endpoint-reconciler-type=none
