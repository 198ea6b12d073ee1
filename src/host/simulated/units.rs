//! systemd on a simulated machine: definitions are files, states are values.
//!
//! What a unit's start does to its daemon is decided here by the unit's name, and done in
//! the daemon's module.

use std::path::{Path, PathBuf};

use super::files::Node;
use super::machine::Machine;
use crate::action::UnitVerb;
use crate::look::{Enablement, UnitSight};

/// The definition of a unit: its files and drop-ins with their times of change.
pub type Definition = Vec<(PathBuf, u64)>;

/// A unit as systemd keeps it.
#[derive(Debug, Clone, Default)]
pub struct UnitState {
    /// It starts at boot.
    pub enabled: bool,
    /// It runs.
    pub active: bool,
    /// It ended in failure.
    pub failed: bool,
    /// Seconds since boot.
    pub active_since: Option<f64>,
    /// Seconds since boot.
    pub last_active: Option<f64>,
    /// The main process; 0 if there is none.
    pub pid: u32,
    /// When its state last changed, also by a reload; seconds since boot.
    pub changed: f64,
    /// How often systemd started it again by itself.
    pub restarts: u32,
    /// The definition systemd has read.
    pub loaded: Option<Definition>,
}

/// One start of a unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// Which.
    pub unit: String,
    /// Seconds since the epoch.
    pub at: f64,
}

const ETC: &str = "/etc/systemd/system";
const LIB: &str = "/lib/systemd/system";

impl Machine {
    /// The file that defines a unit; the one in /etc wins, and a template serves its instances.
    fn unit_file(&self, unit: &str) -> Option<PathBuf> {
        names(unit)
            .into_iter()
            .flat_map(|name| [Path::new(ETC).join(&name), Path::new(LIB).join(&name)])
            .find(|path| self.files.get(path).is_some())
    }

    fn definition(&self, unit: &str) -> Definition {
        let stamp = |path: &Path| self.files.get(path).map(|entry| (path.to_owned(), entry.mtime.to_bits()));
        let mut definition: Definition = self.unit_file(unit).and_then(|path| stamp(&path)).into_iter().collect();
        for drop_ins in names(unit).iter().flat_map(|name| [ETC, LIB].map(|base| Path::new(base).join(format!("{name}.d")))) {
            definition.extend(
                self.files
                    .below(&drop_ins)
                    .filter(|(path, _)| path.extension().is_some_and(|e| e == "conf"))
                    .filter_map(|(path, _)| stamp(path)),
            );
        }
        definition
    }

    /// Whether a unit is a link to /dev/null.
    pub fn is_masked(&self, unit: &str) -> bool {
        self.files.get(Path::new(ETC).join(unit)).is_some_and(|entry| entry.node == Node::Link("/dev/null".into()))
    }

    /// Whether a unit runs.
    pub fn is_active(&self, unit: &str) -> bool {
        if unit.ends_with(".mount") {
            return self.is_mounted(unit);
        }
        self.units.get(unit).is_some_and(|state| state.active)
    }

    /// Where systemd found a unit's definition changed under it. Only units it keeps loaded can be stale.
    fn is_stale(&self, unit: &str) -> bool {
        self.units.get(unit).is_some_and(|state| {
            (state.active || state.enabled) && state.loaded.as_ref().is_some_and(|loaded| *loaded != self.definition(unit))
        })
    }

    pub(super) fn daemon_reload(&mut self) {
        let names: Vec<String> = self.units.keys().cloned().collect();
        for name in names {
            let definition = self.definition(&name);
            if let Some(state) = self.units.get_mut(&name) {
                state.loaded = Some(definition);
            }
        }
    }

    pub(super) fn unit_sight(&mut self, unit: &str) -> UnitSight {
        let exists = self.unit_file(unit).is_some() || self.is_generated(unit);
        let stale = self.is_stale(unit);
        if exists && !stale {
            let definition = self.definition(unit);
            self.units.entry(unit.to_owned()).or_default().loaded = Some(definition);
        }
        let state = self.units.get(unit).cloned().unwrap_or_default();
        UnitSight {
            exists,
            enablement: match () {
                () if self.is_masked(unit) => Enablement::Masked,
                // Debian's generator pulls each cluster in at boot (`enabled-runtime`).
                () if exists && (state.enabled || unit.starts_with("postgresql@")) => Enablement::Enabled,
                () if exists && !self.is_installable(unit) => Enablement::Other,
                () => Enablement::Disabled,
            },
            active: state.active,
            failed: state.failed,
            needs_daemon_reload: stale,
            active_since: state.active_since,
            last_active: state.last_active,
            main_pid: state.pid,
            drop_ins: self.drop_ins(unit),
            can_reload: self.can_reload(unit),
            changed: state.changed,
            restarts: state.restarts,
            started: state.active_since.unwrap_or(0.0),
            reload_failed: false,
        }
    }

    /// The drop-ins that systemd has read; none of a unit without a definition.
    fn drop_ins(&self, unit: &str) -> Vec<PathBuf> {
        if self.unit_file(unit).is_none() {
            return Vec::new();
        }
        let state = self.units.get(unit).and_then(|state| state.loaded.clone());
        state
            .unwrap_or_else(|| self.definition(unit))
            .into_iter()
            .map(|(path, _)| path)
            .filter(|path| path.extension().is_some_and(|e| e == "conf"))
            .collect()
    }

    fn can_reload(&self, unit: &str) -> bool {
        self.unit_file(unit).is_some_and(|path| self.files.text(path).lines().any(|line| line.starts_with("ExecReload=")))
    }

    /// A condition of a drop-in does not hold: the start is skipped, and all is said to be well.
    fn is_held(&self, unit: &str) -> bool {
        let forbids = |text: &str| {
            text.lines().filter_map(|line| line.strip_prefix("ConditionPathExists=!")).any(|path| self.files.get(path).is_some())
        };
        self.drop_ins(unit).iter().any(|path| forbids(self.files.text(path)))
    }

    fn is_installable(&self, unit: &str) -> bool {
        self.unit_file(unit).is_some_and(|path| self.files.text(path).lines().any(|line| line.trim() == "[Install]"))
    }

    /// Does what systemctl does with a verb.
    pub fn unit_verb(&mut self, unit: &str, verb: UnitVerb) -> Result<(), String> {
        match verb {
            UnitVerb::Enable => {
                if self.is_masked(unit) {
                    return Err(format!("Failed to enable unit: Unit file {ETC}/{unit} is masked."));
                }
                if self.unit_file(unit).is_none() {
                    return Err(format!("Failed to enable unit: Unit file {unit} does not exist."));
                }
                self.units.entry(unit.to_owned()).or_default().enabled = self.is_installable(unit);
                self.daemon_reload();
            }
            UnitVerb::Disable => {
                if self.unit_file(unit).is_none() {
                    return Err(format!("Failed to disable unit: Unit file {unit} does not exist."));
                }
                self.units.entry(unit.to_owned()).or_default().enabled = false;
                self.daemon_reload();
            }
            UnitVerb::Mask => self.mask(unit)?,
            UnitVerb::Unmask => {
                if self.is_masked(unit) {
                    self.files.remove_tree(&Path::new(ETC).join(unit));
                    self.daemon_reload();
                }
            }
            UnitVerb::Start => self.start_unit(unit)?,
            UnitVerb::Stop => {
                if self.unit_file(unit).is_none() && !self.is_active(unit) {
                    return Err(format!("Failed to stop {unit}: Unit {unit} not loaded."));
                }
                self.stop_unit(unit);
            }
            UnitVerb::Restart => {
                self.startable(unit)?;
                // One job: systemd does not read the definition again between its two halves.
                let stale = self.units.get(unit).filter(|_| self.is_stale(unit)).and_then(|state| state.loaded.clone());
                self.stop_unit(unit);
                let started = self.start_unit(unit);
                if let (Some(loaded), Some(state)) = (stale, self.units.get_mut(unit)) {
                    state.loaded = Some(loaded);
                }
                started?;
            }
            UnitVerb::Reload => {
                if !self.is_active(unit) || !self.can_reload(unit) {
                    return Err(format!("Failed to reload {unit}: Job type reload is not applicable for unit {unit}."));
                }
                if unit.starts_with("postgresql") {
                    self.reload_clusters();
                }
                // The time of its start stays.
                self.tick();
                let uptime = self.uptime();
                self.units.entry(unit.to_owned()).or_default().changed = uptime;
            }
        }
        Ok(())
    }

    /// Where a file or link stands already, systemctl refuses, and so does otr's script.
    fn mask(&mut self, unit: &str) -> Result<(), String> {
        let path = Path::new(ETC).join(unit);
        if !self.is_masked(unit) {
            if self.files.get(&path).is_some() {
                return Err(format!("ln: failed to create symbolic link '{}': File exists", path.display()));
            }
            let now = self.tick();
            self.files.put(path, Node::Link("/dev/null".into()), ("root", "root", 0o777), now);
        }
        self.daemon_reload();
        Ok(())
    }

    fn startable(&self, unit: &str) -> Result<(), String> {
        if self.is_masked(unit) {
            return Err(format!("Failed to start {unit}: Unit {unit} is masked."));
        }
        if self.is_generated(unit) {
            return Ok(());
        }
        let path = self.unit_file(unit).ok_or_else(|| format!("Failed to start {unit}: Unit {unit} not found."))?;
        if let Some(stem) = unit.strip_suffix(".timer") {
            let text = self.files.text(path);
            let service = text.lines().find_map(|line| line.trim().strip_prefix("Unit=")).map_or(format!("{stem}.service"), str::to_owned);
            if self.unit_file(&service).is_none() {
                return Err(format!("Failed to start {unit}: Unit {service} not found."));
            }
        }
        Ok(())
    }

    /// Starts a unit and what it pulls in; one that runs is left alone.
    pub(super) fn start_unit(&mut self, unit: &str) -> Result<(), String> {
        self.startable(unit)?;
        if self.is_active(unit) {
            return Ok(());
        }
        if self.is_held(unit) || self.ask_guard(unit).is_err() {
            // systemd skips the start and says that all went well.
            return Ok(());
        }
        let at = self.tick();
        let (definition, stale, uptime, pid) = (self.definition(unit), self.is_stale(unit), self.uptime(), self.pid());
        let oneshot = self.unit_file(unit).is_some_and(|path| self.files.text(path).lines().any(|line| line.trim() == "Type=oneshot"));
        let remains = unit == "postgresql.service";
        let state = self.units.entry(unit.to_owned()).or_default();
        if !stale {
            state.loaded = Some(definition);
        }
        self.starts.push(Start { unit: unit.to_owned(), at });
        let started = match unit {
            "redis-server.service" => self.start_redis(),
            "odoo.service" => self.start_odoo(),
            name if name.ends_with(".mount") => self.mount(name),
            _ => match cluster_of(unit) {
                Some(key) => self.start_cluster(&key),
                None => Ok(()),
            },
        };
        let state = self.units.entry(unit.to_owned()).or_default();
        state.failed = started.is_err();
        state.active = started.is_ok() && (!oneshot || remains);
        if started.is_ok() {
            state.active_since = Some(uptime);
            state.changed = uptime;
            state.last_active = if state.active { state.last_active } else { Some(uptime) };
            state.pid = if unit.ends_with(".service") && !oneshot { pid } else { 0 };
        }
        if unit == "postgresql.service" {
            for (version, name) in self.clusters.keys().cloned().collect::<Vec<_>>() {
                // The umbrella only wants its clusters: that one of them fails does not fail it.
                let _ = self.start_unit(&format!("postgresql@{version}-{name}.service"));
            }
        }
        started.map_err(|why| format!("Job for {unit} failed because the control process exited with error code.\n{why}"))
    }

    /// Stops a unit and what is part of it.
    pub fn stop_unit(&mut self, unit: &str) {
        if unit == "postgresql.service" {
            for (version, name) in self.clusters.keys().cloned().collect::<Vec<_>>() {
                self.stop_unit(&format!("postgresql@{version}-{name}.service"));
            }
        }
        if !self.is_active(unit) {
            return;
        }
        match unit {
            "redis-server.service" => self.redis.stop(),
            name if name.ends_with(".mount") => self.unmount(name),
            _ => {
                if let Some(key) = cluster_of(unit) {
                    self.stop_cluster(&key);
                }
            }
        }
        self.tick();
        let uptime = self.uptime();
        if let Some(state) = self.units.get_mut(unit) {
            state.active = false;
            state.last_active = Some(uptime);
            state.pid = 0;
        }
    }

    /// A daemon died by itself.
    pub(super) fn fail_unit(&mut self, unit: &str) {
        self.stop_unit(unit);
        if let Some(state) = self.units.get_mut(unit) {
            state.failed = true;
        }
    }

    pub(super) fn start_enabled_units(&mut self) {
        let enabled: Vec<String> = self.units.iter().filter(|(_, state)| state.enabled).map(|(name, _)| name.clone()).collect();
        let (databases, others): (Vec<_>, Vec<_>) =
            enabled.into_iter().partition(|unit| unit.starts_with("postgresql") || unit.starts_with("redis"));
        for unit in databases.iter().chain(&others) {
            // Booting goes on whatever fails; the unit keeps its failure.
            let _ = self.start_unit(unit);
        }
    }
}

/// A unit's own name, and its template's if it is an instance.
fn names(unit: &str) -> Vec<String> {
    let template = unit.split_once('@').and_then(|(stem, rest)| Some(format!("{stem}@.{}", rest.rsplit_once('.')?.1)));
    std::iter::once(unit.to_owned()).chain(template).collect()
}

/// The cluster that `postgresql@13-main.service` runs.
fn cluster_of(unit: &str) -> Option<(u32, String)> {
    let (version, name) = unit.strip_prefix("postgresql@")?.strip_suffix(".service")?.split_once('-')?;
    Some((version.parse().ok()?, name.to_owned()))
}

#[cfg(test)]
mod tests;
