//! Redis Sentinel: who watches the Redis servers, and who decides which of them is the primary.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Role, Span, Spec};
use crate::name::{HostName, UnitName, Word};

/// Sentinels that watch the Redis servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sentinel {
    /// Who makes another Redis the primary: `sentinel`, within seconds and with nobody there; or
    /// `otr`, at a promotion, and the sentinels only tell clients where the primary is.
    pub decides: Decides,
    /// Where they run: on production, on every standby, and on witnesses. All hosts if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hosts: Option<Vec<HostName>>,
    /// The name by which clients ask for the primary; the spec's name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Word>,
    /// Their port.
    #[serde(default = "sentinel_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Addresses to listen on.
    #[serde(default = "everywhere")]
    pub bind: String,
    /// How many must agree that the primary is down; the majority if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quorum: Option<u32>,
    /// How long a server must be silent to be called down.
    #[serde(default = "down_after")]
    pub down_after: Span,
    /// How long one attempt to fail over may take, and how long until the next.
    #[serde(default = "failover_timeout")]
    pub failover_timeout: Span,
    /// How many replicas are pointed to the new primary at a time.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub parallel_syncs: u32,
    /// A program the sentinels call for events a person should know. Put it there with `files:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification_script: Option<PathBuf>,
    /// A program the sentinels call when the primary changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconfiguration_script: Option<PathBuf>,
}

/// Who decides which Redis is the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decides {
    /// otr: the primary is on production. Sentinel never fails over (`replica-priority 0`).
    Otr,
    /// Sentinel: the primary is where the sentinels say.
    Sentinel,
}

impl Sentinel {
    /// Its configuration, which it rewrites itself.
    pub fn config(&self, folder: &str) -> PathBuf {
        format!("/etc/{folder}/sentinel.conf").into()
    }
}

impl Spec {
    /// What is said about Sentinel.
    pub fn sentinel(&self) -> Option<&Sentinel> {
        self.redis.as_ref()?.sentinel.as_ref()
    }
    /// The hosts of the sentinels, in the spec's order.
    pub fn sentinels(&self) -> impl Iterator<Item = &HostName> {
        let sentinel = self.sentinel();
        self.hosts.keys().filter(move |host| sentinel.is_some_and(|s| s.hosts.as_ref().is_none_or(|hosts| hosts.contains(host))))
    }
    /// The hosts that `hosts:` of Sentinel names.
    pub fn named_sentinels(&self) -> &[HostName] {
        self.sentinel().and_then(|sentinel| sentinel.hosts.as_deref()).unwrap_or_default()
    }
    /// All machines otr works on: the members, and the witnesses that have something to do.
    pub fn machines(&self) -> impl Iterator<Item = &HostName> {
        self.hosts.keys().filter(|host| self.role(host) != Role::Witness || self.sentinels().any(|other| other == *host))
    }
    /// Sentinel decides which Redis is the primary.
    pub fn sentinel_decides(&self) -> bool {
        self.sentinel().is_some_and(|sentinel| sentinel.decides == Decides::Sentinel)
    }
    /// The name the sentinels know the primary by.
    pub fn sentinel_name(&self) -> &str {
        self.sentinel().and_then(|sentinel| sentinel.name.as_ref()).unwrap_or(&self.name).as_str()
    }
    /// How many sentinels must agree.
    pub fn sentinel_quorum(&self) -> u32 {
        let all = u32::try_from(self.sentinels().count()).unwrap_or(u32::MAX);
        self.sentinel().and_then(|sentinel| sentinel.quorum).unwrap_or(all / 2 + 1)
    }
    /// Sentinel's service.
    pub fn sentinel_unit(&self) -> Option<UnitName> {
        format!("{}-sentinel.service", self.redis.as_ref()?.software.as_str()).parse().ok()
    }
}

fn sentinel_port() -> u16 {
    26379
}
fn everywhere() -> String {
    "0.0.0.0".into()
}
fn down_after() -> Span {
    Span(std::time::Duration::from_secs(5))
}
fn failover_timeout() -> Span {
    Span(std::time::Duration::from_secs(60))
}
fn one() -> u32 {
    1
}
