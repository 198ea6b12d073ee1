//! What otr does to a sentinel. It keeps its own configuration and rewrites it at any moment, so
//! its file is changed only while it is stopped, line by line; all else is said to it.

use std::path::PathBuf;

use serde::Serialize;

use super::script::guarded::{GUARD, split};
use crate::look::quote;
use crate::look::sentinel::client;
use crate::name::UnitName;
use crate::secret::{REDACTED, Text};

/// One thing done to a sentinel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SentinelAction {
    /// Stop it, change lines of its file, start it. The rest of the file stays as it wrote it.
    Configure {
        /// Its service.
        unit: UnitName,
        /// Its file.
        config: PathBuf,
        /// Directive (of one word or of several) and value.
        set: Vec<(String, String)>,
        /// Directives that go, whatever their value.
        without: Vec<String>,
    },
    /// Watch a primary, in place of what it watched under that name.
    Watch {
        /// Its port.
        port: u16,
        /// The primary's name.
        name: String,
        /// Where it is.
        primary: (String, u16),
        /// How many must agree that it is down.
        quorum: u32,
    },
    /// `SENTINEL SET`.
    Set {
        /// Its port.
        port: u16,
        /// The primary's name.
        name: String,
        /// What.
        option: String,
        /// How.
        value: Text,
    },
    /// `SENTINEL FAILOVER`: the replica becomes the primary, in order.
    FailOver {
        /// Its port.
        port: u16,
        /// The primary's name.
        name: String,
    },
}

impl SentinelAction {
    /// What it does, in a few words.
    pub fn title(&self) -> String {
        match self {
            Self::Configure { config, unit, .. } => format!("change {} while {unit} is stopped", config.display()),
            Self::Watch { name, primary: (host, port), .. } => format!("SENTINEL MONITOR {name} {host} {port}"),
            Self::Set { name, option, value, .. } => format!("SENTINEL SET {name} {option} {}", value.shown()),
            Self::FailOver { name, .. } => format!("SENTINEL FAILOVER {name}"),
        }
    }

    /// The same without its secret.
    pub(super) fn shown(&self) -> Self {
        match self {
            Self::Set { port, name, option, value: Text::Sensitive(_) } => {
                Self::Set { port: *port, name: name.clone(), option: option.clone(), value: REDACTED.into() }
            }
            other => other.clone(),
        }
    }

    /// As POSIX shell; a secret goes to the client's standard input.
    pub(super) fn script(&self) -> String {
        match self {
            Self::Configure { unit, config, set, without } => {
                let unit = quote(unit.as_str());
                let gone = set.iter().map(|(name, _)| name).chain(without);
                let awk = r#"{ l = $0; gsub(/[ \t]+/, " ", l); sub(/^ /, "", l); if (index(tolower(l) " ", n " ") != 1) print }"#;
                let drop: String =
                    gone.map(|name| format!("awk -v n={} '{awk}' new >new2; cat new2 >new\n", quote(&name.to_lowercase()))).collect();
                let add: String =
                    set.iter().map(|(name, value)| format!("printf '%s\\n' {} >>new\n", quote(&format!("{name} {value}")))).collect();
                let (folder, name) = split(config);
                format!(
                    "systemctl stop {unit}\n{GUARD}into {folder}\nfresh {name}\ntrap leave EXIT\ncp -p -- ../{name} new\n{drop}{add}sync new\n\
                     mv -T -- new ../{name}\nsync ..\nsystemctl start {unit}"
                )
            }
            Self::Watch { port, name, primary: (host, redis), quorum } => {
                let client = client(*port);
                format!(
                    "{client}\nsentinel_cli SENTINEL REMOVE {n} >/dev/null\nsaid=$(sentinel_cli SENTINEL MONITOR {n} {} {redis} {quorum})\n{OK}",
                    quote(host),
                    n = quote(name)
                )
            }
            Self::Set { port, name, option, value } => format!(
                "{}\nsaid=$(sentinel_cli <<'OTR-EOF'\nSENTINEL SET {name} {option} \"{}\"\nOTR-EOF\n)\n{OK}",
                client(*port),
                value.expose().replace('\\', "\\\\").replace('"', "\\\"")
            ),
            Self::FailOver { port, name } => {
                // Another one that is under way does the same.
                format!(
                    "{}\nsaid=$(sentinel_cli SENTINEL FAILOVER {})\ncase $said in *INPROG*) said=OK;; esac\n{OK}",
                    client(*port),
                    quote(name)
                )
            }
        }
    }
}

const OK: &str = "case $said in OK*) ;; *) printf '%s\\n' \"$said\" >&2; false;; esac";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn lines_change_and_what_sentinel_wrote_stays() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("sentinel.conf");
        let text = "bind 127.0.0.1 ::1\nport 26379\nsentinel myid abc\nsentinel monitor mymaster 127.0.0.1 6379 2\n\
                    sentinel down-after-milliseconds mymaster 30000\nsentinel monitor acme 10.0.0.1 6379 2\nsentinel config-epoch acme 3\n";
        std::fs::write(&config, text).unwrap();
        let action = SentinelAction::Configure {
            unit: "redis-sentinel.service".parse().unwrap(),
            config: config.clone(),
            set: vec![("bind".into(), "0.0.0.0".into()), ("sentinel notification-script acme".into(), "/usr/local/bin/tell".into())],
            without: vec!["sentinel monitor mymaster".into(), "sentinel down-after-milliseconds mymaster".into()],
        };
        let script = format!("set -e\nsystemctl() {{ :; }}\n{}", action.script());
        assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
        assert_eq!(
            std::fs::read_to_string(&config).unwrap(),
            "port 26379\nsentinel myid abc\nsentinel monitor acme 10.0.0.1 6379 2\nsentinel config-epoch acme 3\n\
             bind 0.0.0.0\nsentinel notification-script acme /usr/local/bin/tell\n"
        );
    }

    #[test]
    fn a_password_is_in_no_argument_and_in_no_title() {
        let set = SentinelAction::Set {
            port: 26379,
            name: "acme".into(),
            option: "auth-pass".into(),
            value: Text::Sensitive(Secret::new("hunter2")),
        };
        assert!(!set.title().contains("hunter2") && !set.shown().script().contains("hunter2"));
        assert!(set.script().contains("<<'OTR-EOF'\nSENTINEL SET acme auth-pass \"hunter2\"\n"));
    }
}
