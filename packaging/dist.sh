#!/usr/bin/env bash
# dist.sh - `make dist`: both programs, statically linked where the system allows it, as one archive with its checksum in
# dist/. The same sources give the same archive: names, owners and times in it are fixed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VERSION=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
TARGET=${TARGET:-$(rustc -vV | sed -n 's/^host: //p')}
FLAGS=
# With glibc a static program looks names up as before: files and DNS are part of the library since 2.34.
case $TARGET in *-linux-*) FLAGS="-C target-feature=+crt-static" ;; esac

# Named as a target, so that the flags do not reach build scripts and procedural macros, which cannot be static.
RUSTFLAGS="${RUSTFLAGS:-} $FLAGS" cargo build --quiet --release --locked --target "$TARGET" \
  --package clustergraph-ssi --package clustergraph-komandan
BUILT=${CARGO_TARGET_DIR:-target}/$TARGET/release

NAME=clustergraph-$VERSION-$TARGET
rm -rf "dist/$NAME"
mkdir -p "dist/$NAME"
cp "$BUILT/ssi" "$BUILT/komandan" LICENSE README.md CHANGELOG.md "dist/$NAME/"
WHEN=$(git log -1 --format=%ct 2>/dev/null || echo 0)
if tar --version 2>/dev/null | grep -q GNU; then
  tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$WHEN" --directory dist "$NAME" | gzip -n9 >"dist/$NAME.tar.gz"
else
  tar -czf "dist/$NAME.tar.gz" -C dist "$NAME"
fi
if command -v sha256sum >/dev/null; then (cd dist && sha256sum "$NAME.tar.gz" >"$NAME.tar.gz.sha256"); else (cd dist && shasum -a 256 "$NAME.tar.gz" >"$NAME.tar.gz.sha256"); fi
echo "dist/$NAME.tar.gz"
