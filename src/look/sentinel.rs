//! A sentinel: what it knows of a primary, and whether enough others agree.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Reply, SightError, quote};

/// A sentinel as it answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum SentinelSight {
    /// Not installed or not running.
    Down,
    /// It answers.
    Up {
        /// `SENTINEL MASTER name`; empty if it does not know that name.
        primary: BTreeMap<String, String>,
        /// `SENTINEL CKQUORUM name`.
        quorum: String,
    },
}

impl SentinelSight {
    /// A field of `SENTINEL MASTER`.
    pub fn field(&self, name: &str) -> Option<&str> {
        match self {
            SentinelSight::Up { primary, .. } => primary.get(name).map(String::as_str),
            SentinelSight::Down => None,
        }
    }
    /// A field that is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.field(name)?.parse().ok()
    }
    /// Where the primary is, if it knows the name.
    pub fn address(&self) -> Option<(&str, u16)> {
        self.field("ip").zip(self.field("port")?.parse().ok())
    }
    /// Enough sentinels answer to fail over.
    pub fn has_quorum(&self) -> bool {
        matches!(self, SentinelSight::Up { quorum, .. } if quorum.starts_with("OK"))
    }
}

/// Shell words that ask the sentinel. Valkey's client takes the same words.
pub(crate) fn client(port: u16) -> String {
    format!(
        "sentinel_cli() {{ if command -v redis-cli >/dev/null; then redis-cli -p {port} \"$@\"; else valkey-cli -p {port} \"$@\"; fi; }}"
    )
}

/// Exit status 7 says that it is not there or not running.
pub(super) fn script(port: u16, name: &str) -> String {
    let (client, name) = (client(port), quote(name));
    format!(
        r#"command -v redis-cli >/dev/null || command -v valkey-cli >/dev/null || exit 7
{client}
answer=$(sentinel_cli PING 2>&1)
case $answer in
  PONG) ;;
  *"Could not connect"*) exit 7;;
  *) echo "$answer" >&2; exit 1;;
esac
sentinel_cli SENTINEL MASTER {name}; echo '# quorum'; sentinel_cli SENTINEL CKQUORUM {name}; echo end"#
    )
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<SentinelSight, SightError> {
    if reply.status == 7 {
        return Ok(SentinelSight::Down);
    }
    let text = reply.text(limit)?;
    let (fields, quorum) = text.split_once("# quorum\n").ok_or(SightError::Truncated)?;
    let quorum = quorum.trim_end().strip_suffix("end").ok_or(SightError::Truncated)?.trim().to_owned();
    let mut primary = BTreeMap::new();
    let mut lines = fields.lines();
    // redis-cli prints name and value on alternate lines; an error is one line.
    while let Some(name) = lines.next() {
        let Some(value) = lines.next() else { break };
        if name.starts_with("ERR ") {
            break;
        }
        primary.insert(name.to_owned(), value.to_owned());
    }
    Ok(SentinelSight::Up { primary, quorum })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_knows_and_what_it_does_not() {
        let said = |text: &str| read(&Reply { stdout: text.into(), ..Reply::default() }, 1);
        let sight = said("name\nacme\nip\n10.77.0.11\nport\n6379\nflags\nmaster\nquorum\n2\n# quorum\nOK 3 usable Sentinels. Quorum and failover authorization can be reached\n\nend\n").unwrap();
        assert_eq!(sight.address(), Some(("10.77.0.11", 6379)));
        assert!(sight.has_quorum() && sight.number("quorum") == Some(2));
        let sight = said("ERR No such master with that name\n\n# quorum\nERR No such master with that name\n\nend\n").unwrap();
        assert!(sight.address().is_none() && !sight.has_quorum() && sight != SentinelSight::Down);
        assert!(said("name\nacme\n").is_err());
        assert_eq!(read(&Reply { status: 7, ..Reply::default() }, 1), Ok(SentinelSight::Down));
    }
}
