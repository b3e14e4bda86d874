#!/usr/bin/env bash
# box.sh - the first process of a cluster's box (its own network, mount and PID namespace). Started by up.sh, which sets
# the variables; ending it ends everything in the box.
set -uo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/cluster.sh"

mount --make-rprivate /; mount --make-rshared /       # a peer group of our own: mounts propagate into pods, none leaks out
mount -t tmpfs -o mode=755 tmpfs /run                 # private: shim sockets, network namespaces, xtables lock, addresses
mkdir -p /run/containerd /run/netns /run/cni-ipam /var/lib/kubelet /var/log/pods /var/log/containers /var/lib/cni /etc/cni
mount --bind "$STATE/kubelet" /var/lib/kubelet
mount --bind "$STATE/varlog/pods" /var/log/pods
mount --bind "$STATE/varlog/containers" /var/log/containers
mount -t tmpfs tmpfs /var/lib/cni; mount -t tmpfs tmpfs /etc/cni

# The other end of the veth comes from up.sh.
until ip link show eth0 >/dev/null 2>&1; do sleep 0.02; done
ip link set lo up; ip addr add "$NODE_IP/24" dev eth0; ip link set eth0 up
ip route add default via "$HOST_IP"                   # a ClusterIP needs some route before it is translated
sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1 net.ipv4.conf.all.route_localnet=1

export PATH=$PROGRAMS:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy ALL_PROXY all_proxy
ulimit -n 1048576 2>/dev/null

port() { until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do sleep 0.05; done; }
ready() { until curl -fsk --noproxy '*' "https://127.0.0.1:$1/readyz" >/dev/null; do sleep 0.1; done; }
sock() { until [ -S "$1" ]; do sleep 0.05; done; }
# keep NAME GATE ARGUMENT COMMAND...: start it once the gate opens, and again whenever it ends.
keep() {
  local name=$1 gate=$2 at=$3; shift 3
  (
    "$gate" "$at"
    while :; do "$@" >>"$STATE/log/$name.log" 2>&1 </dev/null; echo "--- $name ended with $?" >>"$STATE/log/$name.log"; sleep 0.3; done
  ) &
}
as() { printf -- '--kubeconfig %s --authentication-kubeconfig %s --authorization-kubeconfig %s' "$STATE/$1.kubeconfig" "$STATE/$1.kubeconfig" "$STATE/$1.kubeconfig"; }

# Volumes without a provisioner: what a deleted claim leaves behind is emptied and offered again, so that namespaces can
# come and go. Kubernetes releases a volume only after the last pod that had it; but news may be old when it is read, and
# what a living claim holds must never be emptied: so the claim is looked for, and the change names the one that is gone.
recycle() {
  local name phase namespace claim uid folder
  export KUBECONFIG=$KUBECONFIG_OF_BOX
  kubectl get pv --watch -o 'jsonpath={.metadata.name} {.status.phase} {.spec.claimRef.namespace} {.spec.claimRef.name} {.spec.claimRef.uid}{"\n"}' |
    while read -r name phase namespace claim uid; do
      if [ "$phase" != Released ] || [ -z "$uid" ]; then continue; fi
      [ "$(kubectl -n "$namespace" get pvc "$claim" --ignore-not-found -o 'jsonpath={.metadata.uid}')" != "$uid" ] || continue
      folder=$STATE/volumes/$name
      find "$folder" -mindepth 1 -delete; chown 0:0 "$folder"; chmod 0777 "$folder"
      kubectl patch pv "$name" --type json -p "[{\"op\":\"test\",\"path\":\"/spec/claimRef/uid\",\"value\":\"$uid\"},{\"op\":\"remove\",\"path\":\"/spec/claimRef\"}]" || true
    done
}

P=$STATE/pki
# shellcheck disable=SC2046
{
  # No fsync: this database ends with its box.
  keep etcd true . etcd --name n --data-dir "$STATE/etcd" --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster n=http://127.0.0.1:2380 \
    --unsafe-no-fsync --log-level warn --heartbeat-interval 100 --election-timeout 500
  keep apiserver port 2379 kube-apiserver $(apiserver 6443)
  # The controller-manager's default of 20 requests a second would be what the tests measure.
  keep kcm ready 6443 kube-controller-manager $(as kcm) --leader-elect=false --use-service-account-credentials=true \
    --service-account-private-key-file "$P/sa.key" --root-ca-file "$P/ca.crt" --cluster-signing-cert-file "$P/ca.crt" --cluster-signing-key-file "$P/ca.key" \
    --allocate-node-cidrs=false --kube-api-qps "$QPS" --kube-api-burst "$((QPS * 2))" --bind-address 127.0.0.1
  keep sched ready 6443 kube-scheduler $(as sched) --leader-elect=false --kube-api-qps 200 --kube-api-burst 400 --bind-address 127.0.0.1
  if real; then
    keep containerd true . containerd -c "$STATE/containerd.toml" --log-level info
    keep kubelet sock "$STATE/containerd.sock" kubelet --config "$STATE/kubelet.yaml" --kubeconfig "$STATE/kubelet.kubeconfig" --hostname-override node1 \
      --node-ip "$NODE_IP" --root-dir /var/lib/kubelet --oom-score-adj 0 --v 1
    keep proxy ready 6443 kube-proxy --config "$STATE/proxy.yaml"
    keep netpol ready 6443 netpol -kubeconfig "$KUBECONFIG_OF_BOX"          # NetworkPolicies, see build/netpol
  fi
  keep volumes ready 6443 recycle
  # Nodes without a kubelet, on which pods only say that they run: for what is about the API alone, in any number. A
  # namespace asks for them by its annotations (tests/harness/namespace.rs).
  keep kwok ready 6443 kwok --kubeconfig "$KUBECONFIG_OF_BOX" --config "$PROGRAMS/kwok.stages" \
    --manage-nodes-with-label-selector type=kwok --node-lease-duration-seconds 40 --cidr 10.250.0.0/16 --v WARN
}
while :; do wait -n 2>/dev/null || sleep 1; done      # as PID 1, bash reaps orphans
