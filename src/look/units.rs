//! systemd units. All units of a trip are asked for with one `systemctl show`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{SightError, quote};
use crate::name::UnitName;

/// A unit as systemd sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitSight {
    /// systemd has a definition of it (`LoadState` is not `not-found`).
    pub exists: bool,
    /// Whether it starts at boot.
    pub enablement: Enablement,
    /// Running, or waiting to trigger (`ActiveState` is active, reloading or activating).
    pub active: bool,
    /// It ended in failure.
    pub failed: bool,
    /// Its definition on disk is newer than systemd's (`NeedDaemonReload`).
    pub needs_daemon_reload: bool,
    /// When it became active, seconds since boot; `None` if it never was.
    pub active_since: Option<f64>,
    /// When it was last active, seconds since boot; `None` if it never was since boot.
    pub last_active: Option<f64>,
    /// The main process; 0 if there is none.
    pub main_pid: u32,
    /// The drop-ins that systemd has read.
    pub drop_ins: Vec<PathBuf>,
    /// It knows how to read its configuration again (`CanReload`).
    pub can_reload: bool,
    /// When a state of it last changed, seconds since boot: also at the end of a reload. 0 for never.
    pub changed: f64,
    /// How often systemd started it again by itself, since somebody started it.
    pub restarts: u32,
    /// When its main process last started, seconds since boot; 0 for never.
    pub started: f64,
    /// Its last reload failed, so it runs with what it had before.
    pub reload_failed: bool,
}

/// A service that systemd starts again and again is up for less than this, seconds.
const STEADY: f64 = 15.0;
/// Once or twice is a race at boot.
const OFTEN: u32 = 3;

impl UnitSight {
    /// It does not stay up, in words: how often systemd started it again, and how long ago the last time.
    pub fn crash_loop(&self, uptime: f64) -> Option<String> {
        // While a condition is asked systemd has forgotten the last start, and has not yet made the next.
        let since = if self.started > 0.0 { (uptime - self.started).max(0.0) } else { 0.0 };
        (self.active && self.restarts >= OFTEN && since < STEADY)
            .then(|| format!("does not stay up: systemd started it again {} times, the last time {since:.0} s ago", self.restarts))
    }
}

/// `systemctl is-enabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Enablement {
    /// At boot.
    Enabled,
    /// Not at boot, but startable.
    Disabled,
    /// Not startable.
    Masked,
    /// Not startable until the next boot, or startable until systemd reads the mask: neither lasts.
    MaskedInPart,
    /// Neither: static, generated, linked.
    Other,
}

const PROPERTIES: &str = "Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload,ActiveEnterTimestampMonotonic,ActiveExitTimestampMonotonic,\
     StateChangeTimestampMonotonic,ExecMainStartTimestampMonotonic,NRestarts,DropInPaths,CanReload,ReloadResult,MainPID";

pub(super) fn script(units: &[&UnitName]) -> String {
    let list: Vec<String> = units.iter().map(|unit| quote(unit.as_str())).collect();
    format!("systemctl show -p {PROPERTIES} -- {}", list.join(" "))
}

/// One answer per unit, in the order asked (systemctl separates them with blank lines).
pub(super) fn read(text: &str, units: &[&UnitName]) -> Vec<Result<UnitSight, SightError>> {
    let mut blocks = text.trim_end().split("\n\n");
    units
        .iter()
        .map(|unit| blocks.next().filter(|b| !b.is_empty()).ok_or(SightError::Truncated).and_then(|block| one(block, unit)))
        .collect()
}

fn one(block: &str, unit: &UnitName) -> Result<UnitSight, SightError> {
    let field = |name: &str| {
        block
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .ok_or_else(|| SightError::Unreadable(format!("{unit}: no {name}")))
    };
    let micros = |name: &str| -> Result<Option<f64>, SightError> {
        let value: f64 = field(name)?.parse().map_err(|e| SightError::Unreadable(format!("{unit}: {name}: {e}")))?;
        Ok((value > 0.0).then_some(value / 1e6))
    };
    let load = field("LoadState")?;
    let state = field("ActiveState")?;
    let files = field("UnitFileState")?;
    Ok(UnitSight {
        exists: load != "not-found",
        enablement: match (load, files) {
            (_, "masked-runtime") => Enablement::MaskedInPart,
            ("masked", _) => Enablement::Masked,
            (_, "masked") => Enablement::MaskedInPart,
            (_, "enabled" | "enabled-runtime") => Enablement::Enabled,
            // A unit file that is linked from elsewhere is no more enabled than one that lies there.
            (_, "disabled" | "linked" | "linked-runtime" | "") => Enablement::Disabled,
            _ => Enablement::Other,
        },
        active: matches!(state, "active" | "reloading" | "activating"),
        failed: state == "failed",
        needs_daemon_reload: field("NeedDaemonReload")? == "yes",
        active_since: micros("ActiveEnterTimestampMonotonic")?,
        last_active: micros("ActiveExitTimestampMonotonic")?,
        main_pid: field("MainPID").ok().and_then(|pid| pid.parse().ok()).unwrap_or(0),
        drop_ins: field("DropInPaths")?.split_whitespace().map(PathBuf::from).collect(),
        can_reload: field("CanReload")? == "yes",
        changed: micros("StateChangeTimestampMonotonic")?.unwrap_or(0.0),
        // Only a service has them.
        restarts: field("NRestarts").ok().and_then(|number| number.parse().ok()).unwrap_or(0),
        started: field("ExecMainStartTimestampMonotonic").ok().and_then(|at| at.parse::<f64>().ok()).unwrap_or(0.0) / 1e6,
        reload_failed: field("ReloadResult").is_ok_and(|result| result != "success"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "Id=UNIT\nLoadState=loaded\nActiveState=inactive\nUnitFileState=disabled\nNeedDaemonReload=no\nActiveEnterTimestampMonotonic=0\nActiveExitTimestampMonotonic=0\nStateChangeTimestampMonotonic=0\nDropInPaths=\nCanReload=no\nMainPID=0\n";

    fn block(unit: &str, changes: &[(&str, &str)]) -> String {
        changes.iter().fold(BLOCK.replace("UNIT", unit), |text, (from, to)| text.replace(from, to))
    }

    #[test]
    fn a_service_that_dies_after_each_start_is_a_loop_at_any_moment() {
        let unit: UnitName = "odoo.service".parse().unwrap();
        let sight = |state: &str, restarts: u32, started: f64| {
            let text = block("odoo.service", &[("=inactive", &format!("={state}"))])
                + &format!("NRestarts={restarts}\nExecMainStartTimestampMonotonic={}\n", started * 1e6);
            read(&text, &[&unit])[0].clone().unwrap()
        };
        assert!(sight("active", 7, 99.5).crash_loop(100.0).is_some_and(|words| words.contains("again 7 times")));
        assert!(sight("activating", 7, 0.0).crash_loop(100.0).is_some(), "between two starts");
        for (state, restarts, started) in [("active", 1, 99.0), ("active", 7, 50.0), ("active", 0, 99.0), ("inactive", 7, 99.0)] {
            assert_eq!(sight(state, restarts, started).crash_loop(100.0), None, "{state} {restarts} {started}");
        }
    }

    #[test]
    fn each_unit_gets_its_own_block() {
        let text =
            block("odoo.service", &[("=loaded", "=masked"), ("=disabled", "=masked"), ("DropInPaths=", "DropInPaths=/x/a.conf /x/b.conf")])
                + "\n"
                + &block(
                    "x.timer",
                    &[
                        ("=inactive", "=active"),
                        ("Reload=no\nActiveEnterTimestampMonotonic=0", "Reload=yes\nActiveEnterTimestampMonotonic=1500000"),
                    ],
                );
        let units: Vec<UnitName> = ["odoo.service", "x.timer", "y.service"].iter().map(|u| u.parse().unwrap()).collect();
        let seen = read(&text, &units.iter().collect::<Vec<_>>());
        let odoo = seen[0].clone().unwrap();
        assert!(odoo.enablement == Enablement::Masked && !odoo.active && odoo.active_since.is_none() && odoo.drop_ins.len() == 2);
        let timer = seen[1].clone().unwrap();
        assert!(timer.active && timer.needs_daemon_reload && timer.active_since == Some(1.5));
        assert_eq!(seen[2], Err(SightError::Truncated));
    }

    /// As systemd 247 and 257 answer: a mask in /run, one that was linked by hand and not read yet, a linked file.
    #[test]
    fn a_mask_that_does_not_last_is_none() {
        let unit: UnitName = "x.service".parse().unwrap();
        let seen = |load: &str, files: &str| {
            let text = block("x.service", &[("=loaded", &format!("={load}")), ("=disabled", &format!("={files}"))]);
            read(&text, &[&unit])[0].clone().unwrap().enablement
        };
        assert_eq!(seen("masked", "masked"), Enablement::Masked);
        assert_eq!(seen("masked", "masked-runtime"), Enablement::MaskedInPart);
        assert_eq!(seen("loaded", "masked"), Enablement::MaskedInPart);
        assert_eq!(seen("loaded", "linked"), Enablement::Disabled);
    }
}
