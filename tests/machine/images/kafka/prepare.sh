#!/usr/bin/env bash
# prepare.sh FOLDER - Kafka's jars, the very ones that run natively: ../../kafka.sh fetches them.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cp -r "$("$HERE/../../kafka.sh")/libs" "$1/libs"
