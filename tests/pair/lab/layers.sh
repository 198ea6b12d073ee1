# What hosts start from: `min` is bare Debian bullseye; `odoo` lies over it and has production's
# software installed but never started; `prod` lies over that and is a production that ran.
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
BARE=systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,sudo,cron,iproute2,iputils-ping,ca-certificates,netbase,procps,tar
SOFTWARE=(odoo-14 postgresql-13 redis-server python3-pip tree acl otr-lab-tool=1.0)
WHEELS=(phonenumbers==8.12.1 phonenumbers==8.12.2 redis==3.5.3 redis==3.5.2)
# The add-ons that a database with contacts loads. The others, all translations and all manuals are
# never unpacked: they are most of the 650 MB and nothing here looks at them.
ADDONS="auth_signup auth_totp base base_import base_setup bus contacts fetchmail google_recaptcha http_routing iap iap_mail mail mail_bot odoo_referral partner_autocomplete phone_validation resource sms snailmail web web_editor web_kanban_gauge web_tour web_unsplash utm calendar"

mirror() {
  local own
  # This machine's own mirror, if it is a Debian: it is known to work from here.
  own=$(. /etc/os-release; [ "$ID" != debian ] || apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' 'Origin: Debian' |
    grep -v security | head -1)
  echo "${OTR_LAB_MIRROR:-${own:-http://deb.debian.org/debian}}"
}

verb_base() {
  mkdir -p "$LAYERS" "$CACHE/debs" "$CACHE/wheels"
  wheels &
  local wheels=$!
  built min || build_min
  wait "$wheels" || die "pip could not fetch the wheels, see $LAB/wheels.log"
  built odoo || build_odoo
  built prod || build_prod
}
# A layer whose recipe changed is built anew, and so is what lies over it.
recipe() {
  local of=("$HERE/lab/layers.sh")
  [ "$1" != prod ] || of+=("$HERE"/lab/production*.sh "$HERE/rpc.py")
  cat "${of[@]}" | sha256sum | cut -c1-16
}
built() { [ "$(cat "$LAYERS/$1.built" 2>/dev/null)" = "$(recipe "$1")" ]; }
done_with() { recipe "$1" >"$LAYERS/$1.built"; say "layer $1 is built ($(du -sh "$LAYERS/$1" | cut -f1))"; }

# What an interrupted build left running and mounted.
build_abandon() { # ROOT
  cgroup_kill build
  cgroup_remove build
  ! mountpoint -q "$1" || umount "$1"
}

wheels() {
  local wheel
  for wheel in "${WHEELS[@]}"; do
    [ -e "$CACHE/wheels/$(echo "$wheel" | sed 's/==/-/')-py2.py3-none-any.whl" ] || python3 -m pip download -q -d "$CACHE/wheels" \
      --python-version 3.9 --only-binary=:all: --no-deps "$wheel" || return 1
  done >"$LAB/wheels.log" 2>&1
}

build_min() {
  local root=$LAYERS/min odoo=/usr/lib/python3/dist-packages/odoo/addons addon timer user
  rm -rf --one-file-system "$root"
  # The packages stay in the cache: hosts must be able to install them again, and so must the next base.
  mmdebstrap --quiet --mode=root --variant=minbase --format=directory --keyring=$KEYRING --include=$BARE \
    --aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --skip=download/empty --skip=essential/unlink \
    --setup-hook='mkdir -p "$1"/var/cache/apt/archives' --setup-hook="sync-in $CACHE/debs /var/cache/apt/archives" \
    --customize-hook="sync-out /var/cache/apt/archives $CACHE/debs" \
    bullseye "$root" "deb $(mirror) bullseye main" 2>"$LAB/min.log" || die "mmdebstrap failed, see $LAB/min.log"
  rm -rf "$CACHE/debs/partial" "$CACHE/debs/lock" "$root"/var/cache/apt/archives/*.deb

  {
    echo "path-exclude=$odoo/*/*"
    echo "path-include=$odoo/*.py"
    for addon in $ADDONS; do echo "path-include=$odoo/$addon/*"; done
    echo "path-exclude=$odoo/*/i18n/*"
  } >"$root/etc/dpkg/dpkg.cfg.d/90lab"
  echo "deb [trusted=yes] http://$DRIVER:8000/debs ./" >"$root/etc/apt/sources.list"
  printf '[global]\nno-index = true\nfind-links = http://%s:8000/wheels/\ntrusted-host = %s\ndisable-pip-version-check = true\n' "$DRIVER" "$DRIVER" >"$root/etc/pip.conf"
  echo LANG=C.UTF-8 >"$root/etc/default/locale"
  for timer in apt-daily apt-daily-upgrade e2scrub_all fstrim logrotate; do ln -sf /dev/null "$root/etc/systemd/system/$timer.timer"; done
  for user in admin guest; do chroot "$root" useradd --create-home --shell /bin/bash "$user"; done
  echo 'admin ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/admin"
  chmod 440 "$root/etc/sudoers.d/admin"
  rm -f "$root"/etc/ssh/ssh_host_*
  : >"$root/etc/resolv.conf"
  : >"$root/etc/machine-id"
  done_with min
}

# A tiny package of our own, so that two versions of one thing can be had, and a stand-in for
# wkhtmltopdf, which would bring Qt WebKit and Mesa (28 packages) for PDFs nobody prints here.
own_package() { # NAME VERSION PROGRAM
  local tree=$LAB/package
  rm -rf "$tree"
  mkdir -p "$tree/DEBIAN" "$tree/usr/bin"
  printf '#!/bin/sh\necho %s %s\n' "$1" "$2" >"$tree/usr/bin/$3"
  chmod 755 "$tree/usr/bin/$3"
  printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: lab <lab@localhost>\nDescription: made for the lab\n' "$1" "$2" >"$tree/DEBIAN/control"
  dpkg-deb --build --root-owner-group "$tree" "$CACHE/debs/$1_$2_all.deb" >/dev/null
  rm -rf "$tree"
}

index_packages() {
  (
    cd "$CACHE/debs"
    rm -f Packages Release
    dpkg-scanpackages --multiversion . >Packages 2>/dev/null
    printf 'Origin: lab\nSuite: lab\nDate: %s\nSHA256:\n %s %s Packages\n' "$(LC_ALL=C date -Ru)" \
      "$(sha256sum <Packages | cut -d' ' -f1)" "$(stat -c %s Packages)" >Release
  )
}

# One command in a layer that is not booted, with this machine's network.
in_layer() { # ROOT COMMAND…
  local root=$1 code=0
  shift
  (
    cgroup_enter build
    SYSTEMD_LOG_LEVEL=warning exec systemd-nspawn --quiet --register=no --keep-unit --as-pid2 --pipe --directory="$root" \
      --machine="$NAME-build" --resolv-conf=replace-host --timezone=off --link-journal=no \
      --bind="$CACHE/debs:/var/cache/apt/archives" --setenv=DEBIAN_FRONTEND=noninteractive --setenv=LC_ALL=C.UTF-8 "$@" </dev/null
  ) || code=$?
  rmdir "/run/systemd/nspawn/propagate/$NAME-build" 2>/dev/null || true
  return $code
}

build_odoo() {
  local root=$LAYERS/build/root
  build_abandon "$root"
  rm -rf --one-file-system "$LAYERS/odoo" "$LAYERS/build"
  own_package wkhtmltopdf 0.12.6-1+lab wkhtmltopdf
  own_package otr-lab-tool 1.0 otr-lab-tool
  own_package otr-lab-tool 1.1 otr-lab-tool
  index_packages
  mkdir -p "$LAYERS/build"
  overlay "$LAYERS/min" "$LAYERS/build" "$root"
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # nothing starts while it is installed
  chmod 755 "$root/usr/sbin/policy-rc.d"
  # Our own packages first: they win over the mirror's, as on the hosts, where there is no mirror.
  printf 'deb [trusted=yes] file:/var/cache/apt/archives ./\ndeb %s bullseye main\n' "$(mirror)" >"$root/etc/apt/build.list"
  printf 'Package: wkhtmltopdf otr-lab-tool\nPin: origin ""\nPin-Priority: 1001\n' >"$root/etc/apt/preferences.d/build"
  in_layer "$root" sh -ec "
    apt='apt-get -o Dir::Etc::SourceList=/etc/apt/build.list -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0'
    \$apt update
    \$apt -o APT::Keep-Downloaded-Packages=true install -y --no-install-recommends ${SOFTWARE[*]}
    apt-mark hold otr-lab-tool
    rm -rf /var/lib/apt/lists/*_* /var/cache/apt/*.bin
    systemctl disable odoo
  " >"$LAB/odoo.log" 2>&1 || { umount "$root"; die "installing production's software failed, see $LAB/odoo.log"; }
  rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/apt/build.list" "$root/etc/apt/preferences.d/build"
  : >"$root/etc/resolv.conf"
  umount "$root"
  mv "$LAYERS/build/upper" "$LAYERS/odoo"
  rm -rf "$LAYERS/build"
  cgroup_remove build
  rm -rf "$CACHE/debs/partial" "$CACHE/debs/lock"
  index_packages # now with what apt brought
  done_with odoo
}

# A production as somebody would have made it by hand, by really running it.
build_prod() {
  local host=erp1
  verb_up $host:odoo
  {
    verb_ssh $host bash -es <"$HERE/lab/production.sh" &&
      in_driver python3 "$HERE/rpc.py" "http://${ADDRESS[$host]}:8069" acme fill 50 &&
      verb_ssh $host bash -es <"$HERE/lab/production-rest.sh"
  } >"$LAB/prod.log" 2>&1 || { verb_destroy; die "making the production failed, see $LAB/prod.log"; }
  stop_clean $host
  umount "$STATE/$host/root"
  rm -rf --one-file-system "$LAYERS/prod"
  cp -a "$STATE/$host/upper" "$LAYERS/prod"
  verb_destroy
  done_with prod
}
