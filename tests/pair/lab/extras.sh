# What single chapters let their hosts install beyond the layers. It stays in the cache.

# Python modules, for the hosts' Python.
verb_wheels() { # NAME==VERSION…
  local wheel name
  mkdir -p "$CACHE/wheels"
  for wheel; do
    name=$(echo "${wheel%%==*}" | tr - _)
    compgen -G "$CACHE/wheels/$name-${wheel#*==}-*.whl" >/dev/null || python3 -m pip download -q -d "$CACHE/wheels" \
      --python-version 3.9 --only-binary=:all: --no-deps "$wheel" || die "pip cannot fetch $wheel"
  done
}

# Debian packages with all they need on a bare host. Labs may share their layers, so the place where
# apt works is this lab's own.
verb_debs() { # PACKAGE…
  local build=$LAB/debs package missing=()
  local root=$build/root
  for package; do [ -e "$CACHE/debs/.$package" ] || missing+=("$package"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  build_abandon "$root"
  rm -rf --one-file-system "$build"
  mkdir -p "$build"
  overlay "$LAYERS/min" "$build" "$root"
  printf 'deb %s bullseye main\n' "$(mirror)" >"$root/etc/apt/build.list"
  in_layer "$root" sh -ec "
    apt='apt-get -o Dir::Etc::SourceList=/etc/apt/build.list -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0'
    \$apt update
    \$apt -o APT::Keep-Downloaded-Packages=true install -y --no-install-recommends --download-only ${missing[*]}
  " >"$LAB/debs.log" 2>&1 || { umount "$root"; die "${missing[*]} cannot be fetched, see $LAB/debs.log"; }
  umount "$root"
  rm -rf --one-file-system "$build"
  cgroup_remove build
  rm -rf "$CACHE/debs/partial" "$CACHE/debs/lock"
  index_packages
  for package in "${missing[@]}"; do : >"$CACHE/debs/.$package"; done
}

# The vendor's own package of Odoo: Debian's files under the vendor's name, as its nightly builds have
# them. Only the add-ons the hosts keep are in it.
verb_nightly() {
  local tree=$LAB/nightly version=14.0.20240101 addon from
  [ ! -e "$CACHE/debs/odoo_${version}_all.deb" ] || return 0
  from=$(ls "$CACHE"/debs/odoo-14_*.deb | tail -n 1)
  rm -rf "$tree"
  dpkg-deb -R "$from" "$tree"
  for addon in "$tree"/usr/lib/python3/dist-packages/odoo/addons/*/; do
    case " $ADDONS " in *" $(basename "$addon") "*) rm -rf "$addon/i18n";; *) rm -rf "$addon";; esac
  done
  sed -i -e 's/^Package: .*/Package: odoo/' -e "s/^Version: .*/Version: $version/" \
    -e '/^\(Conflicts\|Replaces\|Breaks\|Provides\|Recommends\|Suggests\|Installed-Size\):/d' \
    -e '/^Architecture:/a Conflicts: odoo-14\nReplaces: odoo-14' "$tree/DEBIAN/control"
  sed -i 's/odoo-14/odoo/g' "$tree"/DEBIAN/{postinst,prerm,postrm}
  (cd "$tree" && find usr -type f -print0 | xargs -0 md5sum >DEBIAN/md5sums)
  dpkg-deb -Zgzip -z1 --build --root-owner-group "$tree" "$CACHE/debs/odoo_${version}_all.deb" >/dev/null
  rm -rf "$tree"
  index_packages
}

# bullseye's rclone 1.53 cannot be called by mount(8). This is bookworm's, beside the C library it needs.
verb_rclone() {
  local build=$LAB/debs root=$LAB/debs/root deb=rclone_1.60.1+lab_amd64.deb
  [ ! -e "$CACHE/debs/$deb" ] || return 0
  build_abandon "$root"
  rm -rf --one-file-system "$build"
  mkdir -p "$build"
  overlay "$LAYERS/min" "$build" "$root"
  printf 'deb %s bullseye main\ndeb [trusted=yes] %s bookworm main\n' "$(mirror)" "$(mirror)" >"$root/etc/apt/build.list"
  in_layer "$root" sh -ec "
    apt='apt-get -o Dir::Etc::SourceList=/etc/apt/build.list -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0'
    \$apt update
    \$apt install -y --no-install-recommends patchelf
    mkdir /root/new && cd /root/new
    \$apt download rclone/bookworm libc6/bookworm
    for deb in *.deb; do dpkg-deb -x \$deb /root/new; done
    own=/usr/lib/rclone lib=/root/new/lib/x86_64-linux-gnu
    mkdir -p /root/deb/DEBIAN /root/deb/usr/bin /root/deb\$own
    cp -L \$lib/ld-linux-x86-64.so.2 \$lib/libc.so.6 \$lib/libresolv.so.2 \$lib/libpthread.so.0 \$lib/libdl.so.2 /root/deb\$own/
    cp /root/new/usr/bin/rclone /root/deb/usr/bin/
    patchelf --set-interpreter \$own/ld-linux-x86-64.so.2 --set-rpath \$own /root/deb/usr/bin/rclone
  " >"$LAB/debs.log" 2>&1 || { umount "$root"; die "rclone cannot be made, see $LAB/debs.log"; }
  printf 'Package: rclone\nVersion: 1.60.1+lab\nArchitecture: amd64\nMaintainer: lab <lab@localhost>\nDescription: of bookworm\n' >"$root/root/deb/DEBIAN/control"
  dpkg-deb -Zgzip -z1 --build --root-owner-group "$root/root/deb" "$CACHE/debs/$deb" >/dev/null
  umount "$root"
  rm -rf --one-file-system "$build"
  cgroup_remove build
  rm -rf "$CACHE/debs/partial" "$CACHE/debs/lock"
  index_packages
}

# Servers of objects for the driver, from npm: S3 at https://10.77.0.1:9000 (bucket acme), Azure Blob at
# https://acme.blob.lab:10000. What they keep lies on a small disk, so that it can be full.
verb_objects() { # [start|stop [s3|azure] | fill | empty]
  local at=$STATE/objects which
  case ${1-start} in
    stop) for which in ${2-s3 azure}; do objects_stop "$which"; done; return ;;
    fill) head -c 64M /dev/zero >"$at/fill" 2>/dev/null || true; return ;;
    empty) rm -f "$at/fill"; return ;;
    start) ;;
    *) die "objects start, stop, fill or empty" ;;
  esac
  [ -e "$CACHE/objects/node_modules/.bin/s3rver" ] || npm install --silent --no-audit --no-fund --prefix "$CACHE/objects" s3rver azurite >"$LAB/npm.log" 2>&1 ||
    die "npm cannot install s3rver and azurite, see $LAB/npm.log"
  mkdir -p "$at"
  if ! mountpoint -q "$at"; then
    mount -t tmpfs -o size=64m "$NAME-objects" "$at"
    mkdir "$at/s3" "$at/azure"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=the lab" -keyout "$at/ca.key" -out "$at/ca.pem" 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=objects" -keyout "$at/key.pem" -out "$at/csr" 2>/dev/null
    openssl x509 -req -in "$at/csr" -CA "$at/ca.pem" -CAkey "$at/ca.key" -CAcreateserial -days 30 -out "$at/cert.pem" \
      -extfile <(echo "subjectAltName=IP:$DRIVER,DNS:acme.blob.lab") 2>/dev/null
  fi
  for which in ${2-s3 azure}; do objects_start "$which"; done
}
objects_start() {
  local at=$STATE/objects bin=$CACHE/objects/node_modules/.bin command
  case $1 in
    s3) command=("$bin/s3rver" -s -d "$at/s3" -a "$DRIVER" -p 9000 --key "$at/key.pem" --cert "$at/cert.pem" --configure-bucket acme) ;;
    azure) command=("$bin/azurite-blob" -s -l "$at/azure" --blobHost "$DRIVER" --blobPort 10000 --key "$at/key.pem" --cert "$at/cert.pem"
      --disableTelemetry --skipApiVersionCheck) ;;
  esac
  if [ -f "$STATE/objects.$1.pid" ] && kill -0 "$(cat "$STATE/objects.$1.pid")" 2>/dev/null; then return; fi
  # The account and its key, which is no secret here; exec all the way down, as for the repository.
  (export AZURITE_ACCOUNTS="acme:$(echo keys-to-the-shop | base64)"
    cd "$at" && exec setsid ip netns exec "$NAME" "${command[@]}" </dev/null >"$STATE/objects.$1.log" 2>&1) &
  echo $! >"$STATE/objects.$1.pid"
  disown
  local try port
  port=$([ "$1" = s3 ] && echo 9000 || echo 10000)
  for try in $(seq 300); do
    ! in_driver bash -c "exec 3<>/dev/tcp/$DRIVER/$port" 2>/dev/null || return 0
    sleep 0.1
  done
  die "$1 does not answer, see $STATE/objects.$1.log"
}
objects_stop() {
  local try pid
  [ -f "$STATE/objects.$1.pid" ] || return 0
  pid=$(cat "$STATE/objects.$1.pid")
  kill -9 "$pid" 2>/dev/null || true
  for try in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
  rm -f "$STATE/objects.$1.pid"
}
