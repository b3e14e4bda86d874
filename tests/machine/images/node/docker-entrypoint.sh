#!/bin/sh
# Options, files that are no programs and unknown words are arguments for node; everything else is a command.
set -e
case ${1:-} in
  -*) set -- node "$@" ;;
  *) if ! command -v "$1" >/dev/null || { [ -f "$1" ] && [ ! -x "$1" ]; }; then set -- node "$@"; fi ;;
esac
exec "$@"
