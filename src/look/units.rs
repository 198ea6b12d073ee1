//! systemd units. All units of a trip are asked for with one `systemctl show`.

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
    /// Neither: static, generated, linked.
    Other,
}

const PROPERTIES: &str =
    "Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload,ActiveEnterTimestampMonotonic,ActiveExitTimestampMonotonic,MainPID";

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
    Ok(UnitSight {
        exists: load != "not-found",
        enablement: match (load, field("UnitFileState")?) {
            ("masked", _) | (_, "masked" | "masked-runtime") => Enablement::Masked,
            (_, "enabled" | "enabled-runtime") => Enablement::Enabled,
            (_, "disabled" | "") => Enablement::Disabled,
            _ => Enablement::Other,
        },
        active: matches!(state, "active" | "reloading" | "activating"),
        failed: state == "failed",
        needs_daemon_reload: field("NeedDaemonReload")? == "yes",
        active_since: micros("ActiveEnterTimestampMonotonic")?,
        last_active: micros("ActiveExitTimestampMonotonic")?,
        main_pid: field("MainPID").ok().and_then(|pid| pid.parse().ok()).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_gets_its_own_block() {
        let text = "Id=odoo.service\nLoadState=masked\nActiveState=inactive\nUnitFileState=masked\nNeedDaemonReload=no\nActiveEnterTimestampMonotonic=0\nActiveExitTimestampMonotonic=0\nMainPID=0\n\nId=x.timer\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=yes\nActiveEnterTimestampMonotonic=1500000\nActiveExitTimestampMonotonic=0\n";
        let units: Vec<UnitName> = ["odoo.service", "x.timer", "y.service"].iter().map(|u| u.parse().unwrap()).collect();
        let seen = read(text, &units.iter().collect::<Vec<_>>());
        let odoo = seen[0].clone().unwrap();
        assert!(odoo.enablement == Enablement::Masked && !odoo.active && odoo.active_since.is_none());
        let timer = seen[1].clone().unwrap();
        assert!(timer.active && timer.needs_daemon_reload && timer.active_since == Some(1.5));
        assert_eq!(seen[2], Err(SightError::Truncated));
    }
}
