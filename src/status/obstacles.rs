//! Why a standby could not be promoted now. Pure.

use super::{HostStatus, RedisStatus};
use crate::resource::postgres::replay::Wait;

/// Without production nothing streams, and that is no obstacle: it is the day a standby is for.
pub(super) fn obstacles_of(host: &HostStatus, silent: bool) -> Vec<String> {
    let name = &host.host;
    if host.error.is_some() {
        return vec![format!("{name} cannot be reached")];
    }
    let mut found: Vec<String> = host.unseen.iter().map(|unseen| format!("not seen: {unseen}")).collect();
    found.extend(host.parted.clone());
    found.extend(host.below.iter().map(|what| format!("{name} would shut down when promoted: {what}")));
    match &host.postgresql {
        Some(server) if server.state != "standby" => found.push(format!("PostgreSQL on {name} is {}, not a standby", server.state)),
        Some(server) => {
            match (&host.waits, &server.replay) {
                (Some(Wait::Parameter(_) | Wait::Delay(_)), _) | (_, None) => {}
                (_, Some(why)) if server.replay_paused => found.push(format!("replay is paused on {name}: {why}")),
                (_, Some(why)) => found.push(format!("{name} would promote itself, or stop: {why}")),
            }
            if !silent && server.receiver.as_deref() != Some("streaming") {
                found.push(format!("{name} does not stream: {}", server.receiver.as_deref().unwrap_or("no receiver")));
            }
        }
        None if host.unseen.is_empty() => {
            found.push(format!("{name} has no copy of the database: the spec has no `replication:`"));
        }
        None => {}
    }
    // Where Sentinel moved the primary here, that is where it belongs.
    let moved = |state| state == "primary" && host.sentinel.as_ref().is_some_and(|s| s.primary.as_deref() == Some(name.as_str()));
    let linked = |redis: &&RedisStatus| moved(redis.state) || redis.state == "replica" && redis.link.as_deref() == Some("up");
    if let Some(redis) = host.redis.as_ref().filter(|redis| !silent && !linked(redis)) {
        found.push(format!(
            "Redis on {name} is {}{}",
            redis.state,
            redis.link.as_ref().map(|link| format!(", its link is {link}")).unwrap_or_default()
        ));
    }
    found
}
