//! What a run of pip would bring besides what it is asked for, by pip's own dry run (since 22.2). Asked
//! only where something is to be installed; built wheels alone, so nothing of a package is executed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::owner::AS_OWNER;
use super::{Reply, SightError, Site, quote, quote_path};
use crate::look::python::normalise;

/// What pip is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PipRun {
    /// Where.
    pub site: Site,
    /// The requirements.
    pub requirements: Vec<String>,
    /// Modules beneath that pip must leave as they are: constraints, `name===version`.
    pub keep: Vec<String>,
    /// Pass `--break-system-packages`.
    pub break_system_packages: bool,
}

/// What pip would bring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PipSight {
    /// Normalised name → version of everything it would install.
    Known(BTreeMap<String, String>),
    /// It cannot say, and why.
    Unknown(String),
}

/// The program of a place's pip: the module that its interpreter imports, whatever stands in PATH; after
/// `AS_OWNER`.
pub fn program(site: &Site) -> String {
    match site {
        Site::System => "/usr/bin/python3 -m pip".into(),
        Site::Venv(path) => format!("as_owner {} {} -m pip", quote_path(path), quote_path(&path.join("bin/python"))),
    }
}

/// Constraints as a file, by the name of the descriptor that the shell reads them from.
pub fn constraints(keep: &[String]) -> String {
    let lines: String = keep.iter().map(|line| format!("{line}\n")).collect();
    format!(
        "keep=$(mktemp /tmp/otr.XXXXXXXXXX)\ntrap 'rm -f -- \"$keep\"' EXIT\nprintf '%s' {} >\"$keep\"\nchmod 0644 \"$keep\"\n",
        quote(&lines)
    )
}

/// Prints `name version` of a report.
const READ: &str = r#"import json, sys
for item in json.load(sys.stdin)["install"]:
    print("brings", item["metadata"]["name"], item["metadata"]["version"])
"#;

pub(super) fn script(run: &PipRun) -> String {
    let pip = program(&run.site);
    let list: Vec<String> = run.requirements.iter().map(|requirement| quote(requirement)).collect();
    format!(
        "{AS_OWNER}\nexport PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 GIT_TERMINAL_PROMPT=0\n\
         version=$({pip} --version 2>/dev/null | cut -d' ' -f2)\n\
         case $version in '') echo 'unknown there is no pip yet'; exit 0;; [0-9].*|1[0-9].*|20.*|21.*|22.0*|22.1*) echo \"unknown pip $version cannot say\"; exit 0;; esac\n\
         {constraints}report=$({pip} install --dry-run --quiet --only-binary=:all: --timeout 5 --retries 1 -c \"$keep\"{flag} --report - {list} 2>\"$keep.said\") || {{ echo \"unknown $(grep -m1 ^ERROR \"$keep.said\" | cut -c8-)\"; rm -f \"$keep.said\"; exit 0; }}\n\
         rm -f \"$keep.said\"\necho known\nprintf '%s' \"$report\" | {python} -I -S -c {READ}",
        constraints = constraints(&run.keep),
        flag = if run.break_system_packages { " --break-system-packages" } else { "" },
        list = list.join(" "),
        python = pip.trim_end_matches(" -m pip"),
        READ = quote(READ),
    )
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<PipSight, SightError> {
    let text = reply.text(limit)?;
    let mut brings = BTreeMap::new();
    let mut known = false;
    for line in text.lines() {
        match line.split_once(' ') {
            None if line == "known" => known = true,
            Some(("unknown", why)) => return Ok(PipSight::Unknown(why.to_owned())),
            Some(("brings", rest)) => {
                let (name, version) = rest.split_once(' ').ok_or_else(|| SightError::Unreadable(format!("line {line:?}")))?;
                brings.insert(normalise(name), version.to_owned());
            }
            _ => return Err(SightError::Unreadable(format!("line {line:?}"))),
        }
    }
    if known { Ok(PipSight::Known(brings)) } else { Err(SightError::Unreadable("pip said nothing".into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pip_would_bring_is_known_or_not() {
        let seen = |stdout: &str| read(&Reply { stdout: stdout.into(), ..Reply::default() }, 1);
        let known = [("redis".to_owned(), "5.0.8".to_owned()), ("async-timeout".to_owned(), "4.0".to_owned())].into();
        assert_eq!(seen("known\nbrings redis 5.0.8\nbrings Async_Timeout 4.0\n"), Ok(PipSight::Known(known)));
        assert_eq!(seen("known\n"), Ok(PipSight::Known(BTreeMap::new())));
        assert_eq!(seen("unknown pip 20.3.4 cannot say\n"), Ok(PipSight::Unknown("pip 20.3.4 cannot say".into())));
        assert!(seen("").is_err());
    }
}
