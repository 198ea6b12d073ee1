#!/bin/bash
# Two or three real machines on one: systemd as PID 1, sshd, PostgreSQL 13, Redis 6, Odoo 14 on Debian
# bullseye, or PostgreSQL 17, Redis 8, Odoo 19 on trixie, as systemd-nspawn containers on a network of
# their own. Needs root.
#
#   lab.sh deps                     install what the lab itself needs (apt; only what is missing)
#   lab.sh base                     build the layers that are missing (about five minutes from nothing)
#   lab.sh up HOST[:LAYER]…         create and boot; LAYER is min or prod (bullseye), bare19 or prod19
#                                   (trixie), a bare bookworm or trixie, or @NAME of a `save`
#   lab.sh save NAME                keep all hosts, as they are now, under NAME (they reboot)
#   lab.sh kept                     the names under which hosts are kept
#   lab.sh restore NAME             throw the hosts away and boot those kept under NAME
#   lab.sh ssh HOST [COMMAND…]      over the network, as root
#   lab.sh in HOST COMMAND…         without the network (works while the link is down)
#   lab.sh drv COMMAND…             run COMMAND as the driver, 10.77.0.1
#   lab.sh down|boot|kill HOST…     clean power-off | power on again | power cut
#   lab.sh freeze|thaw HOST…        hang a whole machine | let it go on
#   lab.sh link HOST up|down        plug | pull the cable
#   lab.sh cut|heal A B             A and B cannot reach each other; the driver still reaches both
#   lab.sh shut HOST PORT           what the driver sends to PORT of HOST is dropped
#   lab.sh deaf HOST                HOST takes no new connection; those that stand go on
#   lab.sh open HOST                neither any more
#   lab.sh rate HOST [RATE]         slow its cable down to RATE (8mbit) | as fast as it was
#   lab.sh disk HOST PATH MB        mount a small ext4 at PATH inside HOST (for a full disk)
#   lab.sh repo                     serve packages and wheels at http://10.77.0.1:8000 (`up` does it too)
#   lab.sh wheels NAME==VERSION…    fetch Python modules that hosts may install
#   lab.sh debs PACKAGE…            fetch Debian packages that hosts may install
#   lab.sh nightly                  make the vendor's package of Odoo, which hosts may install
#   lab.sh rclone                   make a package of an rclone that mount(8) can call
#   lab.sh objects [start|stop [s3|azure] | fill | empty]
#                                   servers of S3 and Azure Blob, from npm, on the driver; their small disk
#   lab.sh env                      print the lab's paths and addresses, NAME=value
#   lab.sh status
#   lab.sh drop HOST…               throw hosts away
#   lab.sh destroy [--all]          hosts, network and state; --all: the layers and caches too
#
# OTR_LAB (default /var/tmp/otr-lab) is where everything lies; its last part also names the
# network namespaces, cgroups and mounts, so several labs can live side by side.
# OTR_LAB_MIRROR is a Debian mirror, OTR_LAB_RAM the most memory the hosts' disks may take.
set -euo pipefail

LAB=${OTR_LAB:-/var/tmp/otr-lab}
NAME=$(basename "$LAB")
LAYERS=$LAB/layers       # what hosts start from, on disk
CACHE=$LAB/cache         # packages and wheels, on disk; also the repository the hosts see
STATE=$LAB/state         # running hosts, in memory
NETWORK=10.77.0
DRIVER=$NETWORK.1
declare -A ADDRESS=([erp1]=$NETWORK.11 [erp2]=$NETWORK.12 [erp3]=$NETWORK.13)
HOSTS=(erp1 erp2 erp3)

STARTED=${EPOCHREALTIME/./}
say() { local now=${EPOCHREALTIME/./}; printf '%5d.%d s  %s\n' $(((now - STARTED) / 1000000)) $(((now - STARTED) / 100000 % 10)) "$*" >&2; }
die() { echo "lab.sh: $*" >&2; exit 1; }
known() { [ -n "${ADDRESS[$1]-}" ] || die "no host $1: there are ${HOSTS[*]}"; }

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/lab/network.sh"   # the namespaces, the repository, and faults of the network
. "$HERE/lab/machine.sh"   # hosts: create, boot, stop, cut the power, keep, restore
. "$HERE/lab/extras.sh"    # what single chapters install
. "$HERE/lab/layers.sh"    # what hosts start from
. "$HERE/lab/newer.sh"     # a newer Debian to start from
. "$HERE/lab/nineteen.sh"  # the second generation, Odoo 19 on trixie

verb_deps() {
  local need=() pair
  for pair in systemd-nspawn:systemd-container mmdebstrap:mmdebstrap ip:iproute2 nft:nftables ssh:openssh-client \
    dpkg-scanpackages:dpkg-dev python3:python3 mkfs.ext4:e2fsprogs; do
    command -v "${pair%%:*}" >/dev/null || need+=("${pair#*:}")
  done
  [ -e "$KEYRING" ] || need+=(debian-archive-keyring)
  python3 -m pip --version >/dev/null 2>&1 || need+=(python3-pip)
  [ ${#need[@]} -gt 0 ] || return 0
  say "installing ${need[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
}

verb_env() {
  local host
  echo "MIRROR=$(mirror)"; echo "DRIVER=$DRIVER"; echo "NETNS=$NAME"; echo "OBJECTS=$STATE/objects"; echo "KEY=$STATE/id"; echo "KNOWN_HOSTS=$STATE/known_hosts"
  for host in "${HOSTS[@]}"; do echo "${host^^}=${ADDRESS[$host]}"; done
}

verb_status() {
  local layer host
  for layer in "$LAYERS"/*.built; do [ -e "$layer" ] && echo "layer $(basename "$layer" .built)"; done
  for host in "${HOSTS[@]}"; do
    [ -d "$STATE/$host" ] || continue
    echo "host $host ${ADDRESS[$host]} $(is_on "$host" && echo on || echo off)"
  done
}

verb_destroy() {
  verb_drop "${HOSTS[@]}"
  verb_objects stop
  ! mountpoint -q "$STATE/objects" || umount "$STATE/objects"
  network_down
  ! mountpoint -q "$STATE" || umount "$STATE"
  rmdir "$STATE" 2>/dev/null || true
  if [ "${1-}" = --all ]; then
    build_abandon "$LAYERS/build/root"
    build_abandon "$LAB/debs/root"
    rm -rf --one-file-system "$LAB"
  fi
  rmdir "$LAB" 2>/dev/null || true
}

verb=${1-help}
shift || true
if ! declare -F "verb_$verb" >/dev/null; then
  sed -n '2,/^set -/p' "$0" | sed '$d; s/^# \{0,1\}//'
  exit 64
fi
[ "$(id -u)" = 0 ] || die "needs root"
"verb_$verb" "$@"
[ "$verb" != base ] || base19
