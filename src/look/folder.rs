//! A small tree, whole: every file, link and directory with its owner, mode and content.
//!
//! Contents come in custody, base64 as they travelled: a tree may hold certificates' keys.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::{Reply, SightError, content::is_absent, octal, quote_path};
use crate::name::Mode;
use crate::secret::Secret;

/// The most entries that are read of a tree.
pub const ENTRIES: u64 = 2000;
/// The most bytes that are read of a tree.
pub const BYTES: u64 = 8 << 20;

/// What stands at a place of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A regular file; its bytes in base64.
    File(Secret),
    /// A directory.
    Directory,
    /// A symbolic link, and where it points.
    Link(String),
    /// A device, socket or pipe.
    Other,
}

/// One place of a tree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Piece {
    /// What stands there.
    pub what: What,
    /// Owner's name, or number where it has none.
    pub owner: String,
    /// Group's name, or number.
    pub group: String,
    /// Permission bits.
    pub mode: Mode,
    /// Last change, seconds since the epoch.
    pub mtime: f64,
}

/// Place below the root (empty: the root itself) → what stands there. `None`: nothing is there.
pub type Folder = Option<BTreeMap<String, Piece>>;

/// Its size is seen first: a tree that is too large is refused, not read.
pub(super) fn script(root: &Path) -> String {
    let root = quote_path(root);
    format!(
        "r={root}; if ! [ -e \"$r\" ] && ! [ -L \"$r\" ]; then stat -- \"$r\" >/dev/null; exit; fi; \
         l=$(find \"$r\" -printf '%s %y\\n') || exit; n=0; s=0; \
         while read -r size kind; do n=$((n + 1)); [ \"$kind\" != f ] || s=$((s + size)); done <<E\n$l\nE\n\
         if [ $n -gt {ENTRIES} ] || [ $s -gt {BYTES} ]; then \
         echo \"it holds $n entries and $s bytes; files are cloned up to {ENTRIES} entries and {BYTES} bytes: name the parts that are needed\" >&2; exit 3; fi; \
         find \"$r\" -printf '%y\\0%u\\0%g\\0%m\\0%T@\\0%l\\0%P\\0' && printf '=\\0' && \
         find \"$r\" -type f -exec sh -c 'for f; do printf \"%s\\0\" \"$f\"; base64 -w0 <\"$f\" || exit 1; printf \"\\0\"; done' x {{}} + && printf end"
    )
}

pub(super) fn read(reply: &Reply, limit: u64, root: &Path) -> Result<Folder, SightError> {
    if is_absent(reply) {
        return Ok(None);
    }
    let text = reply.text(limit)?.strip_suffix("end").ok_or(SightError::Truncated)?;
    let mut words = text.split_terminator('\0');
    let mut contents = BTreeMap::new();
    let mut places = Vec::new();
    while let Some(kind) = words.next().filter(|word| *word != "=") {
        let mut next = || words.next().ok_or(SightError::Truncated);
        places.push((kind, [next()?, next()?, next()?, next()?, next()?, next()?]));
    }
    while let Some(path) = words.next() {
        let below = Path::new(path).strip_prefix(root).map_err(|_| SightError::Unreadable(format!("path {path:?}")))?;
        contents.insert(below.to_string_lossy().into_owned(), words.next().ok_or(SightError::Truncated)?);
    }
    let mut pieces = BTreeMap::new();
    for (kind, [owner, group, mode, mtime, target, place]) in places {
        let changed = || SightError::Failed(format!("{place:?} changed while it was read; look again"));
        let what = match kind {
            "f" => What::File(Secret::new(*contents.get(place).ok_or_else(changed)?)),
            "d" => What::Directory,
            "l" => What::Link(target.to_owned()),
            _ => What::Other,
        };
        let mtime = mtime.parse().map_err(|_| SightError::Unreadable(format!("time {mtime:?}")))?;
        let piece = Piece { what, owner: owner.to_owned(), group: group.to_owned(), mode: octal(mode)?, mtime };
        pieces.insert(place.to_owned(), piece);
    }
    Ok(Some(pieces))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn look(root: &Path) -> Result<Folder, SightError> {
        let output = std::process::Command::new("sh").arg("-c").arg(script(root)).env("LC_ALL", "C").output().unwrap();
        let reply =
            Reply { stdout: output.stdout, stderr: String::from_utf8(output.stderr).unwrap(), status: output.status.code().unwrap() };
        read(&reply, 1, root)
    }

    #[test]
    fn a_tree_is_seen_whole_and_absence_is_not_emptiness() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("it's a tree");
        assert_eq!(look(&root), Ok(None));
        std::fs::create_dir_all(root.join("a\tb")).unwrap();
        assert_eq!(look(&root).unwrap().unwrap().len(), 2);
        std::fs::write(root.join("a\tb/key\nx"), [0xff, 0, b'\n']).unwrap();
        std::fs::write(root.join("empty"), "").unwrap();
        std::os::unix::fs::symlink("../else where", root.join("link")).unwrap();
        let seen = look(&root).unwrap().unwrap();
        assert_eq!(seen["a\tb/key\nx"].what, What::File(Secret::new(STANDARD.encode([0xff, 0, b'\n']))));
        assert_eq!(seen["empty"].what, What::File(Secret::new("")));
        assert_eq!(seen["link"].what, What::Link("../else where".into()));
        assert_eq!((seen[""].what.clone(), seen.len()), (What::Directory, 5));
        assert!(matches!(&look(&root.join("link")).unwrap().unwrap()[""].what, What::Link(_)), "a link is not followed");
        assert!(matches!(&look(&root.join("empty")).unwrap().unwrap()[""].what, What::File(_)));
        assert!(!serde_json::to_string(&seen).unwrap().contains(&STANDARD.encode([0xff, 0, b'\n'])));
    }

    #[test]
    fn a_large_tree_is_refused_and_a_cut_reply_is_no_tree() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::File::create(dir.path().join("big")).unwrap().set_len(BYTES + 1).unwrap();
        assert!(matches!(look(dir.path()), Err(SightError::Failed(said)) if said.contains("up to 2000 entries")));
        let whole = "f\0root\0root\x00644\x001.0\0\0\0=\0/x\0QUI=\0end";
        let reply = |text: &str| Reply { stdout: text.into(), ..Reply::default() };
        assert!(read(&reply(whole), 1, Path::new("/x")).unwrap().unwrap().contains_key(""));
        for end in 0..whole.len() {
            assert!(read(&reply(&whole[..end]), 1, Path::new("/x")).is_err(), "cut at {end}");
        }
    }
}
