# shellcheck shell=bash disable=SC2034    # the scripts that source this use what it sets
# Names and places of test cluster number CG_CLUSTER_N (0..49; several run side by side). Sourced, never run.
. "$(dirname "${BASH_SOURCE[0]}")/../machine/lib.sh"

N=${CG_CLUSTER_N:-0}
case $N in [0-9] | [1-4][0-9]) ;; *) die "CG_CLUSTER_N must be a number from 0 to 49, not '$N'" ;; esac
NAME=clustergraph-$N                      # control groups, the host's end of the veth (15 characters at most)
KUBERNETES=$CACHE/kubernetes
BIN=$KUBERNETES/current                   # a link to a complete set of programs, see build.sh
STATE=$KUBERNETES/state-$N
KUBECONFIG_OF_BOX=$STATE/admin.kubeconfig
INIT=$RUN/cluster-$N.process              # the box's first process, as this machine sees it
HOST_IP=10.200.$N.1 NODE_IP=10.200.$N.2   # the two ends of the veth
POD_NET=10.$((100 + N)).0.0/16
SERVICE_NET=10.$((150 + N)).0.0/16 API_IP=10.$((150 + N)).0.1 DNS_IP=10.$((150 + N)).0.10
VOLUMES=40
QPS=${CG_CLUSTER_QPS:-200}                # requests a second of the controller-manager; its own default is 20

k() { "$BIN/kubectl" --kubeconfig "$KUBECONFIG_OF_BOX" "$@"; }
