#!/usr/bin/env bash
# prepare.sh FOLDER - writes into FOLDER what of this machine goes into the base image: its certificate authorities, and
# the lines of its pip and npm settings that name an index. Prints nothing; the same machine gives the same files.
set -euo pipefail
to=$1
mkdir -p "$to/certificates"

# update-ca-certificates wants one certificate a file. Those that Debian itself ships are not needed twice.
bundle=/etc/ssl/certs/ca-certificates.crt
if [ -r "$bundle" ]; then
  mapfile -t shipped < <(find /usr/share/ca-certificates -name '*.crt' 2>/dev/null | sort)
  awk -v to="$to/certificates" '
    FNR == 1 { pem = "" }
    { pem = pem $0 "\n" }
    /-----END CERTIFICATE-----/ {
      sub(/^.*-----BEGIN/, "-----BEGIN", pem)
      if (FILENAME != bundle) known[pem] = 1
      else if (!(pem in known)) { f = sprintf("%s/%03d.crt", to, ++n); printf "%s", pem >f; close(f) }
      pem = ""
    }' bundle="$bundle" "${shipped[@]}" "$bundle"
fi

lines() { # lines NAME... -- FILE...: "NAME = value" of the files that exist, the first file first
  local names=() f
  while [ "$1" != -- ]; do names+=("$1"); shift; done; shift
  for f; do
    if [ -r "$f" ]; then grep -hE "^[[:space:]]*($(IFS='|'; echo "${names[*]}"))[[:space:]]*=" "$f" || true; fi
  done
}
{
  echo '[global]'
  { if [ -n "${PIP_INDEX_URL:-}" ]; then echo "index-url = $PIP_INDEX_URL"; fi
    lines index-url extra-index-url trusted-host -- ~/.config/pip/pip.conf ~/.pip/pip.conf /etc/pip.conf
  } | awk -F'[ =]' '!seen[$1]++'
} >"$to/pip.conf"
{ if [ -n "${npm_config_registry:-}" ]; then echo "registry=$npm_config_registry"; fi
  lines registry -- ~/.npmrc /usr/local/etc/npmrc /etc/npmrc
} | awk -F'[ =]' '!seen[$1]++' >"$to/npmrc"
