//! The two ends of a copy between hosts: what to send, and how it is received.
//!
//! The stream is a tar archive. The receiving end believes nothing: a filestore file takes
//! its place only if its SHA-1 is its name.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::look::quote_path;
use crate::name::Word;

/// The last file of a stream that is whole.
const SEAL: &str = ".otr-whole";

/// A copy from one host into another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transfer {
    /// What the files are.
    pub kind: TransferKind,
    /// The directory on the host that gives.
    pub source: PathBuf,
    /// The directory on the host that takes.
    pub directory: PathBuf,
    /// Who owns the files there.
    pub owner: Word,
    /// The files, relative to both directories.
    pub names: Vec<String>,
}

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransferKind {
    /// Filestore files.
    Store {
        /// Remembers up to when the store was verified.
        stamp: PathBuf,
        /// The time of the look that saw all other files sound, seconds since the epoch.
        verified_at: String,
    },
    /// Files that change; size and mtime are compared.
    Tree,
}

/// What came of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Taken {
    /// Files that are in place.
    pub files: u64,
    /// Files that came damaged (their SHA-1 is not their name) and were left out.
    pub damaged: Vec<String>,
    /// Files the other host did not have any more.
    pub absent: Vec<String>,
}

impl Transfer {
    /// What is copied, in a few words.
    pub fn title(&self) -> String {
        match self.names.as_slice() {
            [one] => format!("{}/{one}", self.directory.display()),
            names => format!("{} files of {}", names.len(), self.directory.display()),
        }
    }

    /// Sends the files named on standard input (NUL-separated) as tar. A file that is gone
    /// is left out: tar says so and goes on (`--ignore-failed-read`).
    pub fn give_script(&self) -> String {
        format!(
            "cd {} && exec tar --create --file=- --ignore-failed-read --no-recursion --null --verbatim-files-from --files-from=- --sparse --format=posix 2>/dev/null",
            quote_path(&self.source)
        )
    }

    /// Receives tar on standard input, verifies, and prints `ok N`, then a line per damaged file.
    pub fn take_script(&self) -> String {
        let (directory, owner) = (quote_path(&self.directory), &self.owner);
        let receive = format!(
            "set -e\numask 027\ncd {directory}\nin=.otr-incoming\nrm -rf -- \"$in\"\nmkdir -- \"$in\"\ntrap 'rm -rf -- \"$in\"' EXIT\n\
             tar --extract --ignore-zeros --file=- --directory=\"$in\" --no-same-owner --touch --no-overwrite-dir\n\
             [ -f \"$in/{SEAL}\" ] || {{ echo 'the stream broke off' >&2; exit 74; }}\nrm -f -- \"$in/{SEAL}\"\n\
             find \"$in\" ! -type f ! -type d -delete\n"
        );
        match &self.kind {
            TransferKind::Store { stamp, verified_at } => {
                let (stamp, parent) = (quote_path(stamp), quote_path(stamp.parent().unwrap_or(stamp)));
                receive
                    + &format!(
                        r#"cd "$in"
bad=$(find . -type f -print0 | xargs -0 -r sha1sum -- | awk '{{ n = $2; sub(".*/", "", n); if (n != $1) print substr($2, 3) }}')
printf '%s' "$bad" | tr '\n' '\0' | xargs -0 -r rm -f --
find . -type f -exec chmod 0644 {{}} +
find . -mindepth 1 -type d -exec chmod 0755 {{}} +
chown -R {owner}:{owner} .
sync -f .
n=$(find . -type f | wc -l)
for d in */; do
  d=${{d%/}}; [ -d "$d" ] || continue
  [ -d ../"$d" ] || install -d -o {owner} -g {owner} -m 0755 ../"$d"
  find "$d" -type f -exec mv -f -t ../"$d" -- {{}} +
done
cd ..
sync -f .
mkdir -p {parent}
touch -d @{verified_at} {stamp}
echo "ok $n"
[ -z "$bad" ] || printf '%s\n' "$bad"
"#
                    )
            }
            TransferKind::Tree => {
                receive.replace(" --touch", "")
                    + &format!(
                        r#"cd "$in"
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
        }
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
        let mut lines = said.lines();
        let files: u64 = lines
            .next()
            .and_then(|line| line.strip_prefix("ok ")?.parse().ok())
            .ok_or_else(|| format!("the receiving end said {said:?}"))?;
        let damaged: Vec<String> = lines.map(str::to_owned).collect();
        Ok(Taken { files, damaged, absent: Vec::new() })
    }

    /// What the sending end reads on its standard input.
    pub fn name_list(&self) -> Vec<u8> {
        self.names.iter().flat_map(|name| name.bytes().chain([0])).collect()
    }
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
    fn only_files_that_are_what_their_name_says_take_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let (source, directory) = (dir.path().join("a"), dir.path().join("b"));
        let good = "da/da39a3ee5e6b4b0d3255bfef95601890afd80709";
        let torn = "aa/aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
        let gone = "bb/bbf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
        for (name, text) in [(good, ""), (torn, "torn")] {
            std::fs::create_dir_all(source.join(name).parent().unwrap()).unwrap();
            std::fs::write(source.join(name), text).unwrap();
        }
        std::fs::create_dir_all(&directory).unwrap();
        let whoami = Command::new("id").arg("-un").output().unwrap().stdout;
        let transfer = Transfer {
            kind: TransferKind::Store { stamp: dir.path().join("state/stamp"), verified_at: "1000.5".into() },
            source: source.clone(),
            directory: directory.clone(),
            owner: String::from_utf8(whoami).unwrap().trim().parse().unwrap(),
            names: vec![good.into(), torn.into(), gone.into()],
        };
        let mut stream = pipe(&transfer.give_script(), &transfer.name_list()).stdout;
        assert!(!pipe(&transfer.take_script(), &stream).status.success(), "no seal, no file");
        assert!(!directory.join(good).exists());
        stream.extend(Transfer::seal());
        let taken = pipe(&transfer.take_script(), &stream);
        let taken = transfer.read_taken(&String::from_utf8(taken.stdout).unwrap()).unwrap();
        assert_eq!(taken, Taken { files: 1, damaged: vec![torn.into()], absent: vec![] });
        assert!(directory.join(good).exists() && !directory.join(torn).exists() && !directory.join(".otr-incoming").exists());
        assert!(dir.path().join("state/stamp").exists());
    }

    #[test]
    fn a_stream_that_breaks_off_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let transfer = Transfer {
            kind: TransferKind::Tree,
            source: dir.path().into(),
            directory: dir.path().into(),
            owner: "root".parse().unwrap(),
            names: vec![],
        };
        let output = pipe(&transfer.take_script(), b"this is no archive");
        assert!(!output.status.success());
        assert!(transfer.read_taken(&String::from_utf8(output.stdout).unwrap()).is_err());
        assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
    }
}
