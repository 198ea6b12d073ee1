//! The boot guard's part of the status. Pure.

use crate::facts::Facts;
use crate::resource::postgres::ClusterAt;
use crate::spec::{Access, Spec};
use crate::wanted::guarded;

/// What makes systemd ask the guard before it starts PostgreSQL.
pub(super) fn guard_file(at: &ClusterAt) -> std::path::PathBuf {
    format!("/etc/systemd/system/{}.d/otr-guard.conf", at.unit()).into()
}

/// Whether an old production would stay down.
pub(super) fn guard(spec: &Spec, facts: &Facts, at: &ClusterAt) -> Option<&'static str> {
    if spec.hosts.get(&at.host).is_some_and(|host| host.access == Access::Observe) {
        return Some("none: otr only observes this host");
    }
    if !spec.failover.guard {
        return Some("none: the spec says `guard: false`");
    }
    if !guarded(spec, &at.host) {
        return Some("none: no managed peer could be asked");
    }
    Some(if facts.path(&at.host, &guard_file(at)).ok()?.is_some() { "set" } else { "not set: `otr apply` sets it" })
}
