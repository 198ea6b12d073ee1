//! What of production no standby has: its logical slots, and subscriptions that go on by themselves. Pure.

use crate::facts::Facts;
use crate::look::Server;
use crate::name::HostName;
use crate::resource::postgres::ClusterAt;
use crate::resource::postgres::measure::{logical_slots, lost_slots};
use crate::spec::Spec;

/// In sentences, for whoever reads a plan or a status.
pub fn behind(spec: &Spec, facts: &Facts) -> Vec<String> {
    let server = |host: &HostName| -> Option<&Server> { ClusterAt { host: host.clone(), cluster: spec.cluster()? }.server(facts).ok()? };
    let Some(production) = server(&spec.production).filter(|server| !server.in_recovery) else { return Vec::new() };
    let slots = logical_slots(production);
    let mut told: Vec<String> = spec
        .standbys()
        .filter_map(|standby| {
            let lost = server(standby).map_or_else(|| slots.clone(), |server| lost_slots(&slots, server));
            (!lost.is_empty()).then(|| {
                format!(
                    "a promotion of {standby} loses logical slots of {}: {}; their subscribers would begin anew",
                    spec.production,
                    lost.join(", ")
                )
            })
        })
        .collect();
    if !production.subscriptions.is_empty() && spec.standbys().next().is_some() {
        let names = production.subscriptions.join(", ");
        told.push(format!("subscriptions of {} go on from a promoted standby, which must reach their publisher: {names}", spec.production));
    }
    told
}
