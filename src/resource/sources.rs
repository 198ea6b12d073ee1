//! Where apt gets packages from: sources, preferences and keyrings, as production has them.
//!
//! Passwords stay on production, whether in a URL or in auth.conf, unless the spec names the server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::folder::{Pieces, settle};
use super::{Change, Decision, Kind, Resource, ResourceId, text_of};
use crate::action::Action;
use crate::facts::{FactError, Facts};
use crate::format::credentials::holds_password;
use crate::look::Look;
use crate::look::folder::What;
use crate::name::HostName;
use crate::secret::Secret;
use crate::spec::SourcesClone;

/// apt's configuration of one standby.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Where.
    pub host: HostName,
    /// From where.
    pub production: HostName,
    /// What is left out, and whose passwords are carried.
    pub clone: SourcesClone,
}

/// What a part of apt's configuration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Sources,
    Preferences,
    Keyrings,
    /// Packages put keyrings here too: only those that a source names are taken.
    Named,
    Passwords,
}

const PARTS: [(&str, Part); 10] = [
    ("/etc/apt/sources.list", Part::Sources),
    ("/etc/apt/sources.list.d", Part::Sources),
    ("/etc/apt/preferences", Part::Preferences),
    ("/etc/apt/preferences.d", Part::Preferences),
    ("/etc/apt/trusted.gpg", Part::Keyrings),
    ("/etc/apt/trusted.gpg.d", Part::Keyrings),
    ("/etc/apt/keyrings", Part::Keyrings),
    ("/usr/share/keyrings", Part::Named),
    ("/etc/apt/auth.conf", Part::Passwords),
    ("/etc/apt/auth.conf.d", Part::Passwords),
];

impl Sources {
    fn parts(&self) -> impl Iterator<Item = (&'static Path, Part)> {
        let passwords = !self.clone.credentials.is_empty();
        PARTS.into_iter().filter(move |(_, part)| passwords || *part != Part::Passwords).map(|(path, part)| (Path::new(path), part))
    }

    /// A host's part as far as it is taken; texts without the passwords that stay where they are.
    fn seen(&self, facts: &Facts, host: &HostName, (root, part): (&Path, Part)) -> Result<Pieces, FactError> {
        let mut pieces = facts.folder(host, root)?.clone().unwrap_or_default();
        pieces.retain(|place, piece| {
            let odd = [".save", ".bak", "~", ".dpkg-old", ".dpkg-dist", ".dpkg-new", ".otr-new", ".distUpgrade"]
                .iter()
                .any(|end| place.ends_with(end));
            let apt = part != Part::Sources || place.is_empty() || place.ends_with(".list") || place.ends_with(".sources");
            let named = place.is_empty() || self.clone.takes(place);
            named && !odd && apt && (part != Part::Passwords || self.may_carry(&piece.what))
        });
        for piece in pieces.values_mut().filter(|_| part == Part::Sources) {
            if let What::File(bytes) = &mut piece.what
                && let Some(text) = text_of(bytes)
            {
                *bytes = Secret::new(STANDARD.encode(self.without_passwords(text.expose())));
            }
        }
        Ok(pieces)
    }

    fn names(&self, server: &str) -> bool {
        let host = server.split([':', '/']).next().unwrap_or_default();
        self.clone.credentials.iter().any(|pattern| crate::spec::matches(pattern, host))
    }

    /// Whether every server of an auth.conf is named.
    fn may_carry(&self, what: &What) -> bool {
        let What::File(bytes) = what else { return true };
        let Some(text) = text_of(bytes) else { return false };
        let words: Vec<&str> = text.expose().split_whitespace().collect();
        let mut servers = words.windows(2).filter_map(|pair| match pair {
            ["machine", server] => Some(server.rsplit("://").next().unwrap_or(server)),
            _ => None,
        });
        servers.all(|server| self.names(server))
    }

    /// `https://user:password@server/` without user and password, unless the server is named.
    fn without_passwords(&self, text: &str) -> String {
        let mut parts = text.split("://");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(['/', ' ', '\t', '\n']).unwrap_or(part.len());
            let (authority, rest) = part.split_at(end);
            let server = authority.rsplit_once('@').map_or(authority, |(_, server)| server);
            out.push_str("://");
            out.push_str(if self.names(server) { authority } else { server });
            out.push_str(rest);
        }
        out
    }
}

/// Comments do not count.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.starts_with('#'))
}

/// Keyrings that sources name, in both of apt's forms.
fn signed_by(text: &str) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for line in lines(text) {
        let lower = line.to_ascii_lowercase();
        let value = match lower.find("signed-by=") {
            Some(at) => line.get(at + 10..).and_then(|rest| rest.split([']', ' ']).next()),
            None if lower.starts_with("signed-by:") => line.get(10..),
            None => None,
        };
        found.extend(value.unwrap_or_default().split([',', ' ']).filter(|path| path.starts_with('/')).map(PathBuf::from));
    }
    found
}

impl Resource for Sources {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Sources, "apt")
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let of = |host: &HostName| self.parts().map(|(root, _)| (host.clone(), Look::Folder(root.to_owned()))).collect::<Vec<_>>();
        [of(&self.production), of(&self.host), vec![(self.host.clone(), Look::Accounts)]].concat()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let mut all = Change::default();
        let (mut named, mut sources) = (BTreeSet::new(), 0);
        for (root, part) in self.parts() {
            let mut there = self.seen(facts, &self.production, (root, part))?;
            let mut here = self.seen(facts, &self.host, (root, part))?;
            let texts = |pieces: &Pieces| {
                pieces.values().filter_map(|p| if let What::File(b) = &p.what { text_of(b) } else { None }).collect::<Vec<_>>()
            };
            match part {
                Part::Sources => {
                    for text in texts(&there) {
                        named.extend(signed_by(text.expose()));
                        sources += lines(text.expose())
                            .filter(|line| line.starts_with("deb") || line.to_ascii_lowercase().starts_with("types:"))
                            .count();
                    }
                }
                Part::Named => {
                    there.retain(|place, _| named.contains(&super::folder::at(root, place)));
                    here.retain(|place, _| there.contains_key(place));
                }
                _ => {}
            }
            // A folder that production does without is emptied, not removed.
            if !there.contains_key("") && here.get("").is_some_and(|piece| piece.what == What::Directory) {
                here.remove("");
            }
            let show = matches!(part, Part::Sources | Part::Preferences)
                && !texts(&there).iter().chain(&texts(&here)).any(|text| holds_password(text.expose()));
            match settle(&self.host, root, &here, &there, show, facts)? {
                Decision::Holds => {}
                Decision::Change(change) => {
                    all.differences.extend(change.differences);
                    all.actions.extend(change.actions);
                }
                waits @ Decision::Waits { .. } => return Ok(waits),
            }
        }
        if sources == 0 {
            return Err(FactError::Refused(format!(
                "{} names no source of packages at all: nothing is taken from it; see its /etc/apt, or take `sources` out of the spec",
                self.production
            )));
        }
        if all.differences.is_empty() {
            return Ok(Decision::Holds);
        }
        all.actions.push(Action::UpdatePackageLists { architectures: Vec::new(), asked: Vec::new() });
        Ok(Decision::Change(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::accounts::Accounts;
    use crate::look::folder::Piece;
    use crate::look::{Seen, Sight};
    use crate::name::Mode;

    fn sources(credentials: &[&str]) -> Sources {
        let clone = SourcesClone { ignore: vec!["local*".into()], credentials: credentials.iter().map(|s| (*s).to_owned()).collect() };
        Sources { host: "erp2".parse().unwrap(), production: "erp1".parse().unwrap(), clone }
    }

    fn seen(files: &[(&str, &str)]) -> Seen {
        let mut seen = Seen::new();
        let piece = |what| Piece { what, owner: "root".into(), group: "root".into(), mode: Mode(0o644), mtime: 1.0 };
        for (root, _) in PARTS {
            let mut pieces = Pieces::new();
            for (path, text) in files {
                if let Ok(place) = Path::new(path).strip_prefix(root) {
                    if !place.as_os_str().is_empty() {
                        pieces.insert(String::new(), piece(What::Directory));
                    }
                    pieces.insert(place.display().to_string(), piece(What::File(Secret::new(STANDARD.encode(text)))));
                }
            }
            seen.insert(Look::Folder(root.into()), Ok(Sight::Folder((!pieces.is_empty()).then_some(pieces))));
        }
        let accounts = Accounts { users: [("root".to_owned(), "/root".to_owned())].into(), groups: ["root".to_owned()].into() };
        seen.insert(Look::Accounts, Ok(Sight::Accounts(accounts)));
        seen
    }

    fn decide(sources: &Sources, here: &[(&str, &str)], there: &[(&str, &str)]) -> Result<Decision, FactError> {
        sources.decide(&Facts::new([(sources.production.clone(), Ok(seen(there))), (sources.host.clone(), Ok(seen(here)))].into()))
    }

    const MAIN: (&str, &str) = ("/etc/apt/sources.list", "deb http://deb.example.net bullseye main\n");

    #[test]
    fn a_source_comes_with_its_keyring_and_the_lists_are_fetched() {
        let there = [
            MAIN,
            (
                "/etc/apt/sources.list.d/acme.sources",
                "Types: deb\nURIs: https://apt.acme.example\nSigned-By: /usr/share/keyrings/acme.gpg\n",
            ),
            ("/usr/share/keyrings/acme.gpg", "key"),
            ("/usr/share/keyrings/other.gpg", "a package's"),
            ("/etc/apt/sources.list.d/local.list", "deb file:/srv ./"),
            ("/etc/apt/sources.list.d/acme.sources.save", "old"),
        ];
        let Decision::Change(change) = decide(&sources(&[]), &[MAIN], &there).unwrap() else { panic!() };
        let actions: Vec<String> = change.actions.iter().map(Action::title).collect();
        assert_eq!(
            actions,
            [
                "make directory /etc/apt/sources.list.d",
                "write /etc/apt/sources.list.d/acme.sources",
                "write /usr/share/keyrings/acme.gpg",
                "fetch the package lists"
            ]
        );
        assert_eq!(decide(&sources(&[]), &there, &there).unwrap(), Decision::Holds);
        assert!(matches!(decide(&sources(&[]), &[MAIN], &[]), Err(FactError::Refused(why)) if why.contains("no source of packages")));
    }

    #[test]
    fn passwords_stay_on_production_unless_the_server_is_named() {
        let there = [
            ("/etc/apt/sources.list", "deb https://kim:hunter2@apt.acme.example/deb ./\n"),
            ("/etc/apt/auth.conf.d/acme.conf", "machine apt.acme.example login kim password hunter3\n"),
        ];
        let stripped = [("/etc/apt/sources.list", "deb https://apt.acme.example/deb ./\n")];
        assert_eq!(decide(&sources(&[]), &stripped, &there).unwrap(), Decision::Holds);
        let Decision::Change(change) = decide(&sources(&["apt.acme.*"]), &stripped, &there).unwrap() else { panic!() };
        assert_eq!(change.differences.len(), 3, "{change:?}");
        assert!(!format!("{change:?}{}", serde_json::to_string(&change).unwrap()).contains("hunter"), "{change:?}");
        let Decision::Change(change) = decide(&sources(&["other.example"]), &[], &there).unwrap() else { panic!() };
        assert!(matches!(&change.actions[0], Action::WriteBytes { encoded, .. } if text_of(encoded).unwrap().expose() == stripped[0].1));
    }

    #[test]
    fn keyrings_are_found_in_both_forms() {
        let text = "# deb [signed-by=/no.gpg] x\ndeb [arch=amd64 signed-by=/a.gpg,/b.gpg] http://x ./\nSigned-By: /c.gpg\n";
        assert_eq!(signed_by(text), ["/a.gpg", "/b.gpg", "/c.gpg"].map(PathBuf::from).into());
    }
}
