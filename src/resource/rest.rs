//! How a service is kept down on a standby, whoever tries to start it.
//!
//! A mask is a link to /dev/null where an administrator's own unit file would stand, so it is made only where nothing
//! stands. A unit that is a file or a link there (Odoo from source, `systemctl link`, an alias) gets a drop-in
//! whose condition never holds; so does one whose file the spec carries. A condition, not an assertion: a package's
//! script that starts its service must not fail by it. Both ways are equally safe, and a promotion ends whichever stands.

use std::path::{Path, PathBuf};

use crate::action::{Action, Attributes, UnitVerb};
use crate::facts::{FactError, Facts};
use crate::look::paths::Kind as EntryKind;
use crate::look::{Enablement, UnitSight};
use crate::name::{HostName, Mode, UnitName};

/// Where administrators, and otr, define units.
pub const UNITS: &str = "/etc/systemd/system";

/// Where an administrator's own file of a unit stands; a mask too.
pub fn unit_file(unit: &UnitName) -> PathBuf {
    Path::new(UNITS).join(unit.as_str())
}

/// otr's drop-in that keeps a unit down.
pub fn rest_file(unit: &UnitName) -> PathBuf {
    Path::new(UNITS).join(format!("{unit}.d/otr-standby.conf"))
}

/// It names itself: without the file the condition holds.
fn text(unit: &UnitName) -> String {
    let path = rest_file(unit);
    format!(
        "# Written by otr: {unit} does not start on a standby. A promotion takes this file away.\n[Unit]\nConditionPathExists=!{}\n",
        // A specifier would be expanded.
        path.display().to_string().replace('%', "%%")
    )
}

/// A unit that is kept down.
pub struct Rest<'a> {
    /// Where.
    pub host: &'a HostName,
    /// Which.
    pub unit: &'a UnitName,
    /// The spec puts a file where a mask would stand.
    pub carried: bool,
}

impl Rest<'_> {
    /// How it must be and what makes it so, unless it is kept down.
    pub fn missing(&self, facts: &Facts) -> Result<Option<(&'static str, Vec<Action>)>, FactError> {
        let unit = facts.unit(self.host, self.unit)?;
        let path = rest_file(self.unit);
        let wanted = text(self.unit);
        let written = facts.content(self.host, &path)?.as_ref().is_some_and(|content| content.text == wanted);
        if masked(unit) && !self.carried || written && self.is_read(unit) {
            return Ok(None);
        }
        let stands = facts.path(self.host, &unit_file(self.unit))?.as_ref().is_some_and(|entry| match &entry.kind {
            EntryKind::Link(target) => target != Path::new("/dev/null"),
            _ => true,
        });
        if !stands && !self.carried {
            return Ok(Some(("masked", vec![Action::Unit { unit: self.unit.clone(), verb: UnitVerb::Mask }])));
        }
        let attributes = root_file()?;
        let write = (!written).then_some(Action::WriteFile { path, content: wanted.into(), attributes, reader: None });
        Ok(Some(("kept down by a drop-in", write.into_iter().chain([Action::DaemonReload]).collect())))
    }

    /// systemd knows the drop-in, or will with the unit's first definition.
    fn is_read(&self, unit: &UnitSight) -> bool {
        // A masked unit says that it needs a reload for ever (systemd 247).
        let stale = unit.needs_daemon_reload && !masked(unit);
        !stale && (!unit.exists || unit.drop_ins.contains(&rest_file(self.unit)))
    }
}

fn masked(unit: &UnitSight) -> bool {
    unit.enablement == Enablement::Masked
}

fn root_file() -> Result<Attributes, FactError> {
    let root = "root".parse::<crate::name::Word>().map_err(|error| FactError::Refused(error.to_string()))?;
    Ok(Attributes { owner: root.clone(), group: root, mode: Mode(0o644) })
}
