//! Split brain: two hosts of one installation take writes. Seen by any verb, settled by a person.

use crate::epoch::Epoch;
use crate::facts::Facts;
use crate::look::{Look, Server, ServerSight};
use crate::name::HostName;
use crate::resource::unit::clock;
use crate::spec::Spec;

/// What must be seen of every member.
pub fn looks(spec: &Spec) -> Vec<(HostName, Look)> {
    let Some(cluster) = spec.cluster() else { return Vec::new() };
    let epoch = Epoch::path(spec.name.as_str());
    spec.members().flat_map(|host| [Look::Server(cluster.clone()), Look::Content(epoch.clone())].map(|look| (host.clone(), look))).collect()
}

/// Members that take writes on the same system, if they are several, and how far each is.
pub fn split_brain(spec: &Spec, facts: &Facts) -> Option<(Vec<HostName>, String)> {
    let cluster = spec.cluster()?;
    let server = |host: &HostName| match facts.server(host, &cluster) {
        Ok(ServerSight::Up(server)) if !server.in_recovery && !server.databases.is_empty() => Some(server.as_ref()),
        _ => None,
    };
    let writers: Vec<(&HostName, &Server)> = spec.members().filter_map(|host| Some((host, server(host)?))).collect();
    let same =
        |(_, one): &&(&HostName, &Server)| writers.iter().filter(|(_, other)| other.system_identifier == one.system_identifier).count() > 1;
    let split: Vec<&(&HostName, &Server)> = writers.iter().filter(same).collect();
    if split.is_empty() {
        return None;
    }
    let each: Vec<String> = split
        .iter()
        .map(|(host, server)| {
            let epoch = Epoch::seen(facts, host, spec.name.as_str()).map_or_else(|_| "unknown".into(), |epoch| epoch.to_string());
            format!(
                "{host} (epoch {epoch}, timeline {}, at {}, last write {})",
                server.timeline,
                server.lsn.as_deref().unwrap_or("?"),
                server.last_write_at.map_or_else(|| "unknown".into(), clock)
            )
        })
        .collect();
    let hosts: Vec<HostName> = split.iter().map(|(host, _)| (*host).clone()).collect();
    let words = format!("split brain: {} take writes. Nothing is changed until you name the survivor", each.join(" and "));
    Some((hosts, words))
}
