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
    /// Seconds its wall clock is ahead of UTC.
    #[serde(default)]
    pub ahead: i64,
    /// Seconds since boot, as systemd's monotonic timestamps count.
    pub uptime: f64,
    /// Its memory, bytes.
    pub memory: u64,
    /// Addresses other than loopback and link-local.
    pub addresses: Vec<String>,
}

pub(super) fn script() -> String {
    r#"uname -n; uname -m; (. /etc/os-release; echo "$ID $VERSION_ID"); id -un; id -u; date '+%s.%N %z'; cut -d' ' -f1 /proc/uptime; awk '$1 == "MemTotal:" {print $2}' /proc/meminfo; hostname -I 2>/dev/null || true"#.into()
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
        now: number(now.split(' ').next().unwrap_or_default())?,
        ahead: now.split_once(' ').and_then(|(_, zone)| ahead(zone)).unwrap_or(0),
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

/// Seconds of an offset such as `+0130`.
fn ahead(zone: &str) -> Option<i64> {
    let (hours, minutes) = zone.get(1..)?.split_at_checked(2)?;
    let seconds = (hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?) * 60;
    Some(if zone.starts_with('-') { -seconds } else { seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_read_with_its_sign() {
        assert_eq!((ahead("+0130"), ahead("-0500"), ahead("+0000"), ahead("")), (Some(5400), Some(-18_000), Some(0), None));
    }
}
