//! Scripts that carry what was taken from production.

use std::path::Path;

use super::guarded::{self, GUARD};
use super::{Attributes, BACKUPS, KEEP_ONCE, decoded, quote, quote_path};
use crate::action::DebconfAnswer;
use crate::secret::Secret;

/// As `write_file`; the bytes travelled in base64 and are written as they came.
pub fn write_bytes(path: &Path, encoded: &Secret, attributes: &Attributes) -> String {
    decoded(path, encoded.expose(), attributes, &crate::action::reader::read(None, path, true))
}

/// A link has neither mode nor content of its own: it is made beside its place and renamed.
pub fn make_link(path: &Path, target: &str) -> String {
    guarded::replace(path, &format!("ln -s -- {} new", quote(target)))
}

/// From the leaves. What Python made of it goes with it; a directory that holds something else stays.
pub fn remove_places(root: &Path, places: &[String]) -> String {
    let root = quote_path(root);
    let calls: String = places.iter().map(|place| format!("gone {}\n", quote(place))).collect();
    format!(
        r#"[ -d {root} ] || exit 0
umask 077
{GUARD}into {root}
exec 8<.
gone() {{
  case $1 in */*) d=${{1%/*}};; *) d=.;; esac
  n=${{1##*/}}; t=./$n; b={BACKUPS}{root}/$1
  cd -P /proc/self/fd/8
  [ -d "./$d" ] || return 0
  way "$d"
  if [ -d "$t" ] && ! [ -L "$t" ]; then
    (step "$n" && rm -rf -- ./__pycache__ && find . -maxdepth 1 -type f -name '*.pyc' -delete)
    rmdir --ignore-fail-on-non-empty -- "$t"
  else
    case /$1 in */.git/*) ;; *) {KEEP_ONCE};; esac
    rm -f -- "$t"
  fi
}}
{calls}cd -P /proc/self/fd/8
sync -f ."#
    )
}

/// On standard input, for a value may be a password. A line ends with the value, so none can end the text.
pub fn answer_debconf(answers: &[DebconfAnswer]) -> String {
    let line = |a: &DebconfAnswer| format!("{} {} {} {}\n", a.owner, a.question, a.kind, a.value.expose());
    format!("debconf-set-selections <<'OTR-EOF'\n{}OTR-EOF", answers.iter().map(line).collect::<String>())
}
