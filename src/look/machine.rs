//! The machine: name, system, login, clock, addresses.

use serde::{Deserialize, Serialize};

use super::{Reply, SightError};

/// A machine as it presents itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// `uname -n`.
    pub hostname: String,
    /// `uname -m`.
    pub architecture: String,
    /// `ID` and `VERSION_ID` of os-release(5), such as `debian 11`.
    pub system: String,
    /// The login otr has, after `become`.
    pub user: String,
    /// Whether that login is root.
    pub root: bool,
    /// The wall clock, seconds since the epoch.
    pub now: f64,
    /// Seconds since boot, as systemd's monotonic timestamps count.
    pub uptime: f64,
    /// Its memory, bytes.
    pub memory: u64,
    /// Addresses other than loopback and link-local.
    pub addresses: Vec<String>,
}

pub(super) fn script() -> String {
    r#"uname -n; uname -m; (. /etc/os-release; echo "$ID $VERSION_ID"); id -un; id -u; date +%s.%N; cut -d' ' -f1 /proc/uptime; awk '$1 == "MemTotal:" {print $2}' /proc/meminfo; hostname -I 2>/dev/null || true"#.into()
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<Machine, SightError> {
    let text = reply.text(limit)?;
    let lines: Vec<&str> = text.lines().collect();
    let [hostname, architecture, system, user, uid, now, uptime, memory, rest @ ..] = lines.as_slice() else {
        return Err(SightError::Unreadable(format!("{} lines instead of 9", lines.len())));
    };
    let number = |text: &str| text.parse::<f64>().map_err(|e| SightError::Unreadable(format!("{text:?}: {e}")));
    Ok(Machine {
        hostname: (*hostname).to_owned(),
        architecture: (*architecture).to_owned(),
        system: system.trim().to_owned(),
        user: (*user).to_owned(),
        root: *uid == "0",
        now: number(now)?,
        uptime: number(uptime)?,
        memory: memory.parse::<u64>().map_err(|e| SightError::Unreadable(format!("{memory:?}: {e}")))? << 10,
        addresses: rest
            .iter()
            .flat_map(|line| line.split_whitespace())
            .filter(|address| !address.starts_with("fe80:") && !address.starts_with("127.") && *address != "::1")
            .map(str::to_owned)
            .collect(),
    })
}
