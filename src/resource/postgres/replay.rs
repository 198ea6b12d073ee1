//! Why a standby's replay waits: by hand, by a parameter, by a recovery target or by a delay. Each has
//! another way on, and the way of one ruins another. Pure.

use std::collections::BTreeMap;

use super::ClusterAt;
use super::settings::{below, five};
use crate::look::postgres::TARGETS;
use crate::look::{Cluster, Server};

/// What holds the replay back, or will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// A parameter is lower than production's: whatever ends the pause shuts the server down.
    Parameter(String),
    /// A recovery target: whatever ends the pause promotes the server at that point.
    Target(String),
    /// Somebody paused it.
    ByHand,
    /// `recovery_min_apply_delay`.
    Delay(String),
}

/// What of these holds; `recorded` is pg_control, which has production's five from before a pause.
pub fn waits(server: &Server, recorded: Option<&BTreeMap<String, u64>>) -> Option<Wait> {
    if !server.in_recovery {
        return None;
    }
    if let Some(mismatch) = recorded.and_then(|recorded| below(&five(&server.settings), recorded).into_iter().next()) {
        return Some(Wait::Parameter(mismatch));
    }
    if let Some(target) = targets(server).into_iter().next() {
        return Some(Wait::Target(target));
    }
    let delay = server.settings.get("recovery_min_apply_delay").filter(|delay| delay.value != "0");
    match delay {
        _ if server.replay_paused => Some(Wait::ByHand),
        Some(delay) => Some(Wait::Delay(delay.value.clone())),
        None => None,
    }
}

/// The five of a stopped standby, as its files have them: started so, it ends at once.
pub fn stops_at_start(cluster: &Cluster) -> Option<String> {
    let recorded = &cluster.state.as_ref().filter(|_| cluster.standby_signal)?.parameters;
    let own = cluster.configured.iter().filter_map(|(name, value)| Some((name.clone(), value.parse().ok()?))).collect();
    below(&own, recorded).into_iter().next()
}

/// Recovery targets that are set, `name = value in FILE`.
pub fn targets(server: &Server) -> Vec<String> {
    let set = |name: &&str| server.settings.get(*name).is_some_and(|setting| !setting.value.is_empty());
    let place = |name: &str| {
        let file = server.settings.get(name).and_then(|setting| setting.source_file.clone());
        let file = file.or_else(|| server.elsewhere.get(name).map(|other| other.file.clone()));
        file.map_or_else(String::new, |file| format!(" in {file}"))
    };
    let told = |name: &&str| format!("{name} = {}{}", server.settings.get(*name).map_or("", |s| s.value.as_str()), place(name));
    TARGETS.iter().filter(|name| set(name)).map(told).collect()
}

/// How a parameter is raised, and a target taken out, on a standby whose production cannot be asked.
pub fn advice(at: &ClusterAt, wait: &Wait, server: Option<&Server>) -> String {
    let (host, unit) = (&at.host, at.unit());
    match wait {
        Wait::Parameter(mismatch) => {
            let (name, value) = (mismatch.split(' ').next().unwrap_or_default(), mismatch.rsplit(' ').next().unwrap_or_default());
            let file = server.and_then(|server| server.elsewhere.get(name)).filter(|other| other.wins);
            let file = file.map_or_else(|| at.settings_file().display().to_string(), |other| other.file.clone());
            let ends = "pg_wal_replay_resume() and pg_promote() would shut the server down";
            format!("{mismatch}; {ends}. On {host}: say `{name} = {value}` in {file}, then restart {unit}")
        }
        Wait::Target(target) => {
            let name = target.split(' ').next().unwrap_or_default();
            let how = if target.contains("postgresql.auto.conf") {
                format!("ALTER SYSTEM RESET {name}")
            } else {
                format!("take {name} out there")
            };
            format!(
                "a recovery target ends it: {target}; pg_wal_replay_resume() would promote the server there. On {host}: {how}, then restart {unit}"
            )
        }
        Wait::ByHand => format!("it was paused by hand; SELECT pg_wal_replay_resume() on {host} lets it go on"),
        Wait::Delay(delay) => format!("recovery_min_apply_delay is {delay}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(paused: bool, settings: &[(&str, &str)]) -> Server {
        let settings: serde_json::Map<String, serde_json::Value> = settings
            .iter()
            .map(|(name, value)| {
                (
                    (*name).to_owned(),
                    serde_json::json!({"value": value, "pending_restart": false, "context": "sighup", "source_file": null}),
                )
            })
            .collect();
        serde_json::from_value(serde_json::json!({
            "in_recovery": true, "system_identifier": "7", "timeline": 1, "lsn": "0/1", "replay_lsn": "0/1", "last_replayed_at": null,
            "replay_paused": paused, "receiver": null, "slots": {}, "senders": {}, "settings": settings, "replication_roles": {},
            "sees_verifiers": true, "databases": {}, "loaded_at": 0.0, "started_at": 0.0, "file_errors": []
        }))
        .unwrap()
    }

    #[test]
    fn a_parameter_a_target_a_hand_and_a_delay_are_told_apart() {
        let recorded = BTreeMap::from([("max_connections".to_owned(), 200)]);
        let low = server(true, &[("max_connections", "100")]);
        assert_eq!(waits(&low, Some(&recorded)), Some(Wait::Parameter("max_connections is 100, on production 200".into())));
        let enough = server(true, &[("max_connections", "200")]);
        assert_eq!(waits(&enough, Some(&recorded)), Some(Wait::ByHand));
        let target = server(true, &[("recovery_target_name", "there"), ("recovery_min_apply_delay", "1h")]);
        assert_eq!(waits(&target, None), Some(Wait::Target("recovery_target_name = there".into())));
        assert_eq!(waits(&server(false, &[("recovery_min_apply_delay", "1h")]), None), Some(Wait::Delay("1h".into())));
        assert_eq!(waits(&server(false, &[("recovery_min_apply_delay", "0")]), None), None);
        let at = ClusterAt {
            host: "erp2".parse().unwrap(),
            cluster: crate::look::ClusterName { version: 13, name: "main".parse().unwrap(), port: 5432 },
        };
        let said = advice(&at, &waits(&low, Some(&recorded)).unwrap(), Some(&low));
        assert!(said.contains("say `max_connections = 200` in /etc/postgresql/13/main/conf.d/50-otr.conf, then restart"), "{said}");
    }
}
