//! Python modules, read from their `*.dist-info` directories: pip is never started to look. Their files
//! are compared with the hashes pip wrote when it installed them (`RECORD`, PEP 376).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Reply, SightError, quote, quote_path};

/// A place where modules are installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Site {
    /// The system's Python: what pip puts into /usr/local, apart from what apt owns.
    System,
    /// A virtual environment.
    Venv(PathBuf),
}

/// Modules of a place.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PythonSight {
    /// The interpreter is there (for a venv: `bin/python`).
    pub exists: bool,
    /// pip is there.
    pub pip: bool,
    /// The place is marked EXTERNALLY-MANAGED (PEP 668).
    pub externally_managed: bool,
    /// Normalised name → version, of modules pip installed.
    pub modules: BTreeMap<String, String>,
    /// Normalised name → version, of modules apt installed.
    pub from_apt: BTreeMap<String, String>,
    /// Modules of pip's whose files are not as pip installed them: file → the beginning of its SHA-256 now.
    pub edited: BTreeMap<String, BTreeMap<String, String>>,
    /// Modules of pip's that came from elsewhere than an index.
    pub sources: BTreeMap<String, Source>,
}

/// Where pip got a module that is from no index (`direct_url.json`, PEP 610).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Source {
    /// A repository, an archive, or a folder as `file://…`.
    pub url: String,
    /// The version control system, `git`.
    pub vcs: Option<String>,
    /// The commit.
    pub revision: Option<String>,
    /// The folder of the repository.
    pub subdirectory: Option<String>,
    /// The archive's own hash, `sha256=…`.
    pub hash: Option<String>,
    /// Python reads it where it lies (`pip install -e`).
    pub editable: bool,
    /// It is a folder of the host.
    pub folder: bool,
}

impl Source {
    /// What asks pip for the same again, as pip writes it; `None` for a folder, which another host may not have.
    pub fn requirement(&self, name: &str) -> Option<String> {
        let parts = [self.subdirectory.as_ref().map(|folder| format!("subdirectory={folder}")), self.hash.clone()];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let at = if parts.is_empty() { String::new() } else { format!("#{}", parts.join("&")) };
        match (&self.vcs, &self.revision) {
            _ if self.editable || self.folder => None,
            (Some(vcs), Some(revision)) => Some(format!("{name} @ {vcs}+{}@{revision}{at}", self.url)),
            (Some(_), None) => None,
            (None, _) => Some(format!("{name} @ {}{at}", self.url)),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let vcs = self.vcs.as_ref().map(|vcs| format!("{vcs}+")).unwrap_or_default();
        let revision = self.revision.as_ref().map(|revision| format!("@{revision}")).unwrap_or_default();
        write!(f, "{}{vcs}{}{revision}", if self.editable { "editable, " } else { "" }, self.url)
    }
}

/// The name by which two spellings of a module are one (PEP 503).
pub fn normalise(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        let c = if "-_.".contains(c) { '-' } else { c.to_ascii_lowercase() };
        if !(c == '-' && out.ends_with('-')) {
            out.push(c);
        }
    }
    out
}

/// Every module of the places `$P`, where it is from if it says so, and what is read where it lies.
const MODULES: &str = r#"for d in $P/*.dist-info $P/*.egg-info; do [ -e "$d" ] || continue; echo "pip ${d##*/}"; [ ! -e "$d/direct_url.json" ] || echo "url ${d##*/} $(tr -d '\n' <"$d/direct_url.json")"; done; for d in $P/*.egg-link; do [ -e "$d" ] || continue; n=${d##*/}; read -r l <"$d"; r=; [ ! -e "$l/.git" ] || r=$(git -c safe.directory='*' -C "$l" rev-parse HEAD 2>/dev/null); echo "link ${n%.egg-link} $r $l"; done;"#;

/// Hashes every file that a `RECORD` of the places has a hash for.
const EDITED: &str = r#"import base64, csv, glob, hashlib, os, sys
for info in sorted(d for pattern in sys.argv[1:] for d in glob.glob(pattern + "/*.dist-info")):
    try:
        record = open(os.path.join(info, "RECORD"), newline="", encoding="utf-8", errors="surrogateescape")
    except OSError:
        continue
    for row in csv.reader(record):
        if len(row) < 2 or not row[1].startswith("sha256="):
            continue
        try:
            found = hashlib.sha256(open(os.path.join(os.path.dirname(info), row[0]), "rb").read()).digest()
        except FileNotFoundError:
            print("edited", os.path.basename(info), "gone", row[0])
            continue
        except OSError:
            continue
        if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != row[1][7:]:
            print("edited", os.path.basename(info), found.hex()[:16], row[0])
"#;

pub(super) fn script(site: &Site) -> String {
    let edited = |python: &str| format!("[ ! -x {python} ] || {python} -I -S -c {} \"$P\" || exit;", quote(EDITED));
    match site {
        Site::System => format!(
            "[ -x /usr/bin/python3 ] && echo exists; [ -x /usr/bin/pip3 ] && echo pip; \
             for f in /usr/lib/python3*/EXTERNALLY-MANAGED; do [ -e \"$f\" ] && echo managed; done; \
             P='/usr/local/lib/python3*/dist-packages'; {MODULES} {edited} \
             for d in /usr/lib/python3/dist-packages/*.dist-info /usr/lib/python3/dist-packages/*.egg-info; do [ -e \"$d\" ] && echo \"apt ${{d##*/}}\"; done; :",
            edited = edited("/usr/bin/python3")
        ),
        Site::Venv(path) => format!(
            "cd {} 2>/dev/null || exit 0; [ -x bin/python ] && echo exists; [ -x bin/pip ] && echo pip; P='lib/python3*/site-packages'; {MODULES} {edited} :",
            quote_path(path),
            edited = edited("bin/python")
        ),
    }
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<PythonSight, SightError> {
    let mut sight = PythonSight::default();
    for line in reply.text(limit)?.lines() {
        match line.split_once(' ') {
            None if line == "exists" => sight.exists = true,
            None if line == "pip" => sight.pip = true,
            None if line == "managed" => sight.externally_managed = true,
            Some(("url", rest)) => {
                let (directory, json) = rest.split_once(' ').unwrap_or((rest, ""));
                if let Some((name, _)) = directory.trim_end_matches(".dist-info").split_once('-') {
                    let source = direct(json).ok_or_else(|| SightError::Unreadable(format!("direct_url.json of {name}")))?;
                    sight.sources.insert(normalise(name), source);
                }
            }
            Some(("edited", rest)) => {
                let mut words = rest.splitn(3, ' ');
                let (Some(directory), Some(now), Some(file)) = (words.next(), words.next(), words.next()) else {
                    return Err(SightError::Unreadable(format!("line {line:?}")));
                };
                let name = directory.split_once('-').map_or(directory, |(name, _)| name);
                sight.edited.entry(normalise(name)).or_default().insert(file.to_owned(), now.to_owned());
            }
            Some(("link", rest)) => {
                let mut words = rest.splitn(3, ' ');
                let (Some(name), Some(revision), Some(path)) = (words.next(), words.next(), words.next()) else { continue };
                let revision = Some(revision.to_owned()).filter(|text| !text.is_empty());
                let source = Source { url: format!("file://{path}"), revision, editable: true, folder: true, ..Source::default() };
                sight.modules.entry(normalise(name)).or_insert_with(|| "editable".into());
                sight.sources.insert(normalise(name), source);
            }
            Some((origin, directory)) => {
                let stem = directory.trim_end_matches(".dist-info").trim_end_matches(".egg-info");
                // name-version, and for eggs a further -py3.9: the version follows the first '-' a digit follows.
                let Some((name, version)) = stem.split_once('-') else { continue };
                let version = version.split("-py").next().unwrap_or(version);
                let modules = if origin == "pip" { &mut sight.modules } else { &mut sight.from_apt };
                modules.insert(normalise(name), version.to_owned());
            }
            None => return Err(SightError::Unreadable(format!("line {line:?}"))),
        }
    }
    Ok(sight)
}

/// `direct_url.json`. Whether a URL of it holds a password is judged where it is shown.
fn direct(json: &str) -> Option<Source> {
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let vcs = &value["vcs_info"];
    Some(Source {
        url: text(&value["url"])?,
        vcs: text(&vcs["vcs"]),
        revision: text(&vcs["commit_id"]),
        subdirectory: text(&value["subdirectory"]),
        hash: text(&value["archive_info"]["hash"]).filter(|hash| hash.starts_with("sha256=")),
        editable: value["dir_info"]["editable"].as_bool().unwrap_or(false),
        folder: value["dir_info"].is_object(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_and_owners_told_apart() {
        let stdout = "exists\npip\npip redis-5.0.8.dist-info\npip Foo.Bar_baz-1.0.dist-info\napt psycopg2-2.8.6.egg-info\napt lxml-4.6.3-py3.9.egg-info\n";
        let sight = read(&Reply { stdout: stdout.into(), ..Reply::default() }, 1).unwrap();
        assert!(sight.exists && sight.pip && !sight.externally_managed);
        assert_eq!(sight.modules["redis"], "5.0.8");
        assert_eq!(sight.modules["foo-bar-baz"], "1.0");
        assert_eq!(sight.from_apt["lxml"], "4.6.3");
    }

    #[test]
    fn what_is_from_no_index_is_named_with_its_revision() {
        let dir = tempfile::tempdir().unwrap();
        let site = dir.path().join("lib/python3.9/site-packages");
        for (name, text) in [
            (
                "acme-1.0.dist-info",
                r#"{"url": "https://git.example.net/acme.git", "vcs_info": {"vcs": "git", "commit_id": "0a1b", "requested_revision": "main"}}"#,
            ),
            ("wheel_x-2.dist-info", "{\"archive_info\": {\"hash\": \"sha256=0a1b\"},\n \"url\": \"https://example.net/x.whl\"}"),
            ("local-3.dist-info", r#"{"dir_info": {"editable": true}, "url": "file:///srv/local"}"#),
        ] {
            std::fs::create_dir_all(site.join(name)).unwrap();
            std::fs::write(site.join(name).join("direct_url.json"), text).unwrap();
        }
        std::fs::write(site.join("old.egg-link"), "/srv/old way\n.").unwrap();
        let output = std::process::Command::new("sh").arg("-c").arg(script(&Site::Venv(dir.path().into()))).output().unwrap();
        let sight = read(&Reply { stdout: output.stdout, ..Reply::default() }, 1).unwrap();
        let asked = |name: &str| sight.sources[name].requirement(name);
        assert_eq!(asked("acme").as_deref(), Some("acme @ git+https://git.example.net/acme.git@0a1b"));
        assert_eq!(asked("wheel-x").as_deref(), Some("wheel-x @ https://example.net/x.whl#sha256=0a1b"));
        assert_eq!((asked("local"), asked("old")), (None, None));
        assert_eq!(sight.sources["old"].to_string(), "editable, file:///srv/old way");
        assert_eq!(sight.modules["old"], "editable");
        assert!(sight.edited.is_empty());
    }

    #[test]
    fn files_edited_in_place_are_found_by_pips_own_hashes() {
        let dir = tempfile::tempdir().unwrap();
        let site = dir.path().join("lib/python3.9/site-packages");
        std::fs::create_dir_all(site.join("acme-1.0.dist-info")).unwrap();
        std::fs::create_dir_all(dir.path().join("bin")).unwrap();
        let python =
            String::from_utf8(std::process::Command::new("sh").args(["-c", "command -v python3"]).output().unwrap().stdout).unwrap();
        if python.is_empty() {
            return;
        }
        std::os::unix::fs::symlink(python.trim(), dir.path().join("bin/python")).unwrap();
        std::fs::write(site.join("acme.py"), "").unwrap();
        std::fs::write(site.join("other, too.py"), "x").unwrap();
        // The hash of nothing at all.
        let empty = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0";
        let record = format!("acme.py,{empty}\n\"other, too.py\",{empty}\ngone.py,{empty}\nacme-1.0.dist-info/RECORD,,\n");
        std::fs::write(site.join("acme-1.0.dist-info/RECORD"), record).unwrap();
        let output = std::process::Command::new("sh").arg("-c").arg(script(&Site::Venv(dir.path().into()))).output().unwrap();
        let sight = read(&Reply { stdout: output.stdout, ..Reply::default() }, 1).unwrap();
        let edited: Vec<(&str, &str)> = sight.edited["acme"].iter().map(|(file, now)| (file.as_str(), now.as_str())).collect();
        assert_eq!(edited, [("gone.py", "gone"), ("other, too.py", "2d711642b726b044")]);
    }
}
