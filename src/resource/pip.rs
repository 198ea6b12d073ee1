//! Python modules that pip keeps, in a virtual environment or the system's Python.

use std::collections::BTreeMap;

use super::{Change, Decision, Difference, Kind, Resource, ResourceId, Shown};
use crate::action::{Action, PipInstall};
use crate::facts::{FactError, Facts};
use crate::format::credentials::holds_password;
use crate::look::pip::{PipRun, PipSight};
use crate::look::python::{Source, normalise};
use crate::look::{Look, PythonSight, Site};
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

/// How the modules of a place differ from what is wanted.
#[derive(Default)]
struct Differing {
    differences: Vec<Difference>,
    /// Name → requirement.
    wanted: BTreeMap<String, String>,
    replace: Vec<String>,
    remove: Vec<String>,
    /// Of the wanted ones, those over a module that pip does not keep.
    over: Vec<String>,
    left: bool,
}

impl Pip {
    fn differing(&self, facts: &Facts) -> Result<Differing, FactError> {
        let here = facts.python(&self.host, &self.site)?;
        let mut all = Differing::default();
        let beneath = |name: &str| here.from_apt.get(name).filter(|_| !here.modules.contains_key(name));
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
                    let below = beneath(name).map(|version| format!("{version} of apt's, which stays beneath").into());
                    all.differences.push(Difference {
                        what: name.clone(),
                        is: is.map_or(below.unwrap_or(Shown::Absent), |is| shown(is, here.sources.get(name))),
                        wanted: shown(version, source),
                    });
                }
                if same || as_edited.is_some() {
                    all.differences.push(Difference::new(format!("{name} edited in place"), files(edited), files(as_edited)));
                }
                all.left |= as_edited.is_some();
                if same && as_edited.is_some() {
                    continue;
                }
                match source.map(|source| source.requirement(name)) {
                    // pip tells two sources of one version apart only since 23.1.
                    None if is == Some(version) => all.replace.push(format!("{name}=={version}")),
                    None => {
                        let requirement = format!("{name}=={version}");
                        all.over.extend(beneath(name).map(|_| requirement.clone()));
                        all.wanted.insert(name.clone(), requirement);
                    }
                    Some(Some(requirement)) if !holds_password(&requirement) && beneath(name).is_some() => {
                        all.over.push(requirement.clone());
                        all.wanted.insert(name.clone(), requirement);
                    }
                    Some(Some(requirement)) if !holds_password(&requirement) => all.replace.push(requirement),
                    Some(_) => all.left = true,
                }
            }
            let known = |name: &&String| {
                there.modules.contains_key(*name) || self.install.iter().any(|requirement| normalise(&requirement.name) == **name)
            };
            for (name, version) in here.modules.iter().filter(|(name, _)| taken(name) && !known(name)) {
                all.differences.push(Difference { what: name.clone(), is: shown(version, here.sources.get(name)), wanted: Shown::Absent });
                if clone.remove { all.remove.push(name.clone()) } else { all.left = true }
            }
        }
        for requirement in &self.install {
            let name = normalise(&requirement.name);
            let is = here.modules.get(&name).or_else(|| here.from_apt.get(&name));
            if !is.is_some_and(|version| requirement.matches(version)) && !all.wanted.contains_key(&name) {
                let below = beneath(&name).map(|version| format!("{version} of apt's, which stays beneath"));
                all.over.extend(below.iter().map(|_| requirement.to_string()));
                all.differences.push(Difference::new(&name, below.or(is.cloned()), requirement.to_string()));
                all.wanted.insert(name, requirement.to_string());
            }
        }
        Ok(all)
    }

    /// Modules beneath which pip must not touch: it would delete their files (Debian 13), or fail at them.
    fn keep(&self, here: &PythonSight, wanted: &BTreeMap<String, String>) -> Vec<String> {
        if self.site != Site::System {
            return Vec::new();
        }
        let kept = here.from_apt.iter().filter(|(name, _)| !here.modules.contains_key(*name) && !wanted.contains_key(*name));
        kept.map(|(name, version)| format!("{name}==={version}")).collect()
    }

    /// What pip is asked whether it would bring more.
    fn run(&self, here: &PythonSight, wanted: &BTreeMap<String, String>) -> Option<PipRun> {
        (!wanted.is_empty() && here.pip).then(|| PipRun {
            site: self.site.clone(),
            requirements: wanted.values().cloned().collect(),
            keep: self.keep(here, wanted),
            break_system_packages: self.break_system_packages && here.externally_managed,
        })
    }
}

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

    fn further(&self, facts: &Facts) -> Vec<(HostName, Look)> {
        let run = self.differing(facts).ok().zip(facts.python(&self.host, &self.site).ok());
        let run = run.and_then(|(all, here)| self.run(here, &all.wanted));
        run.map(|run| (self.host.clone(), Look::Pip(run))).into_iter().collect()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let here = facts.python(&self.host, &self.site)?;
        let Differing { mut differences, wanted, replace, remove, over, left } = self.differing(facts)?;
        let mut actions = Vec::new();
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
            Site::Venv(_) if !here.pip && asks => differences.push(Difference::new("pip", Shown::Absent, "what Python brings (ensurepip)")),
            _ => {}
        }
        let break_system_packages = self.break_system_packages && here.externally_managed;
        if !wanted.is_empty() {
            let run = self.run(here, &wanted);
            let brings = run.as_ref().map(|run| facts.pip(&self.host, run)).transpose()?;
            let (requirements, whole) = match brings {
                Some(PipSight::Known(brings)) => {
                    let more = |name: &&String| !wanted.contains_key(*name) && !OWN.contains(&name.as_str());
                    for (name, version) in brings.iter().filter(|(name, _)| more(name)) {
                        differences.push(Difference::new(
                            format!("{name} (needed by these)"),
                            here.modules.get(name).cloned(),
                            version.clone(),
                        ));
                    }
                    let more = brings.iter().filter(|(name, _)| !wanted.contains_key(*name));
                    (wanted.values().cloned().chain(more.map(|(name, version)| format!("{name}=={version}"))).collect(), true)
                }
                Some(PipSight::Unknown(why)) => {
                    differences.push(Difference::new("what these need", Shown::Absent, format!("not known before: {why}")));
                    (wanted.values().cloned().collect(), false)
                }
                None => (wanted.values().cloned().collect(), false),
            };
            let (site, keep) = (self.site.clone(), self.keep(here, &wanted));
            actions.push(Action::PipInstall { install: PipInstall { site, requirements, over, keep, whole, break_system_packages } });
        }
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
    use crate::look::{Seen, Sight};

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
        decided(&Pip { host: two, site: Site::System, install: Vec::new(), clone, break_system_packages: false }, facts)
    }

    /// pip cannot say what more it would bring.
    fn decided(pip: &Pip, facts: Facts) -> Decision {
        let unknown = |look| (look, Ok(Sight::Pip(PipSight::Unknown("old".into()))));
        let more = pip.further(&facts).into_iter().map(|(host, look)| (host, Ok(Seen::from([unknown(look)])))).collect();
        pip.decide(&facts.and(Facts::new(more))).unwrap()
    }

    /// pip on Debian 13 deletes a module of apt's that another version is to take the place of.
    #[test]
    fn what_apt_owns_is_shadowed_where_asked_for_and_kept_else() {
        let (one, two): (HostName, HostName) = ("erp1".parse().unwrap(), "erp2".parse().unwrap());
        let map = |list: &[(&str, &str)]| list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>();
        let there = PythonSight { exists: true, pip: true, modules: map(&[("lxml", "5.0"), ("six", "1.17")]), ..PythonSight::default() };
        let here = PythonSight {
            modules: map(&[("six", "1.16")]),
            from_apt: map(&[("lxml", "4.6"), ("six", "1.15"), ("urllib3", "1.26")]),
            ..there.clone()
        };
        let seen = |sight| Seen::from([(Look::Python(Site::System), Ok(Sight::Python(sight)))]);
        let facts = Facts::new([(one.clone(), Ok(seen(there))), (two.clone(), Ok(seen(here)))].into());
        let pip = Pip {
            host: two,
            site: Site::System,
            install: Vec::new(),
            clone: Some((one, SetClone::default())),
            break_system_packages: false,
        };
        let Decision::Change(change) = decided(&pip, facts) else { panic!() };
        let [Action::PipInstall { install }] = change.actions.as_slice() else { panic!("{:?}", change.actions) };
        assert_eq!(install.requirements, ["lxml==5.0", "six==1.17"]);
        assert_eq!((install.over.as_slice(), install.keep.as_slice()), (&["lxml==5.0".to_owned()][..], &["urllib3===1.26".to_owned()][..]));
        assert_eq!(change.differences[0].is, "4.6 of apt's, which stays beneath".into());
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
        assert_eq!((what, left), (vec!["redis".to_owned(), "redis edited in place".to_owned(), "what these need".to_owned()], false));
        assert_eq!(actions, ["pip install redis==5.1"]);
    }
}
