#!/usr/bin/env bash
# prepare.sh FOLDER - of the toolchain with which this repository is built, what compiling for this machine takes: neither its
# documentation nor what it is itself compiled from.
set -euo pipefail
from=$(rustc --print sysroot) host=$(rustc -vV | sed -n 's/^host: //p') to=$1/toolchain
mkdir -p "$to/bin" "$to/lib/rustlib/$host"
cp -L "$from/bin/cargo" "$from/bin/rustc" "$to/bin/"
find "$from/lib" -maxdepth 1 -name '*.so*' -exec cp -L {} "$to/lib/" ';'
cp -rL "$from/lib/rustlib/$host/lib" "$to/lib/rustlib/$host/"
rm -f "$to/lib/rustlib/$host/lib"/librustc-*            # for sanitizers
if [ -d "$from/lib/rustlib/$host/bin" ]; then cp -rL "$from/lib/rustlib/$host/bin" "$to/lib/rustlib/$host/"; fi
