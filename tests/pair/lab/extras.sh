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
