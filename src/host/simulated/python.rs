//! Python modules on a simulated machine: what apt brought, what pip brought, and pip itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifiers};

use super::machine::Machine;
use super::packages::Archive;
use crate::action::PipInstall;
use crate::look::python::{Source, normalise};
use crate::look::{PythonSight, Site};

/// Normalised name → version.
pub type Modules = BTreeMap<String, String>;

/// Debian package → the module it brings.
const FROM_APT: &[(&str, &str, &str)] = &[
    ("python3-lxml", "lxml", "4.6.3"),
    ("python3-psycopg2", "psycopg2", "2.8.6"),
    ("python3-werkzeug", "werkzeug", "1.0.1"),
    ("python3-pip", "pip", "20.3.4"),
];

/// Module → what pip installs with it.
const NEEDS: &[(&str, &str)] = &[("mangono-addon-redis-session-store", "redis<6"), ("mangono-odoo-redis-session", "redis~=5.0")];

type Done = Result<(), String>;

fn place(site: &Site) -> String {
    match site {
        Site::System => String::new(),
        Site::Venv(path) => path.display().to_string(),
    }
}

impl Machine {
    pub(super) fn python_sight(&self, site: &Site) -> PythonSight {
        let modules = self.python.get(&place(site)).cloned();
        match site {
            Site::System => PythonSight {
                exists: self.has_package("python3"),
                pip: self.has_package("python3-pip"),
                externally_managed: false,
                modules: modules.unwrap_or_default(),
                sources: self.sources(site),
                edited: BTreeMap::new(),
                from_apt: FROM_APT
                    .iter()
                    .filter(|(package, module, _)| self.has_package(package) && !self.deleted_by_pip.contains(*module))
                    .map(|(_, module, version)| ((*module).to_owned(), (*version).to_owned()))
                    .collect(),
            },
            Site::Venv(_) => PythonSight {
                exists: modules.is_some(),
                pip: modules.is_some(),
                externally_managed: false,
                modules: modules.unwrap_or_default(),
                from_apt: Modules::new(),
                sources: self.sources(site),
                edited: BTreeMap::new(),
            },
        }
    }

    pub(super) fn make_venv(&mut self, path: &Path) -> Done {
        if !self.has_package("python3-venv") {
            return Err("The virtual environment was not created successfully because ensurepip is not available.".into());
        }
        let now = self.tick();
        self.files.make_parents(path, ("root", "root", 0o755), now);
        self.files.write(path.join("bin/python"), "", ("root", "root", 0o755), now);
        self.python.entry(path.display().to_string()).or_default();
        Ok(())
    }

    fn sources(&self, site: &Site) -> BTreeMap<String, Source> {
        self.python_sources.get(&place(site)).cloned().unwrap_or_default()
    }

    /// `pip install --force-reinstall --no-deps`: of a repository any commit can be had, all of version 0.1.
    pub(super) fn pip_replace(&mut self, site: &Site, requirements: &[String], archive: &Archive) -> Done {
        for requirement in requirements {
            let Some((name, from)) = requirement.split_once(" @ ") else {
                let name = normalise(requirement.split("==").next().unwrap_or_default());
                self.pip(site)?.remove(&name);
                self.python_sources.entry(place(site)).or_default().remove(&name);
                self.pip_install(site, std::slice::from_ref(requirement), archive)?;
                continue;
            };
            let (url, revision) = from.rsplit_once('@').unwrap_or((from, ""));
            let (vcs, url) = url.split_once('+').ok_or("ERROR: no repository")?;
            let source =
                Source { url: url.to_owned(), vcs: Some(vcs.to_owned()), revision: Some(revision.to_owned()), ..Source::default() };
            self.pip(site)?.insert(normalise(name), "0.1".into());
            self.python_sources.entry(place(site)).or_default().insert(normalise(name), source);
        }
        Ok(())
    }

    fn pip(&mut self, site: &Site) -> Result<&mut Modules, String> {
        let sight = self.python_sight(site);
        match (site, sight.pip) {
            (Site::System, true) => Ok(self.python.entry(String::new()).or_default()),
            (Site::System, false) => Err("sh: 1: pip3: not found".into()),
            (Site::Venv(path), _) => {
                self.python.get_mut(&place(site)).ok_or_else(|| format!("sh: 1: {}/bin/pip: not found", path.display()))
            }
        }
    }

    /// A run as otr asks for it. An unkind pip: what apt installed and another version is to take the
    /// place of, it deletes, unless it is told to ignore it.
    pub(super) fn pip_run(&mut self, install: &PipInstall, archive: &Archive) -> Done {
        let sight = self.python_sight(&install.site);
        let mut all = self.clone();
        all.pip_install(&install.site, &install.requirements, archive)?;
        for (name, version) in &all.python_sight(&install.site).modules {
            let beneath = sight.from_apt.get(name).filter(|_| !sight.modules.contains_key(name));
            let Some(beneath) = beneath.filter(|beneath| *beneath != version) else { continue };
            if install.keep.iter().any(|line| *line == format!("{name}==={beneath}")) {
                return Err(format!("ERROR: Cannot install {name}: The user requested (constraint) {name}==={beneath}"));
            }
            if !install.over.iter().any(|requirement| parse(requirement).is_ok_and(|(other, _)| other == *name)) {
                self.deleted_by_pip.insert(name.clone());
            }
        }
        self.pip_install(&install.site, &install.requirements, archive)
    }

    pub(super) fn pip_install(&mut self, site: &Site, requirements: &[String], archive: &Archive) -> Done {
        if self.disk_full {
            return Err("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device".into());
        }
        let modules = self.pip(site)?;
        let mut changed = modules.clone();
        let mut open: Vec<String> = requirements.to_vec();
        while let Some(requirement) = open.pop() {
            let (name, specifiers) = parse(&requirement)?;
            if changed.get(&name).is_some_and(|version| fits(version, &specifiers)) {
                continue;
            }
            let found = archive.wheels.get(&name).and_then(|versions| versions.iter().rev().find(|version| fits(version, &specifiers)));
            let version = found.ok_or_else(|| format!("ERROR: No matching distribution found for {requirement}"))?;
            open.extend(NEEDS.iter().filter(|(other, _)| *other == name).map(|(_, needed)| (*needed).to_owned()));
            changed.insert(name, version.clone());
        }
        *modules = changed;
        Ok(())
    }

    pub(super) fn pip_uninstall(&mut self, site: &Site, names: &[String]) -> Done {
        let modules = self.pip(site)?;
        for name in names {
            modules.remove(&normalise(name));
        }
        Ok(())
    }
}

/// `name[extra]~=1.0 ; marker` taken apart.
fn parse(requirement: &str) -> Result<(String, VersionSpecifiers), String> {
    let text = requirement.split(';').next().unwrap_or_default().trim();
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('[').and_then(|r| r.split_once(']')).map_or(rest, |(_, r)| r);
    let invalid = |why: String| format!("ERROR: Invalid requirement: '{requirement}': {why}");
    if name.is_empty() {
        return Err(invalid("no name".into()));
    }
    Ok((normalise(name), VersionSpecifiers::from_str(rest.trim()).map_err(|e| invalid(e.to_string()))?))
}

fn fits(version: &str, specifiers: &VersionSpecifiers) -> bool {
    Version::from_str(version).is_ok_and(|version| specifiers.contains(&version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pip_installs_the_newest_that_fits_and_what_it_needs() {
        let (mut machine, archive) = (Machine::bare("erp1".parse().unwrap(), "10.77.0.11", 1e9), Archive::debian());
        let install = |machine: &mut Machine, list: &[&str]| {
            machine.pip_install(&Site::System, &list.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>(), &archive)
        };
        assert!(install(&mut machine, &["redis"]).unwrap_err().contains("not found"));
        let mut packages = Archive::debian();
        machine
            .install(&[crate::look::apt::PackageVersion { name: "python3-pip".parse().unwrap(), version: None }], &mut packages)
            .unwrap();
        install(&mut machine, &["Mangono.Addon_Redis-session-store==3.0.1", "phonenumbers~=8.12.0"]).unwrap();
        let modules = machine.python_sight(&Site::System).modules;
        assert_eq!((modules["redis"].as_str(), modules["phonenumbers"].as_str()), ("5.0.8", "8.12.57"));
        assert!(install(&mut machine, &["redis>=99"]).unwrap_err().contains("No matching distribution"));
        machine.pip_uninstall(&Site::System, &["Redis".into()]).unwrap();
        assert!(!machine.python_sight(&Site::System).modules.contains_key("redis"));
    }
}
