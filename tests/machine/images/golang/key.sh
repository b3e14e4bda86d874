#!/usr/bin/env bash
# key.sh - what else the image is made of: the machine's toolchain.
set -euo pipefail
exec go version
