//! apt and dpkg on a simulated machine, and the archive it installs from.
//!
//! What a package's own scripts do is in [`super::effects`].

use std::collections::BTreeMap;

use super::machine::Machine;
use crate::look::Package;
use crate::look::apt::{AptRun, AptSight, PackageVersion, Step};
use crate::name::PackageName;

/// What can be installed anywhere: Debian packages and Python modules.
#[derive(Debug, Clone)]
pub struct Archive {
    /// Package → versions, the newest last.
    pub packages: BTreeMap<String, Vec<String>>,
    /// Module → versions, the newest last.
    pub wheels: BTreeMap<String, Vec<String>>,
    /// The system identifier of the next cluster that is made.
    pub next_identifier: u64,
}

/// Packages of bullseye: name, versions, what they pull in.
const DEBIAN: &[(&str, &[&str], &[&str])] = &[
    ("base-files", &["11.1+deb11u11"], &[]),
    ("ca-certificates", &["20210119"], &[]),
    ("curl", &["7.74.0-1.3+deb11u13", "7.74.0-1.3+deb11u14"], &[]),
    ("fonts-inconsolata", &["001.010-6"], &[]),
    ("git", &["1:2.30.2-1+deb11u4"], &[]),
    ("haproxy", &["2.2.9-2+deb11u6"], &[]),
    ("libc6", &["2.31-13+deb11u11"], &[]),
    ("libpq5", &["13.23-0+deb11u1"], &[]),
    ("nginx", &["1.18.0-6.1+deb11u3"], &[]),
    (
        "odoo-14",
        &["14.0.0+dfsg.2-7+deb11u1", "14.0.0+dfsg.2-7+deb11u2"],
        &["python3", "python3-psycopg2", "python3-lxml", "python3-werkzeug", "wkhtmltopdf", "fonts-inconsolata"],
    ),
    ("openssh-server", &["1:8.4p1-5+deb11u3"], &[]),
    ("postgresql", &["13+225+deb11u1"], &["postgresql-13"]),
    ("postgresql-13", &["13.20-0+deb11u1", "13.23-0+deb11u1"], &["postgresql-common", "postgresql-client-13", "libpq5"]),
    ("postgresql-client-13", &["13.23-0+deb11u1"], &["libpq5"]),
    ("postgresql-common", &["225+deb11u1"], &[]),
    ("python3", &["3.9.2-3"], &[]),
    ("python3-lxml", &["4.6.3+dfsg-0.1+deb11u1"], &["python3"]),
    ("python3-pip", &["20.3.4-4+deb11u1"], &["python3"]),
    ("python3-psycopg2", &["2.8.6-2"], &["python3", "libpq5"]),
    ("python3-venv", &["3.9.2-3"], &["python3"]),
    ("python3-werkzeug", &["1.0.1+dfsg1-2+deb11u1"], &["python3"]),
    ("redis-server", &["5:6.0.16-1+deb11u5", "5:6.0.16-1+deb11u8"], &["redis-tools"]),
    ("redis-tools", &["5:6.0.16-1+deb11u8"], &[]),
    ("sudo", &["1.9.5p2-3+deb11u2"], &[]),
    ("systemd", &["247.3-7+deb11u7"], &[]),
    ("tree", &["1.8.0-1+b1"], &[]),
    ("vim", &["2:8.2.2434-3+deb11u1"], &[]),
    ("wkhtmltopdf", &["0.12.6-1"], &[]),
];

const WHEELS: &[(&str, &[&str])] = &[
    ("lxml", &["4.9.4"]),
    ("mangono-addon-redis-session-store", &["3.0.0", "3.0.1"]),
    ("mangono-odoo-redis-session", &["1.4.0", "1.4.1"]),
    ("phonenumbers", &["8.12.57", "8.13.0", "8.13.55"]),
    ("python-stdnum", &["1.18", "1.20"]),
    ("redis", &["3.5.3", "4.6.0", "5.0.1", "5.0.8", "6.2.0"]),
    ("zeep", &["4.2.1"]),
];

impl Archive {
    /// Bullseye's archive, and an index of the modules Odoo wants.
    pub fn debian() -> Self {
        let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Self {
            packages: DEBIAN.iter().map(|(name, versions, _)| ((*name).to_owned(), strings(versions))).collect(),
            wheels: WHEELS.iter().map(|(name, versions)| ((*name).to_owned(), strings(versions))).collect(),
            next_identifier: 7_300_000_000_000_000_001,
        }
    }
}

/// A package, what it needs, and since which version: an older one makes apt remove it.
const NEEDS_AT_LEAST: &[(&str, &str, &str)] = &[("git", "curl", "7.74.0-1.3+deb11u14")];

type Done = Result<(), String>;

impl Machine {
    /// apt's simulation: what no source has is told apart, of the rest what would be done.
    pub(super) fn simulate(&self, run: &AptRun, archive: &Archive) -> AptSight {
        let has = |package: &PackageVersion| {
            let versions = archive.packages.get(package.name.as_str());
            versions.is_some_and(|versions| package.version.as_ref().is_none_or(|version| versions.contains(version)))
        };
        let (can, lacking): (Vec<_>, Vec<_>) = run.install.iter().cloned().partition(has);
        let (mut after, mut archive) = (self.clone(), archive.clone());
        after.disk_full = false;
        let mut sight = AptSight {
            lacking: lacking.iter().map(ToString::to_string).collect(),
            fetched: self.lists_fetched.map(|at| (self.now - at) as u64),
            asked: self.lists_asked.clone(),
            ..AptSight::default()
        };
        if let Err(said) = after.change(&AptRun { install: can.clone(), remove: run.remove.clone() }, &mut archive) {
            sight.impossible = can.iter().map(|package| (package.to_string(), said.clone())).collect();
            return sight;
        }
        for (name, package) in &after.packages {
            let before = self.packages.get(name).filter(|p| p.installed);
            let from = before.map(|p| p.version.clone());
            let to = package.installed.then(|| package.version.clone());
            if from != to {
                let age = |version: &Option<String>| archive.packages.get(name)?.iter().position(|other| Some(other) == version.as_ref());
                if to.is_some() && age(&to) < age(&from) {
                    sight.downgraded.insert(name.clone());
                }
                sight.steps.push(Step { name: name.clone(), from, to });
            }
        }
        sight.steps.sort();
        sight
    }

    /// `apt-get install` with `name-` for what goes, if it would still do these steps.
    pub(super) fn change_packages(&mut self, run: &AptRun, steps: &[Step], archive: &mut Archive) -> Done {
        let sight = self.simulate(run, archive);
        match (sight.lacking.first(), sight.impossible.first()) {
            (Some(lacking), _) => return Err(format!("E: '{lacking}' was not found")),
            (None, Some((_, why))) => return Err(why.clone()),
            (None, None) if sight.steps != steps => return Err("apt would by now do otherwise than was planned".into()),
            (None, None) => {}
        }
        self.change(run, archive)
    }

    fn change(&mut self, run: &AptRun, archive: &mut Archive) -> Done {
        self.install(&run.install, archive)?;
        for name in &run.remove {
            self.remove_one(name.as_str());
        }
        for (needing, needed, least) in NEEDS_AT_LEAST {
            let age = |version: &str| archive.packages.get(*needed)?.iter().position(|other| other == version);
            let old = self.packages.get(*needed).is_some_and(|p| p.installed && age(&p.version) < age(least));
            // What was there before otr came may be older than any archive.
            let asked = run.install.iter().any(|package| package.name.as_str() == *needed);
            if old && asked && self.has_package(needing) {
                self.remove_one(needing);
            }
        }
        Ok(())
    }

    /// `apt-get update`.
    pub(super) fn update_lists(&mut self, asked: &[String]) {
        self.lists_fetched = Some(self.now);
        self.lists_asked = asked.iter().cloned().collect();
    }

    /// `apt-get install --allow-change-held-packages --allow-downgrades`: every request is
    /// checked before the first package is touched, and what is changed is held no longer.
    pub(super) fn install(&mut self, packages: &[PackageVersion], archive: &mut Archive) -> Done {
        let mut wanted: Vec<(String, String, bool)> = Vec::new();
        for package in packages {
            let name = package.name.as_str();
            let versions = archive.packages.get(name).ok_or_else(|| format!("E: Unable to locate package {name}"))?;
            let version = match &package.version {
                Some(version) if versions.contains(version) => version.clone(),
                Some(version) => return Err(format!("E: Version '{version}' for '{name}' was not found")),
                None => versions.last().cloned().unwrap_or_default(),
            };
            self.pull(name, &mut wanted, archive);
            wanted.retain(|(other, ..)| other != name);
            wanted.push((name.to_owned(), version, true));
        }
        let new =
            |machine: &Self, name: &str, version: &str| machine.packages.get(name).is_none_or(|p| !p.installed || p.version != version);
        if self.disk_full && wanted.iter().any(|(name, version, _)| new(self, name, version)) {
            return Err("E: You don't have enough free space in /var/cache/apt/archives/.".into());
        }
        for (name, version, manual) in wanted {
            let old = self.packages.get(&name).cloned();
            let manual = manual || old.as_ref().is_some_and(|old| old.installed && old.manual);
            let changed = new(self, &name, &version);
            let held = old.as_ref().is_some_and(|old| old.held) && !changed;
            self.packages.insert(name.clone(), Package { version, installed: true, held, manual, half: false });
            if changed {
                self.configure(&name, old.is_none_or(|old| !old.installed), archive)?;
            }
        }
        Ok(())
    }

    /// What a package needs and is not there yet, innermost first.
    fn pull(&self, name: &str, wanted: &mut Vec<(String, String, bool)>, archive: &Archive) {
        for needed in depends(name) {
            if self.has_package(needed) || wanted.iter().any(|(other, ..)| other == needed) {
                continue;
            }
            self.pull(needed, wanted, archive);
            let version = archive.packages.get(*needed).and_then(|versions| versions.last()).cloned().unwrap_or_default();
            wanted.push(((*needed).to_owned(), version, false));
        }
    }

    /// Those that need it go too, configuration stays.
    fn remove_one(&mut self, name: &str) {
        if !self.has_package(name) {
            return;
        }
        let needing: Vec<String> =
            self.packages.keys().filter(|other| depends(other).contains(&name) && self.has_package(other)).cloned().collect();
        for other in needing {
            self.remove_one(&other);
        }
        self.deconfigure(name);
        if let Some(package) = self.packages.get_mut(name) {
            package.installed = false;
            package.manual = false;
        }
    }

    /// `apt-mark hold` and `unhold`.
    pub(super) fn hold(&mut self, packages: &[PackageName], held: bool) -> Done {
        for name in packages {
            let package = self
                .packages
                .get_mut(name.as_str())
                .ok_or_else(|| format!("E: Can't select installed nor candidate version from package {name} as it has neither of them"))?;
            package.held = held;
        }
        Ok(())
    }
}

fn depends(name: &str) -> &'static [&'static str] {
    DEBIAN.iter().find(|(other, ..)| *other == name).map_or(&[], |(_, _, depends)| depends)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(text: &str) -> PackageVersion {
        let (name, version) = text.split_once('=').map_or((text, None), |(n, v)| (n, Some(v.to_owned())));
        PackageVersion { name: name.parse().unwrap(), version }
    }

    #[test]
    fn apt_refuses_what_it_cannot_do_and_loses_holds() {
        let (mut machine, mut archive) = (Machine::bare("erp1".parse().unwrap(), "10.77.0.11", 1e9), Archive::debian());
        assert!(machine.install(&[wish("tree"), wish("nonsense")], &mut archive).unwrap_err().contains("Unable to locate"));
        assert!(!machine.has_package("tree"), "all or nothing");
        machine.install(&[wish("curl=7.74.0-1.3+deb11u13"), wish("python3-pip")], &mut archive).unwrap();
        assert!(machine.packages["curl"].manual && !machine.packages["python3"].manual);
        machine.hold(&["curl".parse().unwrap()], true).unwrap();
        machine.install(&[wish("curl")], &mut archive).unwrap();
        assert_eq!((machine.packages["curl"].version.as_str(), machine.packages["curl"].held), ("7.74.0-1.3+deb11u14", false));
        machine.remove_one("python3");
        assert!(!machine.has_package("python3-pip") && machine.packages.contains_key("python3-pip"));
        assert!(machine.install(&[wish("curl=1")], &mut archive).unwrap_err().contains("was not found"));
    }

    #[test]
    fn a_simulation_does_nothing_and_the_real_run_does_just_that() {
        let (mut machine, mut archive) = (Machine::bare("erp1".parse().unwrap(), "10.77.0.11", 1e9), Archive::debian());
        machine.install(&[wish("curl"), wish("git")], &mut archive).unwrap();
        let run = AptRun { install: vec![wish("curl=7.74.0-1.3+deb11u13"), wish("vim=9")], remove: Vec::new() };
        let sight = machine.simulate(&run, &archive);
        let lines: Vec<String> = sight.steps.iter().map(Step::line).collect();
        assert_eq!(lines, ["+ curl 7.74.0-1.3+deb11u13", "- git"]);
        assert_eq!((sight.downgraded, sight.lacking), (["curl".to_owned()].into(), ["vim=9".to_owned()].into()));
        assert!(machine.has_package("git"));
        let run = AptRun { install: run.install[..1].to_vec(), ..run };
        assert!(machine.change_packages(&run, &[], &mut archive).unwrap_err().contains("otherwise"));
        machine.change_packages(&run, &sight.steps, &mut archive).unwrap();
        assert!(!machine.has_package("git"));
    }

    #[test]
    fn installing_odoo_starts_it_unless_masked() {
        use crate::action::UnitVerb;
        let mut archive = Archive::debian();
        let mut open = Machine::bare("erp1".parse().unwrap(), "10.77.0.11", 1e9);
        open.install(&[wish("odoo-14")], &mut archive).unwrap();
        assert!(open.is_active("odoo.service") && open.starts.iter().any(|start| start.unit == "odoo.service"));
        let mut masked = Machine::bare("erp2".parse().unwrap(), "10.77.0.12", 1e9);
        masked.unit_verb("odoo.service", UnitVerb::Mask).unwrap();
        masked.install(&[wish("odoo-14"), wish("postgresql-13"), wish("redis-server")], &mut archive).unwrap();
        assert!(masked.starts.iter().all(|start| start.unit != "odoo.service"));
        assert!(masked.is_active("postgresql@13-main.service") && masked.is_active("redis-server.service"));
        assert_eq!(masked.files.get("/etc/odoo/odoo.conf").map(|e| (e.owner.as_str(), e.mode)), Some(("odoo", 0o640)));
        let first = masked.data(&(13, "main".into())).unwrap().system_identifier.clone();
        open.install(&[wish("postgresql-13")], &mut archive).unwrap();
        assert_ne!(open.data(&(13, "main".into())).unwrap().system_identifier, first);
    }
}
