#!/usr/bin/env bash
# The written contract of ../CONTRACTS.md, and nothing else.
set -euo pipefail
DATA=/var/lib/mysql SOCKET=/var/run/mysqld/mysqld.sock

refuse() {
  printf 'error: %s\n       This stand-in for mysql:9.7 serves only its written contract (tests/machine/images/CONTRACTS.md).\n' "$*" >&2
  exit 64
}

[[ ${1:-} != -* ]] || set -- mysqld "$@"
[ "${1:-}" = mysqld ] || exec "$@"
for argument; do
  case $argument in --help | -\? | --version | -V) exec "$@" ;; esac
done
for argument in "${@:2}"; do
  case $argument in
    --datadir* | --socket*) refuse "argument '$argument' is not in the contract: data and socket lie where they lie" ;;
    --[a-z]*) ;;
    *) refuse "argument '$argument' is not in the contract: give settings as --name=value" ;;
  esac
done
for name in $(compgen -e | grep -E '^MYSQL_' || true); do
  case $name in
    MYSQL_ROOT_PASSWORD | MYSQL_ROOT_PASSWORD_FILE | MYSQL_DATABASE | MYSQL_USER | MYSQL_PASSWORD | MYSQL_INITDB_SKIP_TZINFO) ;;
    # The client's own variable: with it, the image's first login, which has no password yet, fails.
    MYSQL_PWD) refuse "MYSQL_PWD disturbs the making of a database" ;;
    *_SERVICE_HOST | *_SERVICE_PORT | *_SERVICE_PORT_* | *_PORT_[0-9]*_TCP* | *_PORT) ;;    # told by Kubernetes
    *) refuse "variable $name is not in the contract" ;;
  esac
done

if [ "$(id -u)" = 0 ]; then
  find "$DATA" "${SOCKET%/*}" \! -user mysql -exec chown --no-dereference mysql {} +
  exec setpriv --reuid=mysql --regid=mysql --init-groups -- "$0" "$@"
fi

if [ ! -d "$DATA/mysql" ]; then
  [ -z "$(ls -A /docker-entrypoint-initdb.d)" ] || refuse "files in /docker-entrypoint-initdb.d are not in the contract"
  if [ -n "${MYSQL_ROOT_PASSWORD_FILE:-}" ]; then
    [ -z "${MYSQL_ROOT_PASSWORD:-}" ] || { echo "Both MYSQL_ROOT_PASSWORD and MYSQL_ROOT_PASSWORD_FILE are set (but are exclusive)" >&2; exit 1; }
    MYSQL_ROOT_PASSWORD=$(<"$MYSQL_ROOT_PASSWORD_FILE")
  fi
  if [ -z "${MYSQL_ROOT_PASSWORD:-}" ]; then
    printf '%s\n' "Database is uninitialized and password option is not specified" "    You need to specify one of the following as an environment variable:" \
      "    - MYSQL_ROOT_PASSWORD" "    - MYSQL_ALLOW_EMPTY_PASSWORD" "    - MYSQL_RANDOM_ROOT_PASSWORD" >&2
    exit 1
  fi
  [ "${MYSQL_USER:-}" != root ] || { echo 'MYSQL_USER="root", MYSQL_USER and MYSQL_PASSWORD are for configuring a regular user and cannot be used for the root user' >&2; exit 1; }
  "$@" --initialize-insecure --default-time-zone=SYSTEM
  # A server that listens on its socket only: nobody is told that it is ready.
  "$@" --daemonize --skip-networking --default-time-zone=SYSTEM --socket="$SOCKET" --log-error="$DATA/first.err"
  sql() { MYSQL_PWD=$1 mysql --protocol=socket -uroot -hlocalhost --socket="$SOCKET" "${@:2}"; }
  quoted() { local text=${1//\\/\\\\}; printf "'%s'" "${text//\'/\\\'}"; }
  if [ -z "${MYSQL_INITDB_SKIP_TZINFO:-}" ]; then refuse "time zones are not in the contract: set MYSQL_INITDB_SKIP_TZINFO=1"; fi
  sql '' --database=mysql <<SQL
SET @@SESSION.SQL_LOG_BIN=0;
ALTER USER 'root'@'localhost' IDENTIFIED BY $(quoted "$MYSQL_ROOT_PASSWORD");
GRANT ALL ON *.* TO 'root'@'localhost' WITH GRANT OPTION;
CREATE USER 'root'@'%' IDENTIFIED BY $(quoted "$MYSQL_ROOT_PASSWORD");
GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;
SQL
  if [ -n "${MYSQL_DATABASE:-}" ]; then sql "$MYSQL_ROOT_PASSWORD" -e "CREATE DATABASE IF NOT EXISTS \`$MYSQL_DATABASE\`"; fi
  if [ -n "${MYSQL_USER:-}" ] && [ -n "${MYSQL_PASSWORD:-}" ]; then
    sql "$MYSQL_ROOT_PASSWORD" -e "CREATE USER '$MYSQL_USER'@'%' IDENTIFIED BY $(quoted "$MYSQL_PASSWORD")"
    if [ -n "${MYSQL_DATABASE:-}" ]; then sql "$MYSQL_ROOT_PASSWORD" -e "GRANT ALL ON \`${MYSQL_DATABASE//_/\\_}\`.* TO '$MYSQL_USER'@'%'"; fi
  fi
  MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysqladmin -uroot --protocol=socket --socket="$SOCKET" shutdown
  rm -f "$DATA/first.err"
  echo "MySQL init process done. Ready for start up."
fi
exec "$@"
