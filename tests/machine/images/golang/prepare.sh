#!/usr/bin/env bash
# prepare.sh FOLDER - the Go of this machine, without its own tests.
set -euo pipefail
from=$(go env GOROOT)
mkdir -p "$1/go"
cp -rL "$from"/{VERSION,bin,lib,src,pkg} "$1/go/"
if [ -e "$from/go.env" ]; then cp -L "$from/go.env" "$1/go/"; fi
find "$1/go/src" -type d -name testdata -prune -exec rm -rf {} +
find "$1/go/src" -name '*_test.go' -delete
