//! What pip installed on production, kept on the standby as a file that pip reads, for a rebuild.

use std::fmt::Write;

use super::OWN;
use crate::action::{Action, Attributes};
use crate::facts::{FactError, Facts};
use crate::format::credentials::holds_password;
use crate::look::{Look, PythonSight, Site};
use crate::name::{HostName, Mode, Word};
use crate::resource::{Decision, Difference, Kind, Resource, ResourceId, Shown};
use crate::secret::Text;

/// Where it is kept.
const PATH: &str = "/var/lib/otr/requirements.txt";

/// The file on a standby.
#[derive(Debug)]
pub struct Lock {
    /// Where.
    pub host: HostName,
    /// Whose modules.
    pub production: HostName,
    /// In which place.
    pub site: Site,
}

impl Resource for Lock {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Pip, PATH)
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        vec![(self.production.clone(), Look::Python(self.site.clone())), (self.host.clone(), Look::Content(PATH.into()))]
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let wanted = text(&self.production, facts.python(&self.production, &self.site)?);
        let is = facts.content(&self.host, PATH.as_ref())?.as_ref().map(|content| content.text.as_str());
        if is == Some(&wanted) {
            return Ok(Decision::Holds);
        }
        let lines = |text: &str| Shown::Text(format!("{} lines", text.lines().count()));
        let difference =
            Difference { what: "what pip installed there".into(), is: is.map_or(Shown::Absent, lines), wanted: lines(&wanted) };
        let root: Word = "root".parse().map_err(|error| FactError::Refused(format!("root: {error}")))?;
        let attributes = Attributes { owner: root.clone(), group: root, mode: Mode(0o644) };
        let write = Action::WriteFile { path: PATH.into(), content: Text::Plain(wanted), attributes, reader: None };
        Ok(Decision::from_parts(vec![difference], vec![write]))
    }
}

/// Every module in its version, or from its source at its commit; archives with the hash pip knew. A
/// RECORD has hashes of files alone, so a module of an index has none; what pip cannot bring is a comment.
fn text(production: &HostName, there: &PythonSight) -> String {
    let mut text = format!("# Written by otr: what pip installed on {production}. To build it again:\n# pip install --no-deps -r {PATH}\n");
    for (name, version) in there.modules.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        let line = match there.sources.get(name).map(|source| (source, source.requirement(name))) {
            None => format!("{name}=={version}"),
            Some((source, _)) if holds_password(&source.to_string()) => format!("# {name} {version}: its source has a password"),
            Some((_, Some(requirement))) => requirement,
            Some((source, None)) => format!("# {name} {version}: {source}"),
        };
        let _ = writeln!(text, "{line}");
        if let Some(files) = there.edited.get(name) {
            let _ = writeln!(text, "# {name} was edited in place: {}", files.keys().cloned().collect::<Vec<_>>().join(", "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::python::Source;

    #[test]
    fn a_rebuild_gets_versions_commits_and_hashes() {
        let source = |url: &str| Source { url: url.to_owned(), ..Source::default() };
        let there = PythonSight {
            modules: ["acme", "editable", "pip", "redis", "secret", "wheel-x"].map(|name| (name.to_owned(), "1.0".to_owned())).into(),
            sources: [
                (
                    "acme".to_owned(),
                    Source { vcs: Some("git".into()), revision: Some("0a1b".into()), ..source("https://git.example.net/acme.git") },
                ),
                ("editable".to_owned(), Source { editable: true, folder: true, ..source("file:///srv/x") }),
                ("secret".to_owned(), source("https://kim:hunter2@example.net/x.whl")),
                ("wheel-x".to_owned(), Source { hash: Some("sha256=ff".into()), ..source("https://example.net/x.whl") }),
            ]
            .into(),
            edited: [("redis".to_owned(), [("redis/client.py".to_owned(), "00".to_owned())].into())].into(),
            ..PythonSight::default()
        };
        let text = text(&"erp1".parse().unwrap(), &there);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        let wanted = [
            "acme @ git+https://git.example.net/acme.git@0a1b",
            "# editable 1.0: editable, file:///srv/x",
            "redis==1.0",
            "# redis was edited in place: redis/client.py",
            "# secret 1.0: its source has a password",
            "wheel-x @ https://example.net/x.whl#sha256=ff",
        ];
        assert_eq!(lines, wanted);
    }
}
