//! memcached: what it counts.

use std::collections::BTreeMap;

use super::{Reply, SightError};

/// `stats`, by name; `None` if nothing answers.
pub type MemcachedSight = Option<BTreeMap<String, String>>;

/// It has no client of its own; bash speaks TCP. Exit status 7 says that nothing listens.
pub(super) fn script(port: u16) -> String {
    format!("timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port} || exit 7; printf \"stats\\r\\nquit\\r\\n\" >&3; cat <&3' 2>/dev/null")
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<MemcachedSight, SightError> {
    if reply.status == 7 || (reply.status == 1 && reply.stdout.is_empty()) {
        return Ok(None);
    }
    let text = reply.text(limit)?;
    if !text.trim_end().ends_with("END") {
        return Err(SightError::Truncated);
    }
    let stat = |line: &str| line.trim_end().strip_prefix("STAT ")?.split_once(' ').map(|(k, v)| (k.to_owned(), v.to_owned()));
    Ok(Some(text.lines().filter_map(stat).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_counters_and_its_silence() {
        let said = |stdout: &str, status| read(&Reply { stdout: stdout.into(), status, ..Reply::default() }, 5);
        let stats = said("STAT curr_items 3\r\nSTAT limit_maxbytes 67108864\r\nEND\r\n", 0).unwrap().unwrap();
        assert_eq!((stats["curr_items"].as_str(), stats["limit_maxbytes"].as_str()), ("3", "67108864"));
        assert_eq!(said("", 7), Ok(None));
        assert_eq!(said("STAT curr_items 3\r\n", 0), Err(SightError::Truncated));
    }
}
