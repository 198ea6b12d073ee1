//! Python modules that pip keeps, in a virtual environment or the system's Python.

use std::collections::BTreeMap;

use super::{Change, Decision, Difference, Kind, Resource, ResourceId, Shown};
use crate::action::Action;
use crate::facts::{FactError, Facts};
use crate::format::credentials::holds_password;
use crate::look::python::{Source, normalise};
use crate::look::{Look, Site};
use crate::name::HostName;
use crate::spec::SetClone;
use crate::spec::requirement::Requirement;

pub mod lock;

/// The modules of one place.
#[derive(Debug)]
pub struct Pip {
    /// Where.
    pub host: HostName,
    /// In which place.
    pub site: Site,
    /// Must be installed.
    pub install: Vec<Requirement>,
    /// Take production's modules and versions.
    pub clone: Option<(HostName, SetClone)>,
    /// The spec allows `--break-system-packages`.
    pub break_system_packages: bool,
}

/// Why a difference is only named.
const LEFT: &str = "a person: a module that only the standby has stays without clone.remove, and one from a folder, behind a password or edited in place is not fetched";

/// A version, and where it is from if that is no index.
fn shown(version: &str, source: Option<&Source>) -> Shown {
    match source.map(ToString::to_string) {
        None => version.into(),
        Some(source) if holds_password(&source) => Shown::Sensitive,
        Some(source) => format!("{version} ({source})").into(),
    }
}

/// Files that are not as pip installed them.
fn files(edited: Option<&BTreeMap<String, String>>) -> Shown {
    const NAMED: usize = 5;
    let Some(edited) = edited else { return "as pip installed it".into() };
    let mut names: Vec<String> = edited.iter().take(NAMED).map(|(file, now)| format!("{file} ({now})")).collect();
    names.extend((edited.len() > NAMED).then(|| format!("{} more", edited.len() - NAMED)));
    names.join(", ").into()
}

/// What a venv brings itself.
const OWN: [&str; 4] = ["pip", "setuptools", "wheel", "pkg-resources"];

impl Resource for Pip {
    fn id(&self) -> ResourceId {
        let name = match &self.site {
            Site::System => "system".to_owned(),
            Site::Venv(path) => path.display().to_string(),
        };
        ResourceId::new(&self.host, Kind::Pip, name)
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let look = Look::Python(self.site.clone());
        let there = self.clone.iter().map(|(production, _)| (production.clone(), look.clone()));
        std::iter::once((self.host.clone(), look.clone())).chain(there).collect()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let here = facts.python(&self.host, &self.site)?;
        let mut differences = Vec::new();
        let mut actions = Vec::new();
        let mut wanted: BTreeMap<String, String> = BTreeMap::new();
        let (mut replace, mut remove, mut left) = (Vec::new(), Vec::new(), false);
        if let Some((production, clone)) = &self.clone {
            let there = facts.python(production, &self.site)?;
            let taken = |name: &&String| clone.takes(name) && !OWN.contains(&name.as_str());
            for (name, version) in there.modules.iter().filter(|(name, _)| taken(name)) {
                let (is, source) = (here.modules.get(name), there.sources.get(name));
                let same_source = here.sources.get(name) == source;
                let (edited, as_edited) = (here.edited.get(name), there.edited.get(name));
                let same = is == Some(version) && same_source;
                if same && edited == as_edited {
                    continue;
                }
                if !same {
                    differences.push(Difference {
                        what: name.clone(),
                        is: is.map_or(Shown::Absent, |is| shown(is, here.sources.get(name))),
                        wanted: shown(version, source),
                    });
                }
                if same || as_edited.is_some() {
                    differences.push(Difference::new(format!("{name} edited in place"), files(edited), files(as_edited)));
                }
                left |= as_edited.is_some();
                if same && as_edited.is_some() {
                    continue;
                }
                match source.map(|source| source.requirement(name)) {
                    // pip tells two sources of one version apart only since 23.1.
                    None if is == Some(version) => replace.push(format!("{name}=={version}")),
                    None => drop(wanted.insert(name.clone(), format!("{name}=={version}"))),
                    Some(Some(requirement)) if !holds_password(&requirement) => replace.push(requirement),
                    Some(_) => left = true,
                }
            }
            let known = |name: &&String| {
                there.modules.contains_key(*name) || self.install.iter().any(|requirement| normalise(&requirement.name) == **name)
            };
            for (name, version) in here.modules.iter().filter(|(name, _)| taken(name) && !known(name)) {
                differences.push(Difference { what: name.clone(), is: shown(version, here.sources.get(name)), wanted: Shown::Absent });
                if clone.remove { remove.push(name.clone()) } else { left = true }
            }
        }
        for requirement in &self.install {
            let name = normalise(&requirement.name);
            let is = here.modules.get(&name).or_else(|| here.from_apt.get(&name));
            if !is.is_some_and(|version| requirement.matches(version)) && !wanted.contains_key(&name) {
                differences.push(Difference::new(&name, is.cloned(), requirement.to_string()));
                wanted.insert(name, requirement.to_string());
            }
        }
        let asks = !wanted.is_empty() || !replace.is_empty() || !remove.is_empty();
        match &self.site {
            Site::System if !here.pip && asks => return Ok(Decision::waits("pip3 (install the package python3-pip)")),
            Site::System if here.externally_managed && !self.break_system_packages && asks => {
                return Err(FactError::Refused(format!(
                    "{}: the system's Python is marked externally managed (PEP 668), so pip must not write there; set pip.venv, or pip.break_system_packages: true",
                    self.host
                )));
            }
            Site::Venv(path) if !here.exists => {
                differences.insert(0, Difference::new("virtual environment", Shown::Absent, path.display().to_string()));
                actions.push(Action::MakeVenv { path: path.clone() });
            }
            _ => {}
        }
        if !wanted.is_empty() {
            actions.push(Action::PipInstall {
                site: self.site.clone(),
                requirements: wanted.into_values().collect(),
                break_system_packages: self.break_system_packages && here.externally_managed,
            });
        }
        let break_system_packages = self.break_system_packages && here.externally_managed;
        // After the others: with those, pip may have brought another version of these.
        if !replace.is_empty() {
            actions.push(Action::PipReplace { site: self.site.clone(), requirements: replace, break_system_packages });
        }
        if !remove.is_empty() {
            actions.push(Action::PipUninstall { site: self.site.clone(), modules: remove, break_system_packages });
        }
        if differences.is_empty() {
            return Ok(Decision::Holds);
        }
        let left_to = (left && actions.is_empty()).then(|| LEFT.to_owned());
        Ok(Decision::Change(Change { differences, actions, left_to, ..Change::default() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::{PythonSight, Seen, Sight};

    fn sight(version: &str, edited: Option<&str>) -> PythonSight {
        let files = |now: &str| BTreeMap::from([("redis/client.py".to_owned(), now.to_owned())]);
        PythonSight {
            exists: true,
            pip: true,
            modules: [("redis".to_owned(), version.to_owned())].into(),
            edited: edited.iter().map(|now| ("redis".to_owned(), files(now))).collect(),
            ..PythonSight::default()
        }
    }

    fn decide(there: PythonSight, here: PythonSight) -> Decision {
        let (one, two): (HostName, HostName) = ("erp1".parse().unwrap(), "erp2".parse().unwrap());
        let seen = |sight| Seen::from([(Look::Python(Site::System), Ok(Sight::Python(sight)))]);
        let facts = Facts::new([(one.clone(), Ok(seen(there))), (two.clone(), Ok(seen(here)))].into());
        let clone = Some((one, SetClone::default()));
        Pip { host: two, site: Site::System, install: Vec::new(), clone, break_system_packages: false }.decide(&facts).unwrap()
    }

    #[test]
    fn a_module_edited_in_place_is_named_or_put_right() {
        assert_eq!(decide(sight("5.0", None), sight("5.0", None)), Decision::Holds);
        assert_eq!(decide(sight("5.0", Some("ab")), sight("5.0", Some("ab"))), Decision::Holds, "the same edit on both");
        let told = |decision| match decision {
            Decision::Change(change) => {
                let what: Vec<String> = change.differences.into_iter().map(|difference| difference.what).collect();
                (what, change.actions.iter().map(Action::title).collect::<Vec<_>>(), change.left_to.is_some())
            }
            other => panic!("{other:?}"),
        };
        let edit = || vec!["redis edited in place".to_owned()];
        assert_eq!(told(decide(sight("5.0", Some("ab")), sight("5.0", None))), (edit(), vec![], true));
        assert_eq!(told(decide(sight("5.0", Some("ab")), sight("5.0", Some("cd")))), (edit(), vec![], true));
        let again = "pip install --force-reinstall --no-deps redis==5.0".to_owned();
        assert_eq!(told(decide(sight("5.0", None), sight("5.0", Some("cd")))), (edit(), vec![again], false));
        let (what, actions, left) = told(decide(sight("5.1", Some("ab")), sight("5.0", Some("cd"))));
        assert_eq!((what, left), (vec!["redis".to_owned(), "redis edited in place".to_owned()], false));
        assert_eq!(actions, ["pip install redis==5.1"]);
    }
}
