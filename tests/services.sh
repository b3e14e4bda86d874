#!/usr/bin/env bash
# services.sh - the shop's unit tests, each service's in its own language, without any database.
set -uo pipefail
SERVICES=$(cd "$(dirname "${BASH_SOURCE[0]}")/../services" && pwd)
DEPS=$(mktemp -d)
trap 'rm -rf "$DEPS"' EXIT
status=0

# in_folder FOLDER COMMAND...
in_folder() {
  local folder=$1; shift
  echo "--- $folder"
  (cd "$SERVICES/$folder" && "$@") || { status=1; echo "services: $folder: failed: $*" >&2; }
}

# Go tells no number; the last line is what tests/run.sh counts.
go_test() {
  local out code=0
  out=$(go test -v ./... 2>&1) || code=$?
  [ $code = 0 ] || echo "$out"
  echo "# pass $(grep -c '^--- PASS' <<<"$out")"
  echo "# fail $(grep -c '^--- FAIL' <<<"$out")"
  return $code
}

# One environment for all: they agree on versions, or pip says so.
python3 -m venv "$DEPS/venv" &&
  "$DEPS/venv/bin/pip" install --quiet --disable-pip-version-check \
    $(printf -- '-r %s ' "$SERVICES"/*/requirements.txt) || status=1
export PYTHONPATH=../libs/python PYTHONDONTWRITEBYTECODE=1
for service in catalog payment recommender etl; do in_folder $service "$DEPS/venv/bin/python" -m unittest; done
PYTHONPATH=. in_folder libs/python "$DEPS/venv/bin/python" -m unittest discover -t . -s tests

for service in www cart notifier; do
  in_folder $service npm ci --silent --no-audit --no-fund
  in_folder $service node --test
done
in_folder libs/node node --test

for service in order events; do in_folder $service go_test; done
in_folder flags env CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$SERVICES/../target}/services" cargo test --quiet --locked

exit $status
