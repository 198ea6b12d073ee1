//! How root works in a folder that may be somebody else's. A name there may be anything by the time it
//! is used, so a folder is entered step by step and each step is looked at afterwards; what is new is
//! made in a folder that nobody else can enter; and nothing is done through a link of another's. A
//! link of root's, and one that leads to a folder of its own owner's, are as good as the folder.

use std::path::Path;

use super::{Attributes, backup, quote, quote_path};

/// `into FOLDER [MODE]` enters an absolute folder, `way FOLDER [MODE]` a relative one, and makes what is
/// absent; `fresh NAME` enters a new folder of root's alone, from which NAME's new self is renamed to
/// `../NAME`, and removes what a killed run left; `leave` removes it; `pin NAME` opens a file or folder
/// as `/proc/self/fd/7`.
pub(crate) const GUARD: &str = r#"me=$(id -u)
alien() { echo "$1 is a link of somebody else's: it is not followed" >&2; return 74; }
step() {
  h=${PWD%/}
  [ -d "./$1/." ] || { echo "$h/$1 is no folder, nor a link to one" >&2; return 74; }
  a=$(LC_ALL=C stat -c '%u %d:%i %F' -- "./$1") && cd -P -- "./$1" || return
  case $a in
    *' symbolic link') case ${a%% *} in 0|"$me"|"$(stat -c %u .)") ;; *) alien "$h/$1"; return;; esac;;
    *) a=${a#* }; [ "${a%% *}" = "$(stat -c %d:%i .)" ] || { alien "$h/$1"; return; };;
  esac
}
way() {
  m=${2:-0755}; set -f; IFS=/; set -- $1; unset IFS; set +f
  for c; do
    case $c in ''|.) continue;; esac
    [ -e "./$c" ] || [ -L "./$c" ] || mkdir -m "$m" -- "./$c" || return
    step "$c" || return
  done
}
into() { cd / && way "$1" "${2-}"; }
fresh() {
  rm -rf --one-file-system -- "./.$1.otr-"*
  t=$(mktemp -d -- "./.$1.otr-XXXXXXXXXX") && cd -P -- "$t" || return
  case $(stat -c '%u %a' .) in "$me 700"|"$me 2700") ;; *) alien "$t"; return;; esac
}
leave() { cd -P .. && rm -rf --one-file-system -- "$t"; }
pin() {
  { [ -f "./$1" ] || [ -d "./$1" ]; } && ! [ -L "./$1" ] && exec 7<"./$1" &&
  [ "$(stat -L -c %d:%i /proc/self/fd/7)" = "$(stat -c %d:%i -- "./$1")" ] || { alien "$1"; return; }
}
"#;

/// The folder of a path and its last name, quoted.
pub(crate) fn split(path: &Path) -> (String, String) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (quote_path(path.parent().unwrap_or(Path::new("/"))), quote(&name))
}

/// Makes `./new` with `make`, in a folder of its own, and puts it in the place of what stands at `path`.
pub(super) fn replace(path: &Path, make: &str) -> String {
    let (folder, name) = split(path);
    format!(
        "umask 077\n{GUARD}into {folder}\n{}fresh {name}\ntrap leave EXIT\n{make}\nmv -T -- new ../{name}\nsync ..",
        backup(path, &format!("./{name}")),
    )
}

/// Nothing, where the folder is not there.
pub(super) fn remove(path: &Path, how: &str) -> String {
    let (folder, name) = split(path);
    format!("[ -d {folder} ] || exit 0\n{GUARD}into {folder}\n{how} -- ./{name}")
}

/// Owner and mode of what stands at a path.
pub(super) fn attributes(path: &Path, a: &Attributes) -> String {
    let (folder, name) = split(path);
    format!("{GUARD}into {folder}\npin {name}\nchown {}:{} /proc/self/fd/7\nchmod {} /proc/self/fd/7\nexec 7<&-", a.owner, a.group, a.mode)
}

/// A folder, with owner and mode.
pub(super) fn directory(path: &Path, a: &Attributes) -> String {
    format!("{GUARD}into {}\nchown {}:{} .\nchmod {} .", quote_path(path), a.owner, a.group, a.mode)
}
