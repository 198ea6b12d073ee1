//! A Redis server: its live configuration and replication state.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::{Reply, SightError, quote_path};
use crate::secret::Secret;

/// The server as it answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum RedisSight {
    /// Not installed or not running.
    Down,
    /// Running, but it refuses the password of its own configuration file.
    Refused,
    /// It answers.
    Up {
        /// `CONFIG GET *`; the values of passwords are in custody.
        settings: BTreeMap<String, String>,
        /// `requirepass`, `masterauth`.
        secrets: BTreeMap<String, Secret>,
        /// `INFO`.
        info: BTreeMap<String, String>,
    },
}

impl RedisSight {
    /// The major version it answers as; Valkey answers as the Redis it descends from.
    pub fn major(&self) -> Option<u32> {
        self.info("redis_version")?.split('.').next()?.parse().ok()
    }
    /// Keys in all databases.
    pub fn keys(&self) -> u64 {
        let RedisSight::Up { info, .. } = self else { return 0 };
        let databases = info.iter().filter(|(name, _)| name.strip_prefix("db").is_some_and(|n| n.parse::<u32>().is_ok()));
        databases.filter_map(|(_, db)| db.split(',').next()?.strip_prefix("keys=")?.parse::<u64>().ok()).sum()
    }
    /// A field of `INFO`.
    pub fn info(&self, field: &str) -> Option<&str> {
        match self {
            RedisSight::Up { info, .. } => info.get(field).map(String::as_str),
            _ => None,
        }
    }
}

/// Shell words that send the commands on their standard input to the server, logged in.
/// The password goes from the file to the client's standard input: it is in nobody's arguments.
/// The file also says whether the port speaks TLS. Valkey's client takes the same words.
pub(crate) fn client(config: &Path, port: u16) -> String {
    let config = quote_path(config);
    format!(
        r#"redis_said() {{ awk -v n="$1" 'tolower($1) == n {{ v = $2 }} END {{ gsub(/"/, "", v); print v }}' {config}; }}
redis_cli() {{
  set -- -p {port}
  [ "$(redis_said tls-port)" != {port} ] || set -- "$@" --tls --cacert "$(redis_said tls-ca-cert-file)"
  if command -v redis-cli >/dev/null; then redis-cli "$@"; else valkey-cli "$@"; fi
}}
redis_send() {{ {{ awk 'tolower($1) == "requirepass" && $2 != "\"\"" {{ p = $2 }} END {{ if (p != "") print "AUTH " p }}' {config}; cat; }} | redis_cli; }}"#
    )
}

/// Exit status 7 says that the server is not there or not running.
pub(super) fn script(config: &Path, port: u16) -> String {
    let client = client(config, port);
    let config = quote_path(config);
    format!(
        r#"command -v redis-cli >/dev/null || command -v valkey-cli >/dev/null || exit 7
[ -e {config} ] || ls {config} >/dev/null 2>&1 || [ "$(id -u)" != 0 ] || exit 7
[ -r {config} ] || {{ echo "{config}: Permission denied" >&2; exit 1; }}
{client}
answer=$(echo PING | redis_send 2>&1)
case $answer in
  *PONG*) ;;
  *"Connection refused"*|*"Could not connect"*"Connection refused"*) exit 7;;
  *SSL*|*"Server closed the connection"*|*"Connection reset"*) echo refused; exit 0;;
  *"Could not connect"*) exit 7;;
  *WRONGPASS*|*NOAUTH*|*"without any password configured"*) case $answer in *PONG*) ;; *) echo refused; exit 0;; esac;;
  *LOADING*) echo "Redis is still loading its data" >&2; exit 1;;
  *) echo "$answer" >&2; exit 1;;
esac
echo 'CONFIG GET *' | redis_send; echo; echo '# info'; echo 'INFO' | redis_send; echo end"#
    )
}

/// Passwords, under every name: Valkey answers `masterauth` a second time as `primaryauth`.
const SECRET: [&str; 5] = ["requirepass", "masterauth", "primaryauth", "tls-key-file-pass", "tls-client-key-file-pass"];

pub(super) fn read(reply: &Reply, limit: u64) -> Result<RedisSight, SightError> {
    if reply.status == 7 {
        return Ok(RedisSight::Down);
    }
    let text = reply.text(limit)?;
    if text == "refused\n" {
        return Ok(RedisSight::Refused);
    }
    let (config, rest) = text.split_once("\n# info\n").ok_or(SightError::Truncated)?;
    if !rest.trim_end().ends_with("end") {
        return Err(SightError::Truncated);
    }
    let mut settings = BTreeMap::new();
    let mut secrets = BTreeMap::new();
    let mut lines = config.lines().skip_while(|line| *line == "OK" || line.contains("without any password configured"));
    // redis-cli prints name and value on alternate lines; a value may be empty.
    while let Some(name) = lines.next() {
        let Some(value) = lines.next() else { break };
        if SECRET.contains(&name) {
            secrets.insert(name.to_owned(), Secret::new(value));
        } else {
            settings.insert(name.to_owned(), value.to_owned());
        }
    }
    let info = rest.lines().filter_map(|line| line.trim_end().split_once(':')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    Ok(RedisSight::Up { settings, secrets, info })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_secrets_and_info_are_told_apart() {
        let stdout = "OK\nmaxmemory\n536870912\nrequirepass\nhunter2\nmasterauth\nhunter2\nprimaryauth\nhunter2\nsave\n\nport\n6379\n\n# info\nOK\n# Replication\r\nrole:master\r\nconnected_slaves:1\r\n\nend\n";
        let sight = read(&Reply { stdout: stdout.into(), ..Reply::default() }, 1).unwrap();
        assert_eq!(sight.info("role"), Some("master"));
        assert!(!format!("{sight:?}").contains("hunter2"));
        let RedisSight::Up { settings, secrets, .. } = sight else { panic!() };
        assert_eq!((settings["maxmemory"].as_str(), settings["save"].as_str(), settings["port"].as_str()), ("536870912", "", "6379"));
        assert_eq!(secrets["requirepass"].expose(), "hunter2");
        assert_eq!(read(&Reply { status: 7, ..Reply::default() }, 1), Ok(RedisSight::Down));
        assert!(read(&Reply { stdout: b"maxmemory\n5".into(), ..Reply::default() }, 1).is_err());
    }
}
