//! Redis's part of the status: memory, what the limit cost, and how far a replica is behind.

use serde::Serialize;

use crate::look::RedisSight;

/// Redis on one host.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct RedisStatus {
    /// `primary`, `replica`, `down` or `refused`.
    pub state: &'static str,
    /// Whether a replica's link is up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Bytes the primary has sent and this replica has not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_bytes: Option<u64>,
    /// Seconds since the primary was last heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard_seconds_ago: Option<u64>,
    /// Keys it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<u64>,
    /// Bytes in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    /// The most bytes in use since its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// `maxmemory`; none if there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<u64>,
    /// `maxmemory-policy`, where there is a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Keys evicted since its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evicted: Option<u64>,
    /// Writes refused at the limit since its start; counted by Redis 6.2 and later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_writes: Option<u64>,
    /// It is at its limit and evicts nothing: it refuses every write now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
}

/// Reads what was seen; `primary` is production's server.
pub fn redis_status(sight: &RedisSight, primary: Option<&RedisSight>) -> RedisStatus {
    let number = |field: &str| sight.info(field).and_then(|value| value.parse::<u64>().ok());
    let state = match (sight, sight.info("role")) {
        (RedisSight::Down, _) => "down",
        (RedisSight::Refused, _) => "refused",
        (_, Some("slave")) => "replica",
        _ => "primary",
    };
    let RedisSight::Up { settings, .. } = sight else { return RedisStatus { state, ..RedisStatus::default() } };
    let limit = settings.get("maxmemory").and_then(|value| value.parse().ok()).filter(|bytes| *bytes > 0);
    let policy = settings.get("maxmemory-policy").cloned().filter(|_| limit.is_some());
    let used = number("used_memory");
    let sent = primary.and_then(|primary| primary.info("master_repl_offset")?.parse::<u64>().ok());
    let lag = sent.zip(number("slave_repl_offset")).map(|(sent, taken)| sent.saturating_sub(taken));
    let linked = sight.info("master_link_status") == Some("up");
    // `errorstat_OOM:count=3` is there once the first write was refused.
    let counts = number("total_error_replies").is_some();
    let refused = sight.info("errorstat_OOM").and_then(|value| value.strip_prefix("count=")?.parse().ok());
    RedisStatus {
        state,
        link: sight.info("master_link_status").map(str::to_owned),
        lag_bytes: lag.filter(|_| state == "replica" && linked),
        heard_seconds_ago: number("master_last_io_seconds_ago").filter(|_| state == "replica"),
        keys: Some(sight.keys()),
        used_bytes: used,
        peak_bytes: number("used_memory_peak"),
        limit_bytes: limit,
        // What is refused is the write that would go over it, so it is never quite reached.
        full: policy.as_deref() == Some("noeviction") && used.zip(limit).is_some_and(|(used, limit)| used >= limit / 100 * 97),
        policy,
        evicted: number("evicted_keys"),
        refused_writes: refused.or(counts.then_some(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn up(settings: &[(&str, &str)], info: &[(&str, &str)]) -> RedisSight {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        RedisSight::Up { settings: map(settings), secrets: BTreeMap::new(), info: map(info) }
    }

    #[test]
    fn a_full_primary_and_a_replica_behind() {
        let primary = up(
            &[("maxmemory", "1000"), ("maxmemory-policy", "noeviction")],
            &[
                ("role", "master"),
                ("used_memory", "980"),
                ("master_repl_offset", "500"),
                ("total_error_replies", "4"),
                ("errorstat_OOM", "count=3"),
            ],
        );
        let status = redis_status(&primary, Some(&primary));
        assert!(status.full && status.refused_writes == Some(3) && status.lag_bytes.is_none(), "{status:?}");
        let replica = [("role", "slave"), ("slave_repl_offset", "450"), ("master_link_status", "up"), ("db0", "keys=7,expires=0")];
        let status = redis_status(&up(&[("maxmemory", "0")], &replica), Some(&primary));
        assert_eq!((status.lag_bytes, status.limit_bytes, status.keys, status.refused_writes), (Some(50), None, Some(7), None));
        assert_eq!(redis_status(&RedisSight::Down, None), RedisStatus { state: "down", ..RedisStatus::default() });
    }
}
