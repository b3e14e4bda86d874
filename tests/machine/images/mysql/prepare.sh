#!/usr/bin/env bash
# prepare.sh FOLDER - a root file system with MySQL. Of Debian's suites only sid has it, so this image stands on sid, where
# the others stand on bookworm; the machine's own package source is asked for it.
set -euo pipefail
source=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
  sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\(http[^ ]*\).*/\2/p' | awk 'NR == 1') || true
# Programs beside those of the contract, and what clients would load for other kinds of logins: a third of the size.
excluded=()
for p in innochecksum ibd2sdi 'myisam*' mysqlbinlog mysqlcheck mysqlimport mysql_migrate_keyring mysql_secure_installation mysqlshow mysqlslap mysql_config_editor perror; do
  excluded+=("--dpkgopt=path-exclude=/usr/bin/$p")
done
for p in '/usr/lib/mysql/plugin/*_client.so' '/usr/share/man/*' '/usr/share/info/*' '/usr/share/locale/*' '/usr/share/doc/*'; do
  excluded+=("--dpkgopt=path-exclude=$p")
done
mmdebstrap --quiet --variant=minbase --include=mysql-server-core,mysql-client-core,usr-is-merged \
  --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
  "${excluded[@]}" sid "$1/rootfs.tar" "deb ${source:-http://deb.debian.org/debian} sid main" >"$1/mmdebstrap.log" 2>&1 || { tail -20 "$1/mmdebstrap.log" >&2; exit 1; }
rm "$1/mmdebstrap.log"
