//! Whether the scheduled runs of a standby rest. Pure.

use crate::facts::{FactError, Facts};
use crate::history::pause::Pause;
use crate::look::Look;
use crate::name::HostName;
use crate::spec::Spec;

/// What must be seen of a standby.
pub fn pause_looks(spec: &Spec, host: &HostName) -> Vec<(HostName, Look)> {
    vec![(host.clone(), Look::Machine), (host.clone(), Look::Record(Pause::path(spec)))]
}

/// The pause that is on, by the standby's own clock.
///
/// # Errors
/// It was not seen.
pub fn paused(spec: &Spec, facts: &Facts, host: &HostName) -> Result<Option<Pause>, FactError> {
    let now = facts.machine(host)?.now;
    Ok(facts.record(host, &Pause::path(spec))?.as_ref().and_then(|record| Pause::active(record, now)))
}
