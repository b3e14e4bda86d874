#!/usr/bin/env bash
# The written contract of ../CONTRACTS.md, and nothing else: what the official image would take but the contract does not
# name is refused, so that a test which passes here says something about the official image.
set -Eeuo pipefail

refuse() {
  printf 'error: %s\n       This stand-in for postgres:15 serves only its written contract (tests/machine/images/CONTRACTS.md).\n' "$*" >&2
  exit 64
}

# Options first, as in `docker run postgres -c max_connections=50`, mean the server.
[[ ${1:-} != -* ]] || set -- postgres "$@"
# Any other program (psql, pg_dump, bash ...) just runs.
[ "${1:-}" = postgres ] || exec "$@"

check_arguments() {
  shift                                    # postgres
  while [ $# -gt 0 ]; do
    case $1 in
      -c) [[ ${2:-} == ?*=* ]] || refuse "-c needs NAME=VALUE, not '${2:-}'"; shift 2 ;;
      -c?*=* | --[a-z]*=*) shift ;;
      *) refuse "argument '$1' is not in the contract: give settings as -c NAME=VALUE" ;;
    esac
  done
}

check_environment() {
  local name value
  for name in $(compgen -e | grep '^POSTGRES_' || true); do
    value=${!name}
    case $name in
      POSTGRES_PASSWORD | POSTGRES_USER | POSTGRES_DB | POSTGRES_INITDB_ARGS | POSTGRES_HOST_AUTH_METHOD) ;;
      POSTGRES_PASSWORD_FILE | POSTGRES_USER_FILE | POSTGRES_DB_FILE | POSTGRES_INITDB_ARGS_FILE) ;;
      # Kubernetes tells every pod of the Services in its namespace: one named postgres-... is no mistake of anybody's.
      POSTGRES_*SERVICE_HOST | POSTGRES_*SERVICE_PORT | POSTGRES_*SERVICE_PORT_* | POSTGRES_*PORT_[0-9]*_TCP*) ;;
      POSTGRES_*PORT) [[ $value == *://* ]] || refuse "variable $name is not in the contract: the port is 5432" ;;
      *) refuse "variable $name is not in the contract" ;;
    esac
  done
}

# from_file NAME DEFAULT: the variable itself, or the contents of the file that NAME_FILE names, never both.
from_file() {
  local file=${1}_FILE
  if [ -n "${!1:-}" ] && [ -n "${!file:-}" ]; then
    printf 'error: both %s and %s are set (but are exclusive)\n' "$1" "$file" >&2; exit 1
  fi
  if [ -n "${!file:-}" ]; then printf -v "$1" '%s' "$(<"${!file}")"; else printf -v "$1" '%s' "${!1:-$2}"; fi
  export "${1?}"; unset "$file"
}

for argument; do
  case $argument in --help | -\? | --version | -V | --describe-config) exec "$@" ;; esac
done
check_arguments "$@"
check_environment
from_file POSTGRES_PASSWORD ''
from_file POSTGRES_USER postgres
from_file POSTGRES_DB "$POSTGRES_USER"
from_file POSTGRES_INITDB_ARGS ''

mkdir -p "$PGDATA"
chmod 0700 "$PGDATA" || :                  # not ours to change with some volumes: PostgreSQL then says what it thinks of it
mkdir -p /var/run/postgresql || :
chmod 03775 /var/run/postgresql 2>/dev/null || :
if [ "$(id -u)" = 0 ]; then
  find "$PGDATA" /var/run/postgresql \! -user postgres -exec chown postgres {} +
  exec setpriv --reuid=postgres --regid=postgres --init-groups -- env HOME=/var/lib/postgresql "$0" "$@"
fi

if [ -s "$PGDATA/PG_VERSION" ]; then
  printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
  exec "$@"
fi

if [ -z "$POSTGRES_PASSWORD" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
  cat >&2 <<'E'
Error: Database is uninitialized and superuser password is not specified.
       You must specify POSTGRES_PASSWORD to a non-empty value for the
       superuser. For example, "-e POSTGRES_PASSWORD=password" on "docker run".

       You may also use "POSTGRES_HOST_AUTH_METHOD=trust" to allow all
       connections without a password. This is *not* recommended.
E
  exit 1
fi

# initdb insists on a name for the current user; a container may be started as any uid.
if ! getent passwd "$(id -u)" >/dev/null; then
  NSS_WRAPPER_PASSWD=$(mktemp) NSS_WRAPPER_GROUP=$(mktemp)
  printf 'postgres:x:%s:%s:PostgreSQL:%s:/bin/false\n' "$(id -u)" "$(id -g)" "$PGDATA" >"$NSS_WRAPPER_PASSWD"
  printf 'postgres:x:%s:\n' "$(id -g)" >"$NSS_WRAPPER_GROUP"
  for wrapper in /usr/lib/*/libnss_wrapper.so; do export LD_PRELOAD=$wrapper NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP; done
fi
eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") '"$POSTGRES_INITDB_ARGS"
if [ -n "${NSS_WRAPPER_PASSWD:-}" ]; then
  rm -f "$NSS_WRAPPER_PASSWD" "$NSS_WRAPPER_GROUP"
  unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
fi

method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption "${@:2}")}
printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"

# Databases and scripts are set up on a server that listens on its socket only: nobody is told that it is ready.
export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
PGUSER=${PGUSER:-$POSTGRES_USER} pg_ctl -D "$PGDATA" -o "$(printf '%q ' "${@:2}" -c listen_addresses='' -p "${PGPORT:-5432}")" -w start

docker_process_sql() {                     # sourced scripts may call it
  PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc ${POSTGRES_DB:+--dbname "$POSTGRES_DB"} "$@"
}
if [ -z "$(docker_process_sql --dbname postgres --set db="$POSTGRES_DB" --tuples-only <<<"SELECT 1 FROM pg_database WHERE datname = :'db';")" ]; then
  docker_process_sql --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
fi

# The official image has this array for scripts written for its older versions.
# shellcheck disable=SC2034
psql=(docker_process_sql)
set +u                                     # nor were they written for this
for f in /docker-entrypoint-initdb.d/*; do
  case $f in
    *.sh)
      # shellcheck disable=SC1090
      if [ -x "$f" ]; then printf '%s: running %s\n' "$0" "$f"; "$f"; else printf '%s: sourcing %s\n' "$0" "$f"; . "$f"; fi ;;
    *.sql) printf '%s: running %s\n' "$0" "$f"; docker_process_sql -f "$f" ;;
    *.sql.gz) printf '%s: running %s\n' "$0" "$f"; gunzip -c "$f" | docker_process_sql ;;
    *.sql.xz | *.sql.zst) refuse "$f: compressed with a program that is not in the contract (.sql and .sql.gz are)" ;;
    */\*) ;;
    *) printf '%s: ignoring %s\n' "$0" "$f" ;;
  esac
done

PGUSER=${PGUSER:-postgres} pg_ctl -D "$PGDATA" -m fast -w stop
unset PGPASSWORD
printf '\nPostgreSQL init process complete; ready for start up.\n\n'
exec "$@"
