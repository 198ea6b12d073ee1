//! Debian packages of one host: installed, at a version, held. On NixOS: present or not.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::Sources;
use super::{Decision, Difference, Kind, Resource, ResourceId, Shown};
use crate::action::Action;
use crate::facts::{FactError, Facts};
use crate::look::apt::{AptRun, PackageVersion};
use crate::look::{self, Look, Package};
use crate::name::{HostName, PackageName};
use crate::spec::PackagesClone;
use crate::spec::requirement::PackageSpec;

mod apt;
mod nixos;

pub use apt::Obtainable;

/// The packages of one host.
#[derive(Debug, Clone)]
pub struct Packages {
    /// Where.
    pub host: HostName,
    /// Must be installed.
    pub install: Vec<PackageSpec>,
    /// Must be held.
    pub hold: Vec<PackageName>,
    /// Must not be installed.
    pub remove: Vec<PackageName>,
    /// Take production's set and versions.
    pub clone: Option<(HostName, PackagesClone)>,
    /// The sources that come first where they are taken too: apt is asked when they are as they will be.
    pub sources: Option<Sources>,
    /// What apt may do besides what is asked for.
    pub allowed: Allowed,
    /// What a NixOS calls a package; `None` where it needs none.
    pub nixos: BTreeMap<PackageName, Option<String>>,
}

/// Packages that apt may remove or make older to reach what is asked for; `*` stands for any characters.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// May be removed.
    pub removals: Vec<String>,
    /// May get an older version.
    pub downgrades: Vec<String>,
}

impl Packages {
    /// Name → version, where one is wanted.
    fn wanted(&self, here: &BTreeMap<String, Package>, there: Option<&BTreeMap<String, Package>>) -> BTreeMap<String, Option<String>> {
        let mut wanted: BTreeMap<String, Option<String>> = BTreeMap::new();
        if let (Some(there), Some((_, clone))) = (there, &self.clone) {
            let installed = there.iter().filter(|(name, package)| package.installed && clone.takes(name));
            for (name, package) in installed {
                // A dependency follows production's version where it is here too; apt decides whether it must be.
                if package.manual || here.get(name).is_some_and(|p| p.installed) {
                    wanted.insert(name.clone(), Some(package.version.clone()));
                }
            }
        }
        for spec in &self.install {
            let cloned = there.and_then(|there| there.get(spec.name.as_str())).filter(|p| p.installed).map(|p| p.version.clone());
            wanted.insert(spec.name.to_string(), spec.version.clone().or(cloned));
        }
        for name in &self.remove {
            wanted.remove(name.as_str());
        }
        wanted
    }

    fn names(&self, name: &str) -> bool {
        self.install.iter().any(|spec| spec.name.as_str() == name) || self.hold.iter().any(|hold| hold.as_str() == name)
    }

    /// What somebody asked for here and production does not have.
    fn more(&self, here: &BTreeMap<String, Package>, there: &BTreeMap<String, Package>) -> Vec<PackageName> {
        let Some((_, clone)) = &self.clone else { return Vec::new() };
        let lacks = |name: &str| !there.get(name).is_some_and(|package| package.installed);
        here.iter()
            .filter(|(name, package)| package.installed && package.manual && lacks(name) && clone.takes(name) && !self.names(name))
            .filter_map(|(name, _)| name.parse().ok())
            .filter(|name| !self.remove.contains(name))
            .collect()
    }

    /// Which of what both have somebody asked for on production, and which came as a dependency: autoremove goes by it.
    fn marks(
        &self,
        here: &BTreeMap<String, Package>,
        there: &BTreeMap<String, Package>,
        wanted: &BTreeMap<String, Option<String>>,
    ) -> Vec<(PackageName, bool)> {
        let Some((_, clone)) = &self.clone else { return Vec::new() };
        let both = there.iter().filter(|(name, package)| {
            let same = here.get(*name).is_some_and(|p| p.installed && p.manual == package.manual);
            let touched = wanted.get(*name).is_some_and(|version| here.get(*name).map(|p| &p.version) != version.as_ref());
            package.installed && clone.takes(name) && !self.names(name) && (!same || touched) && wanted.contains_key(*name)
        });
        both.filter_map(|(name, package)| Some((name.parse().ok()?, !package.manual))).collect()
    }
}

/// How the packages of a host differ from what is wanted, by dpkg's lists alone.
struct Differing {
    differences: Vec<Difference>,
    /// What apt is asked for.
    run: AptRun,
    hold: BTreeSet<PackageName>,
    unhold: BTreeSet<PackageName>,
    marks: Vec<(PackageName, bool)>,
    /// An earlier run was cut off between unpacking and configuring.
    half: bool,
}

impl Packages {
    fn differing(&self, facts: &Facts) -> Result<Differing, FactError> {
        let here = facts.packages(&self.host)?;
        let there = self.clone.as_ref().map(|(production, _)| debian(facts, production)).transpose()?;
        let wanted = self.wanted(here, there);
        let mut differences = Vec::new();
        let (mut install, mut hold, mut unhold) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for (name, package) in here.iter().filter(|(_, package)| package.half) {
            differences.push(Difference::new(format!("{name} {}", package.version), "unpacked, not configured", "configured"));
        }
        for (name, version) in &wanted {
            let Ok(package_name) = name.parse::<PackageName>() else { continue };
            let is = here.get(name).filter(|p| p.installed || p.half);
            let differs = match (is, version) {
                (None, _) => true,
                (Some(package), Some(version)) => package.version != *version,
                (Some(_), None) => false,
            };
            if differs {
                let wish = version.clone().unwrap_or_else(|| "installed".into());
                differences.push(Difference::new(name, is.map(|p| p.version.clone()), wish));
                install.push(PackageVersion { name: package_name.clone(), version: version.clone() });
            }
            let there = there.and_then(|there| there.get(name)).filter(|p| p.installed);
            let wants_hold = there.is_some_and(|p| p.held) || self.hold.contains(&package_name);
            let held = is.is_some_and(|p| p.held);
            // Only production's packages say that a hold is to go; who set one here had a reason.
            if held && !wants_hold && there.is_some() {
                differences.push(Difference::new(format!("{name} hold"), "held", "not held"));
                unhold.insert(package_name.clone());
            } else if wants_hold && !held {
                differences.push(Difference::new(format!("{name} hold"), "not held", "held"));
                hold.insert(package_name.clone());
            } else if held && differs {
                // apt changes a held package when asked by name; the hold itself is set again.
                hold.insert(package_name.clone());
            }
        }
        let mut remove: Vec<PackageName> =
            self.remove.iter().filter(|name| here.get(name.as_str()).is_some_and(|p| p.installed)).cloned().collect();
        let more = there.map(|there| self.more(here, there)).unwrap_or_default();
        let removes = self.clone.as_ref().is_some_and(|(_, clone)| clone.remove);
        remove.extend(more.iter().filter(|_| removes).cloned());
        for name in remove.iter().chain(more.iter().filter(|_| !removes)) {
            let is = here.get(name.as_str()).map(|p| p.version.clone());
            differences.push(Difference::new(name.as_str(), is, Shown::Absent));
        }
        let marks = there.map(|there| self.marks(here, there, &wanted)).unwrap_or_default();
        for (name, automatic) in &marks {
            // What is installed a moment later gets its mark then, without a word.
            if let Some(is) = here.get(name.as_str()).filter(|p| p.installed && p.manual == *automatic) {
                let word = |automatic| if automatic { "came as a dependency" } else { "asked for" };
                differences.push(Difference::new(format!("{name} mark"), word(!is.manual), word(*automatic)));
            }
        }
        let half = here.values().any(|package| package.half);
        Ok(Differing { differences, run: AptRun { install, remove }, hold, unhold, marks, half })
    }

    /// What is done once apt changed the packages.
    fn afterwards(&self, differing: &Differing, here: &look::Packages, install: &[PackageVersion]) -> Vec<Action> {
        let mut actions = Vec::new();
        if !differing.unhold.is_empty() {
            actions.push(Action::UnholdPackages { packages: differing.unhold.iter().cloned().collect() });
        }
        for automatic in [false, true] {
            let takes = |name: &PackageName| {
                let installs = install.iter().any(|package| package.name == *name);
                installs && automatic || here.get(name.as_str()).is_some_and(|p| p.installed && p.manual == automatic)
            };
            let marks = differing.marks.iter().filter(|(name, mark)| *mark == automatic && takes(name));
            let packages: Vec<PackageName> = marks.map(|(name, _)| name.clone()).collect();
            if !packages.is_empty() {
                actions.push(Action::MarkPackages { packages, automatic });
            }
        }
        let there = |name: &&PackageName| {
            here.get(name.as_str()).is_some_and(|p| p.installed || p.half) || install.iter().any(|package| package.name == **name)
        };
        let hold: Vec<PackageName> = differing.hold.iter().filter(there).cloned().collect();
        if !hold.is_empty() {
            actions.push(Action::HoldPackages { packages: hold });
        }
        actions
    }
}

impl Resource for Packages {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Packages, "debian")
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let hosts = std::iter::once(&self.host).chain(self.clone.iter().map(|(production, _)| production));
        let looks = hosts.flat_map(|host| [Look::Nixos, Look::Packages].map(|look| (host.clone(), look)));
        looks.chain(self.sources.iter().flat_map(Resource::looks)).collect()
    }

    fn further(&self, facts: &Facts) -> Vec<(HostName, Look)> {
        self.apt_looks(facts).unwrap_or_default()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        if let Some(system) = facts.nixos(&self.host)? {
            return Ok(nixos::verify(self, system));
        }
        let differing = self.differing(facts)?;
        if differing.differences.is_empty() {
            return Ok(Decision::Holds);
        }
        self.decide_apt(differing, facts)
    }
}

/// The packages of a production that a Debian can take.
fn debian<'a>(facts: &'a Facts, production: &HostName) -> Result<&'a BTreeMap<String, Package>, FactError> {
    match facts.nixos(production)? {
        None => facts.packages(production),
        Some(_) => Err(FactError::Refused(format!(
            "{production} is a NixOS: its packages cannot be cloned to a Debian; name those that are needed in packages.install"
        ))),
    }
}
