#!/usr/bin/env bash
# up.sh - everything that the end-to-end tests need beyond cargo, on a bare Debian 12 machine with root and package
# registries: packages, a Docker engine, a registry with the stand-in images, and a real Kubernetes cluster (number
# CG_CLUSTER_N, default 0). What is there or up already is taken as it is: 8 s with a warm cache, under one when all is up.
# The first run on a machine builds Kubernetes (9 to 16 minutes on two cores), beside which all else takes about three.
# down.sh ends what this started. env.sh prints what tests need to know.
#
#   up.sh [--no-cluster]     the cluster is built, but not started: at rest it takes a core from whatever runs beside it
set -euo pipefail
PROGRAM=up
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/lib.sh"
CLUSTER=$HERE/../cluster
with_cluster=1
[ "${1:-}" != --no-cluster ] || with_cluster=
need_root
began=$STAGE_BEGAN

# The long build first, beside all that follows, unless it needs packages itself.
build=
start_build() { setsid nice -n 5 "$CLUSTER/build.sh" & build=$!; }
if command -v go >/dev/null && command -v gcc >/dev/null && command -v python3 >/dev/null; then start_build; fi
# Who leaves early must not leave a build behind, with its compilers.
trap '[ -z "$build" ] || kill -- "-$build" 2>/dev/null || true' EXIT
"$HERE/packages.sh"
[ -n "$build" ] || start_build

"$HERE/registry.sh" up & registry=$!
"$HERE/engine.sh" up & engine=$!
wait $engine || die "no Docker engine"
wait $registry || die "no registry"
"$HERE/images.sh" & images=$!
wait "$build" || { kill $images 2>/dev/null || true; die "Kubernetes could not be built"; }
build=
if [ -n "$with_cluster" ]; then "$CLUSTER/up.sh" & else true & fi
cluster=$!
wait $images || { wait $cluster || true; die "not all images are there"; }
wait $cluster || die "no cluster"
STAGE_BEGAN=$began
stage "all of it is up; for the tests:  eval \"\$($(realpath --relative-to="$PWD" "$HERE")/env.sh)\""
"$HERE/env.sh"
