//! The two ends of a copy between hosts: what to send, and how it is received.
//!
//! The stream is a tar archive. A filestore is kept in another way ([`super::keep`]); the
//! request to production for its files is here too.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::script::{BACKUPS, KEEP_ONCE};
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
    /// The file system of the spec that it lies on: without it nothing is touched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount: Option<PathBuf>,
    /// Who owns the files there; `None`: all as it is on the host that gives, links and directories too.
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
    /// The names of all files of a store.
    pub fn listing(source: &Path) -> Self {
        Self { kind: GiftKind::Listing, source: source.into(), names: Vec::new(), title: format!("the list of {}", source.display()) }
    }

    /// Files of a store; `names` has so many, NUL after each.
    pub fn store(source: &Path, count: u64, names: Vec<u8>) -> Self {
        Self { kind: GiftKind::Store, source: source.into(), names, title: format!("{count} files of {}", source.display()) }
    }

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
            names => {
                let what = if self.owner.is_some() { "files" } else { "places" };
                format!("{} {what} of {}", names.len(), self.directory.display())
            }
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
        let mounted = self.mount.as_deref().map(mounted).unwrap_or_default();
        let Some(owner) = &self.owner else { return mounted + &as_they_are(&directory) };
        format!(
            r#"{mounted}set -e
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

/// By the hands of whom the folder belongs to: a link in it leads root nowhere.
pub(super) fn end_sessions(directory: &Path, mount: Option<&Path>, owner: &Word, names: &[String]) -> String {
    format!(
        "{}runuser -u {owner} -- sh -c 'cd \"$0\" && xargs -d \"\\n\" -r rm -f --' {} <<'OTR-EOF'\n{}\nOTR-EOF",
        mount.map(mounted).unwrap_or_default(),
        quote_path(directory),
        names.join("\n")
    )
}

/// Nothing is written into the bare directory below a file system that is away.
fn mounted(at: &std::path::Path) -> String {
    let at = quote_path(at);
    format!("mountpoint -q -- {at} || {{ printf '%s is not mounted: nothing was written\\n' {at} >&2; exit 74; }}\n")
}

/// Files, links and directories with their owners, modes and times; every directory on the way is in
/// the stream. What stood there is kept once. A checkout gets its commit last: until then it is not
/// what production has, so a copy that was cut off is seen.
fn as_they_are(directory: &str) -> String {
    let commit = r"\( -path '*/.git/HEAD' -o -path '*/.git/refs/*' -o -path '*/.git/packed-refs' \)";
    let put = format!(
        r#"-exec sh -c 'for f; do t=../${{f#./}}; b="$0/${{f#./}}"
case $f in */.git/*) ;; *) {KEEP_ONCE} || exit;; esac
mv -f -T -- "$f" "$t" || exit; done' {BACKUPS}{directory} {{}} +"#
    );
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
find "$in" ! -type f ! -type d ! -type l -delete
sync -f .
cd "$in"
n=$(find . -mindepth 1 | wc -l)
find . -mindepth 1 -type d -exec sh -c 'for d; do t=../${{d#./}}
[ -d "$t" ] || mkdir -- "$t" || exit
chown --reference="$d" -- "$t" && chmod --reference="$d" -- "$t" || exit; done' sh {{}} +
find . ! -type d ! {commit} {put}
find . ! -type d {commit} {put}
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
    use std::path::Path;
    use std::process::{Command, Stdio};

    fn pipe(script: &str, input: &[u8]) -> std::process::Output {
        let mut child =
            Command::new("sh").arg("-c").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    /// The whole way with real tar, as the user who runs the tests.
    #[test]
    fn files_links_and_folders_arrive_as_they_are() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        for folder in ["from/acme/.git/refs/heads", "from/new folder", "to/acme"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for name in ["acme/a.py", "acme/.git/HEAD", "acme/.git/refs/heads/main", "new folder/b's.py"] {
            std::fs::write(from.join(name), name).unwrap();
        }
        std::fs::set_permissions(from.join("acme"), PermissionsExt::from_mode(0o2775)).unwrap();
        symlink("../acme", from.join("new folder/link")).unwrap();
        let names = "acme|acme/a.py|acme/.git|acme/.git/HEAD|acme/.git/refs|acme/.git/refs/heads|acme/.git/refs/heads/main|new folder|new folder/b's.py|new folder/link";
        let names: Vec<String> = names.split('|').map(str::to_owned).collect();
        let transfer = Transfer { source: from.clone(), directory: to.clone(), mount: None, owner: None, names };
        let gift = transfer.gift();
        let mut stream = pipe(&gift.script(), &gift.names).stdout;
        stream.extend(Transfer::seal());
        let output = pipe(&transfer.take_script(), &stream);
        assert_eq!(transfer.read_taken(&String::from_utf8_lossy(&output.stdout)), Ok(Taken { files: 10 }), "{output:?}");
        assert_eq!(std::fs::read_to_string(to.join("new folder/b's.py")).unwrap(), "new folder/b's.py");
        assert_eq!(std::fs::read_link(to.join("new folder/link")).unwrap(), Path::new("../acme"));
        assert_eq!(std::fs::metadata(to.join("acme")).unwrap().permissions().mode() & 0o7777, 0o2775);
        assert!(to.join("acme/.git/HEAD").exists() && to.join("acme/.git/refs/heads/main").exists() && !to.join(".otr-incoming").exists());
        let time = |root: &Path| std::fs::metadata(root.join("acme/a.py")).unwrap().modified().unwrap();
        assert_eq!(time(&from), time(&to));
        let places = ["acme/.git/HEAD", "new folder/link", "new folder/b's.py", "new folder", "acme"].map(str::to_owned).to_vec();
        let action = crate::action::Action::RemovePlaces { root: to.clone(), places };
        let script = crate::action::script::script(&action).replace(BACKUPS, dir.path().join("kept").to_str().unwrap());
        let output = pipe(&format!("set -e\n{script}"), b"");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        assert!(!to.join("new folder").exists() && to.join("acme/a.py").exists() && !to.join("acme/.git/HEAD").exists());
        assert!(dir.path().join("kept").join(to.strip_prefix("/").unwrap()).join("new folder/b's.py").exists());
    }

    #[test]
    fn a_stream_that_breaks_off_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let transfer =
            Transfer { source: dir.path().into(), directory: dir.path().into(), mount: None, owner: "root".parse().ok(), names: vec![] };
        let output = pipe(&transfer.take_script(), b"this is no archive");
        assert!(!output.status.success());
        assert!(transfer.read_taken(&String::from_utf8(output.stdout).unwrap()).is_err());
        assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
    }
}
