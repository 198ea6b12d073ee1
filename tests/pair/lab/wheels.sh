# Wheels beyond those of the layers: what a chapter lets its hosts install with pip. They stay in
# the cache.
verb_wheels() { # NAME==VERSION…
  local wheel name
  mkdir -p "$CACHE/wheels"
  for wheel; do
    name=$(echo "${wheel%%==*}" | tr - _)
    compgen -G "$CACHE/wheels/$name-${wheel#*==}-*.whl" >/dev/null || python3 -m pip download -q -d "$CACHE/wheels" \
      --python-version 3.9 --only-binary=:all: --no-deps "$wheel" || die "pip cannot fetch $wheel"
  done
}
