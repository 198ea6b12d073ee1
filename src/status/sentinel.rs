//! Sentinel's part of the status: whom each watches, and whether enough agree. Pure.

use serde::Serialize;

use crate::facts::Facts;
use crate::look::{Look, SentinelSight};
use crate::name::HostName;
use crate::spec::Spec;

/// A sentinel on one host.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct SentinelStatus {
    /// `up` or `down`.
    pub state: &'static str,
    /// Where it says the primary is: a host of the spec, or an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// What it thinks of the primary, if it is not well: `s_down`, `o_down`, `failover_in_progress`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trouble: Vec<String>,
    /// Sentinels it knows, itself included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinels: Option<u64>,
    /// Replicas it knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u64>,
    /// Enough of them answer to fail over.
    pub quorum: bool,
}

/// What must be seen.
pub(super) fn looks(spec: &Spec) -> impl Iterator<Item = (HostName, Look)> + '_ {
    let look = spec.sentinel().map(|sentinel| Look::Sentinel { port: sentinel.port, name: spec.sentinel_name().to_owned() });
    spec.sentinels().filter_map(move |host| Some((host.clone(), look.clone()?)))
}

/// Reads what was seen; `Err` in words.
pub(super) fn sentinel_status(spec: &Spec, facts: &Facts, host: &HostName) -> Option<Result<SentinelStatus, String>> {
    let sentinel = spec.sentinel()?;
    spec.sentinels().find(|other| *other == host)?;
    let sight = match facts.sentinel(host, sentinel.port, spec.sentinel_name()) {
        Ok(SentinelSight::Down) => return Some(Ok(SentinelStatus { state: "down", ..SentinelStatus::default() })),
        Ok(sight) => sight,
        Err(error) => return Some(Err(error.to_string())),
    };
    let named = |address: &str| spec.members().find(|host| spec.hosts.get(*host).and_then(|h| h.reached_at()) == Some(address));
    let flags = sight.field("flags").unwrap_or_default();
    Some(Ok(SentinelStatus {
        state: "up",
        primary: sight.address().map(|(address, port)| named(address).map_or(format!("{address}:{port}"), ToString::to_string)),
        trouble: flags.split(',').filter(|flag| !["", "master"].contains(flag)).map(str::to_owned).collect(),
        sentinels: sight.number("num-other-sentinels").map(|others| others + 1),
        replicas: sight.number("num-slaves"),
        quorum: sight.has_quorum(),
    }))
}
