#!/bin/sh
# The written contract of ../CONTRACTS.md, and nothing else.
set -eu

refuse() {
  printf 'error: %s\n       This stand-in for redis:7.0 serves only its written contract (tests/machine/images/CONTRACTS.md).\n' "$*" >&2
  exit 64
}

case ${1:-} in -*) set -- redis-server "$@" ;; *.conf) refuse "a configuration file: give settings as --name value" ;; esac
[ "${1:-}" = redis-server ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
  find . ! -user redis -exec chown redis '{}' +
  exec setpriv --reuid=redis --regid=redis --init-groups -- "$0" "$@"
fi
case ${2:-} in '' | --*) ;; *) refuse "argument '$2' is not in the contract: give settings as --name value" ;; esac
[ "$(umask)" != 0022 ] || umask 0077
shift
# The official image is compiled without protected mode, in which a server without password hears nobody from elsewhere.
exec redis-server --protected-mode no "$@"
