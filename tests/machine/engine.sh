#!/usr/bin/env bash
# engine.sh up|down|status - a Docker engine for the tests.
#
# An engine that answers already is used as it is and never touched. Else Debian's dockerd is started by hand (there may
# be no service manager), with data, configuration and pid file of its own: nobody's images, containers or
# /etc/docker/daemon.json are met. It outlives the calling shell; `down` ends it and takes away what it left.
# Images are kept for the next start; containers, networks and volumes belong to one run.
set -euo pipefail
PROGRAM=engine
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/lib.sh"

DATA=$CACHE/engine/data
LOG=$CACHE/engine/dockerd.log
EXEC=$RUN/engine                          # short: sockets below it have at most 107 characters
PIDFILE=$RUN/engine.process               # ours: pid and start time
BEFORE=$RUN/engine.before                 # how the machine was: links, ip_forward, the policy of FORWARD
SOCKET=$RUN/engine.socket                 # where ours listens
DEFAULT=/var/run/docker.sock
PODS=clustergraph-engine DAEMONS=clustergraph-engine-daemons    # control groups: containers, and dockerd with its helpers

# Of what a stray setting could send elsewhere, only what the caller chose is kept: DOCKER_HOST.
answers() { timeout 10 docker version --format '{{.Server.Version}}' 2>/dev/null; }

# Where the client finds the engine; a socket of our own only when the default one is someone else's.
endpoint() {
  if [ -n "${DOCKER_HOST:-}" ]; then return; fi
  if ours "$PIDFILE" >/dev/null && [ -s "$SOCKET" ]; then
    local s; s=$(cat "$SOCKET")
    if [ "$s" != "$DEFAULT" ]; then export DOCKER_HOST=unix://$s; fi
  fi
}

listened_on() { awk -v s="$1" -v r="$(readlink -f "$(dirname "$1")")/$(basename "$1")" '$8 == s || $8 == r { found = 1 } END { exit !found }' /proc/net/unix; }

forward_policy() { iptables -S FORWARD 2>/dev/null | awk '$1 == "-P" { print $3 }'; }

# Take away what an engine of ours that is gone left behind. A killed dockerd leaves containers running, their mounts,
# a pid file that keeps the next containerd from starting, links and rules.
clear_leftovers() {
  cgroup_end $PODS
  cgroup_end $DAEMONS
  unmount_below "$EXEC"
  unmount_below "$DATA"
  rm -rf --one-file-system "$EXEC" "$PIDFILE"
}

clear_network() {
  [ -e "$BEFORE" ] || return 0
  local links forward policy link
  { read -r links; read -r forward; read -r policy; } <"$BEFORE"
  for link in $(ip -o link show type bridge | awk -F': ' '{ print $2 }'); do
    case $link in
      docker0 | br-[0-9a-f]*) case " $links " in *" $link "*) ;; *) ip link delete "$link" 2>/dev/null || true ;; esac ;;
    esac
  done
  # Docker's chains, the jumps to them, rules on its bridges, and the masquerading of a container to itself.
  local table old new
  for table in nat filter; do
    old=$(iptables-save -t $table 2>/dev/null) || continue
    new=$(grep -vE '(^:| )DOCKER(-[A-Z0-9-]+)?( |$)| -[io] (docker0|br-[0-9a-f]{12})( |$)|^-A POSTROUTING -s ([0-9.]+)/32 -d \6/32 .*-j MASQUERADE' <<<"$old" || true)
    [ "$new" = "$old" ] || iptables-restore <<<"$new" || true
  done
  # dockerd lets this machine route and closes FORWARD for that reason: both go back, or neither.
  if [ "$policy" != DROP ] && [ "$forward" = 0 ]; then
    echo 0 >/proc/sys/net/ipv4/ip_forward; iptables -P FORWARD "${policy:-ACCEPT}"
  fi
  rm -f "$BEFORE"
}

up() {
  local version
  command -v docker >/dev/null || die "no docker client: run packages.sh first"
  if version=$(answers); then
    if ours "$PIDFILE" >/dev/null; then stage "Docker $version of ours already answers"; else stage "Docker $version already answers, is not ours and is left as it is"; fi
    return
  fi
  if [ -n "${DOCKER_HOST:-}" ] && [ "$DOCKER_HOST" != "unix://$DEFAULT" ]; then
    die "DOCKER_HOST=$DOCKER_HOST does not answer; unset it to have an engine started here"
  fi
  unset DOCKER_HOST
  need_root
  command -v dockerd >/dev/null || die "no dockerd: run packages.sh first"

  end "$PIDFILE" 5                        # ours, alive, but it does not answer
  clear_leftovers
  local socket=$DEFAULT
  if listened_on "$DEFAULT"; then socket=$EXEC/docker.sock; export DOCKER_HOST=unix://$socket; fi
  mkdir -p "$DATA" "$EXEC"
  echo "$socket" >"$SOCKET"
  [ -e "$BEFORE" ] ||
    { ip -o link show | awk -F': ' '{ printf "%s ", $2 } END { print "" }'; cat /proc/sys/net/ipv4/ip_forward; forward_policy; } >"$BEFORE"
  echo '{}' >"$EXEC/daemon.json"
  cgroup_make $PODS; cgroup_make $DAEMONS
  (
    cgroup_join $DAEMONS
    ulimit -n 1048576 2>/dev/null || true
    detach "$LOG" dockerd --config-file "$EXEC/daemon.json" --host "unix://$socket" --data-root "$DATA" --exec-root "$EXEC" \
      --pidfile "$EXEC/docker.pid" --cgroup-parent "/$PODS" --exec-opt native.cgroupdriver=cgroupfs --log-level warn
  ) &
  local pid=$! i
  disown $pid
  remember "$PIDFILE" $pid || true
  for ((i = 0; i < 600; i++)); do
    if version=$(answers); then break; fi
    ours "$PIDFILE" >/dev/null || { tail -20 "$LOG" >&2; die "dockerd ended at once (all of it: $LOG)"; }
    sleep 0.1
  done
  [ -n "${version:-}" ] || { tail -20 "$LOG" >&2; die "dockerd does not answer after a minute (log: $LOG)"; }
  stage "Docker $version started, data in $DATA"
  local left; left=$(docker ps -aq; docker volume ls -q; docker network ls -q --filter type=custom)
  if [ -n "$left" ]; then remove_objects; stage "containers, volumes and networks of a former run removed"; fi
}

remove_objects() {
  docker ps -aq | xargs -r docker rm -f -v >/dev/null 2>&1 || true
  docker network ls -q --filter type=custom | xargs -r docker network rm >/dev/null 2>&1 || true
  docker volume ls -q | xargs -r docker volume rm -f >/dev/null 2>&1 || true
}

down() {
  if ! ours "$PIDFILE" >/dev/null; then
    local left; left=$(cgroup_members $PODS; cgroup_members $DAEMONS)
    if [ -z "$left" ] && [ ! -e "$EXEC" ] && [ ! -e "$BEFORE" ]; then stage "no engine of ours"; return; fi
    need_root
  else
    need_root
    if answers >/dev/null; then remove_objects; fi
    end "$PIDFILE" 20
  fi
  clear_leftovers
  rm -f "$SOCKET"
  # Bridges and rules look alike whoever made them: hands off while another engine runs.
  if DOCKER_HOST=unix://$DEFAULT answers >/dev/null; then rm -f "$BEFORE"; else clear_network; fi
  listened_on "$DEFAULT" || rm -f "$DEFAULT"
  stage "engine ended"
}

status() {
  local version
  if ! version=$(answers); then stage "no Docker engine answers"; return 3; fi
  if ours "$PIDFILE" >/dev/null; then stage "Docker $version of ours, pid $(ours "$PIDFILE"), log $LOG"; else stage "Docker $version, not ours"; fi
}

endpoint
case ${1:-} in
  up | down) alone "$CACHE/engine"; "$1" ;;
  status) status ;;
  *) die "usage: engine.sh up|down|status" ;;
esac
