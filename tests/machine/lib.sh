# shellcheck shell=bash disable=SC2034    # the scripts that source this use what it sets
# Shared by the scripts in tests/machine and tests/cluster: where things lie, stage lines, and the proofs that a
# process is ours before it is ended. Sourced, never run. The sourcing script sets PROGRAM, the first word of its lines.

# What may be kept between runs (images, binaries, logs), and what describes only what runs now.
CACHE=${CLUSTERGRAPH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/clustergraph}
RUN=/run/clustergraph
TOOLS=$CACHE/tools/bin                # node and go of our own, where the machine has none that will do
PATH=$TOOLS:$PATH                     # first: a tool is put there only when the machine's own will not do
mkdir -p "$CACHE" "$TOOLS"

# Everything is tried on one registry, on loopback only; boxes reach it through their gateway (tests/cluster/up.sh).
REGISTRY=127.0.0.1:5000

now() { printf '%s' "${EPOCHREALTIME//[^0-9]/}"; }
STAGE_BEGAN=$(now)

# stage TEXT: one line for what was just done, with the seconds that it took.
stage() {
  local t us; t=$(now); us=$((t - STAGE_BEGAN)); STAGE_BEGAN=$t
  printf '%-9s %4d.%02d s  %s\n' "${PROGRAM:-}" $((us / 1000000)) $((us / 10000 % 100)) "$*"
}

die() { printf '%s: %s\n' "${PROGRAM:-error}" "$*" >&2; exit 1; }

need_root() { [ "$(id -u)" = 0 ] || die "this needs root"; }

# A pid says little: it is given out again. With the start time beside it (ticks since boot, field 22 of stat; the
# command's name in field 2 may hold spaces) it names one process.
started() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  stat=${stat##*) }
  # shellcheck disable=SC2086
  set -- $stat
  [ "$1" != Z ] || return 1           # a zombie no longer runs
  printf '%s\n' "${20}"
}

# remember FILE PID: write down which process is ours.
remember() {
  local since; since=$(started "$2") || return 1
  mkdir -p "$(dirname "$1")"
  printf '%s %s\n' "$2" "$since" >"$1"
}

# ours FILE: prints the pid that FILE names if that very process still runs.
ours() {
  local pid since
  read -r pid since 2>/dev/null <"$1" || return 1
  [ "$(started "$pid" || true)" = "$since" ] || return 1
  printf '%s\n' "$pid"
}

# detach LOG COMMAND...: for a subshell, to become COMMAND away from the caller: in a session of its own and with none of
# its open files (a lock, or a pipe whose end somebody waits for).
detach() {
  local log=$1 fd; shift
  for fd in "/proc/$BASHPID/fd/"*; do
    fd=${fd##*/}
    if [ "$fd" -gt 2 ]; then eval "exec $fd>&-"; fi
  done
  exec setsid "$@" </dev/null >"$log" 2>&1
}

# end FILE SECONDS: ask the process that FILE names to stop, insist after a while, and forget it.
end() {
  local pid i
  if pid=$(ours "$1"); then
    kill -TERM "$pid" 2>/dev/null || true
    for ((i = 0; i < $2 * 20; i++)); do ours "$1" >/dev/null || break; sleep 0.05; done
    if ours "$1" >/dev/null; then kill -KILL "$pid" 2>/dev/null || true; sleep 0.2; fi
  fi
  rm -f "$1"
}

# alone FOLDER: wait until nobody else changes what FOLDER stands for; held until the script, and all that has its open
# files, has ended.
alone() { mkdir -p "$1"; exec 8>"$1/lock"; flock 8; }

# ---- control groups: what we start runs in a group of our name. Nothing else ever joins it, so membership proves
# that a process is ours, even when the process that started it is long gone. On cgroup v1 every hierarchy has one.
cgroup_roots() {
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then echo /sys/fs/cgroup; return; fi
  local h
  for h in /sys/fs/cgroup/*/; do
    h=${h%/}
    if [ ! -L "$h" ] && [ -e "$h/cgroup.procs" ]; then echo "$h"; fi
  done
}

cgroup_make() {
  local root
  for root in $(cgroup_roots); do
    mkdir -p "$root/$1"
    if [ -e "$root/cpuset.cpus" ]; then          # v1: a new cpuset is empty, and nothing can join it until it is filled
      cat "$root/cpuset.cpus" >"$root/$1/cpuset.cpus"; cat "$root/cpuset.mems" >"$root/$1/cpuset.mems"
      echo 1 >"$root/$1/cgroup.clone_children"
    fi
  done
}

# cgroup_join NAME: the calling (sub)shell, and with it what it starts, joins the group.
cgroup_join() {
  local root
  for root in $(cgroup_roots); do
    if [ -e "$root/$1/cgroup.procs" ]; then echo "$BASHPID" >"$root/$1/cgroup.procs"; fi
  done
}

cgroup_members() {
  local root
  for root in $(cgroup_roots); do
    [ ! -d "$root/$1" ] || find "$root/$1" -name cgroup.procs -exec cat {} + 2>/dev/null || true
  done | sort -un
}

# cgroup_end NAME: end every process in the group and its children groups, then remove them.
cgroup_end() {
  local root i pids
  for root in $(cgroup_roots); do                # a frozen (paused) process cannot die
    [ ! -e "$root/$1/freezer.state" ] || find "$root/$1" -name freezer.state -exec sh -c 'echo THAWED >"$1"' _ {} \; 2>/dev/null || true
  done
  for ((i = 0; i < 100; i++)); do
    pids=$(cgroup_members "$1"); [ -n "$pids" ] || break
    # shellcheck disable=SC2086
    kill -KILL $pids 2>/dev/null || true
    sleep 0.05
  done
  for root in $(cgroup_roots); do
    for ((i = 0; i < 40; i++)); do               # a group stays busy for a moment after its last process
      [ -d "$root/$1" ] || break
      find "$root/$1" -depth -type d -exec rmdir {} \; 2>/dev/null || true
      if [ -d "$root/$1" ]; then sleep 0.05; fi
    done
  done
}

# unmount_below FOLDER: every mount in FOLDER, innermost first.
unmount_below() {
  awk -v at="$1/" 'index($5 "/", at) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r m; do
    umount -l "$(printf '%b' "$m")" 2>/dev/null || true
  done
}
