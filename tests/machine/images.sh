#!/usr/bin/env bash
# images.sh [NAME...] - the stand-in images of images/*/ (default: all), built on this machine and pushed to the local
# registry under the official names, so that a product whose image mirror is 127.0.0.1:5000 pulls what users pull from
# elsewhere. In the engine they bear the official names too, for `FROM python:3.11-slim`.
#
# A folder of images/ is one image: `name` (repository and tag), a Dockerfile whose ARG BASE is the image that `base` names
# (debian without one), perhaps prepare.sh, which adds files to the build's context, and key.sh, which prints what else the
# image is made of. Every image is labelled with the hash of its recipe; where
# engine and registry both have the image with that label, there is nothing to do (about 0.2 s).
set -euo pipefail
PROGRAM=images
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/lib.sh"
# Where the engine is, and whether its names are ours to give.
eval "$("$HERE/env.sh" docker)"
if ours "$RUN/engine.process" >/dev/null; then own_engine=1; else own_engine=; fi

LABEL=clustergraph.recipe
WORK=$CACHE/images
alone "$WORK"                              # a second caller then finds everything done

name_of() { cat "$HERE/images/$1/name"; }
base_of() { cat "$HERE/images/$1/base" 2>/dev/null || echo debian; }
hash_files() { (cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum); }

# recipe IMAGE: what the image is made of: its folder, the images below it, and for the lowest this machine's settings.
declare -A RECIPE
recipe() {
  {
    hash_files "$HERE/images/$1"; uname -m
    if [ -x "$HERE/images/$1/key.sh" ]; then "$HERE/images/$1/key.sh"; fi
    if [ "$1" = debian ]; then declare -f rootfs; hash_files "$WORK/machine"; else echo "${RECIPE[$(base_of "$1")]}"; fi
  } | sha256sum | cut -c1-32
}

# A minimal Debian 12 without manuals, translations and recommended packages, from the package sources that this machine itself uses.
rootfs() {
  local sources=()
  if grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release; then
    for f in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
      if grep -qs bookworm "$f"; then sources=("$f"); break; fi
    done
  fi
  # Merged /usr by mmdebstrap's hook: else a package does it, which brings all of Perl (50 MB).
  # shellcheck disable=SC2016
  mmdebstrap --quiet --variant=minbase --include=ca-certificates,netbase,tzdata,usr-is-merged \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --aptopt='APT::Install-Recommends "false"' --customize-hook='rm "$1/etc/apt/apt.conf.d/99mmdebstrap"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    bookworm - "${sources[@]}"
}

mirror() { echo "$REGISTRY/$(name_of "$1")"; }
label_of() { docker image inspect --format "{{index .Config.Labels \"$LABEL\"}}" "$1" 2>/dev/null || true; }
# digest_in_registry IMAGE: the digest that the registry has under the name, if any
digest_in_registry() {
  local name; name=$(name_of "$1")
  curl -fsI --noproxy '*' -m 5 -H 'Accept: application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json' \
    "http://$REGISTRY/v2/${name%:*}/manifests/${name#*:}" 2>/dev/null | tr -d '\r' | awk 'tolower($1) == "docker-content-digest:" { print $2 }'
}

# complete: every named image is in the engine and in the registry, from these very recipes, under all its names.
complete() {
  local i digest names=() at line
  for i; do names+=("$(mirror "$i")"); done
  mapfile -t at < <(docker image inspect --format "{{index .Config.Labels \"$LABEL\"}} {{.RepoDigests}} {{.RepoTags}}" "${names[@]}" 2>/dev/null)
  [ ${#at[@]} = $# ] || return 1
  for i; do
    line=${at[0]}; at=("${at[@]:1}")
    digest=$(digest_in_registry "$i"); [ -n "$digest" ] || return 1
    case $line in "${RECIPE[$i]} "*"$digest"*) ;; *) return 1 ;; esac
    local official; official=$(name_of "$i"); official=${official#library/}
    case $line in *[\ \[]"$official"[\ \]]*) ;; *) [ -z "$own_engine" ] || return 1 ;; esac
  done
}

make() {
  local image=$1 name official context base former
  name=$(mirror "$image"); official=$(name_of "$image"); official=${official#library/}
  if [ "$(label_of "$name")" != "${RECIPE[$image]}" ] && [ -n "$(digest_in_registry "$image")" ]; then
    docker pull -q "$name" >/dev/null            # an engine without its data: the registry may have the very image
  fi
  if [ "$(label_of "$name")" != "${RECIPE[$image]}" ]; then
    former=$(docker image inspect --format '{{join .RepoDigests " "}}' "$name" 2>/dev/null || true)
    context=$WORK/context-$image
    rm -rf "$context"; cp -r "$HERE/images/$image" "$context"
    base=()
    if [ "$image" = debian ]; then
      docker image rm clustergraph/rootfs >/dev/null 2>&1 || true
      rootfs 2>"$WORK/rootfs.log" | docker import - clustergraph/rootfs >/dev/null || { tail -30 "$WORK/rootfs.log" >&2; die "no root file system (all of it: $WORK/rootfs.log)"; }
      base=(--build-arg ROOTFS=clustergraph/rootfs)
      cp -r "$WORK/machine/." "$context"
    else
      base=(--build-arg "BASE=$(mirror "$(base_of "$image")")")
      if [ -x "$HERE/images/$image/prepare.sh" ]; then "$HERE/images/$image/prepare.sh" "$context"; fi
    fi
    # The classic builder is in every engine and needs no plugin of the client.
    DOCKER_BUILDKIT=0 docker build --quiet --force-rm --label "$LABEL=${RECIPE[$image]}" "${base[@]}" --tag "$name" "$context" >"$WORK/$image.log" 2>&1 ||
      { tail -30 "$WORK/$image.log" >&2; die "$image does not build (all of it: $WORK/$image.log)"; }
    rm -rf "$context"
    stage "$official built"
  fi
  docker push -q "$name" >/dev/null
  # shellcheck disable=SC2086
  if [ -n "${former:-}" ]; then docker image rm $former >/dev/null 2>&1 || true; fi
  # In someone else's engine a name that is taken stays what it is.
  if [ -n "$own_engine" ] || [ -n "$(label_of "$official")" ] || ! docker image inspect "$official" >/dev/null 2>&1; then docker tag "$name" "$official"; fi
  stage "$official in the engine and in the registry"
}

images=("$@")
if [ ${#images[@]} = 0 ]; then for d in "$HERE"/images/*/name; do images+=("$(basename "$(dirname "$d")")"); done; fi
for i in "${images[@]}"; do [ -e "$HERE/images/$i/name" ] || die "no image $i; there are: $(cd "$HERE/images" && echo */)"; done
rm -rf "$WORK/machine"; mkdir -p "$WORK/machine"; "$HERE/images/debian/prepare.sh" "$WORK/machine"
RECIPE[debian]=$(recipe debian)
# In the order in which they can be made: those that stand on Debian, then those that stand on these.
lower=() upper=()
add() { case " ${lower[*]} ${upper[*]} " in *" $2 "*) ;; *) RECIPE[$2]=$(recipe "$2"); declare -n list=$1; list+=("$2") ;; esac; }
for i in "${images[@]}"; do
  case $(base_of "$i") in debian) [ "$i" = debian ] || add lower "$i" ;; *) add lower "$(base_of "$i")"; add upper "$i" ;; esac
done
others=("${lower[@]}" "${upper[@]}")

make_all() {
  local i p pids=()
  for i; do make "$i" & pids+=($!); done
  for p in "${pids[@]}"; do wait "$p" || die "not all images could be made"; done
}
if ! complete debian "${others[@]}"; then
  docker info >/dev/null 2>&1 || die "no Docker engine answers: run engine.sh up first"
  make debian
  make_all "${lower[@]}"
  make_all "${upper[@]}"
  docker image prune -f --filter "label=$LABEL" >/dev/null      # former versions of ours that lost their names
  complete debian "${others[@]}" || die "the images were made, but engine or registry do not show them"
fi
stage "$((${#others[@]} + 1)) images ready in the engine and at $REGISTRY"
