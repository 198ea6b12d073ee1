//! Python modules, read from their `*.dist-info` directories: pip is never started to look.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Reply, SightError, quote_path};

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

pub(super) fn script(site: &Site) -> String {
    match site {
        Site::System => "[ -x /usr/bin/python3 ] && echo exists; [ -x /usr/bin/pip3 ] && echo pip; \
             for f in /usr/lib/python3*/EXTERNALLY-MANAGED; do [ -e \"$f\" ] && echo managed; done; \
             for d in /usr/local/lib/python3*/dist-packages/*.dist-info; do [ -e \"$d\" ] && echo \"pip ${d##*/}\"; done; \
             for d in /usr/lib/python3/dist-packages/*.dist-info /usr/lib/python3/dist-packages/*.egg-info; do [ -e \"$d\" ] && echo \"apt ${d##*/}\"; done; :"
            .into(),
        Site::Venv(path) => format!(
            "cd {} 2>/dev/null || exit 0; [ -x bin/python ] && echo exists; [ -x bin/pip ] && echo pip; \
             for d in lib/python3*/site-packages/*.dist-info; do [ -e \"$d\" ] && echo \"pip ${{d##*/}}\"; done; :",
            quote_path(path)
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
}
