//! Python modules, as the interpreter that runs them reads their descriptions: pip is never started to look.
//! Their files are compared with the hashes pip wrote when it installed them (`RECORD`, PEP 376).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::owner::AS_OWNER;
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
    /// Normalised name → version, of modules beneath that pip does not keep: what apt installed, and for a
    /// virtual environment that sees the system's modules, all of those.
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
    ///
    /// A wheel or archive that lay on the host is none either.
    pub fn requirement(&self, name: &str) -> Option<String> {
        let parts = [self.subdirectory.as_ref().map(|folder| format!("subdirectory={folder}")), self.hash.clone()];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let at = if parts.is_empty() { String::new() } else { format!("#{}", parts.join("&")) };
        match (&self.vcs, &self.revision) {
            _ if self.editable || self.folder || self.url.starts_with("file:") => None,
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

/// What the interpreter itself reads of its places (`importlib.metadata`, PEP 376): other versions' folders,
/// what an interrupted pip left (`~name`) and descriptions without a name do not count. Every file that a
/// `RECORD` has a hash for is hashed. It runs without the places it looks at: nothing of them is executed.
const MODULES: &str = r#"import base64, csv, hashlib, os, pathlib, re, subprocess, sys
from importlib import metadata
version = "python%d.%d" % sys.version_info[:2]
def system(base):
    if base not in ("/usr", "/usr/local"):
        return [], [os.path.join(base, "lib", version, "site-packages")]
    return ["/usr/local/lib/%s/dist-packages" % version], ["/usr/lib/python3/dist-packages", "/usr/lib/%s/dist-packages" % version]
if sys.argv[1] == "venv":
    root = os.getcwd()
    own, below = [os.path.join(root, "lib", version, "site-packages")], []
    try:
        settings = dict(line.replace(" ", "").strip().split("=", 1) for line in open("pyvenv.cfg") if "=" in line)
    except OSError:
        settings = {}
    home = settings.get("home", "/usr/bin")
    if settings.get("include-system-site-packages", "").lower() == "true":
        below = sum(system(os.path.dirname(home)), [])
else:
    own, below = system("/usr")
    if any(os.path.exists("/usr/lib/%s/EXTERNALLY-MANAGED" % v) for v in (version, "python3")):
        print("managed")
if any(os.path.exists(os.path.join(place, "pip", "__init__.py")) for place in own + below):
    print("pip")
def line(*words):
    print(*(" ".join(str(word).split()) for word in words))
def edits(name, info):
    try:
        record = open(os.path.join(info, "RECORD"), newline="", encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    for row in csv.reader(record):
        if len(row) < 2 or not row[1].startswith("sha256="):
            continue
        try:
            found = hashlib.sha256(open(os.path.join(os.path.dirname(info), row[0]), "rb").read()).digest()
        except FileNotFoundError:
            print("edited", name, "gone", row[0])
            continue
        except OSError:
            continue
        if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != row[1][7:]:
            print("edited", name, found.hex()[:16], row[0])
sys.stdout.reconfigure(errors="replace")
for word, places in (("pip", own), ("apt", below)):
    seen = set()
    for place in places:
        for entry in sorted(os.listdir(place)) if os.path.isdir(place) else ():
            info = os.path.join(place, entry)
            if entry.endswith(".egg-link") and word == "pip":
                where = (open(info).read().splitlines() or [""])[0]
                asked = ["git", "-c", "safe.directory=*", "-C", where, "rev-parse", "HEAD"]
                git = os.path.exists(os.path.join(where, ".git"))
                try:
                    revision = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode().strip() if git else ""
                except OSError:
                    revision = ""
                print("link", entry[:-9], revision, where)
            if entry.startswith("~") or not entry.endswith((".dist-info", ".egg-info")):
                continue
            try:
                found = metadata.PathDistribution(pathlib.Path(info))
                about = found.metadata
                name, number = about and about["Name"], about and about["Version"]
            except Exception:
                continue
            # pip's own idea of a name.
            if not name or not number or not re.fullmatch("[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
                continue
            key = re.sub("[-_.]+", "-", name).lower()
            if key in seen:
                continue
            seen.add(key)
            line(word, name, number)
            if word == "pip" and os.path.isdir(info):
                text = found.read_text("direct_url.json")
                if text:
                    line("url", name, text)
                edits(name, info)
"#;

pub(super) fn script(site: &Site) -> String {
    let modules = |python: &str, kind: &str| {
        format!("{AS_OWNER}\n[ -x {python} ] || exit 0; echo exists; as_owner . {python} -I -S -c {} {kind}", quote(MODULES))
    };
    match site {
        Site::System => format!("cd /usr; {}", modules("/usr/bin/python3", "system")),
        Site::Venv(path) => format!("cd {} 2>/dev/null || exit 0; {}", quote_path(path), modules("bin/python", "venv")),
    }
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<PythonSight, SightError> {
    let mut sight = PythonSight::default();
    for line in reply.text(limit)?.lines() {
        let odd = || SightError::Unreadable(format!("line {line:?}"));
        match line.split_once(' ') {
            None if line == "exists" => sight.exists = true,
            None if line == "pip" => sight.pip = true,
            None if line == "managed" => sight.externally_managed = true,
            Some(("url", rest)) => {
                let (name, json) = rest.split_once(' ').ok_or_else(odd)?;
                let source = direct(json).ok_or_else(|| SightError::Unreadable(format!("direct_url.json of {name}")))?;
                sight.sources.insert(normalise(name), source);
            }
            Some(("edited", rest)) => {
                let mut words = rest.splitn(3, ' ');
                let (Some(name), Some(now), Some(file)) = (words.next(), words.next(), words.next()) else { return Err(odd()) };
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
            Some((origin @ ("pip" | "apt"), module)) => {
                let (name, version) = module.split_once(' ').ok_or_else(odd)?;
                let modules = if origin == "pip" { &mut sight.modules } else { &mut sight.from_apt };
                modules.insert(normalise(name), version.to_owned());
            }
            _ => return Err(odd()),
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
        let stdout = "exists\npip\npip redis 5.0.8\npip Foo.Bar_baz 1.0\napt psycopg2 2.8.6\napt lxml 4.6.3\n";
        let sight = read(&Reply { stdout: stdout.into(), ..Reply::default() }, 1).unwrap();
        assert!(sight.exists && sight.pip && !sight.externally_managed);
        assert_eq!(sight.modules["redis"], "5.0.8");
        assert_eq!(sight.modules["foo-bar-baz"], "1.0");
        assert_eq!(sight.from_apt["lxml"], "4.6.3");
    }

    /// A virtual environment of this machine's Python, and where its modules lie; `None` without a Python.
    fn environment(dir: &std::path::Path) -> Option<PathBuf> {
        let ask = "import sys; print('%s python%d.%d' % (sys.executable, *sys.version_info[:2]))";
        let output = std::process::Command::new("python3").args(["-c", ask]).output().ok()?;
        let said = String::from_utf8(output.stdout).ok()?;
        let (python, version) = said.trim().split_once(' ')?;
        let home = std::path::Path::new(python).parent()?;
        let site = dir.join("lib").join(version).join("site-packages");
        std::fs::create_dir_all(&site).unwrap();
        std::fs::create_dir_all(dir.join("bin")).unwrap();
        std::os::unix::fs::symlink(python, dir.join("bin/python")).unwrap();
        std::fs::write(dir.join("pyvenv.cfg"), format!("home = {}\ninclude-system-site-packages = false\n", home.display())).unwrap();
        Some(site)
    }

    fn seen(dir: &std::path::Path) -> PythonSight {
        let output = std::process::Command::new("sh").arg("-c").arg(script(&Site::Venv(dir.into()))).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        read(&Reply { stdout: output.stdout, ..Reply::default() }, 1).unwrap()
    }

    fn module(site: &std::path::Path, directory: &str, name: &str, version: &str) -> PathBuf {
        let info = site.join(directory);
        std::fs::create_dir_all(&info).unwrap();
        std::fs::write(info.join("METADATA"), format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")).unwrap();
        info
    }

    #[test]
    fn only_what_the_interpreter_itself_finds_is_installed() {
        let dir = tempfile::tempdir().unwrap();
        let Some(site) = environment(dir.path()) else { return };
        module(&site, "redis-5.0.8.dist-info", "redis", "5.0.8");
        module(&site, "~edis-4.0.dist-info", "redis", "4.0");
        module(&site, "~ld-1.0.dist-info", "old", "1.0");
        std::fs::create_dir(site.join("empty-1.0.dist-info")).unwrap();
        std::fs::create_dir(site.join("nothing.dist-info")).unwrap();
        module(&dir.path().join("lib/python3.1/site-packages"), "other-1.0.dist-info", "other", "1.0");
        std::fs::write(site.join("Flat_File-2.0-py3.9.egg-info"), "Metadata-Version: 1.1\nName: Flat File\nVersion: 2.0\n").unwrap();
        std::fs::write(site.join("flat-2.0-py3.9.egg-info"), "Metadata-Version: 1.1\nName: flat\nVersion: 2.0\n").unwrap();
        let info = module(&site, "wheel_x-2.dist-info", "wheel-x", "2");
        std::fs::write(info.join("direct_url.json"), r#"{"archive_info": {"hash": "sha256=0a"}, "url": "file:///tmp/wheel_x-2.whl"}"#)
            .unwrap();
        let sight = seen(dir.path());
        let found: Vec<String> = sight.modules.iter().map(|(name, version)| format!("{name} {version}")).collect();
        assert_eq!(found, ["flat 2.0", "redis 5.0.8", "wheel-x 2"], "a name with a blank is none");
        assert!(!sight.pip && sight.exists, "uv makes environments without pip");
        assert_eq!(sight.sources["wheel-x"].requirement("wheel-x"), None, "no other host has that file");
    }

    #[test]
    fn what_is_from_no_index_is_named_with_its_revision() {
        let dir = tempfile::tempdir().unwrap();
        let Some(site) = environment(dir.path()) else { return };
        for (name, text) in [
            (
                "acme-1.0.dist-info",
                r#"{"url": "https://git.example.net/acme.git", "vcs_info": {"vcs": "git", "commit_id": "0a1b", "requested_revision": "main"}}"#,
            ),
            ("wheel_x-2.dist-info", "{\"archive_info\": {\"hash\": \"sha256=0a1b\"},\n \"url\": \"https://example.net/x.whl\"}"),
            ("local-3.dist-info", r#"{"dir_info": {"editable": true}, "url": "file:///srv/local"}"#),
        ] {
            let (module_name, version) = name.trim_end_matches(".dist-info").split_once('-').unwrap();
            std::fs::write(module(&site, name, module_name, version).join("direct_url.json"), text).unwrap();
        }
        std::fs::write(site.join("old.egg-link"), "/srv/old way\n.").unwrap();
        let sight = seen(dir.path());
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
        let Some(site) = environment(dir.path()) else { return };
        module(&site, "acme-1.0.dist-info", "acme", "1.0");
        std::fs::write(site.join("acme.py"), "").unwrap();
        std::fs::write(site.join("other, too.py"), "x").unwrap();
        // The hash of nothing at all.
        let empty = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0";
        let record = format!("acme.py,{empty}\n\"other, too.py\",{empty}\ngone.py,{empty}\nacme-1.0.dist-info/RECORD,,\n");
        std::fs::write(site.join("acme-1.0.dist-info/RECORD"), record).unwrap();
        let sight = seen(dir.path());
        let edited: Vec<(&str, &str)> = sight.edited["acme"].iter().map(|(file, now)| (file.as_str(), now.as_str())).collect();
        assert_eq!(edited, [("gone.py", "gone"), ("other, too.py", "2d711642b726b044")]);
    }
}
