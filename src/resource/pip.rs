//! Python modules that pip keeps, in a virtual environment or the system's Python.

use std::collections::BTreeMap;

use super::{Change, Decision, Difference, Kind, Resource, ResourceId};
use crate::action::Action;
use crate::facts::{FactError, Facts};
use crate::look::python::normalise;
use crate::look::{Look, Site};
use crate::name::HostName;
use crate::spec::CloneSpec;
use crate::spec::requirement::Requirement;

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
    pub clone: Option<(HostName, CloneSpec)>,
    /// The spec allows `--break-system-packages`.
    pub break_system_packages: bool,
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
        if let Some((production, clone)) = &self.clone {
            let there = facts.python(production, &self.site)?;
            for (name, version) in &there.modules {
                if clone.takes(name) && !OWN.contains(&name.as_str()) && here.modules.get(name) != Some(version) {
                    differences.push(Difference::new(name, here.modules.get(name).cloned(), version.as_str()));
                    wanted.insert(name.clone(), format!("{name}=={version}"));
                }
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
        match &self.site {
            Site::System if !here.pip && !wanted.is_empty() => return Ok(Decision::waits("pip3 (install the package python3-pip)")),
            Site::System if here.externally_managed && !self.break_system_packages && !wanted.is_empty() => {
                return Err(FactError::Refused(format!(
                    "{}: the system's Python is marked externally managed (PEP 668), so pip must not write there; set pip.venv, or pip.break_system_packages: true",
                    self.host
                )));
            }
            Site::Venv(path) if !here.exists => {
                differences.insert(0, Difference::new("virtual environment", super::Shown::Absent, path.display().to_string()));
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
        if differences.is_empty() {
            return Ok(Decision::Holds);
        }
        Ok(Decision::Change(Change { differences, actions, ..Change::default() }))
    }
}
