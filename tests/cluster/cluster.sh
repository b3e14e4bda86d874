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

# CG_CLUSTER_API=only: nothing runs there, all nodes are KWOK's. What measures the API server shares the machine with nobody then.
real() { [ "${CG_CLUSTER_API:-}" != only ]; }

# apiserver PORT: the arguments of an API server of this cluster, words without blanks.
apiserver() {
  local p=$STATE/pki
  printf '%s\n' --etcd-servers=http://127.0.0.1:2379 --advertise-address="$NODE_IP" --bind-address=0.0.0.0 --secure-port="$1" \
    --client-ca-file="$p/ca.crt" --tls-cert-file="$p/apiserver.crt" --tls-private-key-file="$p/apiserver.key" \
    --kubelet-client-certificate="$p/apiserver-kubelet.crt" --kubelet-client-key="$p/apiserver-kubelet.key" --kubelet-certificate-authority="$p/ca.crt" \
    --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-key-file="$p/sa.pub" --service-account-signing-key-file="$p/sa.key" \
    --requestheader-client-ca-file="$p/front-ca.crt" --requestheader-allowed-names=front-proxy-client --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --requestheader-group-headers=X-Remote-Group --requestheader-username-headers=X-Remote-User \
    --proxy-client-cert-file="$p/front.crt" --proxy-client-key-file="$p/front.key" \
    --service-cluster-ip-range="$SERVICE_NET" --authorization-mode=Node,RBAC --allow-privileged=true \
    --enable-admission-plugins=NodeRestriction,PodNodeSelector,PodTolerationRestriction \
    --max-requests-inflight=1000 --max-mutating-requests-inflight=500 --profiling=false
}
