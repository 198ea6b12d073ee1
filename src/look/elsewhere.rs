//! A Redis that otr does not set up, as this host reaches it: one server, or a cluster.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Reply, SightError, quote, quote_path};

/// Where its password stands on every member, as a command of Redis; only root reads it.
pub const LOGIN: &str = "/etc/otr/session-server";

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Elsewhere {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// It speaks TLS; the file of the authority that signed its certificate.
    pub authority: Option<PathBuf>,
}

/// As it answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum ElsewhereSight {
    /// It does not answer; in its client's words.
    Silent(String),
    /// It answers.
    Up {
        /// `INFO`.
        info: BTreeMap<String, String>,
        /// `CLUSTER INFO`; empty if it is none.
        cluster: BTreeMap<String, String>,
    },
}

impl ElsewhereSight {
    /// A field of `INFO` or `CLUSTER INFO`.
    pub fn field(&self, name: &str) -> Option<&str> {
        match self {
            ElsewhereSight::Up { info, cluster } => cluster.get(name).or_else(|| info.get(name)).map(String::as_str),
            ElsewhereSight::Silent(_) => None,
        }
    }
}

pub(super) fn script(at: &Elsewhere) -> String {
    let tls = at.authority.as_ref().map(|file| format!(" --tls --cacert {}", quote_path(file))).unwrap_or_default();
    let (host, port) = (quote(&at.host), at.port);
    format!(
        r#"client=$(command -v redis-cli || command -v valkey-cli) || {{ echo "redis-cli is not installed" >&2; exit 1; }}
ask() {{ {{ cat {LOGIN} 2>/dev/null; echo "$1"; }} | timeout 8 "$client" -h {host} -p {port}{tls} 2>&1; }}
answer=$(ask PING)
case $answer in *PONG*) ;; *) echo "silent ${{answer:-no answer within 8 s}}"; exit 0;; esac
ask INFO; echo '# cluster'; ask 'CLUSTER INFO'; echo end"#
    )
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<ElsewhereSight, SightError> {
    let text = reply.text(limit)?;
    if let Some(why) = text.strip_prefix("silent ") {
        return Ok(ElsewhereSight::Silent(why.lines().next_back().unwrap_or_default().trim().to_owned()));
    }
    let (info, cluster) =
        text.split_once("# cluster\n").filter(|(_, rest)| rest.trim_end().ends_with("end")).ok_or(SightError::Truncated)?;
    let fields =
        |text: &str| text.lines().filter_map(|line| line.trim_end().split_once(':')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    Ok(ElsewhereSight::Up { info: fields(info), cluster: fields(cluster) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_one_server_and_silence() {
        let said = |text: &str| read(&Reply { stdout: text.into(), ..Reply::default() }, 1);
        let sight =
            said("OK\r\nredis_version:7.0.15\r\nused_memory:9\r\n# cluster\nOK\ncluster_state:ok\r\ncluster_size:3\r\nend\n").unwrap();
        assert_eq!((sight.field("cluster_state"), sight.field("used_memory")), (Some("ok"), Some("9")));
        let sight = said("redis_version:6\r\n# cluster\nERR This instance has cluster support disabled\n\nend\n").unwrap();
        assert_eq!(sight.field("cluster_state"), None);
        assert_eq!(said("silent NOAUTH Authentication required.\n"), Ok(ElsewhereSight::Silent("NOAUTH Authentication required.".into())));
        assert!(said("redis_version:6\r\n").is_err());
    }
}
