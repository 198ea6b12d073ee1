//! The two ends of a copy between hosts: what to send, and how it is received.
//!
//! The stream is a tar archive. A filestore is kept in another way ([`super::keep`]); the
//! request to production for its files is here too.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::look::quote_path;
use crate::name::Word;

/// The last file of a stream that is whole.
const SEAL: &str = ".otr-whole";

/// A copy of a tree of changing files from one host into another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transfer {
    /// The directory on the host that gives.
    pub source: PathBuf,
    /// The directory on the host that takes.
    pub directory: PathBuf,
    /// Who owns the files there; `None`: whoever owns them on the host that gives, with the same mode.
    pub owner: Option<Word>,
    /// The files, relative to both directories.
    pub names: Vec<String>,
}

/// What came of a copy of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Taken {
    /// Files that are in place.
    pub files: u64,
}

/// What production is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gift {
    /// In which form.
    pub kind: GiftKind,
    /// The directory there.
    pub source: PathBuf,
    /// The names, NUL after each.
    pub names: Vec<u8>,
    /// In a few words.
    pub title: String,
}

/// The form of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiftKind {
    /// Files of a tree, as tar with everything it can say of them.
    Tree,
    /// Files of a store: otr's own frames, or plain tar where there is no otr.
    Store,
    /// The names of all files of a store.
    Listing,
}

/// tar for a list of names on standard input. A file that is gone is left out: tar says so and
/// goes on (`--ignore-failed-read`).
const TAR: &str = "tar --create --file=- --ignore-failed-read --no-recursion --null --verbatim-files-from --files-from=-";

impl Gift {
    /// Sends it.
    pub fn script(&self) -> String {
        let cd = format!("cd {} || exit 74\n", quote_path(&self.source));
        cd + &match self.kind {
            GiftKind::Tree => format!("exec {TAR} --sparse --format=posix 2>/dev/null"),
            // Where production has an otr that speaks the same language, it sends faster than tar.
            GiftKind::Store => format!(
                "[ \"$({PROGRAM} serve version 2>/dev/null)\" != {SERVES} ] || exec {PROGRAM} serve give\nexec {TAR} --format=gnu 2>/dev/null"
            ),
            // By directory entries alone.
            GiftKind::Listing => "find . -mindepth 2 -maxdepth 2 -type f -path './[0-9a-f][0-9a-f]*' -printf '%P\\0' || exit 74".into(),
        }
    }
}

/// Where otr puts itself on another host.
pub const PROGRAM: &str = "/usr/local/bin/otr";
/// What `otr serve version` prints: the version of its language.
pub const SERVES: &str = "otr-serve-1";

impl Transfer {
    /// What is copied, in a few words.
    pub fn title(&self) -> String {
        match self.names.as_slice() {
            [one] => format!("{}/{one}", self.directory.display()),
            names => format!("{} files of {}", names.len(), self.directory.display()),
        }
    }

    /// What the other host is asked for.
    pub fn gift(&self) -> Gift {
        let names = self.names.iter().flat_map(|name| name.bytes().chain([0])).collect();
        Gift { kind: GiftKind::Tree, source: self.source.clone(), names, title: self.title() }
    }

    /// Receives tar on standard input and prints `ok N`.
    pub fn take_script(&self) -> String {
        let directory = quote_path(&self.directory);
        let Some(owner) = &self.owner else { return as_they_are(&directory) };
        format!(
            r#"set -e
umask 027
cd {directory}
in=.otr-incoming
rm -rf -- "$in"
mkdir -- "$in"
trap 'rm -rf -- "$in"' EXIT
tar --extract --ignore-zeros --file=- --directory="$in" --no-same-owner --no-overwrite-dir
[ -f "$in/{SEAL}" ] || {{ echo 'the stream broke off' >&2; exit 74; }}
rm -f -- "$in/{SEAL}"
find "$in" ! -type f ! -type d -delete
cd "$in"
chown -R {owner}:{owner} .
sync -f .
n=$(find . -type f | wc -l)
find . -mindepth 1 -type d -exec sh -c 'for d; do [ -d "../$d" ] || install -d -o {owner} -g {owner} -m 0755 "../$d"; done' sh {{}} +
find . -type f -exec sh -c 'for f; do mv -f -T -- "$f" "../$f"; done' sh {{}} +
cd ..
sync -f .
echo "ok $n"
"#
        )
    }

    /// Ends a stream that is whole: an archive of one empty file, sent after the other. tar
    /// itself takes an archive cut between two files for a whole one.
    pub fn seal() -> Vec<u8> {
        // Fields of a ustar header: offset and text (POSIX pax, "ustar Interchange Format").
        let fields = [(0, SEAL), (100, "0000600\0"), (108, "0000000\0"), (116, "0000000\0"), (124, "00000000000\0")];
        let fields = fields.into_iter().chain([(136, "00000000000\0"), (148, "        "), (156, "0"), (257, "ustar\x0000")]);
        let mut block = vec![0; 512];
        let put = |block: &mut [u8], at: usize, text: &str| block.iter_mut().skip(at).zip(text.bytes()).for_each(|(to, byte)| *to = byte);
        for (at, text) in fields {
            put(&mut block, at, text);
        }
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        put(&mut block, 148, &format!("{sum:06o}\0 "));
        block.extend([0; 1024]);
        block
    }

    /// Reads what the receiving end printed.
    ///
    /// # Errors
    /// It is not what [`Transfer::take_script`] prints.
    pub fn read_taken(&self, said: &str) -> Result<Taken, String> {
        let files = said.trim().strip_prefix("ok ").and_then(|n| n.parse().ok());
        files.map(|files| Taken { files }).ok_or_else(|| format!("the receiving end said {said:?}"))
    }
}

/// The directories are there already. A file that would run with its owner's rights does not come.
fn as_they_are(directory: &str) -> String {
    format!(
        r#"set -e
umask 077
cd {directory}
in=.otr-incoming
rm -rf -- "$in"
mkdir -- "$in"
trap 'rm -rf -- "$in"' EXIT
tar --extract --ignore-zeros --file=- --directory="$in" --same-owner --same-permissions --no-overwrite-dir
[ -f "$in/{SEAL}" ] || {{ echo 'the stream broke off' >&2; exit 74; }}
rm -f -- "$in/{SEAL}"
find "$in" ! -type f ! -type d -delete
find "$in" -type f -perm /6000 -exec chmod ug-s -- {{}} +
sync -f .
cd "$in"
n=$(find . -type f | wc -l)
find . -type f -exec sh -c 'for f; do mv -f -T -- "$f" "../$f"; done' sh {{}} +
cd ..
sync -f .
echo "ok $n"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn pipe(script: &str, input: &[u8]) -> std::process::Output {
        let mut child =
            Command::new("sh").arg("-c").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    #[test]
    fn a_stream_that_breaks_off_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let transfer = Transfer { source: dir.path().into(), directory: dir.path().into(), owner: "root".parse().ok(), names: vec![] };
        let output = pipe(&transfer.take_script(), b"this is no archive");
        assert!(!output.status.success());
        assert!(transfer.read_taken(&String::from_utf8(output.stdout).unwrap()).is_err());
        assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
    }
}
