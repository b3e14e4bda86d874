#!/usr/bin/env bash
# registry.sh up|down|status - an image registry on 127.0.0.1:5000, for the stand-in images and for what tests build.
# Loopback only, since it asks nobody who they are; a test cluster's box reaches it through its own gateway
# (tests/cluster/up.sh). A registry that answers there already is used as it is. Its data are kept in the cache.
set -euo pipefail
PROGRAM=registry
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/lib.sh"

PIDFILE=$RUN/registry.process
LOG=$CACHE/registry/registry.log

answers() { curl -fs --noproxy '*' -m 5 -o /dev/null "http://$REGISTRY/v2/"; }

up() {
  if answers; then
    if ours "$PIDFILE" >/dev/null; then stage "ours already answers on $REGISTRY"; else stage "one that is not ours already answers on $REGISTRY and is left as it is"; fi
    return
  fi
  command -v docker-registry >/dev/null || die "no docker-registry: run packages.sh first"
  end "$PIDFILE" 5
  if (exec 3<>"/dev/tcp/${REGISTRY%:*}/${REGISTRY#*:}") 2>/dev/null; then die "$REGISTRY is taken by something that is no registry"; fi
  mkdir -p "$CACHE/registry/data"
  # A configuration of our own: Debian's asks for a password file. Tests delete what they push.
  cat >"$CACHE/registry/config.yml" <<Y
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: "$CACHE/registry/data"}
  cache: {blobdescriptor: inmemory}
  delete: {enabled: true}
http: {addr: "$REGISTRY"}
Y
  ( detach "$LOG" docker-registry serve "$CACHE/registry/config.yml" ) &
  local pid=$! i
  disown $pid
  remember "$PIDFILE" $pid || true
  for ((i = 0; i < 200; i++)); do
    if answers; then stage "started on $REGISTRY, data in $CACHE/registry"; return; fi
    ours "$PIDFILE" >/dev/null || break
    sleep 0.05
  done
  tail -5 "$LOG" >&2
  die "docker-registry does not answer (log: $LOG)"
}

down() {
  if ours "$PIDFILE" >/dev/null; then end "$PIDFILE" 5; stage "registry ended"; else rm -f "$PIDFILE"; stage "no registry of ours"; fi
}

status() {
  if ! answers; then stage "no registry answers on $REGISTRY"; return 3; fi
  if ours "$PIDFILE" >/dev/null; then stage "ours answers on $REGISTRY"; else stage "one that is not ours answers on $REGISTRY"; fi
}

case ${1:-} in
  up | down) alone "$CACHE/registry"; "$1" ;;
  status) status ;;
  *) die "usage: registry.sh up|down|status" ;;
esac
