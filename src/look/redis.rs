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
    /// Whether it answers `CONFIG GET`: it may be renamed, switched off, or forbidden to who may log in.
    pub fn answers_config(&self) -> bool {
        matches!(self, RedisSight::Up { settings, .. } if !settings.is_empty())
    }
    /// Its version, as far as what a replica can read of a primary depends on it.
    pub fn version(&self) -> Option<(u32, u32)> {
        let mut parts = self.info("redis_version")?.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }
    /// A field of `INFO`.
    pub fn info(&self, field: &str) -> Option<&str> {
        match self {
            RedisSight::Up { info, .. } => info.get(field).map(String::as_str),
            _ => None,
        }
    }
}

/// Shell words that send the commands on their standard input to the server, logged in with what its
/// file, the files that includes, and its ACL file say. `redis-cli` reads words as the server does, so a
/// quoted password goes to it as it stands there; of several that are right, the last counts. It goes to
/// the client's standard input: it is in nobody's arguments. A `CONFIG` of another name is called by it.
/// The file also says whether the port speaks TLS. Valkey's client takes the same words.
pub(crate) fn client(config: &Path, port: u16) -> String {
    CLIENT.replace("CONFIG_FILE", &quote_path(config)).replace("PORT", &port.to_string())
}

const CLIENT: &str = r#"redis_lines() {
  grep -v '^[[:space:]]*\(#\|$\)' -- "$1" | while read -r w rest || [ -n "$w" ]; do
    case $w in
      [Ii][Nn][Cc][Ll][Uu][Dd][Ee]) [ "$2" = 8 ] || for f in $(printf '%s' "$rest" | tr -d "\"'\r"); do [ ! -f "$f" ] || redis_lines "$f" $(($2 + 1)); done ;;
      *) printf '%s %s\n' "$w" "$rest" ;;
    esac
  done
}
redis_conf=$(redis_lines CONFIG_FILE 0)
redis_said() { printf '%s\n' "$redis_conf" | awk -v n="$1" 'tolower($1) == n { v = $2 } END { gsub(/["\r]/, "", v); print v }'; }
redis_cli() {
  set -- -p PORT
  [ "$(redis_said tls-port)" != PORT ] || set -- "$@" --tls --cacert "$(redis_said tls-ca-cert-file)"
  if command -v redis-cli >/dev/null; then redis-cli "$@"; else valkey-cli "$@"; fi
}
redis_logins() {
  { printf '%s\n' "$redis_conf"; a=$(redis_said aclfile); [ -z "$a" ] || cat -- "$a" 2>/dev/null || :; } | awk '
    { sub(/[ \t\r]+$/, "") }
    tolower($1) == "requirepass" { p = $0; sub(/^[ \t]*[^ \t]+[ \t]*/, "", p) }
    tolower($1) == "user" {
      rest = $0; word = ""; all = 0; on = 0
      while (match(rest, /^[ \t]*("([^"\\]|\\.)*"|\047([^\047\\]|\\.)*\047|[^ \t"\047]+)+/)) {
        t = substr(rest, 1, RLENGTH); rest = substr(rest, RLENGTH + 1); sub(/^[ \t]+/, "", t)
        if (t ~ /^">/) word = "\"" substr(t, 3)
        else if (t ~ /^>/) word = substr(t, 2)
        if (t == "+@all" || t == "allcommands") all = 1
        if (t == "on" || t == "off") on = t == "on"
      }
      if (word != "" && all && on) print "AUTH " $2 " " word
    }
    END { if (p != "" && p != "\"\"" && p != "\047\047") print "AUTH " p }'
}
redis_named=$(printf '%s\n' "$redis_conf" | awk 'tolower($1) == "rename-command" && toupper($2) == "CONFIG" { v = $3; gsub(/["\r]/, "", v) } END { print v ~ /^[A-Za-z0-9_-]+$/ ? v : "CONFIG" }')
redis_send() { { redis_logins; sed "s/^CONFIG /$redis_named /"; } | redis_cli; }"#;

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
    // What the logins were answered, or that the server does not answer CONFIG; a name is one word.
    let answer = |line: &&str| *line == "OK" || line.is_empty() || line.contains(' ');
    let mut lines = config.lines().skip_while(answer);
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
        let mute = "WRONGPASS invalid username-password pair\nOK\nERR unknown command `CONFIG`, with args beginning with: `GET`, `*`, \n\n# info\nOK\nrole:master\n\nend\n";
        let sight = read(&Reply { stdout: mute.into(), ..Reply::default() }, 1).unwrap();
        assert!(!sight.answers_config() && sight.info("role") == Some("master"));
        assert!(read(&Reply { stdout: b"maxmemory\n5".into(), ..Reply::default() }, 1).is_err());
    }
}
