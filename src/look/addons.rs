//! A tree of add-ons: every file, link and directory with owner and mode, files with the SHA-1 of
//! their content, and at which commit its checkouts are.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::paths::{Entry, Kind};
use super::{Reply, SightError, content::is_absent, octal, quote_path};

/// A tree of add-ons.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AddonTree {
    /// Place below the root (empty: the root itself) → what stands there.
    pub entries: BTreeMap<String, Entry>,
    /// The SHA-1 of each file outside `.git` that may be read; git's own are named by it.
    #[serde(default)]
    pub sums: BTreeMap<String, String>,
    /// Each `.git` below the root → commit and branch, or commit alone.
    pub heads: BTreeMap<String, String>,
}

/// What Python makes itself, and what a copy that was cut off leaves: directories, and what is taken of the rest.
const LEFT_OUT: &str = "-name __pycache__ -o -name .otr-incoming -o -name '.*.otr-*'";
const TAKEN: &str = "! -name '*.pyc'";

/// A checkout's commit is read from its files: git need not be there, and asks who owns them.
pub(super) fn script(root: &Path) -> String {
    let root = quote_path(root);
    format!(
        r#"r={root}; if ! [ -e "$r" ]; then stat -- "$r" >/dev/null; exit; fi
cd "$r" || exit
find . \( {LEFT_OUT} \) -prune -o {TAKEN} -printf '%y\0%u\0%g\0%m\0%s\0%T@\0%l\0%P\0' || exit
find . -type d \( {LEFT_OUT} -o -name .git \) -prune -o -type f {TAKEN} -print0 |
  xargs -0 -r sha1sum -z -- || :
find . -type d -name .git -prune | while read -r git; do
  head=$(cat "$git/HEAD") || exit
  case $head in "ref: "*)
    ref=${{head#ref: }}
    commit=$(cat "$git/$ref" 2>/dev/null || grep -F " $ref" "$git/packed-refs" 2>/dev/null | while read -r c name; do [ "$name" != "$ref" ] || echo "$c"; done)
    head="${{commit:-?}} ${{ref#refs/heads/}}";;
  esac
  printf 'g\0%s\0%s\0' "${{git#./}}" "$head"
done && printf end"#
    )
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<Option<AddonTree>, SightError> {
    if is_absent(reply) {
        return Ok(None);
    }
    let text = reply.text(limit)?.strip_suffix("end").ok_or(SightError::Truncated)?;
    let mut words = text.split_terminator('\0');
    let mut tree = AddonTree::default();
    while let Some(kind) = words.next() {
        if let Some((sum, place)) = kind.split_once("  ./") {
            tree.sums.insert(place.to_owned(), sum.to_owned());
            continue;
        }
        let mut next = || words.next().ok_or(SightError::Truncated);
        if kind == "g" {
            let (place, head) = (next()?.to_owned(), next()?.trim().to_owned());
            // A branch whose commit was not found is nothing to go by: its files are compared.
            if !head.starts_with("? ") {
                tree.heads.insert(place, head);
            }
            continue;
        }
        let [owner, group, mode, size, mtime, target, place] = [next()?, next()?, next()?, next()?, next()?, next()?, next()?];
        let number = |text: &str| text.parse::<f64>().map_err(|_| SightError::Unreadable(format!("{place:?}: {text:?}")));
        let kind = match kind {
            "f" => Kind::File,
            "d" => Kind::Directory,
            "l" => Kind::Link(target.into()),
            _ => Kind::Other,
        };
        let entry = Entry {
            size: if kind == Kind::File { size.parse().map_err(|_| SightError::Unreadable(format!("{place:?}: {size:?}")))? } else { 0 },
            kind,
            owner: owner.to_owned(),
            group: group.to_owned(),
            mode: octal(mode)?,
            mtime: number(mtime)?,
        };
        tree.entries.insert(place.to_owned(), entry);
    }
    Ok(Some(tree))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(root: &Path) -> Result<Option<AddonTree>, SightError> {
        let output = std::process::Command::new("sh").arg("-c").arg(script(root)).env("LC_ALL", "C").output().unwrap();
        let reply =
            Reply { stdout: output.stdout, stderr: String::from_utf8(output.stderr).unwrap(), status: output.status.code().unwrap() };
        read(&reply, 1)
    }

    #[test]
    fn a_tree_and_its_checkouts_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("add ons");
        assert_eq!(look(&root), Ok(None));
        for folder in ["acme/__pycache__", "acme/.git/refs/heads", "oca/.git"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let write = |name: &str, text: &str| std::fs::write(root.join(name), text).unwrap();
        write("acme/models.py", "12345");
        write("acme/models.pyc", "x");
        write("acme/__pycache__/models.pyc", "x");
        write("acme/.git/HEAD", "ref: refs/heads/14.0\n");
        write("acme/.git/refs/heads/14.0", "abc123\n");
        write("oca/.git/HEAD", "ref: refs/heads/main\n");
        write("oca/.git/packed-refs", "# pack-refs\nabc000 refs/heads/main2\ndef456 refs/heads/main\n");
        write("acme/.git/HEAD", "ref: refs/heads/14.0\n");
        std::fs::create_dir_all(root.join("new/.git")).unwrap();
        write("new/.git/HEAD", "ref: refs/heads/main\n");
        std::os::unix::fs::symlink("../acme", root.join("link")).unwrap();
        let tree = look(&root).unwrap().unwrap();
        assert_eq!((tree.entries["acme/models.py"].size, tree.entries["acme/models.py"].kind.clone()), (5, Kind::File));
        assert_eq!(tree.sums["acme/models.py"], "8cb2237d0679ca88db6464eac60da96345513964");
        assert_eq!(tree.sums.keys().collect::<Vec<_>>(), ["acme/models.py"]);
        assert_eq!(tree.entries["link"].kind, Kind::Link("../acme".into()));
        assert_eq!(tree.entries[""].kind, Kind::Directory);
        assert!(tree.entries.keys().all(|place| !place.ends_with(".pyc") && !place.contains("__pycache__")), "{:?}", tree.entries.keys());
        let heads: Vec<(&str, &str)> = tree.heads.iter().map(|(git, head)| (git.as_str(), head.as_str())).collect();
        assert_eq!(heads, [("acme/.git", "abc123 14.0"), ("oca/.git", "def456 main")]);
    }

    #[test]
    fn a_cut_reply_is_no_tree() {
        let whole = "d\0odoo\0odoo\x00755\x004096\x001.5\0\0\0g\0.git\0abc main\0end";
        let reply = |text: &str| Reply { stdout: text.into(), ..Reply::default() };
        assert_eq!(read(&reply(whole), 1).unwrap().unwrap().heads[".git"], "abc main");
        for end in 0..whole.len() {
            assert!(read(&reply(&whole[..end]), 1).is_err(), "cut at {end}");
        }
    }
}
