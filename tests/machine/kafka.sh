#!/usr/bin/env bash
# kafka.sh [list] - Kafka's jars into the user's cache, where `ssi setup` would put them, and prints the folder. Which they
# are, and their hashes, says the catalogue (`list` prints them only). All there: nothing to do.
set -euo pipefail
PROGRAM=kafka
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/lib.sh"

VERSION=4.1
TO=$CACHE/servers/kafka-$VERSION
ENTRY=$HERE/../../graph/catalogue/databases/kafka.yaml
MAVEN=https://repo1.maven.org/maven2

# Lines `"group:artifact:version": hash` as `hash path`.
wanted() {
  awk -v version="\"$VERSION\":" '
    $1 == version && NF == 1 { on = 1; next }
    on && $0 !~ /^        "/ { exit }
    on {
      gsub(/[":]+$|"/, "", $1); split($1, c, ":"); gsub(/\./, "/", c[1])
      printf "%s  %s/%s/%s/%s-%s.jar\n", $2, c[1], c[2], c[3], c[2], c[3]
    }' "$ENTRY"
}

mapfile -t all < <(wanted)
[ ${#all[@]} -gt 0 ] || die "$ENTRY names no jars of Kafka $VERSION"
if [ "${1:-}" = list ]; then printf '%s\n' "${all[@]}"; exit; fi
list=$TO/.complete
key=$(printf '%s\n' "${all[@]}" | sha256sum)
if [ "$(cat "$list" 2>/dev/null)" != "$key" ]; then
  command -v curl >/dev/null || die "no curl: run packages.sh first"
  alone "$CACHE/servers"
  draft=$TO.new
  rm -rf "$draft"; mkdir -p "$draft/libs"
  printf '%s\n' "${all[@]}" | awk -v m="$MAVEN" -v d="$draft/libs" '{ n = split($2, p, "/"); printf "url = \"%s/%s\"\noutput = \"%s/%s\"\n", m, $2, d, p[n] }' |
    curl --no-progress-meter --fail --location --retry 3 --parallel --parallel-max 8 --config - || die "the jars of Kafka $VERSION could not be fetched from $MAVEN"
  printf '%s\n' "${all[@]}" | awk -v d="$draft/libs" '{ n = split($2, p, "/"); printf "%s  %s/%s\n", $1, d, p[n] }' | sha256sum --check --quiet >&2 || die "a jar of Kafka is not what the catalogue says"
  printf '%s\n' "$key" >"$draft/.complete"
  rm -rf "$TO"; mv "$draft" "$TO"
fi
echo "$TO"
