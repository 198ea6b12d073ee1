//! PostgreSQL's part of the status. Pure.

use serde::Serialize;

use crate::facts::Facts;
use crate::look::Server;
use crate::look::postgres::lsn_bytes;
use crate::resource::postgres::ClusterAt;
use crate::resource::postgres::replay::{Wait, advice, stops_at_start, waits};
use crate::resource::postgres::settings::{below, five};
use crate::resource::unit::clock;

/// PostgreSQL on one host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PostgresStatus {
    /// `primary`, `standby` or `down`.
    pub state: &'static str,
    /// The timeline.
    pub timeline: Option<u32>,
    /// `streaming`, or why not; on a standby.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiver: Option<String>,
    /// WAL that production has and this standby has not received, bytes: lost if production died now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_received_bytes: Option<u64>,
    /// Seconds since production's last message, on a standby.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message_seconds: Option<u64>,
    /// WAL that production has and this standby has not replayed, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_bytes: Option<u64>,
    /// The commit time of the last replayed transaction, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transaction: Option<String>,
    /// Replay waits.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replay_paused: bool,
    /// Why replay waits, or will, and what ends that; on a standby.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
}

/// Reads what was seen; `production` is production's server.
pub(super) fn postgres_status(server: Option<&Server>, production: Option<&Server>, now: Option<f64>) -> PostgresStatus {
    let Some(server) = server else {
        return PostgresStatus {
            state: "down",
            timeline: None,
            receiver: None,
            not_received_bytes: None,
            last_message_seconds: None,
            lag_bytes: None,
            last_transaction: None,
            replay_paused: false,
            replay: None,
        };
    };
    let position = |lsn: &Option<String>| lsn.as_deref().and_then(lsn_bytes);
    let lag = production.and_then(|production| Some(position(&production.lsn)?.saturating_sub(position(&server.replay_lsn)?)));
    let message = server.receiver.as_ref().and_then(|receiver| receiver.last_message_at);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole seconds, not negative")]
    let since = now.and_then(|now| Some((now - message?).max(0.0) as u64));
    let not_received = production.and_then(|production| Some(position(&production.lsn)?.saturating_sub(server.reached()?)));
    PostgresStatus {
        not_received_bytes: not_received.filter(|_| server.in_recovery),
        last_message_seconds: since.filter(|_| server.in_recovery),
        state: if server.in_recovery { "standby" } else { "primary" },
        timeline: Some(server.timeline),
        receiver: server.in_recovery.then(|| server.receiver.as_ref().map_or_else(|| "not running".to_owned(), |r| r.status.clone())),
        lag_bytes: lag.filter(|_| server.in_recovery),
        last_transaction: server.last_replayed_at.filter(|_| server.in_recovery).map(clock),
        replay_paused: server.replay_paused,
        replay: None,
    }
}

/// What holds the replay back, and the same in words.
pub(super) fn replay(facts: &Facts, at: &ClusterAt) -> (Option<Wait>, Option<String>) {
    let Ok(server) = at.server(facts) else { return (None, None) };
    let cluster = facts.cluster(&at.host, &at.cluster).ok().and_then(|cluster| cluster.as_ref());
    let wait = match server {
        Some(server) => waits(server, cluster.and_then(|cluster| cluster.state.as_ref()).map(|state| &state.parameters)),
        None => cluster.and_then(stops_at_start).map(Wait::Parameter),
    };
    let words = wait.as_ref().map(|wait| match wait {
        Wait::Delay(delay) if server.is_some_and(|server| server.receiver.is_none()) => format!(
            "replays {delay} late, and since its start it receives nothing until what it has is replayed: what production commits meanwhile is nowhere else"
        ),
        Wait::Delay(delay) => format!("replays {delay} late; a restart would cut it off from production for as long"),
        wait => advice(at, wait, server),
    });
    (wait, words)
}

/// The five parameters against those the primary last had, as the standby's control data has them.
pub(super) fn below_recorded(facts: &Facts, at: &ClusterAt) -> Vec<String> {
    let Ok(Some(server)) = at.server(facts) else { return Vec::new() };
    let Ok(Some(cluster)) = facts.cluster(&at.host, &at.cluster) else { return Vec::new() };
    let recorded = cluster.state.as_ref().map(|state| &state.parameters).filter(|_| server.in_recovery);
    recorded.map(|recorded| below(&five(&server.settings), recorded)).unwrap_or_default()
}
