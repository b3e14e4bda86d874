#!/usr/bin/env bash
# official.sh - the suites of databases and stacks on the images that everybody pulls, from the registry that
# CLUSTERGRAPH_OFFICIAL_IMAGES names (docker.io), instead of on the stand-ins. Needs a Docker engine and cargo, nothing else of
# up.sh. What the engine has under these names is replaced.
set -euo pipefail
PROGRAM=official
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/lib.sh"
cd "$HERE/../.."
: "${CLUSTERGRAPH_OFFICIAL_IMAGES:?say which registry has the official images, such as CLUSTERGRAPH_OFFICIAL_IMAGES=docker.io}"

for file in "$HERE"/images/*/name; do
  image=$CLUSTERGRAPH_OFFICIAL_IMAGES/$(cat "$file")
  docker pull -q "$image" >/dev/null || die "$image cannot be pulled"
  [ -z "$(docker image inspect --format '{{index .Config.Labels "clustergraph.recipe"}}' "$image")" ] || die "$image is a stand-in: $CLUSTERGRAPH_OFFICIAL_IMAGES is no registry of official images"
  stage "$image"
done
export CLUSTERGRAPH_MIRROR=$CLUSTERGRAPH_OFFICIAL_IMAGES
cargo build --quiet --locked --workspace
stage "the programs are built"
cargo test --locked --package clustergraph-tests --test databases -- in_a_container
cargo test --locked --package clustergraph-tests --test stacks -- in_containers
stage "the suites pass on the official images; note them in \`tested\` of graph/catalogue/databases/"
