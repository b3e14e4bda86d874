#!/usr/bin/env bash
# run.sh - `make test`: sets up the machine, runs every check and every test, prints the time of each stage and, last, the
# number of tests. What it started it ends, also when it is interrupted; KEEP=1 leaves engine, registry and cluster up.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$HERE/.."
OUTPUT=$(mktemp -d)
export TMPDIR=$OUTPUT
STAGES=()
passed=0 failed=0 skipped=0 summary=

# Sessions that a killed test left behind: everything of the tests lies below one folder.
sweep() {
  local pid state
  for pid in $(pgrep -f 'ssi supervise' || true); do
    state=$(tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | sed -n 's/^CLUSTERGRAPH_STATE_DIR=//p')
    case $state in "$OUTPUT"/*) CLUSTERGRAPH_STATE_DIR=$state timeout 60 target/debug/ssi -C "/proc/$pid/cwd" down --delete-data || true ;; esac
  done
}

finish() {
  local code=$?
  sweep >/dev/null 2>&1 || true
  [ -z "${DEMO_FOLDER:-}" ] || "$HERE/demo.sh" down >/dev/null 2>&1 || true
  [ "${KEEP:-}" = 1 ] || "$HERE/machine/down.sh" || true
  rm -rf "$OUTPUT"
  [ -z "$summary" ] || echo "$summary"
  exit $code
}

# stage NAME COMMAND...: runs it, remembers how long it took, and goes on to count its tests. A failing stage does not keep
# the next ones from telling what they find. Commands that are functions of this file must say themselves when they fail:
# the shell does not end them at the first failure here.
broken=()
stage() {
  local name=$1 began=$EPOCHREALTIME code=0; shift
  echo "=== $name"
  "$@" 2>&1 | tee "$OUTPUT/log/$name" || code=1
  STAGES+=("$(printf '%-12s %7.1f s  %s' "$name" "$(difference "$EPOCHREALTIME" "$began")" "$([ $code = 0 ] && echo ok || echo FAILED)")")
  [ $code = 0 ] || broken+=("$name")
  count "$OUTPUT/log/$name"
}

difference() { awk -v a="$1" -v b="$2" 'BEGIN { print a - b }'; }

# Cargo's, node's and Python's closing lines, Go's lines of each test.
count() {
  local line
  while read -r line; do
    case $line in
      "test result: "*) read -r p f s < <(sed -E 's/.* ([0-9]+) passed; ([0-9]+) failed; ([0-9]+) ignored.*/\1 \2 \3/' <<<"$line") ;;
      "# pass "* | "ℹ pass "*) p=${line##* } f=0 s=0 ;;
      "# fail "* | "ℹ fail "*) p=0 f=${line##* } s=0 ;;
      "Ran "*" tests in "*) p=$(awk '{ print $2 }' <<<"$line") f=0 s=0 ;;
      "--- PASS: "*) p=1 f=0 s=0 ;;
      "--- FAIL: "*) p=0 f=1 s=0 ;;
      *) continue ;;
    esac
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  done <"$1"
}

lint() {
  local status=0
  cargo fmt --all --check || status=1
  cargo clippy --quiet --workspace --all-targets -- --deny warnings || status=1
  return $status
}

dependencies() {
  local tools=${CLUSTERGRAPH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/clustergraph}/tools
  [ -x "$tools/bin/cargo-deny" ] || cargo install --quiet --locked --root "$tools" cargo-deny
  "$tools/bin/cargo-deny" --log-level error check --hide-inclusion-graph bans licenses sources
}

unit_tests() { cargo test --quiet --no-fail-fast --workspace --exclude clustergraph-tests; }

# What holds of a repository holds of one whose references lie in tables: all of it through the git program.
tables() {
  local git; git=$("$HERE/machine/git.sh") || return 1
  PATH=$git:$PATH GIT_DEFAULT_REF_FORMAT=reftable cargo test --quiet --no-fail-fast --package clustergraph \
    --test formats --test worktree --test identity --test repositories --test diff --test lock
}

# e2e NAME...: end-to-end tests by the names of their files.
e2e() { local names=(); for name; do names+=(--test "$name"); done; cargo test --quiet --no-fail-fast --package clustergraph-tests "${names[@]}"; }

example_tests() {
  local hello=examples/hello/services deps=$OUTPUT/venv status=0
  (cd $hello/www && node --test) || status=1
  python3 -m venv "$deps" &&
    "$deps/bin/pip" install --quiet --disable-pip-version-check -r $hello/api/requirements.txt &&
    (cd $hello/api && "$deps/bin/python" -m unittest) || status=1
  return $status
}

# Twice in a row, as a newcomer would; the second time there is nothing to do. A copy: the checkout stays as it is.
demo() {
  git ls-files -z services clustergraph.yaml | tar --null --files-from - --create | tar --extract --directory "$DEMO_FOLDER" &&
    git -C "$DEMO_FOLDER" init --quiet &&
    "$HERE/demo.sh" up &&
    "$HERE/demo.sh" up | tee "$OUTPUT/second" &&
    curl --silent --show-error --fail --output "$OUTPUT/page" "$(tail -n 1 "$OUTPUT/second")" &&
    grep -q '<title>' "$OUTPUT/page" &&
    "$HERE/demo.sh" down
}

trap finish EXIT
trap 'exit 130' INT TERM
# Servers of databases run as another user and must reach the folder. They cannot write there, and must not be sent to: that
# this is the folder of temporary files for all that is tested here, tests it.
chmod 755 "$OUTPUT"
export DEMO_FOLDER=$OUTPUT/demo
mkdir "$DEMO_FOLDER" "$OUTPUT/log"
stage demo demo                # first: it sets up for itself what it needs
# What this starts may outlive the folder of temporary files.
stage machine env --unset=TMPDIR "$HERE/machine/up.sh" --no-cluster
eval "$("$HERE/machine/env.sh")"
# With what tests need of libraries: one build of each for all that follows.
stage build cargo build --quiet --locked --workspace --all-targets
stage lint lint
stage deny dependencies
stage unit unit_tests
stage tables tables
stage local e2e local at lock commands compose runtimes fields falling versions
stage readiness e2e readiness
stage databases e2e databases stacks
stage shop e2e shop
stage services "$HERE/services.sh"
stage examples example_tests
stage dist "$HERE/dist.sh"
# The cluster comes last and goes first: at rest it takes a core of the machine.
stage kubernetes env --unset=TMPDIR "$HERE/cluster/up.sh"
stage documents e2e architecture docs ci
stage cluster e2e cluster operations cluster_databases workloads cluster_shop rendered warm rolling front causes guarded ownership
stage suites e2e smoke suites
stage transient e2e transient overlay clones confined pool
# What is about the API alone has the machine for itself.
"$HERE/cluster/down.sh" || true
stage api env --unset=TMPDIR CG_CLUSTER_API=only "$HERE/cluster/up.sh"
stage faults e2e large killed faults
"$HERE/cluster/down.sh" || true

echo "=== stages"
printf '%s\n' "${STAGES[@]}"
if [ ${#broken[@]} -gt 0 ]; then
  echo "failed stages: ${broken[*]}"
  [ "$failed" -gt 0 ] || failed=${#broken[@]}
fi
summary="$passed passed, $failed failed, $skipped skipped"      # printed last, when all is ended
[ "$failed" = 0 ] && [ ${#broken[@]} = 0 ]
