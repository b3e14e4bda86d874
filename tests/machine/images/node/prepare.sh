#!/usr/bin/env bash
# prepare.sh FOLDER - Node itself, npm, corepack and yarn from the npm registry, laid out below FOLDER/local as in
# /usr/local of the official image.
set -euo pipefail
to=$1/local
case $(uname -m) in
  x86_64) arch=x64 openssl=linux-x86_64 ;;
  aarch64) arch=arm64 openssl=linux-aarch64 ;;
  *) echo "no Node is known for $(uname -m)" >&2; exit 1 ;;
esac
cd "$1"
npm pack --silent "node-linux-$arch@20.20.2" npm@10.8.2 corepack@0.34.6 yarn@1.22.22 >/dev/null 2>"$1/npm.log" || { cat "$1/npm.log" >&2; exit 1; }
rm -f npm.log
mkdir -p "$to/lib/node_modules"/{npm,corepack,yarn}
tar -xzf "node-linux-$arch"-*.tgz -C "$to" --strip-components=1 --exclude='*/share' package
# Headers are needed to compile addons; OpenSSL's for other platforms (34 MB) are not.
find "$to/include/node/openssl/archs" -mindepth 1 -maxdepth 1 ! -name "$openssl" -exec rm -rf {} +
for p in npm corepack yarn; do tar -xzf "$p"-[0-9]*.tgz -C "$to/lib/node_modules/$p" --strip-components=1; done
rm -f "$to"/package.json "$to"/README.md ./*.tgz
chmod +x "$to/bin/node"
chown -R 0:0 "$to"
