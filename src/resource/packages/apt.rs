//! What apt would do for a host's packages, by its own simulation, and whether the spec says so.

use std::collections::BTreeSet;

use super::{Differing, Packages};
use crate::action::Action;
use crate::facts::{FactError, Facts};
use crate::look::Look;
use crate::look::apt::{AptRun, AptSight, PackageVersion, Step};
use crate::name::HostName;
use crate::resource::{Change, Decision, Difference, Kind, Resource, ResourceId, Shown};
use crate::spec::matches;

/// Lists that were fetched this many seconds ago are not fetched again for the same packages.
const FRESH: u64 = 900;
/// More new packages than these are only counted.
const NAMED: usize = 12;

/// The packages that are wanted and that no source of the host has: named, and nothing else waits for them.
#[derive(Debug)]
pub struct Obtainable(pub Packages);

/// What is to be done about the packages that differ.
enum Way {
    /// The sources are not yet what they will be, or the lists may be too old to say what can be had.
    Fetch(Vec<String>),
    /// This can be done, and of the rest each is named.
    Run { run: AptRun, sight: Box<AptSight>, lacking: Vec<String> },
}

impl Packages {
    fn sources_change(&self, facts: &Facts) -> bool {
        self.sources.as_ref().is_some_and(|sources| !matches!(sources.decide(facts), Ok(Decision::Holds)))
    }

    /// apt is asked where something is to be installed or removed; production, where such versions are from.
    pub(super) fn apt_looks(&self, facts: &Facts) -> Result<Vec<(HostName, Look)>, FactError> {
        if facts.nixos(&self.host)?.is_some() {
            return Ok(Vec::new());
        }
        let run = self.differing(facts)?.run;
        if run.is_empty() || self.sources_change(facts) {
            return Ok(Vec::new());
        }
        let asked = asked(&run);
        let mut looks = vec![(self.host.clone(), Look::Apt(run))];
        looks.extend(
            self.clone.iter().filter(|_| !asked.is_empty()).map(|(production, _)| (production.clone(), Look::Origins(asked.clone()))),
        );
        Ok(looks)
    }

    fn way(&self, run: &AptRun, facts: &Facts) -> Result<Way, FactError> {
        let foreign: BTreeSet<String> = run
            .install
            .iter()
            .filter_map(|package| package.name.as_str().split_once(':'))
            .map(|(_, architecture)| architecture.to_owned())
            .collect();
        let foreign: Vec<String> = foreign.into_iter().collect();
        if self.sources_change(facts) {
            return Ok(Way::Fetch(foreign));
        }
        let sight = Box::new(facts.apt(&self.host, run)?.clone());
        // What was not asked for then may have come since: production has it.
        let unknown = |what: &String| !sight.asked.contains(what);
        let new = sight.lacking.iter().any(unknown) || sight.impossible.iter().any(|(what, _)| unknown(what));
        let stale = new || sight.fetched.is_none_or(|seconds| seconds > FRESH);
        if stale && !(sight.lacking.is_empty() && sight.impossible.is_empty()) {
            return Ok(Way::Fetch(foreign));
        }
        let mut can = run.clone();
        can.install.retain(|package| {
            let asked = package.to_string();
            !sight.lacking.contains(&asked) && !sight.impossible.iter().any(|(other, _)| *other == asked)
        });
        let lacking = self.lacking(run, &sight, facts);
        Ok(Way::Run { run: can, sight, lacking })
    }

    /// A sentence for each package that cannot be had.
    fn lacking(&self, run: &AptRun, sight: &AptSight, facts: &Facts) -> Vec<String> {
        let asked = asked(run);
        let from = |package: &PackageVersion| -> Option<String> {
            let ((production, _), version) = (self.clone.as_ref()?, package.version.as_ref()?);
            let origins = facts.origins(production, &asked).ok()?;
            let sources = origins.get(package.name.as_str()).map(|origin| origin.sources.join(", ")).filter(|from| !from.is_empty());
            let none = "none of its sources has it now (it was installed from a file, or the source has gone on)".to_owned();
            Some(format!(": on {production}, which has {version}, {}", sources.map_or(none, |from| format!("it is from {from}"))))
        };
        let complaint = sight.complaint.as_ref().map(|said| format!("; fetching the package lists there says: {said}")).unwrap_or_default();
        let lacks = run.install.iter().filter(|package| sight.lacking.contains(&package.to_string())).map(|package| {
            let version = package.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
            format!("{}{version} cannot be had on {}{}{complaint}", package.name, self.host, from(package).unwrap_or_default())
        });
        let cannot =
            sight.impossible.iter().map(|(what, why)| format!("{what} cannot be installed on {} beside the rest: {why}", self.host));
        lacks.chain(cannot).collect()
    }

    /// One that the spec names and that is not there at all: what comes after needs it.
    fn needs(&self, run: &AptRun, can: &AptRun, facts: &Facts) -> Result<bool, FactError> {
        let here = facts.packages(&self.host)?;
        let cannot = run.install.iter().filter(|package| !can.install.contains(package));
        Ok(cannot.into_iter().any(|package| {
            let named = self.install.iter().any(|spec| spec.name == package.name);
            named && !here.get(package.name.as_str()).is_some_and(|p| p.installed)
        }))
    }

    /// What apt would do that nobody asked for and the spec does not allow.
    fn unasked(&self, run: &AptRun, sight: &AptSight, facts: &Facts) -> Result<Vec<String>, FactError> {
        let here = facts.packages(&self.host)?;
        let asked = |step: &Step| run.install.iter().any(|package| package.name.as_str() == step.name);
        let says = |list: &[String], step: &Step| list.iter().any(|pattern| matches(pattern, &step.name));
        let mut all = Vec::new();
        for step in &sight.steps {
            let held = here.get(&step.name).is_some_and(|package| package.held);
            match &step.to {
                None if run.remove.iter().any(|name| name.as_str() == step.name) || says(&self.allowed.removals, step) => {}
                None => all.push(format!("remove {}{}", step.name, if held { ", which is held" } else { "" })),
                Some(_) if asked(step) => {}
                Some(to) if held => all.push(format!("change {}, which is held, to {to}", step.name)),
                Some(to) if sight.downgraded.contains(&step.name) && !says(&self.allowed.downgrades, step) => {
                    all.push(format!("take {} back from {} to {to}", step.name, step.from.as_deref().unwrap_or_default()));
                }
                Some(_) => {}
            }
        }
        Ok(all)
    }

    pub(super) fn decide_apt(&self, differing: Differing, facts: &Facts) -> Result<Decision, FactError> {
        let here = facts.packages(&self.host)?;
        let mut differing = differing;
        let mut differences = std::mem::take(&mut differing.differences);
        let run = std::mem::take(&mut differing.run);
        let mut actions = Vec::new();
        let mut install = Vec::new();
        if !run.is_empty() {
            match self.way(&run, facts)? {
                Way::Fetch(architectures) => {
                    let asked = run.install.iter().map(ToString::to_string).collect();
                    actions.push(Action::UpdatePackageLists { architectures, asked });
                    return Ok(Decision::from_parts(differences, actions));
                }
                Way::Run { run: can, sight, lacking } => {
                    let unasked = self.unasked(&can, &sight, facts)?;
                    if !unasked.is_empty() {
                        return Err(FactError::Refused(format!(
                            "{}: to {}, apt would {}; nothing was changed. If that is right, name them in packages.allow_removals or packages.allow_downgrades; one that is held, in packages.install",
                            self.host,
                            can.title(),
                            unasked.join(", ")
                        )));
                    }
                    if can.is_empty() && self.needs(&run, &can, facts)? {
                        return Err(FactError::Refused(lacking.join("; ")));
                    }
                    differences.retain(|difference| {
                        let of = |package: &PackageVersion| {
                            let (name, there) = (package.name.as_str(), here.contains_key(package.name.as_str()));
                            difference.what == name || !there && difference.what == format!("{name} hold")
                        };
                        !run.install.iter().any(|package| of(package) && !can.install.contains(package))
                    });
                    differences.extend(besides(&can, &sight));
                    install.clone_from(&can.install);
                    if !can.is_empty() {
                        let restarts = sight.restarts.into_iter().map(|(unit, _)| unit).collect();
                        actions.push(Action::ChangePackages { run: can, steps: sight.steps, restarts });
                    }
                }
            }
        }
        if differing.half && install.is_empty() {
            actions.insert(0, Action::ConfigurePackages);
        }
        actions.extend(self.afterwards(&differing, here, &install));
        if differences.is_empty() {
            return Ok(Decision::Holds);
        }
        let left_to = actions.is_empty().then(|| "a person: production does without it, and clone.remove is not set".to_owned());
        Ok(Decision::Change(Change { differences, actions, left_to, ..Change::default() }))
    }
}

/// What is asked for at a version.
fn asked(run: &AptRun) -> Vec<(String, String)> {
    run.install.iter().filter_map(|package| Some((package.name.to_string(), package.version.clone()?))).collect()
}

/// What a run changes besides what it is asked for.
fn besides(run: &AptRun, sight: &AptSight) -> Vec<Difference> {
    let named = |step: &&Step| {
        !run.install.iter().any(|package| package.name.as_str() == step.name) && !run.remove.iter().any(|name| name.as_str() == step.name)
    };
    let (new, others): (Vec<&Step>, Vec<&Step>) = sight.steps.iter().filter(named).partition(|step| step.from.is_none());
    let mut all = Vec::new();
    let names: Vec<&str> = new.iter().take(NAMED).map(|step| step.name.as_str()).collect();
    if !names.is_empty() {
        let more = if new.len() > NAMED { ", …" } else { "" };
        all.push(Difference::new("needed by these", Shown::Absent, format!("{} more: {}{more}", new.len(), names.join(", "))));
    }
    for step in others {
        all.push(Difference::new(format!("{} (by apt)", step.name), step.from.clone(), step.to.clone()));
    }
    for (unit, package) in &sight.restarts {
        all.push(Difference::new(unit, "running", format!("restarted by the change of {package}")));
    }
    all
}

impl Resource for Obtainable {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.0.host, Kind::Packages, "obtainable")
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        self.0.looks()
    }

    fn further(&self, facts: &Facts) -> Vec<(HostName, Look)> {
        self.0.further(facts)
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        // What could not be seen, the packages themselves say.
        let Ok(run) = self.0.differing(facts).map(|differing| differing.run) else { return Ok(Decision::Holds) };
        if run.is_empty() {
            return Ok(Decision::Holds);
        }
        let Ok(way) = self.0.way(&run, facts) else { return Ok(Decision::Holds) };
        match way {
            Way::Fetch(_) => Ok(Decision::waits("the package lists, which are fetched first")),
            Way::Run { run: can, lacking, .. } if !(lacking.is_empty() || can.is_empty() && self.0.needs(&run, &can, facts)?) => {
                Err(FactError::Refused(lacking.join("; ")))
            }
            Way::Run { .. } => Ok(Decision::Holds),
        }
    }
}
