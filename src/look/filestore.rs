//! The filestore: what a database refers to, and what lies on disk.
//!
//! A file's name is the SHA-1 of its content (Odoo's ir_attachment), so a file whose
//! content does not match its name is damaged, whoever damaged it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ClusterName, Reply, SightError, postgres::psql, quote_path};
use crate::name::DatabaseName;

/// Files a database refers to, by store name (`ab/abcd…`).
pub type Attachments = BTreeMap<String, Attachment>;

/// One file a database refers to, perhaps from several rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Bytes, as the database says.
    pub size: u64,
    /// The lowest id of the rows.
    pub id: i64,
    /// The name of that row.
    pub name: String,
    /// The model it belongs to (`sale.order`); empty if it belongs to none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// The record it belongs to; 0 if it belongs to none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub record: i64,
    /// Odoo makes it again when its row is deleted (an asset bundle).
    pub regenerable: bool,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// One file on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFile {
    /// Bytes.
    pub size: u64,
    /// Owner and group.
    pub owner: String,
    /// Its SHA-1, where it changed since the stamp.
    pub sha1: Option<String>,
}

/// The files of a store by name; `None` if its directory is absent.
pub type StoreListing = Option<BTreeMap<String, StoreFile>>;

/// Size and mtime (seconds) of each file of a tree, by relative path; `None` if it is absent.
pub type TreeListing = Option<BTreeMap<String, (u64, f64)>>;

/// The SHA-1 of each file of a tree, by relative path; `None` if it is absent.
pub type TreeSums = Option<BTreeMap<String, String>>;

/// Source of the rule: `_file_read` and `_full_path` of Odoo 14's and 19's ir_attachment; a
/// name with `://` lies in object storage.
pub(super) fn attachments_script(cluster: &ClusterName, database: &DatabaseName) -> String {
    let psql = psql(cluster, database.as_str());
    format!("{psql} -F \"$(printf '\\t')\" <<'SQL'\n{ATTACHMENTS}\nSQL")
}

/// Whether Odoo makes a row again that was deleted: an asset bundle of Odoo 14's or 19's.
macro_rules! bundle {
    () => {
        r"coalesce(res_model = 'ir.ui.view' AND coalesce(res_id, 0) = 0
  AND create_uid = 1 AND public AND (url LIKE '/web/assets/%' OR url ~ '^/web/content/[0-9]+-[0-9a-f]{7}/'), false)"
    };
}

// A database that Odoo has not filled yet has no such table, and so refers to no file.
const ATTACHMENTS: &str = concat!(
    r"SELECT to_regclass('ir_attachment') IS NOT NULL AS filled \gset
\if :filled
SELECT store_fname, max(coalesce(file_size, 0)), min(id), bool_and(",
    bundle!(),
    r"),
 coalesce((array_agg(res_id ORDER BY id))[1], 0), coalesce((array_agg(res_model ORDER BY id))[1], ''),
 translate(coalesce((array_agg(name ORDER BY id))[1], ''), E'\t\n\r', '   ')
FROM ir_attachment WHERE store_fname <> '' AND store_fname NOT LIKE '%://%' GROUP BY 1;
\endif
SELECT 'end';"
);

/// A file that other rows refer to as well is not made again.
const BUNDLES: &str = concat!(
    r"SELECT to_regclass('ir_attachment') IS NOT NULL AS filled \gset
\if :filled
SELECT store_fname FROM ir_attachment WHERE store_fname <> '' AND store_fname NOT LIKE '%://%' GROUP BY 1 HAVING bool_and(",
    bundle!(),
    r");
\endif
SELECT 'end';"
);

/// Before Odoo starts on a new production: only the files of bundles are looked for, however many others there are.
pub(super) fn bundles_script(cluster: &ClusterName, database: &DatabaseName, directory: &Path) -> String {
    let (psql, directory) = (psql(cluster, database.as_str()), quote_path(directory));
    format!(
        "[ -d {directory} ] || {{ echo absent; exit 0; }}\n\
         names=$({psql} <<'SQL'\n{BUNDLES}\nSQL\n) || exit 1\n\
         printf '%s\\n' \"$names\" | while read -r n; do case $n in end) echo end;; *) [ -f {directory}/\"$n\" ] || echo \"$n\";; esac; done"
    )
}

pub(super) fn read_bundles(reply: &Reply, limit: u64) -> Result<Option<BTreeSet<String>>, SightError> {
    let text = reply.text(limit)?;
    if text == "absent\n" {
        return Ok(None);
    }
    let names = text.strip_suffix("end\n").ok_or(SightError::Truncated)?.lines().map(str::to_owned);
    names
        .map(|name| match is_store_name(&name) {
            true => Ok(name),
            false => Err(SightError::Unreadable(format!("{name:?} is not the name of a filestore file"))),
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

pub(super) fn read_attachments(reply: &Reply, limit: u64) -> Result<Attachments, SightError> {
    let text = reply.text(limit)?;
    let mut attachments = Attachments::new();
    let mut whole = false;
    for line in text.lines() {
        if line == "end" {
            whole = true;
            continue;
        }
        let unreadable = || SightError::Unreadable(format!("line {line:?}"));
        let fields: Vec<&str> = line.splitn(7, '\t').collect();
        let [store_name, size, id, regenerable, record, model, name] = fields.as_slice() else { return Err(unreadable()) };
        if !is_store_name(store_name) {
            return Err(SightError::Unreadable(format!("{store_name:?} is not the name of a filestore file")));
        }
        let attachment = Attachment {
            size: size.parse().map_err(|_| unreadable())?,
            id: id.parse().map_err(|_| unreadable())?,
            name: (*name).to_owned(),
            regenerable: *regenerable == "t",
            record: record.parse().map_err(|_| unreadable())?,
            model: (*model).to_owned(),
        };
        attachments.insert((*store_name).to_owned(), attachment);
    }
    match whole {
        true => Ok(attachments),
        false => Err(SightError::Truncated),
    }
}

/// `xx/sha1` or Odoo 14's older `xxx/sha1`, and nothing else: the name becomes a path.
pub fn is_store_name(name: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    name.split_once('/')
        .is_some_and(|(directory, file)| (2..=3).contains(&directory.len()) && file.len() == 40 && hex(file) && file.starts_with(directory))
}

/// A listing, then the hashes of what changed since the stamp. The change time (ctime) is
/// compared: unlike the mtime it cannot be set back.
pub(super) fn store_script(directory: &Path, stamp: &Path, hashed: Option<u32>) -> String {
    let (directory, stamp) = (quote_path(directory), quote_path(stamp));
    let some = hashed.map(|most| format!(" | head -z -n {most}")).unwrap_or_default();
    format!(
        r#"said=$(stat -- {directory} 2>&1) || case $said in *"No such file"*) echo absent; exit 0;; *) echo "$said" >&2; exit 1;; esac
cd {directory} || exit 1
find . -mindepth 2 -maxdepth 2 -type f -path './[0-9a-f][0-9a-f]*' -printf '%P\t%s\t%u:%g\n' || exit 1
echo
if [ -e {stamp} ]; then set -- -newercm {stamp}; else set --; fi
find . -mindepth 2 -maxdepth 2 -type f -path './[0-9a-f][0-9a-f]*' "$@" -print0{some} | xargs -0 -r sha1sum --
echo end"#
    )
}

pub(super) fn read_store(reply: &Reply, limit: u64) -> Result<StoreListing, SightError> {
    let text = reply.text(limit)?;
    if text == "absent\n" {
        return Ok(None);
    }
    let (list, hashes) = text.split_once("\n\n").or_else(|| text.strip_prefix('\n').map(|rest| ("", rest))).ok_or(SightError::Truncated)?;
    let unreadable = |line: &str| SightError::Unreadable(format!("line {line:?}"));
    let mut files = BTreeMap::new();
    for line in list.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, size, owner] = fields.as_slice() else { return Err(unreadable(line)) };
        let size = size.parse().map_err(|_| unreadable(line))?;
        files.insert((*name).to_owned(), StoreFile { size, owner: (*owner).to_owned(), sha1: None });
    }
    let mut whole = false;
    for line in hashes.lines() {
        if line == "end" {
            whole = true;
        } else if let Some((sha1, name)) = line.split_once("  ./") {
            if let Some(file) = files.get_mut(name) {
                file.sha1 = Some(sha1.to_owned());
            }
        } else {
            return Err(unreadable(line));
        }
    }
    match whole {
        true => Ok(Some(files)),
        false => Err(SightError::Truncated),
    }
}

/// Names go to standard input: there may be more than fit into arguments.
pub(super) fn present_script(directory: &Path, names: &[String]) -> String {
    let directory = quote_path(directory);
    let list: String = names.iter().filter(|name| is_store_name(name)).map(|name| format!("{name}\n")).collect();
    format!(
        "[ -d {directory} ] || {{ echo absent; exit 0; }}\ncd {directory} || exit 1\nwhile read -r n; do [ ! -f \"$n\" ] || echo \"$n\"; done <<'OTR-EOF'\n{list}OTR-EOF\necho end"
    )
}

pub(super) fn read_present(reply: &Reply, limit: u64, names: &[String]) -> Result<Option<BTreeSet<String>>, SightError> {
    let text = reply.text(limit)?;
    if text == "absent\n" {
        return Ok(None);
    }
    let body = text.strip_suffix("end\n").ok_or(SightError::Truncated)?;
    Ok(Some(names.iter().filter(|name| body.lines().any(|line| line == *name)).cloned().collect()))
}

pub(super) fn tree_script(directory: &Path) -> String {
    let directory = quote_path(directory);
    format!(
        r#"[ -d {directory} ] || {{ echo absent; exit 0; }}
cd {directory} || exit 1
find . -ignore_readdir_race -mindepth 1 -type f -printf '%s\t%T@\t%P\0' && printf 'end'"#
    )
}

pub(super) fn read_tree(reply: &Reply, limit: u64) -> Result<TreeListing, SightError> {
    let text = reply.text(limit)?;
    if text == "absent\n" {
        return Ok(None);
    }
    let mut files = BTreeMap::new();
    let body = text.strip_suffix("end").ok_or(SightError::Truncated)?;
    for record in body.split_terminator('\0') {
        let unreadable = || SightError::Unreadable(format!("record {record:?}"));
        let fields: Vec<&str> = record.splitn(3, '\t').collect();
        let [size, mtime, path] = fields.as_slice() else { return Err(unreadable()) };
        files.insert((*path).to_owned(), (size.parse().map_err(|_| unreadable())?, mtime.parse().map_err(|_| unreadable())?));
    }
    Ok(Some(files))
}

/// A file that vanishes meanwhile is left out: sha1sum and xargs complain, and nobody minds.
pub(super) fn sums_script(directory: &Path) -> String {
    let directory = quote_path(directory);
    format!(
        "[ -d {directory} ] || {{ echo absent; exit 0; }}\ncd {directory} || exit 1\n\
         find . -mindepth 1 -type f -print0 2>/dev/null | xargs -0 -r sha1sum --zero -- 2>/dev/null; printf 'end'"
    )
}

pub(super) fn read_sums(reply: &Reply, limit: u64) -> Result<TreeSums, SightError> {
    let text = reply.text(limit)?;
    if text == "absent\n" {
        return Ok(None);
    }
    let mut sums = BTreeMap::new();
    for record in text.strip_suffix("end").ok_or(SightError::Truncated)?.split_terminator('\0') {
        let fields = record.split_once("  ./").filter(|(sum, _)| sum.len() == 40);
        let (sum, path) = fields.ok_or_else(|| SightError::Unreadable(format!("record {record:?}")))?;
        sums.insert(path.to_owned(), sum.to_owned());
    }
    Ok(Some(sums))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str) -> Reply {
        let output = std::process::Command::new("sh").arg("-c").arg(script).env("LC_ALL", "C").output().unwrap();
        Reply { stdout: output.stdout, stderr: String::from_utf8(output.stderr).unwrap(), status: output.status.code().unwrap() }
    }

    #[test]
    fn a_store_name_cannot_leave_the_store() {
        let sha = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        assert!(is_store_name(&format!("da/{sha}")) && is_store_name(&format!("da3/{sha}")));
        for bad in ["../x", "da/../../etc/passwd", "/da/x", "da", "", &format!("db/{sha}"), &format!("da/{sha}x")] {
            assert!(!is_store_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_trees_files_are_hashed_whatever_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        assert_eq!(read_sums(&run(&sums_script(&tree)), 1), Ok(None));
        std::fs::create_dir_all(tree.join("a")).unwrap();
        assert_eq!(read_sums(&run(&sums_script(&tree)), 1), Ok(Some(BTreeMap::new())));
        for name in ["plain", "a/with\nline and \\", "a/-x  ."] {
            std::fs::write(tree.join(name), "").unwrap();
        }
        std::os::unix::fs::symlink("gone", tree.join("link")).unwrap();
        let seen = read_sums(&run(&sums_script(&tree)), 1).unwrap().unwrap();
        assert_eq!(seen.len(), 3);
        assert_eq!(seen["a/with\nline and \\"], "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        let cut = Reply { stdout: b"da39a3ee".to_vec(), stderr: String::new(), status: 0 };
        assert_eq!(read_sums(&cut, 1), Err(SightError::Truncated));
    }

    #[test]
    fn a_store_is_listed_and_hashed_since_its_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let (store, stamp) = (dir.path().join("db"), dir.path().join("stamp"));
        assert_eq!(read_store(&run(&store_script(&store, &stamp, None)), 1), Ok(None));
        std::fs::create_dir_all(store.join("da")).unwrap();
        assert_eq!(read_store(&run(&store_script(&store, &stamp, None)), 1), Ok(Some(BTreeMap::new())));
        let name = "da/da39a3ee5e6b4b0d3255bfef95601890afd80709";
        std::fs::write(store.join(name), "").unwrap();
        let seen = read_store(&run(&store_script(&store, &stamp, None)), 1).unwrap().unwrap();
        assert_eq!(seen[name].sha1.as_deref(), Some(&name[3..]));
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&stamp, "").unwrap();
        let seen = read_store(&run(&store_script(&store, &stamp, None)), 1).unwrap().unwrap();
        assert_eq!(seen[name].sha1, None, "verified before");
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(store.join(name), "x").unwrap();
        let seen = read_store(&run(&store_script(&store, &stamp, None)), 1).unwrap().unwrap();
        assert!(seen[name].sha1.is_some(), "changed since");
        let seen = read_store(&run(&store_script(&store, &stamp, Some(0))), 1).unwrap().unwrap();
        assert_eq!(seen[name].sha1, None, "not to be hashed");
    }

    /// `psql` is played by the shell: what matters is what is done with its answer.
    #[test]
    fn bundles_are_looked_for_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["da/da39a3ee5e6b4b0d3255bfef95601890afd80709", "aa/aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"];
        std::fs::create_dir(dir.path().join("da")).unwrap();
        std::fs::write(dir.path().join(names[0]), "").unwrap();
        let cluster = ClusterName { version: 13, name: "main".parse().unwrap(), port: 5432 };
        let database: DatabaseName = "acme".parse().unwrap();
        let real = bundles_script(&cluster, &database, dir.path());
        let played = |says: &str| real.replacen(&psql(&cluster, "acme"), &format!("{{ cat >/dev/null; printf '{says}'; }}"), 1);
        let read = |says: &str| read_bundles(&run(&played(says)), 1);
        assert_eq!(read(&format!("{}\\n{}\\nend\\n", names[0], names[1])), Ok(Some(BTreeSet::from([names[1].to_owned()]))));
        assert_eq!(read("end\\n"), Ok(Some(BTreeSet::new())));
        assert_eq!(read(&format!("{}\\n", names[1])), Err(SightError::Truncated));
        assert!(read("../../no/such/file\\nend\\n").is_err());
        let gone = bundles_script(&cluster, &database, &dir.path().join("gone"));
        assert_eq!(read_bundles(&run(&gone), 1), Ok(None));
    }

    #[test]
    fn an_attachment_list_that_breaks_off_is_an_error() {
        let reply = |text: &str| Reply { stdout: text.into(), ..Reply::default() };
        let line = "da/da39a3ee5e6b4b0d3255bfef95601890afd80709\t0\t7\tf\t12\taccount.move\tan invoice\n";
        assert_eq!(read_attachments(&reply(&format!("{line}end\n")), 1).unwrap().len(), 1);
        assert_eq!(read_attachments(&reply(line), 1), Err(SightError::Truncated));
        assert_eq!(read_attachments(&reply(""), 1), Err(SightError::Truncated));
        assert!(read_attachments(&reply("../../x\t0\t7\tf\t0\t\tx\nend\n"), 1).is_err());
    }

    #[test]
    fn files_are_looked_for_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["da/da39a3ee5e6b4b0d3255bfef95601890afd80709", "aa/aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d", "../etc/passwd"];
        let names: Vec<String> = names.map(String::from).to_vec();
        std::fs::create_dir(dir.path().join("da")).unwrap();
        std::fs::write(dir.path().join(&names[0]), "").unwrap();
        let seen = read_present(&run(&present_script(dir.path(), &names)), 1, &names);
        assert_eq!(seen, Ok(Some(BTreeSet::from([names[0].clone()]))));
        assert_eq!(read_present(&run(&present_script(&dir.path().join("gone"), &names)), 1, &names), Ok(None));
    }

    #[test]
    fn a_tree_is_listed_whatever_its_names() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a\tb\nc"), "xyz").unwrap();
        let seen = read_tree(&run(&tree_script(dir.path())), 1).unwrap().unwrap();
        assert_eq!(seen["a\tb\nc"].0, 3);
        assert_eq!(read_tree(&run(&tree_script(&dir.path().join("gone"))), 1), Ok(None));
    }
}
