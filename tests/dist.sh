#!/usr/bin/env bash
# dist.sh - what `make dist` and `make install` give: programs that need nothing of the system they run on. They are run in
# a container that holds nothing else.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$HERE/.."
WORK=$(mktemp -d)
image=clustergraph-dist-test-$$
cleanup() { docker image rm --force "$image" >/dev/null 2>&1 || true; rm -rf "$WORK"; }
trap cleanup EXIT
passed=0 failed=0
check() { # check SENTENCE COMMAND...
  local sentence=$1; shift
  if "$@" >"$WORK/output" 2>&1; then passed=$((passed + 1)); echo "ok: $sentence"; else failed=$((failed + 1)); echo "FAILED: $sentence"; cat "$WORK/output"; fi
}

# How well the programs are optimised is no question here, and optimising would take longer than all else.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256
archive=$(make --no-print-directory dist | tail -n 1)
check "the archive's checksum is its own" sh -c "cd dist && sha256sum --check --quiet '$(basename "$archive").sha256'"
tar -xzf "$archive" -C "$WORK" --strip-components 1
for program in ssi komandan; do
  check "$program is statically linked" sh -c "! ldd '$WORK/$program' | grep '=>'"
done
mkdir "$WORK/root"
cp "$WORK/ssi" "$WORK/komandan" "$WORK/root/"
tar -c -C "$WORK/root" . | docker import --change 'ENTRYPOINT ["/ssi"]' - "$image" >/dev/null
check "ssi runs where there is nothing else" docker run --rm "$image" --version
check "komandan runs where there is nothing else" docker run --rm --entrypoint /komandan "$image" --version
check "make install puts both into the folder it is told" make --no-print-directory install PREFIX="$WORK/prefix"
check "ssi is installed" "$WORK/prefix/bin/ssi" --version
check "komandan is installed" "$WORK/prefix/bin/komandan" --version
echo "test result: dist. $passed passed; $failed failed; 0 ignored"
[ "$failed" = 0 ]
