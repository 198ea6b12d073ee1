//! memcached's part of the status. Pure.

use serde::Serialize;

use crate::look::memcached::MemcachedSight;

/// memcached on one host.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct MemcachedStatus {
    /// It answers.
    pub up: bool,
    /// What it holds.
    pub items: u64,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Its limit.
    pub limit_bytes: u64,
    /// What it dropped before its time, since its start.
    pub evicted: u64,
    /// Seconds since its start: nothing in it is older.
    pub uptime: u64,
}

/// Reads what was seen.
pub fn memcached_status(sight: &MemcachedSight) -> MemcachedStatus {
    let Some(stats) = sight else { return MemcachedStatus::default() };
    let number = |name: &str| stats.get(name).and_then(|value| value.parse().ok()).unwrap_or(0);
    MemcachedStatus {
        up: true,
        items: number("curr_items"),
        used_bytes: number("bytes"),
        limit_bytes: number("limit_maxbytes"),
        evicted: number("evictions"),
        uptime: number("uptime"),
    }
}
