//! What is known about a connection before it is made: the spec, ~/.ssh/config, the system's
//! ssh_config, and OpenSSH's defaults, in that order. Pure but for [`settings`], which reads them.

use std::path::{Path, PathBuf};

use ssh2_config::{HostParams, ParseRule, SshConfig};

use super::unreachable;
use crate::host::HostError;
use crate::spec::host::HostSpec;

/// How to reach one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// `ssh user@host:port`, for errors.
    pub name: String,
    pub host: String,
    pub port: u16,
    pub user: String,
    /// Keys somebody named; they are tried before all others.
    pub identities: Vec<PathBuf>,
    /// Keys tried if nobody named one.
    pub default_identities: Vec<PathBuf>,
    /// Try no key of the agent that was not named.
    pub identities_only: bool,
    /// The agent's socket, if it is not the usual one; `none` for no agent.
    pub agent: Option<String>,
    /// The name in known_hosts, if it is not the address.
    pub key_alias: Option<String>,
    /// The user's; a new key is appended to the first.
    pub known_hosts: Vec<PathBuf>,
    pub global_known_hosts: Vec<PathBuf>,
    pub proxy: Option<Proxy>,
    /// A configuration file in place of the usual ones: the jump host's ssh needs it too.
    pub config: Option<PathBuf>,
}

/// How the bytes get there if not over a TCP connection of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proxy {
    /// Through other SSH servers, in this order.
    Jump(Vec<String>),
    /// Through a command's input and output.
    Command(String),
}

/// Reads the files and settles everything.
pub(super) fn settings(spec: &HostSpec) -> Result<Settings, HostError> {
    let home = std::env::home_dir().unwrap_or_else(|| PathBuf::from("/"));
    let login = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).unwrap_or_else(|| "root".into());
    let read = |path: &Path| match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        // A file that was named must be there.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && spec.ssh.config.is_none() => Ok(String::new()),
        Err(e) => Err(unreachable(&format!("ssh {}", spec.address), format!("{}: {e}", path.display()))),
    };
    let texts = match &spec.ssh.config {
        Some(path) => vec![read(path)?],
        None => vec![read(&home.join(".ssh/config"))?, read(Path::new("/etc/ssh/ssh_config"))?],
    };
    resolve(spec, &texts, &home, &login).map_err(|why| unreachable(&format!("ssh {}", spec.address), why))
}

fn resolve(spec: &HostSpec, texts: &[String], home: &Path, login: &str) -> Result<Settings, String> {
    let mut params: Option<HostParams> = None;
    for text in texts {
        let rules = ParseRule::ALLOW_UNKNOWN_FIELDS | ParseRule::ALLOW_UNSUPPORTED_FIELDS;
        let more = SshConfig::default()
            .home_dir(home)
            .parse(&mut without_match(text).as_bytes(), rules)
            .map_err(|e| format!("the SSH configuration is not understood: {e} (`ssh: {{client: openssh}}` leaves it to ssh)"))?
            .query(&spec.address);
        match &mut params {
            Some(params) => params.overwrite_if_none(&more),
            None => params = Some(more),
        }
    }
    let params = params.unwrap_or_else(|| SshConfig::default().query(&spec.address));
    let other = |name: &str| -> Option<Vec<String>> {
        let words = params.unsupported_fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name))?.1;
        Some(words.iter().map(|word| word.trim_matches('"').to_owned()).collect())
    };
    let first = |name: &str| other(name)?.into_iter().next();

    let host = params.host_name.as_ref().map_or(spec.address.clone(), |name| name.replace("%h", &spec.address));
    let port = spec.port.or(params.port).unwrap_or(22);
    let user = spec.user.clone().or_else(|| params.user.clone()).unwrap_or_else(|| login.to_owned());
    let expand = |text: &str| -> String {
        let text = match text.strip_prefix("~/") {
            Some(rest) => format!("{}/{rest}", home.display()),
            None => text.to_owned(),
        };
        tokens(
            &text,
            &[('h', &host), ('n', &spec.address), ('p', &port.to_string()), ('r', &user), ('u', login), ('d', &home.to_string_lossy())],
        )
    };
    let paths = |list: Option<Vec<String>>, usual: &[&str]| -> Vec<PathBuf> {
        let list = list.unwrap_or_else(|| usual.iter().map(|path| (*path).to_owned()).collect());
        list.iter().filter(|path| *path != "none").map(|path| PathBuf::from(expand(path))).collect()
    };
    let one = |path: &PathBuf| Some(vec![path.display().to_string()]);
    let named = params.identity_file.as_ref().map(|list| list.iter().map(|path| path.display().to_string()).collect());
    let command = params
        .unsupported_fields
        .iter()
        .find(|(field, _)| field.eq_ignore_ascii_case("proxycommand"))
        .map(|(_, words)| words.join(" "))
        .filter(|command| command != "none");
    let jump = params.proxy_jump.clone().filter(|list| list.first().is_some_and(|hop| hop != "none"));
    Ok(Settings {
        name: format!("ssh {user}@{host}{}", if port == 22 { String::new() } else { format!(" port {port}") }),
        identities: paths(spec.ssh.identity.as_ref().and_then(one).or(named), &[]),
        default_identities: paths(None, &["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"]),
        identities_only: first("identitiesonly").is_some_and(|word| word.eq_ignore_ascii_case("yes")),
        agent: first("identityagent").map(|path| expand(&path)),
        key_alias: first("hostkeyalias"),
        known_hosts: paths(
            spec.ssh.known_hosts.as_ref().and_then(one).or_else(|| other("userknownhostsfile")),
            &["~/.ssh/known_hosts", "~/.ssh/known_hosts2"],
        ),
        global_known_hosts: paths(other("globalknownhostsfile"), &["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]),
        proxy: jump.map(Proxy::Jump).or_else(|| command.map(|command| Proxy::Command(expand(&command)))),
        config: spec.ssh.config.clone(),
        host,
        port,
        user,
    })
}

/// Replaces `%x` (ssh_config(5), TOKENS); an unknown one stays.
fn tokens(text: &str, values: &[(char, &str)]) -> String {
    let mut result = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, (c == '%').then(|| chars.next()).flatten()) {
            ('%', Some('%')) => result.push('%'),
            ('%', Some(token)) => match values.iter().find(|(name, _)| *name == token) {
                Some((_, value)) => result.push_str(value),
                None => result.extend(['%', token]),
            },
            _ => result.push(c),
        }
    }
    result
}

/// Takes `Match` blocks out: the parser would add their lines to the `Host` before.
fn without_match(text: &str) -> String {
    let mut kept = String::new();
    let mut inside = false;
    for line in text.lines() {
        let mut words = line.split(|c: char| c.is_whitespace() || c == '=').filter(|word| !word.is_empty());
        match words.next().map(str::to_ascii_lowercase).as_deref() {
            Some("match") if words.next().is_some_and(|word| word.eq_ignore_ascii_case("all")) => {
                inside = false;
                kept.push_str("Host *\n");
                continue;
            }
            Some("match") => inside = true,
            Some("host") => inside = false,
            _ => {}
        }
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: serde_json::Value) -> HostSpec {
        serde_json::from_value(json).unwrap()
    }

    fn resolved(json: serde_json::Value, text: &str) -> Settings {
        resolve(&spec(json), &[text.into()], Path::new("/home/al"), "al").unwrap()
    }

    #[test]
    fn without_a_configuration_openssh_defaults_hold() {
        let settings = resolve(&spec(serde_json::json!({"address": "erp1"})), &[], Path::new("/home/al"), "al").unwrap();
        assert_eq!((settings.host.as_str(), settings.port, settings.user.as_str()), ("erp1", 22, "al"));
        assert_eq!(settings.known_hosts[0], Path::new("/home/al/.ssh/known_hosts"));
        assert_eq!(settings.default_identities[0], Path::new("/home/al/.ssh/id_ed25519"));
        assert_eq!(settings.name, "ssh al@erp1");
    }

    #[test]
    fn the_configuration_is_followed_and_the_spec_wins() {
        let text = "Host erp*\n  HostName %h.example.org\n  Port 2222\n  User odoo\n  IdentityFile ~/.ssh/erp\n  ProxyJump gate,inner\n  UserKnownHostsFile ~/kh /other\n  IdentitiesOnly yes\n  HostKeyAlias acme\nHost *\n  User nobody\n";
        let settings = resolved(serde_json::json!({"address": "erp1"}), text);
        assert_eq!((settings.host.as_str(), settings.port, settings.user.as_str()), ("erp1.example.org", 2222, "odoo"));
        assert_eq!(settings.identities, [Path::new("/home/al/.ssh/erp")]);
        assert_eq!(settings.known_hosts, [Path::new("/home/al/kh"), Path::new("/other")]);
        assert_eq!(settings.proxy, Some(Proxy::Jump(vec!["gate".into(), "inner".into()])));
        assert!(settings.identities_only && settings.key_alias.as_deref() == Some("acme"));
        let settings =
            resolved(serde_json::json!({"address": "erp1", "port": 1, "user": "u", "ssh": {"identity": "/i", "known_hosts": "/k"}}), text);
        assert_eq!((settings.port, settings.user.as_str()), (1, "u"));
        assert_eq!((settings.identities, settings.known_hosts), (vec!["/i".into()], vec!["/k".into()]));
    }

    #[test]
    fn a_proxy_command_keeps_its_quotes_and_match_blocks_stay_out() {
        let text =
            "Host a\n  ProxyCommand sh -c \"nc %h %p\"\nMatch user root\n  Port 99\nHost b\n  ProxyCommand none\nMatch all\n  User all\n";
        let settings = resolved(serde_json::json!({"address": "a"}), text);
        assert_eq!(settings.proxy, Some(Proxy::Command("sh -c \"nc a 22\"".into())));
        assert_eq!((settings.port, settings.user.as_str()), (22, "all"));
        assert_eq!(resolved(serde_json::json!({"address": "b"}), text).proxy, None);
    }

    #[test]
    fn a_percent_sign_can_be_meant() {
        assert_eq!(tokens("100%% %h %x %", &[('h', "H")]), "100% H %x %");
    }
}
