//! A Redis that otr does not set up, in the status. Pure.

use serde::Serialize;

use crate::look::elsewhere::{Elsewhere, ElsewhereSight};
use crate::spec::Spec;

/// The Redis that holds the sessions, as one host reaches it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ElsewhereStatus {
    /// Where it is.
    pub at: String,
    /// Why it gave no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Bytes in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    /// Of a cluster: `ok` or `fail`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Of a cluster: slots that are served, of 16384.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots_ok: Option<u64>,
    /// Of a cluster: its nodes, and how many of them are primaries with slots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<(u64, u64)>,
}

/// Where it is, if the spec names one.
pub(super) fn place(spec: &Spec) -> Option<Elsewhere> {
    let server = spec.sessions.server.as_ref()?;
    Some(Elsewhere { host: server.host.clone(), port: server.port, authority: server.authority.clone() })
}

/// Reads what was seen.
pub(super) fn elsewhere_status(at: &Elsewhere, sight: &ElsewhereSight) -> ElsewhereStatus {
    let number = |field: &str| sight.field(field).and_then(|value| value.parse().ok());
    ElsewhereStatus {
        at: format!("{}:{}", at.host, at.port),
        error: if let ElsewhereSight::Silent(why) = sight { Some(why.clone()) } else { None },
        used_bytes: number("used_memory"),
        cluster: sight.field("cluster_state").map(str::to_owned),
        slots_ok: number("cluster_slots_ok"),
        nodes: number("cluster_known_nodes").zip(number("cluster_size")),
    }
}
