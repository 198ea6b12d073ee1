//! Packages and Python modules.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::PackageName;

/// Debian packages of every member of the pair.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    /// Must be installed. `name` or `name=version`.
    #[serde(default)]
    pub install: Vec<String>,
    /// Must be installed and held (`apt-mark hold`).
    #[serde(default)]
    pub hold: Vec<PackageName>,
    /// Must not be installed.
    #[serde(default)]
    pub remove: Vec<PackageName>,
    /// Packages that apt may remove to reach all this; `*` stands for any characters. Any other
    /// removal is refused before anything is changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_removals: Vec<String>,
    /// Packages that apt may take back to an older version to reach all this, though nobody asked for
    /// that version; `*` stands for any characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_downgrades: Vec<String>,
    /// Standbys take production's manually installed packages, in its versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone: Option<PackagesClone>,
    /// What a package is called on a NixOS host, where nixpkgs spells it otherwise; `null` where that
    /// host needs none. Packages of a NixOS are compared, and never installed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nixos: BTreeMap<PackageName, Option<String>>,
}

/// Python modules installed with pip.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pip {
    /// The virtual environment; made if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venv: Option<PathBuf>,
    /// Install for the system's Python instead of a virtual environment.
    #[serde(default)]
    pub system: bool,
    /// Pass --break-system-packages where Python is marked externally managed (PEP 668).
    #[serde(default)]
    pub break_system_packages: bool,
    /// Requirements such as `redis~=5.0` (PEP 440 specifiers; no extras, no URLs).
    #[serde(default)]
    pub install: Vec<String>,
    /// Standbys take production's pip modules, in its versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone: Option<SetClone>,
}

/// Packages taken from production.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackagesClone {
    /// Names left out; `*` stands for any characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// Packages that somebody asked for on a standby and that production does not have are removed
    /// there; without this they are only named.
    #[serde(default, skip_serializing_if = "is_false")]
    pub remove: bool,
    /// Questions of debconf whose answers standbys take from production, as `package/question`; a
    /// package that is installed later finds them, one that is installed already is not configured anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub debconf: Vec<String>,
    /// Standbys take production's sources of packages, preferences and keyrings too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<SourcesClone>,
}

/// Sources of packages taken from production.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourcesClone {
    /// Files of `sources.list.d`, `preferences.d` and so on left out; `*` stands for any characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// Servers whose user names and passwords are carried to the standbys, from URLs and auth.conf;
    /// `*` stands for any characters. All others stay on production.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<String>,
}

impl SourcesClone {
    /// Whether a file of production's is taken.
    pub fn takes(&self, name: &str) -> bool {
        takes(&self.ignore, name)
    }
}

/// A set taken from production, whole.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetClone {
    /// Names left out; `*` stands for any characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// What a standby has and production does not is removed there; without this it is only named.
    #[serde(default, skip_serializing_if = "is_false")]
    pub remove: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// A set taken from production.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clone {
    /// Names left out; `*` stands for any characters.
    #[serde(default)]
    pub ignore: Vec<String>,
}

impl PackagesClone {
    /// Whether a package of production belongs to the set.
    pub fn takes(&self, name: &str) -> bool {
        takes(&self.ignore, name)
    }
}

impl SetClone {
    /// Whether a name of production belongs to the set.
    pub fn takes(&self, name: &str) -> bool {
        takes(&self.ignore, name)
    }
}

impl Clone {
    /// Whether a name of production belongs to the set.
    pub fn takes(&self, name: &str) -> bool {
        takes(&self.ignore, name)
    }
}

/// Whether no pattern leaves a name out.
fn takes(ignore: &[String], name: &str) -> bool {
    !ignore.iter().any(|pattern| matches(pattern, name))
}

/// Shell-like matching with `*` alone.
pub fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => {
            name.strip_prefix(before).is_some_and(|rest| (0..=rest.len()).any(|i| rest.is_char_boundary(i) && matches(after, &rest[i..])))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignore_patterns() {
        let clone = Clone { ignore: vec!["linux-*".into(), "*-dbg".into(), "vim".into()] };
        for (name, taken) in [("linux-image", false), ("gcc-dbg", false), ("vim", false), ("vim-tiny", true), ("odoo-14", true)] {
            assert_eq!(clone.takes(name), taken, "{name}");
        }
    }
}
