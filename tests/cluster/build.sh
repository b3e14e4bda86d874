#!/usr/bin/env bash
# build.sh - Kubernetes, etcd, containerd, CoreDNS and KWOK from their Go modules, and the two small programs of build/, into the
# cache. Cold 9 to 16 minutes on two cores; what is there already for the same sources is taken as it is (0.1 s).
# A set is published in one step, complete, under the hash of its sources: nobody ever sees half of one.
set -euo pipefail
PROGRAM=build
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/cluster.sh"

HASH=$( (cd "$HERE" && find build build.sh mkimage.py -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum; uname -m) | sha256sum | cut -c1-16)
SET=$KUBERNETES/sets/$HASH
mkdir -p "$KUBERNETES/sets"

publish() { ln -sfn "sets/$HASH" "$KUBERNETES/current.new"; mv -fT "$KUBERNETES/current.new" "$BIN"; ln -sfn "$BIN/kubectl" "$TOOLS/kubectl"; }
there() { [ -d "$SET" ] && { [ "$(readlink "$BIN")" = "sets/$HASH" ] || publish; }; }

if there; then stage "programs are there ($SET)"; exit; fi
alone "$KUBERNETES/sets"                           # two at a time would only share the cores
if there; then stage "programs were built meanwhile ($SET)"; exit; fi
for p in go gcc python3; do command -v $p >/dev/null || die "$p is missing: run tests/machine/packages.sh first"; done

NEW=$KUBERNETES/sets/.new
rm -rf "$NEW"; mkdir -p "$NEW"
# One set of flags for all modules: then the standard library, client-go, grpc ... are compiled once. (The go.mod files
# are kept on the same k8s.io versions for that reason.)
export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -trimpath -mod=readonly"
module() { # module FOLDER [GO BUILD ARGUMENT...]
  local folder=$1; shift
  (cd "$HERE/build/$folder" && go build -ldflags "-s -w ${VERSION:-}" "$@") >"$KUBERNETES/build.log" 2>&1 ||
    { tail -20 "$KUBERNETES/build.log" >&2; die "$folder does not build (all of it: $KUBERNETES/build.log)"; }
  stage "$folder"
}
K=k8s.io/kubernetes/cmd C=github.com/containerd/containerd/v2/cmd
# Clients decide by the server's version, which is known only to those who link it in.
V=$(sed -n 's,.*k8s.io/kubernetes \(v[0-9.]*\).*,\1,p' "$HERE/build/k8s/go.mod" | head -1); X=k8s.io/component-base/version
minor=${V#v1.}; minor=${minor%%.*}
VERSION="-X $X.gitVersion=$V -X $X.gitMajor=1 -X $X.gitMinor=$minor -X $X.gitTreeState=clean" \
  module k8s -o "$NEW/" $K/kube-apiserver $K/kube-controller-manager $K/kube-scheduler $K/kubelet $K/kube-proxy $K/kubectl
module etcd -o "$NEW/etcd" go.etcd.io/etcd/server/v3
module containerd -tags 'no_btrfs no_devmapper no_zfs no_aufs' -o "$NEW/" $C/containerd $C/containerd-shim-runc-v2 $C/ctr
module coredns -o "$NEW/coredns" .
module netpol -o "$NEW/netpol" .
module kwok -o "$NEW/kwok" sigs.k8s.io/kwok/cmd/kwok
# What its pods and nodes do is written in its module: pods are ready at once, those of Jobs end well, what is deleted goes.
stages=$(cd "$HERE/build/kwok" && go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
for i in "$stages"/pod/fast/pod-*.yaml "$stages"/node/{fast,heartbeat-with-lease}/node-*.yaml; do echo ---; cat "$i"; done >"$NEW/kwok.stages"
gcc -Os -static -s -o "$NEW/pause" "$HERE/build/pause.c"
# Images that every cluster needs and nobody pulls.
for i in pause coredns; do python3 "$HERE/mkimage.py" "localhost/$i:1" "$NEW/$i.tar" --entrypoint "/$i" -- "$NEW/$i:/$i"; done

rm -rf "$SET"; mv "$NEW" "$SET"
publish
# The set before this one stays, since a running cluster may use it; older ones go.
find "$KUBERNETES/sets" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' | sort -rn | tail -n +3 | cut -d' ' -f2- | xargs -r rm -rf
stage "published as $SET"
