//! The machines of a spec, and how to reach them.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OptionValue;

/// One machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostSpec {
    /// Where otr reaches it: `local`, an address, or a name of ~/.ssh/config.
    #[schemars(length(min = 1))]
    pub address: String,
    /// Where the other hosts reach it, when that differs from `address` or `address` is local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// SSH port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// SSH login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// How to get root rights there.
    #[serde(default, rename = "become", skip_serializing_if = "Option::is_none")]
    pub becomes: Option<Become>,
    /// What otr may do there.
    #[serde(default)]
    pub access: Access,
    /// `witness` for a host that holds no data. Production and standby follow from `production:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<HostRole>,
    /// Details of the SSH connection.
    #[serde(default)]
    pub ssh: SshOptions,
    /// Options of odoo.conf for this host alone; they win over all others.
    #[serde(default)]
    pub odoo: IndexMap<String, OptionValue>,
    /// Values for templates on this host, as `vars.NAME`; they win over the spec's.
    #[serde(default)]
    pub vars: IndexMap<String, OptionValue>,
}

impl HostSpec {
    /// Whether otr runs on this very machine.
    pub fn is_local(&self) -> bool {
        self.address == "local"
    }
    /// The address the other hosts use, if the spec says it.
    pub fn reached_at(&self) -> Option<&str> {
        match &self.listen {
            Some(listen) => Some(listen),
            None if self.is_local() => None,
            None => Some(&self.address),
        }
    }
}

/// What otr may do on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Look and change.
    #[default]
    Manage,
    /// Only look; differences are shown as commands for the host's own admin.
    Observe,
}

/// How otr gets root rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Become {
    /// `sudo -n`: a right that needs no password.
    Sudo,
}

/// A role that is not derived from `production:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HostRole {
    /// Holds no data; a third voice for Sentinel.
    Witness,
}

/// Details of the SSH connection.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SshOptions {
    /// `libssh2` (built in) or `openssh`: the system's ssh, for Match, FIDO keys, CA-signed hosts.
    #[serde(default)]
    pub client: SshClient,
    /// Private key file; wins over ~/.ssh/config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<PathBuf>,
    /// known_hosts file; wins over ~/.ssh/config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<PathBuf>,
    /// A configuration file in place of ~/.ssh/config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
}

/// Which SSH client carries the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SshClient {
    /// The one built into otr.
    #[default]
    Libssh2,
    /// The program `ssh`.
    Openssh,
}
