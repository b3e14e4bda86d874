#!/usr/bin/env bash
# The written contract of ../CONTRACTS.md, and nothing else.
set -euo pipefail
DATA=/var/lib/mysql SOCKET=/run/mysqld/mysqld.sock

refuse() {
  printf 'error: %s\n       This stand-in for mariadb:10.11 serves only its written contract (tests/machine/images/CONTRACTS.md).\n' "$*" >&2
  exit 64
}

[[ ${1:-} != -* ]] || set -- mariadbd "$@"
[ "${1:-}" = mariadbd ] || exec "$@"
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
for name in $(compgen -e | grep -E '^(MARIADB|MYSQL)_' || true); do
  case $name in
    MARIADB_ROOT_PASSWORD | MARIADB_ROOT_PASSWORD_FILE | MARIADB_DATABASE | MARIADB_USER | MARIADB_PASSWORD | MARIADB_INITDB_SKIP_TZINFO) ;;
    MYSQL_ROOT_PASSWORD | MYSQL_DATABASE | MYSQL_USER | MYSQL_PASSWORD) ;;
    MYSQL_PWD) ;;                          # the client's own
    *_SERVICE_HOST | *_SERVICE_PORT | *_SERVICE_PORT_* | *_PORT_[0-9]*_TCP* | *_PORT) ;;    # told by Kubernetes
    *) refuse "variable $name is not in the contract" ;;
  esac
done

if [ "$(id -u)" = 0 ]; then
  find "$DATA" /run/mysqld \! -user mysql -exec chown mysql: {} +
  exec setpriv --reuid=mysql --regid=mysql --init-groups -- "$0" "$@"
fi

if [ ! -d "$DATA/mysql" ]; then
  [ -z "$(ls -A /docker-entrypoint-initdb.d)" ] || refuse "files in /docker-entrypoint-initdb.d are not in the contract"
  for name in ROOT_PASSWORD DATABASE USER PASSWORD; do
    old=MYSQL_$name new=MARIADB_$name file=MARIADB_${name}_FILE
    if [ -n "${!file:-}" ]; then
      [ -z "${!new:-}" ] || { echo "Both $new and $file are set (but are exclusive)" >&2; exit 1; }
      printf -v "$new" '%s' "$(<"${!file}")"
    fi
    printf -v "$new" '%s' "${!new:-${!old:-}}"
  done
  if [ -z "$MARIADB_ROOT_PASSWORD" ]; then
    printf '%s\n\t%s\n' "Database is uninitialized and password option is not specified" \
      "You need to specify one of MARIADB_ROOT_PASSWORD, MARIADB_ROOT_PASSWORD_HASH, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD and MARIADB_RANDOM_ROOT_PASSWORD" >&2
    exit 1
  fi
  mariadb-install-db --datadir="$DATA" --rpm --auth-root-authentication-method=normal --cross-bootstrap --skip-test-db --skip-log-bin "${@:2}" >/dev/null
  # A server that listens on its socket only: nobody is told that it is ready.
  "$@" --skip-networking --socket="$SOCKET" &
  server=$!
  sql() { MYSQL_PWD=$1 mariadb --protocol=socket -uroot -hlocalhost --socket="$SOCKET" "${@:2}"; }
  for ((i = 0; i < 300; i++)); do
    if sql '' -e 'SELECT 1' >/dev/null 2>&1; then break; fi
    kill -0 $server || exit 1
    sleep 0.1
  done
  quoted() { local text=${1//\\/\\\\}; printf "'%s'" "${text//\'/\\\'}"; }
  if [ -z "${MARIADB_INITDB_SKIP_TZINFO:-}" ]; then mariadb-tzinfo-to-sql --skip-write-binlog /usr/share/zoneinfo 2>/dev/null | sql '' --database=mysql; fi
  sql '' --database=mysql <<SQL
DROP USER IF EXISTS root@'127.0.0.1', root@'::1';
EXECUTE IMMEDIATE CONCAT('DROP USER IF EXISTS root@\'', @@hostname,'\'');
SET PASSWORD FOR 'root'@'localhost' = PASSWORD($(quoted "$MARIADB_ROOT_PASSWORD"));
CREATE USER 'root'@'%' IDENTIFIED BY $(quoted "$MARIADB_ROOT_PASSWORD");
GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;
SQL
  if [ -n "$MARIADB_DATABASE" ]; then sql "$MARIADB_ROOT_PASSWORD" -e "CREATE DATABASE IF NOT EXISTS \`$MARIADB_DATABASE\`"; fi
  if [ -n "$MARIADB_USER" ] && [ -n "$MARIADB_PASSWORD" ]; then
    sql "$MARIADB_ROOT_PASSWORD" -e "CREATE USER '$MARIADB_USER'@'%' IDENTIFIED BY $(quoted "$MARIADB_PASSWORD")"
    if [ -n "$MARIADB_DATABASE" ]; then sql "$MARIADB_ROOT_PASSWORD" -e "GRANT ALL ON \`${MARIADB_DATABASE//_/\\_}\`.* TO '$MARIADB_USER'@'%'"; fi
  fi
  kill $server
  wait $server
  echo "MariaDB init process done. Ready for start up."
fi
unset "${!MARIADB_@}" "${!MYSQL_@}"
exec "$@"
