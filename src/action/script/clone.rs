//! Scripts that carry what was taken from production.

use std::path::Path;

use super::{Attributes, BACKUPS, KEEP_ONCE, backup, beside, quote, quote_path, set_attributes};
use crate::action::DebconfAnswer;
use crate::secret::Secret;

/// As `write_file`; the bytes travelled in base64 and are written as they came.
pub fn write_bytes(path: &Path, encoded: &Secret, attributes: &Attributes) -> String {
    let new = quote_path(&beside(path));
    let directory = quote_path(path.parent().unwrap_or(Path::new("/")));
    format!(
        "umask 077\nnew={new}\n[ -d {directory} ] || mkdir -p -m 0755 -- {directory}\n{}trap 'rm -f -- \"$new\"' EXIT\nbase64 -d > \"$new\" <<'OTR-EOF'\n{}\nOTR-EOF\n{}\nsync \"$new\"\nmv -T -- \"$new\" {}\nsync {directory}",
        backup(path),
        encoded.expose(),
        set_attributes("\"$new\"", attributes),
        quote_path(path),
    )
}

/// A link has neither mode nor content of its own: it is made beside its place and renamed.
pub fn make_link(path: &Path, target: &str) -> String {
    let (new, directory) = (quote_path(&beside(path)), quote_path(path.parent().unwrap_or(Path::new("/"))));
    format!(
        "[ -d {directory} ] || mkdir -p -m 0755 -- {directory}\n{}ln -sfn -- {} {new}\nmv -T -- {new} {}\nsync {directory}",
        backup(path),
        quote(target),
        quote_path(path),
    )
}

/// From the leaves. What Python made of it goes with it; a directory that holds something else stays.
pub fn remove_places(root: &Path, places: &[String]) -> String {
    let root = quote_path(root);
    let calls: String = places.iter().map(|place| format!("gone {}\n", quote(place))).collect();
    format!(
        r#"[ -d {root} ] || exit 0
umask 077
cd {root}
gone() {{
  t=./$1; b={BACKUPS}{root}/$1
  if [ -d "$t" ] && ! [ -L "$t" ]; then
    rm -rf -- "$t/__pycache__"
    find "$t" -maxdepth 1 -type f -name '*.pyc' -delete
    rmdir --ignore-fail-on-non-empty -- "$t"
  else
    case /$1 in */.git/*) ;; *) {KEEP_ONCE};; esac
    rm -f -- "$t"
  fi
}}
{calls}sync -f ."#
    )
}

/// On standard input, for a value may be a password. A line ends with the value, so none can end the text.
pub fn answer_debconf(answers: &[DebconfAnswer]) -> String {
    let line = |a: &DebconfAnswer| format!("{} {} {} {}\n", a.owner, a.question, a.kind, a.value.expose());
    format!("debconf-set-selections <<'OTR-EOF'\n{}OTR-EOF", answers.iter().map(line).collect::<String>())
}
