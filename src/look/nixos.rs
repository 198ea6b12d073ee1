//! NixOS: whether a host is one, and what its running system is made of.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Reply, SightError};

/// The names of all store paths of a running NixOS, such as `nginx-1.26.2`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NixSystem {
    /// Without store directory and hash.
    pub names: BTreeSet<String>,
}

/// Outputs of one package that stand in the store beside it.
const OUTPUTS: [&str; 8] = ["bin", "data", "dev", "doc", "info", "lib", "man", "out"];

impl NixSystem {
    /// The version of a package, if the system has it. `postgresql-13` is there as `postgresql-13.16`
    /// too: what follows the name must be a version.
    pub fn version(&self, package: &str) -> Option<&str> {
        let versions = self.names.iter().filter_map(|name| {
            let name = OUTPUTS.iter().find_map(|output| name.strip_suffix(output)?.strip_suffix('-')).unwrap_or(name);
            is_version(name.strip_prefix(package)?).then(|| version(name))
        });
        versions.min_by_key(|version| version.len())
    }
}

/// What may stand after a package's name: nothing, or a version.
fn is_version(rest: &str) -> bool {
    let begins_with_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let Some(version) = rest.strip_prefix(['-', '.']) else { return rest.is_empty() };
    begins_with_digit(version) && version.split('-').all(|part| begins_with_digit(part) || part == "unstable")
}

/// As Nix splits a name: the version begins after the first dash that no letter follows.
fn version(name: &str) -> &str {
    let dashes = name.match_indices('-').map(|(at, _)| &name[at + 1..]);
    dashes.into_iter().find(|rest| rest.starts_with(|c: char| !c.is_ascii_alphabetic())).unwrap_or("")
}

/// NixOS is recognised as its own tools do it. Inside a sandbox nothing but the daemon may open
/// Nix's database.
pub(super) fn script() -> String {
    r#"if [ -e /etc/NIXOS ] || grep -qs '^ID="\{0,1\}nixos"\{0,1\}$' /etc/os-release; then
echo nixos
[ ! -S /nix/var/nix/daemon-socket/socket ] || export NIX_REMOTE=daemon
PATH=$PATH:/run/current-system/sw/bin nix-store --query --requisites /run/current-system
fi"#
    .into()
}

pub(super) fn read(reply: &Reply, limit: u64) -> Result<Option<NixSystem>, SightError> {
    let text = reply.text(limit)?;
    let mut lines = text.lines();
    match lines.next() {
        None => return Ok(None),
        Some("nixos") => {}
        Some(line) => return Err(SightError::Unreadable(format!("line {line:?}"))),
    }
    // /nix/store/HASH-NAME; the hash has no dash.
    let name = |line: &str| line.rsplit('/').next()?.split_once('-').map(|(_, name)| name.to_owned());
    let names: BTreeSet<String> = lines.filter_map(name).collect();
    if names.is_empty() {
        return Err(SightError::Unreadable("a NixOS without a single store path".into()));
    }
    Ok(Some(NixSystem { names }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(names: &[&str]) -> NixSystem {
        NixSystem { names: names.iter().map(|name| (*name).to_owned()).collect() }
    }

    #[test]
    fn a_version_follows_the_name() {
        let names =
            ["nginx-1.26.2", "nginx-1.26.2-doc", "nginx-mod-rtmp-2.0", "postgresql-13.16", "python3.11-lxml-4.9.3", "redis-7.2.4-man"];
        let system = system(&[&names[..], &["gitea-0-unstable-2024-05-01", "less"]].concat());
        let versions = [
            ("nginx", Some("1.26.2")),
            ("postgresql", Some("13.16")),
            ("postgresql-13", Some("13.16")),
            ("postgresql-1", None),
            ("postgres", None),
            ("redis", Some("7.2.4")),
            ("python3", None),
            ("python3.11-lxml", Some("4.9.3")),
            ("gitea", Some("0-unstable-2024-05-01")),
            ("less", Some("")),
            ("git", None),
        ];
        for (name, version) in versions {
            assert_eq!(system.version(name), version, "{name}");
        }
    }

    #[test]
    fn only_a_nixos_has_a_system() {
        let reply = |stdout: &str| Reply { stdout: stdout.into(), ..Reply::default() };
        assert_eq!(read(&reply(""), 1), Ok(None));
        let said = "nixos\n/nix/store/00000000000000000000000000000000-nginx-1.26.2\n/nix/store/11111111111111111111111111111111-less\n";
        assert_eq!(read(&reply(said), 1), Ok(Some(system(&["less", "nginx-1.26.2"]))));
        assert!(read(&reply("nixos\n"), 1).is_err());
        assert!(read(&reply("bash: grep: not found\n"), 1).is_err());
        assert!(read(&Reply { status: 1, ..reply(said) }, 1).is_err());
    }
}
