#!/usr/bin/env bash
# git.sh - a git that knows references in tables (2.45 and later), for the tests of such repositories; prints the folder of
# the program. The machine's own where it is new enough, else Debian 13's with the libraries that it was built for, in the
# cache (12 MB, five seconds, once).
set -euo pipefail
PROGRAM='git'
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/lib.sh"

knows_tables() { local probe; probe=$(mktemp -d) && "$1" init --quiet --ref-format=reftable "$probe" 2>/dev/null; local code=$?; rm -rf "$probe"; return $code; }

if own=$(command -v git) && knows_tables "$own"; then dirname "$own"; exit; fi
FOLDER=$CACHE/tools/git-13
if ! { [ -x "$FOLDER/bin/git" ] && knows_tables "$FOLDER/bin/git"; }; then
  NEW=$FOLDER.new
  rm -rf "$NEW" "$FOLDER"; mkdir -p "$NEW"/{apt/state/lists/partial,apt/cache/archives/partial,bin}
  # The machine's own source of packages, of the next release.
  host=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -1)
  case $host in *archive/debian/*) host=http://deb.debian.org/debian ;; esac   # a day of the past has not the next release
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${host%/} trixie main" >"$NEW/apt/sources.list"
  APT=(-q -q -o "Dir::State=$NEW/apt/state" -o Dir::State::status=/dev/null -o "Dir::Cache=$NEW/apt/cache"
    -o "Dir::Etc::sourcelist=$NEW/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o APT::Sandbox::User=root)
  apt-get "${APT[@]}" update >&2
  (cd "$NEW" && apt-get "${APT[@]}" download git libc6 libpcre2-8-0 zlib1g) >&2
  for package in "$NEW"/*.deb; do dpkg-deb -x "$package" "$NEW"; rm "$package"; done
  rm -rf "$NEW/apt" "$NEW/usr/share"
  # What git starts by name: its scripts, and itself as the ends of a connection.
  mkdir "$NEW/core"
  grep -lIr . "$NEW/usr/lib/git-core" | xargs cp -t "$NEW/core"
  for name in git git-upload-pack git-receive-pack; do ln -s ../bin/git "$NEW/core/$name"; done
  cat >"$NEW/bin/git" <<'WRAPPER'
#!/bin/sh
# git with the libraries that it was built for; by another name it is that subcommand.
here=$(dirname "$(dirname "$(readlink -f "$0")")")
export GIT_EXEC_PATH="$here/core" GIT_TEMPLATE_DIR=
case ${0##*/} in git-*) command=${0##*/git-}; set -- "$command" "$@" ;; esac
exec "$here"/usr/lib64/ld-linux-*.so.2 --library-path "$(echo "$here"/usr/lib/*-linux-gnu)" "$here/usr/bin/git" "$@"
WRAPPER
  chmod +x "$NEW/bin/git"
  mv "$NEW" "$FOLDER"
  knows_tables "$FOLDER/bin/git" || die "the git of Debian 13 does not run here"
fi
echo "$FOLDER/bin"
