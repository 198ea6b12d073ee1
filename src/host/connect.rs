//! Which kind of host a name of the spec is. Makes connections, uses none.

use indexmap::IndexMap;

use super::{Connect, Host, HostError, local, openssh, ssh};
use crate::name::HostName;
use crate::spec::host::{HostSpec, SshClient};

/// Opens the hosts of a spec.
#[derive(Debug, Clone)]
pub struct Connector {
    /// The spec's hosts.
    pub hosts: IndexMap<HostName, HostSpec>,
    /// Whether an unknown host key is learned. A changed one never is.
    pub accept_new: bool,
    /// The host otr runs on, whatever its address says.
    pub here: Option<HostName>,
}

impl Connect for Connector {
    fn connect(&self, host: &HostName) -> Result<Box<dyn Host>, HostError> {
        let spec = self.hosts.get(host).ok_or_else(|| HostError::Unreachable { why: format!("{host} is not in the spec") })?;
        Ok(Box::new(if spec.is_local() || self.here.as_ref() == Some(host) {
            local::open(spec)
        } else if spec.ssh.client == SshClient::Openssh {
            openssh::open(spec, self.accept_new)
        } else {
            ssh::open(spec, self.accept_new)?
        }))
    }
}
