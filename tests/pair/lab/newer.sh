# Machines of a newer Debian, bare, for what bullseye has not: Valkey, and units that forbid their
# service nearly everything. Built when a chapter asks for one (`up erp1:trixie`), never by `base`.
NEWER=(bookworm trixie)
declare -A NEWER_PACKAGES=(
  [bookworm]="redis-server redis-sentinel redis-tools"
  [trixie]="valkey-server valkey-sentinel valkey-tools redis-server redis-sentinel redis-tools"
)

is_newer() { local name; for name in "${NEWER[@]}"; do [ "$name" != "$1" ] || return 0; done; return 1; }

# Beside the layer: what its hosts may install, and the file that says of which recipe both are.
newer() { # SUITE
  local suite=$1 root=$LAYERS/$1 debs=$CACHE/$1/debs recipe timer
  recipe=$(sha256sum <"$HERE/lab/newer.sh" | cut -c1-16)
  [ "$(cat "$LAYERS/$suite.built" 2>/dev/null)" != "$recipe" ] || return 0
  mkdir -p "$LAYERS" "$debs"
  rm -rf --one-file-system "$root"
  # The packages are fetched where their dependencies are known, and not installed.
  mmdebstrap --quiet --mode=root --variant=minbase --format=directory --keyring=$KEYRING --include=$BARE \
    --aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --skip=download/empty --skip=essential/unlink --skip=cleanup/apt/cache \
    --customize-hook="APT_CONFIG=\"\$MMDEBSTRAP_APT_CONFIG\" apt-get -qq -y --no-install-recommends --download-only install ${NEWER_PACKAGES[$suite]}" \
    --customize-hook="mkdir -p '$debs'" --customize-hook="sync-out /var/cache/apt/archives '$debs'" \
    "$suite" "$root" "deb $(mirror) $suite main" 2>"$LAB/$suite.log" || die "mmdebstrap failed, see $LAB/$suite.log"
  rm -rf "$debs/partial" "$debs/lock" "$root"/var/cache/apt/archives/*.deb
  (CACHE=$CACHE/$suite; index_packages)
  echo "deb [trusted=yes] http://$DRIVER:8000/$suite/debs ./" >"$root/etc/apt/sources.list"
  echo LANG=C.UTF-8 >"$root/etc/default/locale"
  for timer in apt-daily apt-daily-upgrade e2scrub_all fstrim logrotate; do ln -sf /dev/null "$root/etc/systemd/system/$timer.timer"; done
  chroot "$root" useradd --create-home --shell /bin/bash admin
  echo 'admin ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/admin"
  chmod 440 "$root/etc/sudoers.d/admin"
  rm -f "$root"/etc/ssh/ssh_host_*
  : >"$root/etc/resolv.conf"
  : >"$root/etc/machine-id"
  echo "$recipe" >"$LAYERS/$suite.built"
  say "layer $suite is built ($(du -sh "$root" | cut -f1), packages $(du -sh "$debs" | cut -f1))"
}
