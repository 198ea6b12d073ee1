//! Which host of a spec this machine is: on the worst day otr is typed on the standby itself, which has
//! no login to itself.
//!
//! A wrong answer would act on the wrong machine, so two things must agree: an address of an own
//! interface, and what otr wrote here when it set up that very host. What is less is only said.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Connect, Host, HostError};
use crate::epoch::Epoch;
use crate::guard::{CONFIG, Config};
use crate::name::HostName;
use crate::spec::Spec;

/// What is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Here {
    /// This machine is that host.
    Is(HostName),
    /// It may be; not enough says so.
    Perhaps(HostName),
    /// Nothing says that it is any.
    Elsewhere,
}

/// What this machine knows of itself.
#[derive(Debug, Default)]
struct Own {
    addresses: BTreeSet<IpAddr>,
    hostname: String,
    /// What otr's guard here was told.
    guard: Option<Config>,
    /// It knows the epoch of this installation.
    member: bool,
    root: bool,
    user: String,
}

/// Finds out, without a question to any other machine.
pub fn find(spec: &Spec) -> Here {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let own = Own {
        addresses: addresses(&read("/proc/net/fib_trie"), &read("/proc/net/if_inet6")),
        hostname: read("/proc/sys/kernel/hostname").trim().to_owned(),
        guard: serde_json::from_str(&read(CONFIG)).ok(),
        member: Epoch::path(spec.name.as_str()).exists(),
        root: rustix::process::geteuid().is_root(),
        user: std::env::var("USER").unwrap_or_default(),
    };
    decide(spec, &own)
}

fn decide(spec: &Spec, own: &Own) -> Here {
    // The spec says where otr runs.
    if spec.hosts.values().any(|host| host.is_local()) {
        return Here::Elsewhere;
    }
    let has = |address: &str| match address.parse::<IpAddr>() {
        Ok(ip) => !ip.is_loopback() && !ip.is_unspecified() && own.addresses.contains(&ip),
        Err(_) => address == own.hostname,
    };
    let of_address: Vec<&HostName> = spec.hosts.iter().filter(|(_, host)| has(&host.address)).map(|(name, _)| name).collect();
    let guard = own.guard.as_ref();
    let told = guard.filter(|guard| guard.installation == spec.name.as_str()).map(|guard| &guard.host);
    let host = match (told, of_address.as_slice()) {
        (Some(host), found) if found.contains(&host) => host,
        (None, [host]) => {
            let said = spec.hosts.get(*host);
            // A port may lead to another machine behind this address, and a name to anywhere.
            let plain = said.is_some_and(|said| said.port.is_none() && said.address.parse::<IpAddr>().is_ok());
            if !(plain && own.member && guard.is_none()) {
                return Here::Perhaps((*host).clone());
            }
            host
        }
        // The address is another host's: a copy of its disk, or the spec is another one.
        (Some(_), [_]) => return Here::Elsewhere,
        (Some(host), _) if spec.hosts.contains_key(host) => return Here::Perhaps(host.clone()),
        _ => return spec.hosts.keys().find(|host| host.as_str() == own.hostname).cloned().map_or(Here::Elsewhere, Here::Perhaps),
    };
    // By SSH it would be another user's rights.
    // Where the spec names no user, ~/.ssh/config may name another.
    let same = spec.hosts.get(host).is_some_and(|said| said.user.as_ref().is_some_and(|user| *user == own.user));
    if own.root || same { Here::Is(host.clone()) } else { Here::Perhaps(host.clone()) }
}

/// The addresses of own interfaces, as the kernel's routing says them (fib_trie, if_inet6 of proc(5)).
fn addresses(fib_trie: &str, if_inet6: &str) -> BTreeSet<IpAddr> {
    let mut found = BTreeSet::new();
    let mut last = None;
    for line in fib_trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<IpAddr>().ok();
        } else if line.contains("host LOCAL") {
            found.extend(last);
        }
    }
    for line in if_inet6.lines() {
        let bits = line.split_whitespace().next().and_then(|hex| u128::from_str_radix(hex, 16).ok());
        found.extend(bits.map(|bits| IpAddr::from(bits.to_be_bytes())));
    }
    found
}

/// A connector that adds to the errors of one host that it may be this machine.
pub struct Hinting<C> {
    /// Makes the connections.
    pub connector: C,
    /// Which host.
    pub perhaps: HostName,
}

impl<C: Connect> Connect for Hinting<C> {
    fn connect(&self, host: &HostName) -> Result<Box<dyn Host>, HostError> {
        let hint = |why: String| format!("{why}. If this machine is {host}: otr --here {host} …");
        self.connector.connect(host).map_err(|error| match error {
            HostError::Unreachable { why } if *host == self.perhaps => HostError::Unreachable { why: hint(why) },
            HostError::Shut { why } if *host == self.perhaps => HostError::Shut { why: hint(why) },
            error => error,
        })
    }

    fn is_up(&self, host: &HostName) -> bool {
        self.connector.is_up(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIB_TRIE: &str = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\nLocal:\n     +-- 10.0.0.0/24 2 0 2\n        |-- 10.0.0.12\n           /32 host LOCAL\n        |-- 10.0.0.255\n           /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
    const IF_INET6: &str = "20010db8000000000000000000000012 02 40 00 80     eth0\n";

    fn spec(hosts: &str) -> Spec {
        let text = format!("version: 1\nname: acme\nproduction: erp1\nhosts: {{erp1: {{address: 10.0.0.11}}, {hosts}}}\n");
        crate::spec::load::from_text("spec.yaml".as_ref(), text, &[]).unwrap().spec
    }

    fn own(guard: Option<(&str, &str)>) -> Own {
        let guard = guard.map(|(installation, host)| {
            serde_json::from_value(serde_json::json!({
                "host": host, "installation": installation, "cluster": "/etc/postgresql/13/main", "data": "/x", "odoo": null,
                "redis": null, "peers": [], "port": 7315, "boot_without_peer": "wait"
            }))
            .unwrap()
        });
        let addresses = addresses(FIB_TRIE, IF_INET6);
        Own { addresses, hostname: "erp2".into(), guard, member: true, root: true, user: "root".into() }
    }

    #[test]
    fn addresses_of_own_interfaces_are_found() {
        let all: Vec<String> = addresses(FIB_TRIE, IF_INET6).iter().map(ToString::to_string).collect();
        assert_eq!(all, ["10.0.0.12", "127.0.0.1", "2001:db8::12"]);
        assert!(addresses(&std::fs::read_to_string("/proc/net/fib_trie").unwrap(), "").contains(&"127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn an_own_address_and_what_otr_wrote_here_make_it_sure() {
        let erp2: HostName = "erp2".parse().unwrap();
        let pair = spec("erp2: {address: 10.0.0.12}");
        assert_eq!(decide(&pair, &own(Some(("acme", "erp2")))), Here::Is(erp2.clone()));
        assert_eq!(decide(&pair, &own(None)), Here::Is(erp2.clone()), "without a guard the epoch says that it is a member");
        assert_eq!(decide(&spec("erp2: {address: \"2001:db8::12\"}"), &own(None)), Here::Is(erp2.clone()));
        assert_eq!(decide(&spec("erp2: {address: erp2}"), &own(Some(("acme", "erp2")))), Here::Is(erp2));
    }

    #[test]
    fn what_is_less_is_only_said() {
        let perhaps = Here::Perhaps("erp2".parse().unwrap());
        let pair = spec("erp2: {address: 10.0.0.12}");
        let outsider = Own { member: false, ..own(None) };
        assert_eq!(decide(&pair, &outsider), perhaps, "a driver that has the address of a host");
        assert_eq!(decide(&pair, &own(Some(("other", "erp2")))), perhaps, "set up for another installation");
        let ann = Own { root: false, user: "ann".into(), ..own(Some(("acme", "erp2"))) };
        assert_eq!(decide(&spec("erp2: {address: 10.0.0.12, user: root}"), &ann), perhaps, "her rights are others");
        assert_eq!(decide(&spec("erp2: {address: 10.0.0.12, port: 2222}"), &own(None)), perhaps, "a container behind it");
        assert_eq!(decide(&spec("erp2: {address: erp2}"), &own(None)), perhaps, "a name of ~/.ssh/config");
        assert_eq!(decide(&spec("erp2: {address: 192.0.2.7}"), &own(Some(("acme", "erp2")))), perhaps, "behind NAT, or a copy of its disk");
        assert_eq!(decide(&spec("erp2: {address: 127.0.0.1, port: 2222}"), &outsider), perhaps, "a tunnel, and the name alone");
    }

    #[test]
    fn a_contradiction_is_nobody() {
        let pair = spec("erp2: {address: 10.0.0.12}");
        assert_eq!(decide(&pair, &own(Some(("acme", "erp1")))), Here::Elsewhere, "a copy of erp1's disk under erp2's address");
        let said = spec("erp2: {address: 10.0.0.12}, erp3: {address: local}");
        assert_eq!(decide(&said, &own(Some(("acme", "erp2")))), Here::Elsewhere, "the spec says where otr runs");
        let both = spec("erp2: {address: 10.0.0.12, port: 22}, erp3: {address: 10.0.0.12, port: 23}");
        assert_eq!(
            decide(&both, &own(Some(("acme", "erp3")))),
            Here::Is("erp3".parse().unwrap()),
            "behind one address what otr wrote decides"
        );
    }
}
