//! A systemd unit: enabled, active, at rest, and running the configuration that is on disk.
//!
//! There are no handlers: whether a service runs an older configuration is seen, not
//! remembered, so a crash between writing a file and restarting its service loses nothing.

use std::path::PathBuf;

use super::rest::{Rest, UNITS, rest_file, unit_file};
use super::{Decision, Difference, Kind, Resource, ResourceId};
use crate::action::{Action, UnitVerb};
use crate::facts::{FactError, Facts};
use crate::look::{Enablement, Look};
use crate::name::{HostName, UnitName};

/// What a unit must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitState {
    /// Does not run, and nobody can start it.
    Resting {
        /// The spec puts a file where a mask would stand.
        carried: bool,
    },
    /// Does not run now; whether it starts at boot is not asked.
    Idle,
    /// Neither runs nor starts at boot; need not be there at all.
    Stopped,
    /// Runs; whether it starts at boot is not asked.
    Started,
    /// Starts at boot, and runs.
    Running,
    /// The same, unless somebody masked it: that is a decision which only a promotion ends.
    RunningUnlessMasked,
}

/// One unit of one host.
#[derive(Debug)]
pub struct Unit {
    /// Where.
    pub host: HostName,
    /// Which.
    pub unit: UnitName,
    /// What it must be.
    pub state: UnitState,
    /// Files it reads at start: a change after its start asks for a restart.
    pub reads: Vec<PathBuf>,
    /// A reload suffices where the unit knows how, whoever asks for it.
    pub reloads: bool,
}

/// Clocks are read some milliseconds apart, so a change this close to the start is not newer.
const TOLERANCE: f64 = 0.1;

impl Unit {
    fn act(&self, verb: UnitVerb) -> Action {
        Action::Unit { unit: self.unit.clone(), verb }
    }
}

impl Resource for Unit {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Unit, self.unit.as_str())
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let mut looks = vec![Look::Unit(self.unit.clone()), Look::Machine];
        match self.state {
            UnitState::Resting { .. } => looks.extend([Look::Path(unit_file(&self.unit)), Look::Content(rest_file(&self.unit))]),
            UnitState::Started | UnitState::Running | UnitState::RunningUnlessMasked => looks.push(Look::Path(rest_file(&self.unit))),
            UnitState::Idle | UnitState::Stopped => {}
        }
        looks.extend(self.reads.iter().cloned().map(Look::Path));
        looks.into_iter().map(|look| (self.host.clone(), look)).collect()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        self.decide_with(facts, &[])
    }
}

impl Unit {
    /// Decides, with small trees that the unit reads besides.
    fn decide_with(&self, facts: &Facts, trees: &[PathBuf]) -> Result<Decision, FactError> {
        let unit = facts.unit(&self.host, &self.unit)?;
        let mut differences = Vec::new();
        let mut actions = Vec::new();
        if let UnitState::Resting { carried } = self.state {
            if unit.active {
                differences.push(Difference::new("state", "active", "inactive"));
                actions.push(self.act(UnitVerb::Stop));
            }
            let rest = Rest { host: &self.host, unit: &self.unit, carried };
            if let Some((wanted, how)) = rest.missing(facts)? {
                let is = if unit.exists { enablement(unit.enablement) } else { "not there yet".to_owned() };
                differences.push(Difference::new("start", is, wanted));
                actions.extend(how);
            }
            return Ok(Decision::from_parts(differences, actions));
        }
        if matches!(self.state, UnitState::Idle | UnitState::Stopped) {
            if unit.active {
                differences.push(Difference::new("state", "active", "inactive"));
                actions.push(self.act(UnitVerb::Stop));
            }
            if self.state == UnitState::Stopped && unit.exists && unit.enablement == Enablement::Enabled {
                differences.push(Difference::new("start", "enabled", "disabled"));
                actions.push(self.act(UnitVerb::Disable));
            }
            return Ok(Decision::from_parts(differences, actions));
        }
        let boots = self.state != UnitState::Started;
        // Users wait for the start, nobody for what the next boot does: `enable` comes last.
        let mut last = None;
        let masked = matches!(unit.enablement, Enablement::Masked | Enablement::MaskedInPart);
        let rests = facts.path(&self.host, &rest_file(&self.unit))?.is_some();
        if rests {
            differences.push(Difference::new("start", "kept down by otr", "allowed"));
            actions.extend([Action::RemoveFile { path: rest_file(&self.unit) }, Action::DaemonReload]);
        }
        if masked && self.state == UnitState::RunningUnlessMasked {
            return Err(FactError::Refused(format!(
                "{}: {} is masked, which somebody decided there; if it is to run, unmask it with systemctl",
                self.host, self.unit
            )));
        }
        if masked {
            differences.push(Difference::new("start", "masked", "enabled"));
            actions.push(self.act(UnitVerb::Unmask));
            last = boots.then(|| self.act(UnitVerb::Enable));
        } else if !unit.exists {
            return Ok(Decision::waits(format!("{}, which is not there yet", self.unit)));
        } else if boots && unit.enablement == Enablement::Disabled {
            differences.push(Difference::new("start", "disabled", "enabled"));
            last = Some(self.act(UnitVerb::Enable));
        }
        if unit.needs_daemon_reload {
            differences.push(Difference::new("definition", "older than on disk", "as on disk"));
            // systemctl reads all definitions anew when it unmasks.
            if !masked && !rests {
                actions.push(Action::DaemonReload);
            }
        }
        match unit.active_since.filter(|_| unit.active) {
            None => {
                if !unit.active {
                    let is = if unit.failed { "failed" } else { "inactive" };
                    differences.push(Difference::new("state", is, "active"));
                    actions.push(self.act(UnitVerb::Start));
                }
            }
            Some(since) => {
                let machine = facts.machine(&self.host)?;
                let booted = machine.now - machine.uptime;
                // A reload leaves the time of the start, and one that failed leaves the old configuration.
                let reloads = self.reloads && unit.can_reload;
                let read = booted + if reloads && !unit.reload_failed { since.max(unit.changed) } else { since };
                for path in &self.reads {
                    let read = if path.starts_with(UNITS) { booted + since } else { read };
                    if let Some(entry) = facts.path(&self.host, path)?.as_ref().filter(|e| e.mtime > read + TOLERANCE) {
                        let is = format!("as of {}", clock(read));
                        differences.push(Difference::new(
                            format!("configuration {}", path.display()),
                            is,
                            format!("as of {}", clock(entry.mtime)),
                        ));
                    }
                }
                for root in trees {
                    let newest = facts
                        .folder(&self.host, root)?
                        .iter()
                        .flat_map(|pieces| pieces.values())
                        .map(|piece| piece.mtime)
                        .fold(0.0, f64::max);
                    let read = if root.starts_with(UNITS) { booted + since } else { read };
                    if newest > read + TOLERANCE {
                        let what = format!("configuration {}", root.display());
                        differences.push(Difference::new(what, format!("as of {}", clock(read)), format!("as of {}", clock(newest))));
                    }
                }
                let of = |name: &str| differences.iter().any(|d| d.what.starts_with(name));
                // systemd remembers which drop-in folders exist, and does not report a file in a new one.
                let definition = unit.needs_daemon_reload || of(&format!("configuration {UNITS}"));
                if definition && !unit.needs_daemon_reload && !rests {
                    actions.push(Action::DaemonReload);
                }
                if definition || of("configuration ") {
                    actions.push(self.act(if reloads && !definition { UnitVerb::Reload } else { UnitVerb::Restart }));
                }
            }
        }
        actions.extend(last);
        // What would be changed may be what mends it.
        if let Some(loops) =
            facts.machine(&self.host).ok().and_then(|machine| unit.crash_loop(machine.uptime)).filter(|_| differences.is_empty())
        {
            return Err(FactError::Refused(format!("{0} on {1} {loops}; see journalctl -u {0}", self.unit, self.host)));
        }
        Ok(Decision::from_parts(differences, actions))
    }
}

/// A unit that reads small trees, which are looked at whole.
#[derive(Debug)]
pub struct TreeReader {
    /// The unit, and single files it reads.
    pub unit: Unit,
    /// The trees.
    pub trees: Vec<PathBuf>,
}

impl Resource for TreeReader {
    fn id(&self) -> ResourceId {
        self.unit.id()
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let trees = self.trees.iter().cloned().map(|root| (self.unit.host.clone(), Look::Folder(root)));
        self.unit.looks().into_iter().chain(trees).collect()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        self.unit.decide_with(facts, &self.trees)
    }
}

fn enablement(state: Enablement) -> String {
    match state {
        Enablement::Enabled => "enabled",
        Enablement::Disabled => "disabled",
        Enablement::Masked => "masked",
        Enablement::MaskedInPart => "masked for now",
        Enablement::Other => "static",
    }
    .into()
}

/// A moment as people read it, in UTC.
pub(crate) fn clock(seconds: f64) -> String {
    let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs_f64(seconds.max(0.0));
    humantime::format_rfc3339_seconds(moment).to_string()
}
