//! Which kind of host a name of the spec is. Makes connections, uses none.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

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

    /// A TCP connection to its SSH port. A name only ~/.ssh/config knows is not asked: such a host
    /// counts as silent, as it was when it could not be reached before.
    fn is_up(&self, host: &HostName) -> bool {
        let Some(spec) = self.hosts.get(host) else { return false };
        let address = (spec.address.as_str(), spec.port.unwrap_or(22)).to_socket_addrs().ok().and_then(|mut all| all.next());
        address.is_some_and(|address| TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok())
    }
}
