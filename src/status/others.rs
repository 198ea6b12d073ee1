//! Several standbys: which of them has most, and whether each follows the production of today. Pure.

use super::HostStatus;
use crate::facts::Facts;
use crate::look::Server;
use crate::name::HostName;
use crate::resource::rejoin::ahead;
use crate::spec::{Role, Spec};
use crate::wanted::{cluster_at, leader};

/// Why a standby's data is not of production's history, or will not stay in it.
pub(super) fn parted(spec: &Spec, facts: &Facts, host: &HostName) -> Vec<String> {
    let production = &spec.production;
    let server_of = |host: &HostName| cluster_at(spec, host).and_then(|at| at.server(facts).ok().flatten());
    let (Some(server), Role::Standby) = (server_of(host).filter(|server| server.in_recovery), spec.role(host)) else {
        return Vec::new();
    };
    let primary = server_of(production).filter(|primary| !primary.in_recovery);
    let control = cluster_at(spec, production).and_then(|at| facts.cluster(production, &at.cluster).ok()?.as_ref()?.state.as_ref());
    if let Some((parted, reached)) = control.filter(|_| primary.is_some()).and_then(|control| ahead(server, control)) {
        return vec![format!(
            "{host} has WAL of timeline {} up to {reached}, and {production} left that timeline at {parted}: `otr rejoin {host}`",
            server.timeline
        )];
    }
    let elsewhere = leader(spec, server).filter(|leader| *leader != production);
    // One that follows another standby gets what production writes all the same.
    if let Some(leader) = elsewhere.filter(|leader| server_of(leader).is_none_or(|server| !server.in_recovery)) {
        return vec![format!("{host} follows {leader}, not {production}: `otr apply` makes it follow")];
    }
    let received = server.receiver.as_ref().map_or(server.timeline, |receiver| receiver.timeline);
    match primary {
        Some(primary) if received != primary.timeline => {
            vec![format!("{host} is on timeline {received}, {production} on {}", primary.timeline)]
        }
        _ => Vec::new(),
    }
}

/// The host that has most of those that could be promoted, and how much less each of the others has.
pub(super) fn compared(spec: &Spec, facts: &Facts, ready: &[&HostStatus]) -> (Option<HostName>, Vec<String>) {
    let whole = |host: &HostStatus| cluster_at(spec, &host.host)?.server(facts).ok().flatten().and_then(Server::whole);
    let missing = |host: &HostStatus| host.filestores.iter().map(|store| store.missing).sum::<usize>();
    let rank = |host: &&HostStatus| (whole(host), std::cmp::Reverse(missing(host)));
    // Of equals the spec's first.
    let Some(best) = ready.iter().copied().rev().max_by_key(rank) else { return (None, Vec::new()) };
    let less = |host: &&HostStatus| {
        let bytes = whole(best).zip(whole(host)).map_or(0, |(most, less)| most - less);
        let files = missing(host).saturating_sub(missing(best));
        let what = [(bytes, "bytes of WAL"), (files as u64, "files")].into_iter().filter(|(count, _)| *count > 0);
        let what: Vec<String> = what.map(|(count, what)| format!("{count} {what}")).collect();
        (!what.is_empty()).then(|| format!("{} has {} less than {}", host.host, what.join(" and "), best.host))
    };
    (Some(best.host.clone()), ready.iter().copied().filter(|host| host.host != best.host).filter_map(|host| less(&host)).collect())
}
