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

# Debian packages with all they need on a bare host.
verb_debs() { # PACKAGE…
  local root=$LAYERS/build/root package missing=()
  for package; do [ -e "$CACHE/debs/.$package" ] || missing+=("$package"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  layers_abandon
  rm -rf --one-file-system "$LAYERS/build"
  mkdir -p "$LAYERS/build"
  overlay "$LAYERS/min" "$LAYERS/build" "$root"
  printf 'deb %s bullseye main\n' "$(mirror)" >"$root/etc/apt/build.list"
  in_layer "$root" sh -ec "
    apt='apt-get -o Dir::Etc::SourceList=/etc/apt/build.list -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0'
    \$apt update
    \$apt -o APT::Keep-Downloaded-Packages=true install -y --no-install-recommends --download-only ${missing[*]}
  " >"$LAB/debs.log" 2>&1 || { umount "$root"; die "${missing[*]} cannot be fetched, see $LAB/debs.log"; }
  umount "$root"
  rm -rf --one-file-system "$LAYERS/build"
  cgroup_remove build
  rm -rf "$CACHE/debs/partial" "$CACHE/debs/lock"
  index_packages
  for package in "${missing[@]}"; do : >"$CACHE/debs/.$package"; done
}
