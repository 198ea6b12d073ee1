//! Words to systemd (sd_notify(3)): ready, alive, how it stands, going.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Says it, where a service manager listens.
pub fn notify(words: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET").and_then(|path| path.into_string().ok()) else { return };
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    // Nobody who listens is no reason to stop.
    let _ = UnixDatagram::unbound().and_then(|socket| socket.send_to_addr(words.as_bytes(), &address?));
}

#[cfg(test)]
mod tests {
    #[test]
    fn nobody_who_listens_is_no_error() {
        super::notify("READY=1");
    }
}
