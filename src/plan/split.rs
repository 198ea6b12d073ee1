//! What any verb sees and a person settles: split brain, where two hosts of one installation take
//! writes; and a spec that is older than a promotion.

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

/// A promotion that the spec does not know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newer {
    /// Who became production.
    pub host: HostName,
    /// With which epoch.
    pub epoch: u64,
    /// It takes writes.
    pub done: bool,
}

impl Newer {
    /// What is wrong, and what to write; `said` is whom the spec names.
    pub fn words(&self, said: &HostName) -> String {
        let Self { host, epoch, .. } = self;
        // An epoch is the time of its promotion, where the clock was right.
        #[allow(clippy::cast_precision_loss, reason = "seconds since 1970")]
        let at = if *epoch > 1_000_000_000 { clock(*epoch as f64) } else { format!("epoch {epoch}") };
        let finish = if self.done {
            String::new()
        } else {
            format!(", and if that was cut off, finish it: `otr promote {host}`, or, if {said} still serves, `otr switchover {host}`")
        };
        format!(
            "this spec says `production: {said}`, and the newest promotion is that of {host} ({at}): it is older than that. \
             Write `production: {host}`{finish}"
        )
    }
}

/// The newest promotion any member knows of, where it made another host production than the spec says.
pub fn stale(spec: &Spec, facts: &Facts) -> Option<Newer> {
    let cluster = spec.cluster()?;
    let seen = spec.members().filter_map(|host| Epoch::seen(facts, host, spec.name.as_str()).ok());
    let newest = seen.max_by_key(|epoch| epoch.number)?;
    let host = newest.production.filter(|host| *host != spec.production && spec.members().any(|member| member == host))?;
    let done = matches!(facts.server(&host, &cluster), Ok(ServerSight::Up(server)) if !server.in_recovery);
    Some(Newer { host, epoch: newest.number, done })
}
