//! A mount point: what is mounted there, whether it answers, and what stands below it if nothing is.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Reply, SightError, quote, quote_path};

/// A mount point.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MountSight {
    /// What is mounted there.
    pub mounted: Option<Mounted>,
    /// A directory stands there (or, under a mount that does not answer, is taken for one).
    pub directory: bool,
    /// While nothing is mounted: the directory cannot be written to, by anybody. `None`: its file
    /// system knows no such thing.
    pub immutable: Option<bool>,
    /// While nothing is mounted: the first entries of the directory.
    pub entries: Vec<String>,
    /// The helper that mounts the type is there.
    pub helper: bool,
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mounted {
    /// As the kernel names it; the image behind a loop device.
    pub source: String,
    /// The kernel's word for its type.
    pub kind: String,
    /// Its options, those of the mount and of the file system.
    pub options: Vec<String>,
    /// Its identifiers: `UUID=…`, `LABEL=…`.
    pub tags: Vec<String>,
    /// For a bind: it is the same folder as its source.
    pub same: bool,
    /// Why it does not answer, if it does not.
    pub trouble: Option<String>,
    /// It is a file system of a program, and that program is no more.
    pub ended: bool,
}

/// Sets `$trouble` to why a mount does not answer, or to nothing. Whether it does is tried by a process
/// that is left behind if it does not: one that waits for a dead server cannot be killed. It must not
/// keep otr's lock, which is descriptor 9.
pub fn answers(at: &str, seconds: u32) -> String {
    let tenths = seconds * 10;
    format!(
        r#"  said=$(mktemp) || exit 1
  (LC_ALL=C stat -f -- {at} >/dev/null 2>"$said.e" && LC_ALL=C ls -U -- {at} 2>>"$said.e" | head -n 1 >/dev/null; [ -s "$said.e" ] && cp "$said.e" "$said" || echo fine >"$said") >/dev/null 2>&1 </dev/null 9>&- &
  n=0; while [ ! -s "$said" ] && [ $n -lt {tenths} ]; do sleep 0.1; n=$((n + 1)); done
  if [ ! -s "$said" ]; then trouble='it does not answer within {seconds} s'; elif grep -qx fine "$said"; then trouble=; else trouble=$(head -n 1 "$said"); fi
  rm -f "$said" "$said.e""#
    )
}

/// After [`answers`]: sets `$ended` to `yes` if the program behind a mount of FUSE is no more. GlusterFS
/// says the same words while its client lives and its servers are gone: it may answer again.
pub fn ended(at: &str) -> String {
    format!(
        r#"ended=
case $trouble in *'Transport endpoint is not connected'*)
  ended=yes
  for of in $(grep -lzxF -- {at} /proc/[0-9]*/cmdline 2>/dev/null); do
    if ls -l "${{of%/cmdline}}/fd" 2>/dev/null | grep -q '/dev/fuse$'; then ended=; fi
  done;;
esac"#
    )
}

/// The mount table is read from the kernel, which never hangs.
pub(super) fn script(at: &Path, folder: Option<&PathBuf>, helper: Option<&str>) -> String {
    let at = quote_path(at);
    let same = folder.map_or(String::new(), |folder| {
        let folder = quote_path(folder);
        format!("[ \"$(stat -c %d:%i -- {folder})\" != \"$(stat -c %d:%i -- {at})\" ] || echo 'same yes'\n")
    });
    let helper = helper.map_or("echo 'helper yes'".to_owned(), |helper| {
        format!("PATH=$PATH:/sbin:/usr/sbin:/usr/local/sbin; command -v {} >/dev/null && echo 'helper yes'", quote(helper))
    });
    let (answers, ended) = (answers(&at, 5), ended(&at));
    format!(
        r#"{helper}
table() {{ findmnt -n -r -M {at} -o SOURCE,FSTYPE,OPTIONS | tail -n 1; }}
line=$(table)
# An automount is the mount, waiting: whoever looks in makes it mount.
case $line in *' autofs '*)
{answers}
  line=$(table);;
esac
if [ -n "$line" ]; then
  echo "mounted $line"
  source=${{line%% *}}
  case $source in /dev/loop*) echo "behind $(cat /sys/block/"${{source#/dev/}}"/loop/backing_file 2>/dev/null)";; esac
  for tag in UUID LABEL; do v=$(findmnt -n -r -M {at} -o $tag | tail -n 1); [ -z "$v" ] || echo "tag $tag=$v"; done
{answers}
{ended}
  if [ -n "$ended" ]; then echo ended; fi
  if [ -n "$trouble" ]; then echo "trouble $trouble"; else
{same}:
  fi
elif [ -d {at} ]; then
  echo directory
  flags=$(lsattr -d -- {at} 2>/dev/null | cut -d' ' -f1) && case $flags in *i*) echo 'immutable yes';; ?*) echo 'immutable no';; esac
  ls -A -- {at} | head -n 3 | sed 's/^/entry /'
fi
echo end"#
    )
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<MountSight, SightError> {
    let text = reply.text(limit)?;
    if !text.ends_with("end\n") {
        return Err(SightError::Truncated);
    }
    let mut sight = MountSight::default();
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (word, &mut sight.mounted) {
            ("helper", _) => sight.helper = true,
            ("directory", _) => sight.directory = true,
            ("immutable", _) => sight.immutable = Some(rest == "yes"),
            ("entry", _) => sight.entries.push(rest.to_owned()),
            ("mounted", mounted) => {
                let fields: Vec<&str> = rest.split(' ').collect();
                let [source, kind, options] = fields.as_slice() else {
                    return Err(SightError::Unreadable(format!("findmnt: {rest:?}")));
                };
                sight.directory = true;
                *mounted = Some(Mounted {
                    source: unescaped(source),
                    kind: (*kind).to_owned(),
                    options: options.split(',').map(unescaped).collect(),
                    ..Mounted::default()
                });
            }
            ("behind", Some(mounted)) if !rest.is_empty() => mounted.source = rest.to_owned(),
            ("tag", Some(mounted)) => mounted.tags.push(rest.to_owned()),
            ("same", Some(mounted)) => mounted.same = true,
            ("ended", Some(mounted)) => mounted.ended = mounted.kind.starts_with("fuse"),
            ("trouble", Some(mounted)) => mounted.trouble = Some(rest.to_owned()),
            _ => {}
        }
    }
    Ok(sight)
}

/// findmnt -r writes blanks as `\x20`.
fn unescaped(text: &str) -> String {
    text.replace("\\x20", " ").replace("\\x5c", "\\").replace("\\x09", "\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_and_what_is_not() {
        let stdout = "helper yes\nmounted /dev/loop3 ext4 rw,noatime\nbehind /srv/a b.img\ntag UUID=1234\nend\n";
        let sight = read(&Reply { stdout: stdout.into(), ..Reply::default() }, 1).unwrap();
        let mounted = sight.mounted.unwrap();
        assert_eq!((mounted.source.as_str(), mounted.kind.as_str()), ("/srv/a b.img", "ext4"));
        assert_eq!((mounted.options, mounted.tags, mounted.trouble), (vec!["rw".into(), "noatime".into()], vec!["UUID=1234".into()], None));
        let bare = read(&Reply { stdout: b"directory\nimmutable no\nentry 0a\nend\n".to_vec(), ..Reply::default() }, 1).unwrap();
        assert_eq!((bare.directory, bare.immutable, bare.entries.len(), bare.helper), (true, Some(false), 1, false));
        assert_eq!(read(&Reply { stdout: b"directory\n".to_vec(), ..Reply::default() }, 1), Err(SightError::Truncated));
    }

    #[test]
    fn this_machines_own_proc_is_seen() {
        let folder = PathBuf::from("/proc");
        let output =
            std::process::Command::new("sh").arg("-c").arg(script(Path::new("/proc"), Some(&folder), Some("sh"))).output().unwrap();
        let reply =
            Reply { stdout: output.stdout, stderr: String::from_utf8(output.stderr).unwrap(), status: output.status.code().unwrap() };
        let sight = read(&reply, 20).unwrap();
        let mounted = sight.mounted.unwrap();
        assert!(mounted.kind == "proc" && mounted.same && mounted.trouble.is_none() && sight.helper, "{mounted:?}");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x"), "").unwrap();
        let output = std::process::Command::new("sh").arg("-c").arg(script(dir.path(), None, Some("no-such-helper"))).output().unwrap();
        let reply = Reply { stdout: output.stdout, ..Reply::default() };
        let sight = read(&reply, 20).unwrap();
        assert!(sight.mounted.is_none() && sight.directory && sight.entries == ["x"] && !sight.helper, "{sight:?}");
    }
}
