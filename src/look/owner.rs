//! Whose a program is, and running it as nobody else.

/// `as_owner PLACE COMMAND…`: root runs a command as the first other user who could have put something
/// into a place: a virtual environment, a checkout. Anybody else runs it as he is.
pub(crate) const AS_OWNER: &str = r#"as_owner() {
  [ "$(id -u)" = 0 ] || { shift; "$@"; return; }
  o=$(stat -c '%u %U' -- "$1" "$1"/. "$1"/bin "$1"/bin/* "$1"/lib "$1"/lib/python3* "$1"/lib/python3*/site-packages 2>/dev/null | grep -v '^0 ' | head -n 1); o=${o#* }; shift
  [ -n "$o" ] || { "$@"; return; }
  runuser -u "$o" -- env HOME="$(getent passwd "$o" | cut -d: -f6)" "$@"
}"#;
