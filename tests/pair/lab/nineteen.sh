# The second generation of the lab's machines, on Debian trixie: `bare19` is a bare one, `odoo19` lies over
# it with Odoo 19, PostgreSQL 17 and Redis 8, never started, and `prod19` over that is a production that ran.
# Odoo 19 is in sid alone: it is pinned over trixie, and finds there all it needs. Their hosts install from
# a repository of their own.
SOFTWARE19=(odoo-19 postgresql-17 redis-server python3-pip tzdata-legacy acl tree)
# Of the 632 add-ons of Odoo 19, what a database with contacts loads.
ADDONS19="api_doc auth_passkey auth_signup auth_totp auth_totp_mail base base_import base_import_module base_install_request base_setup bus contacts google_gmail html_editor http_routing iap iap_mail mail mail_bot microsoft_outlook partner_autocomplete phone_validation privacy_lookup resource rpc sms snailmail utm web web_tour web_unsplash"
# The module that keeps sessions in Redis, with all it imports, for Python 3.13.
WHEELS19=(mangono-addon-redis-session-store==3.0.1 environ-odoo-config==0.9.2 importlib-metadata==8.7.1 python-dotenv==1.2.1
  redis==5.2.1 typing-extensions==4.16.0 wrapt==1.17.3 zipp==3.23.1 phonenumbers==8.12.1 phonenumbers==8.12.2)

CACHE19=$CACHE/nineteen
recipe19() { # LAYER
  case $1 in
    prod19) cat "$HERE"/lab/nineteen.sh "$HERE"/lab/seed19.sh "$HERE/rpc.py" ;;
    *) cat "$HERE/lab/nineteen.sh" ;;
  esac | sha256sum | cut -c1-16
}
built19() { [ "$(cat "$LAYERS/$1.built" 2>/dev/null)" = "$(recipe19 "$1")" ]; }
done_with19() { recipe19 "$1" >"$LAYERS/$1.built"; say "layer $1 is built ($(du -sh "$LAYERS/$1" | cut -f1))"; }

base19() {
  built19 bare19 || build_bare19
  built19 odoo19 || build_odoo19
  built19 prod19 || build_prod19
}

build_bare19() {
  local root=$LAYERS/bare19 odoo=/usr/lib/python3/dist-packages/odoo/addons addon timer user wheels
  mkdir -p "$LAYERS" "$CACHE19/debs" "$CACHE19/wheels"
  wheels19 &
  wheels=$!
  rm -rf --one-file-system "$root"
  # The packages are fetched where their dependencies are known, and not installed.
  mmdebstrap --quiet --mode=root --variant=minbase --format=directory --keyring=$KEYRING --include=$BARE \
    --aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Check-Valid-Until "false"' \
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --skip=download/empty --skip=essential/unlink --skip=cleanup/apt/cache \
    --setup-hook='mkdir -p "$1"/etc/apt/preferences.d "$1"/var/cache/apt/archives' \
    --setup-hook='printf "Package: *\nPin: release n=sid\nPin-Priority: -1\n\nPackage: odoo-19\nPin: release n=sid\nPin-Priority: 500\n" >"$1"/etc/apt/preferences.d/lab' \
    --setup-hook="sync-in '$CACHE19/debs' /var/cache/apt/archives" \
    --customize-hook="APT_CONFIG=\"\$MMDEBSTRAP_APT_CONFIG\" apt-get -qq -y --no-install-recommends --download-only install ${SOFTWARE19[*]}" \
    --customize-hook="sync-out /var/cache/apt/archives '$CACHE19/debs'" \
    trixie "$root" "deb $(mirror) trixie main" "deb $(mirror) sid main" 2>"$LAB/bare19.log" || die "mmdebstrap failed, see $LAB/bare19.log"
  rm -rf "$CACHE19/debs/partial" "$CACHE19/debs/lock" "$root"/var/cache/apt/archives/*.deb "$root/etc/apt/preferences.d/lab"
  (CACHE=$CACHE19; index_packages)
  echo "deb [trusted=yes] http://$DRIVER:8000/nineteen/debs ./" >"$root/etc/apt/sources.list"
  {
    echo "path-exclude=$odoo/*/*"
    echo "path-exclude=${odoo/odoo\/}/*"
    echo "path-include=$odoo/*/__manifest__.py"
    for addon in $ADDONS19; do echo "path-include=$odoo/$addon/*"; done
    echo "path-exclude=$odoo/*/i18n/*"
  } >"$root/etc/dpkg/dpkg.cfg.d/90lab"
  printf '[global]\nno-index = true\nfind-links = http://%s:8000/nineteen/wheels/\ntrusted-host = %s\ndisable-pip-version-check = true\n' "$DRIVER" "$DRIVER" >"$root/etc/pip.conf"
  echo LANG=C.UTF-8 >"$root/etc/default/locale"
  for timer in apt-daily apt-daily-upgrade e2scrub_all fstrim logrotate; do ln -sf /dev/null "$root/etc/systemd/system/$timer.timer"; done
  for user in admin guest; do chroot "$root" useradd --create-home --shell /bin/bash "$user"; done
  echo 'admin ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/admin"
  chmod 440 "$root/etc/sudoers.d/admin"
  rm -f "$root"/etc/ssh/ssh_host_*
  : >"$root/etc/resolv.conf"
  : >"$root/etc/machine-id"
  wait "$wheels" || die "pip could not fetch the wheels, see $LAB/wheels19.log"
  done_with19 bare19
}

wheels19() {
  local wheel name
  for wheel in "${WHEELS19[@]}"; do
    name=$(echo "${wheel%%==*}" | tr - _)
    compgen -G "$CACHE19/wheels/$name-${wheel#*==}-*.whl" >/dev/null || python3 -m pip download -q -d "$CACHE19/wheels" \
      --python-version 3.13 --only-binary=:all: --no-deps "$wheel" || return 1
  done >"$LAB/wheels19.log" 2>&1
}

build_odoo19() {
  local root=$LAYERS/build19/root
  build_abandon "$root"
  rm -rf --one-file-system "$LAYERS/odoo19" "$LAYERS/build19"
  mkdir -p "$LAYERS/build19"
  overlay "$LAYERS/bare19" "$LAYERS/build19" "$root"
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # nothing starts while it is installed
  chmod 755 "$root/usr/sbin/policy-rc.d"
  echo 'deb [trusted=yes] file:/var/cache/apt/archives ./' >"$root/etc/apt/build.list"
  (
    CACHE=$CACHE19
    in_layer "$root" sh -ec "
      apt='apt-get -o Dir::Etc::SourceList=/etc/apt/build.list -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0'
      \$apt update
      \$apt install -y --no-install-recommends ${SOFTWARE19[*]}
      rm -rf /var/lib/apt/lists/*_* /var/cache/apt/*.bin
      systemctl disable odoo
    "
  ) >"$LAB/odoo19.log" 2>&1 || { umount "$root"; die "installing Odoo 19 failed, see $LAB/odoo19.log"; }
  rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/apt/build.list"
  : >"$root/etc/resolv.conf"
  umount "$root"
  mv "$LAYERS/build19/upper" "$LAYERS/odoo19"
  rm -rf "$LAYERS/build19"
  cgroup_remove build
  done_with19 odoo19
}

# As the first generation's: by really running it.
build_prod19() {
  local host=erp1
  verb_up $host:odoo19
  {
    verb_ssh $host bash -es seed <"$HERE/lab/seed19.sh" &&
      in_driver python3 "$HERE/rpc.py" "http://${ADDRESS[$host]}:8069" acme fill 50 &&
      verb_ssh $host bash -es rest <"$HERE/lab/seed19.sh"
  } >"$LAB/prod19.log" 2>&1 || { verb_destroy; die "making the production with Odoo 19 failed, see $LAB/prod19.log"; }
  stop_clean $host
  umount "$STATE/$host/root"
  rm -rf --one-file-system "$LAYERS/prod19"
  cp -a "$STATE/$host/upper" "$LAYERS/prod19"
  verb_destroy
  done_with19 prod19
}
