#!/usr/bin/env bash
# up.sh - a real Kubernetes of one node, on which pods really run, from the programs of build.sh: number CG_CLUSTER_N
# (default 0), several side by side, 7 to 10 s from nothing. What is up already stays as it is.
#
#   tests/cluster/up.sh; export KUBECONFIG=$(tests/cluster/up.sh -k)
#
# The cluster lives in one box: its own network, mount and PID namespaces and control groups. It neither sees nor touches
# the Docker engine's rules, /run/containerd, /var/lib/kubelet ...; killing the box's first process ends everything.
# The host reaches pods and ClusterIPs by route; the box reaches nothing but, at its gateway, the registry of
# tests/machine: images named 127.0.0.1:5000/... are pulled from there.
set -euo pipefail
PROGRAM=cluster
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/cluster.sh"

if [ "${1:-}" = -k ]; then echo "$KUBECONFIG_OF_BOX"; exit; fi
[ $# = 0 ] || die "usage: up.sh [-k]"
need_root
[ -x "$BIN/kubelet" ] || die "no programs yet: run tests/cluster/build.sh first"
alone "$KUBERNETES/lock-$N"

if ours "$INIT" >/dev/null; then
  if [ "$(sed -n 2p "$INIT")" != "$STATE" ]; then die "cluster $N runs from another cache ($(sed -n 2p "$INIT")): choose another CG_CLUSTER_N"; fi
  if k get --raw /readyz >/dev/null 2>&1 && { ! real || k wait --for=condition=Ready node/node1 --timeout=5s >/dev/null 2>&1; }; then
    stage "number $N is already up"; echo "KUBECONFIG=$KUBECONFIG_OF_BOX"; exit
  fi
fi
"$HERE/down.sh" >/dev/null           # what a dead or broken one left
mkdir -p "$STATE"/{log,etcd,containerd,kubelet,cni,certs.d/"$REGISTRY",varlog/pods,varlog/containers,manifests,volumes}
chmod 700 "$STATE/etcd"
"$HERE/pki.sh"
stage "certificates"

# ---- configuration
cat >"$STATE/containerd.toml" <<Y
version = 3
root = "$STATE/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.native", "io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "$STATE/containerd.sock"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "localhost/pause:1"
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = "$STATE/certs.d"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true      # a root without CAP_SYS_RESOURCE may not lower oom_score_adj below its own (pause asks for -998)
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/usr/lib/cni", "/opt/cni/bin"]
    conf_dir = "$STATE/cni"
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = "/usr/sbin/runc"
        SystemdCgroup = false
Y
# In the box 127.0.0.1 is the box: the host's registry is asked at the host's end of the veth.
cat >"$STATE/certs.d/$REGISTRY/hosts.toml" <<Y
server = "http://$HOST_IP:${REGISTRY#*:}"
[host."http://$HOST_IP:${REGISTRY#*:}"]
  capabilities = ["pull", "resolve"]
Y
# One node: a fixed pod network, so no allocation to wait for.
cat >"$STATE/cni/10-bridge.conflist" <<Y
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
 {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
  "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam", "ranges": [[{"subnet": "$POD_NET"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
Y
echo "nameserver 127.0.0.53" >"$STATE/resolv.conf"       # nobody answers there: nothing outside is ever resolved
cat >"$STATE/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false                   # 1.35 and later refuse cgroup v1 without this
cgroupDriver: cgroupfs                # there may be no systemd
cgroupRoot: /$NAME
containerRuntimeEndpoint: unix://$STATE/containerd.sock
failSwapOn: false
authentication: {anonymous: {enabled: false}, webhook: {enabled: true, cacheTTL: 10s}, x509: {clientCAFile: $STATE/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $STATE/pki/kubelet-server.crt
tlsPrivateKeyFile: $STATE/pki/kubelet-server.key
clusterDomain: cluster.local
clusterDNS: [$DNS_IP]
resolvConf: $STATE/resolv.conf
staticPodPath: $STATE/manifests
maxPods: 250
serializeImagePulls: false
imagePullCredentialsVerificationPolicy: NeverVerify   # else an image once pulled counts no longer as loaded under its other names
registryPullQPS: 0
eventRecordQPS: 0
kubeAPIQPS: 200
kubeAPIBurst: 400
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi, nodefs.available: "0%", imagefs.available: "0%", nodefs.inodesFree: "0%", imagefs.inodesFree: "0%"}
shutdownGracePeriod: 0s
Y
cat >"$STATE/proxy.yaml" <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ${CG_CLUSTER_PROXY:-iptables}   # or nftables
hostnameOverride: node1
oomScoreAdj: 0
clusterCIDR: $POD_NET
clientConnection: {kubeconfig: $STATE/proxy.kubeconfig, qps: 100, burst: 200}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}   # leave the host's settings alone
syncPeriod: 30s
iptables: {minSyncPeriod: 0s}
nftables: {minSyncPeriod: 0s}
Y
# Volumes are folders that anyone may write to, like those of the usual local provisioners.
volumes() {
  printf '{"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "Immediate", "reclaimPolicy": "Retain"}\n'
  local i name
  for ((i = 0; i < VOLUMES; i++)); do
    name=volume-$(printf %02d $i); mkdir -p "$STATE/volumes/$name"; chmod 0777 "$STATE/volumes/$name"
    printf '{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "%s"}, "spec": {"storageClassName": "standard", "capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce", "ReadWriteMany"], "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "%s", "type": "Directory"}}}\n' "$name" "$STATE/volumes/$name"
  done
}
volumes >"$STATE/volumes.json"

# ---- the box
cgroup_make "$NAME"; cgroup_make "$NAME-system"          # pods; everything else
(
  cgroup_join "$NAME-system"          # in every hierarchy the same, or kubelet refuses
  export CLUSTERGRAPH_CACHE=$CACHE CG_CLUSTER_N=$N CG_CLUSTER_API=${CG_CLUSTER_API:-}
  PROGRAMS=$(readlink -f "$BIN"); export PROGRAMS
  detach "$STATE/log/box.log" unshare --net --mount --pid --fork --kill-child --mount-proc bash "$HERE/box.sh"
) &
outer=$!
disown $outer
init=
for ((i = 0; i < 200; i++)); do init=$(pgrep -P $outer || true); [ -z "$init" ] || break; sleep 0.02; done
[ -n "$init" ] || { cat "$STATE/log/box.log" >&2; die "the box did not start"; }
remember "$INIT" "$init"
echo "$STATE" >>"$INIT"
ip link add "$NAME" type veth peer name eth0 netns "$init"
ip addr add "$HOST_IP/24" dev "$NAME"; ip link set "$NAME" up
ip route replace "$POD_NET" via "$NODE_IP"; ip route replace "$SERVICE_NET" via "$NODE_IP"
# The registry listens on loopback only; for this interface, and no other, the gateway's port leads there.
echo 1 >"/proc/sys/net/ipv4/conf/$NAME/route_localnet"
nft -f - <<Y
table ip ${NAME//-/_} {
  chain registry {
    type nat hook prerouting priority dstnat
    iifname "$NAME" ip daddr $HOST_IP tcp dport ${REGISTRY#*:} dnat to $REGISTRY
  }
}
Y
stage "configuration, network, control groups"

logged() { "$@" >"$STATE/log/up.log" 2>&1 || { tail -5 "$STATE/log/up.log" >&2; die "failed: $*"; }; }
alive() { ours "$INIT" >/dev/null || { tail -5 "$STATE"/log/*.log >&2; die "the box ended (logs: $STATE/log)"; }; }
if real; then
  until "$BIN/ctr" -a "$STATE/containerd.sock" version >/dev/null 2>&1; do alive; sleep 0.1; done
  for i in pause coredns; do logged "$BIN/ctr" -a "$STATE/containerd.sock" -n k8s.io images import --local "$BIN/$i.tar"; done
  stage "containerd answers, with its two images"
fi
until k get --raw /readyz >/dev/null 2>&1; do alive; sleep 0.1; done
stage "API server ready"
if ! real; then
  until k create -f "$HERE/kwok.yaml" >"$STATE/log/apply.log" 2>&1; do alive; sleep 0.2; done
  logged k create -f "$STATE/volumes.json"
  until k -n default get serviceaccount default >/dev/null 2>&1; do alive; sleep 0.1; done
  stage "number $N is up, without a node on which anything runs"
  echo "KUBECONFIG=$KUBECONFIG_OF_BOX"; exit
fi
until sed "s/@DNS_IP@/$DNS_IP/" "$HERE/coredns.yaml" | k apply -f - >"$STATE/log/apply.log" 2>&1; do alive; sleep 0.2; done
logged k create -f "$STATE/volumes.json" -f "$HERE/kwok.yaml"
stage "DNS and $VOLUMES volumes applied"
until k get node node1 >/dev/null 2>&1; do alive; sleep 0.1; done
logged k wait --for=condition=Ready node/node1 --timeout=60s
stage "node ready"
until k -n default get serviceaccount default >/dev/null 2>&1; do alive; sleep 0.1; done
logged k -n kube-system rollout status deploy/coredns --timeout=60s
# Services answer only once kube-proxy has seen them: the first is asked here, not in somebody's test.
until (exec 3<>"/dev/tcp/$DNS_IP/53") 2>/dev/null; do alive; sleep 0.05; done
stage "number $N is up"
echo "KUBECONFIG=$KUBECONFIG_OF_BOX"
