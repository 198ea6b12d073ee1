//! Signs of life of a production that otr cannot log in to: what the other hosts see of it. Seen by any
//! verb, and stronger than any statement.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::facts::Facts;
use crate::look::life::{Ask, PortState};
use crate::look::{Look, Receiver, ServerSight, Sight};
use crate::name::HostName;
use crate::spec::Spec;

/// One host sees that another one lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sign {
    /// What it sees, and who sees it.
    pub words: String,
    /// It is PostgreSQL or Odoo that lives there, not the machine alone.
    pub serves: bool,
}

/// When each host's WAL receiver last heard from production, seconds since the epoch.
pub type Heard = BTreeMap<HostName, f64>;

/// A receiver calls itself streaming until its timeout; in half of that it asks, and is answered.
const ASKED: f64 = 20.0;

/// Every host but that one.
pub fn watchers<'a>(spec: &'a Spec, of: &HostName) -> impl Iterator<Item = &'a HostName> {
    let of = of.clone();
    spec.machines().filter(move |host| **host != of)
}

/// What must be seen of every other host; `heard` adds the addresses that WAL comes from.
pub fn looks(spec: &Spec, of: &HostName, senders: &[String]) -> Vec<(HostName, Look)> {
    let known = spec.hosts.get(of).into_iter().flat_map(|host| [host.reached_at(), Some(host.address.as_str())]).flatten();
    let mut addresses: Vec<&str> = known.filter(|address| *address != "local").chain(senders.iter().map(String::as_str)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let ports: Vec<u16> = ports(spec, of).into_keys().collect();
    watchers(spec, of)
        .flat_map(|host| {
            let asks = addresses.iter().map(|address| Look::Life(Ask { address: (*address).to_owned(), ports: ports.clone() }));
            let server = spec.cluster().filter(|_| spec.members().any(|member| member == host)).map(Look::Server);
            asks.chain(server).chain([Look::Machine]).map(|look| (host.clone(), look)).collect::<Vec<_>>()
        })
        .collect()
}

/// The ports of a production: whose each is, and whether it is one of those that take writes.
fn ports(spec: &Spec, host: &HostName) -> BTreeMap<u16, (&'static str, bool)> {
    let said = spec.hosts.get(host).and_then(|host| host.port);
    // Behind a forwarded port the address is a gateway's: its own web server says nothing of the host.
    let mut ports = match said {
        None => BTreeMap::from([(80, ("http", false)), (443, ("https", false))]),
        Some(_) => BTreeMap::new(),
    };
    ports.insert(said.unwrap_or(22), ("ssh", false));
    ports.extend(spec.redis.as_ref().map(|redis| (redis.port, ("Redis", false))));
    ports.extend(spec.failover.guard.then_some((spec.failover.guard_port, ("otr's guard", false))));
    ports.extend(spec.odoo.as_ref().map(|_| (spec.http_port(host), ("Odoo", true))));
    ports.extend(spec.cluster().map(|cluster| (cluster.port, ("PostgreSQL", true))));
    ports
}

/// The addresses that are another host's than `of`: what comes from there says nothing of it.
fn is_anothers(spec: &Spec, of: &HostName, facts: &Facts, address: &str) -> bool {
    watchers(spec, of).any(|host| {
        let said = spec.hosts.get(host).is_some_and(|host| host.reached_at() == Some(address) || host.address == address);
        said || facts.machine(host).is_ok_and(|machine| machine.addresses.iter().any(|own| own == address))
    })
}

/// The stream of a host that may come from `of`, by whatever way.
fn stream<'a>(spec: &Spec, of: &HostName, facts: &'a Facts, host: &HostName) -> Option<&'a Receiver> {
    let Ok(ServerSight::Up(server)) = facts.server(host, &spec.cluster()?) else { return None };
    let receiver = server.receiver.as_ref().filter(|receiver| server.in_recovery && receiver.status == "streaming")?;
    let foreign = receiver.sender.as_ref().is_some_and(|sender| is_anothers(spec, of, facts, sender));
    Some(receiver).filter(|_| !foreign)
}

/// When each host last heard from it.
pub fn heard(spec: &Spec, of: &HostName, facts: &Facts) -> Heard {
    watchers(spec, of).filter_map(|host| Some((host.clone(), stream(spec, of, facts, host)?.last_message_at?))).collect()
}

/// Addresses that WAL comes from, which the spec does not name: a proxy's, or a newer one.
pub fn senders(spec: &Spec, of: &HostName, facts: &Facts) -> Vec<String> {
    watchers(spec, of).filter_map(|host| stream(spec, of, facts, host)?.sender.clone()).filter(|sender| !sender.starts_with('/')).collect()
}

/// A stream that calls itself one, and whose last message is not so old that it would have asked since;
/// and where it comes from nobody refuses a connection.
pub fn is_undecided(spec: &Spec, of: &HostName, facts: &Facts) -> bool {
    let port = spec.cluster().map(|cluster| cluster.port);
    let refuses = |sight: &Sight| match sight {
        Sight::Life(answers) => answers.ports.iter().any(|a| Some(a.port) == port && a.state == PortState::Refused),
        _ => false,
    };
    let recent = |host: &HostName, at: f64| facts.machine(host).is_ok_and(|machine| machine.now - at < ASKED);
    heard(spec, of, facts).iter().any(|(host, at)| recent(host, *at) && !facts.all(host).any(|(_, sight)| refuses(sight)))
}

/// The signs, given what was heard before.
pub fn signs(spec: &Spec, of: &HostName, facts: &Facts, before: &Heard) -> Vec<Sign> {
    let mut signs = Vec::new();
    for (host, at) in heard(spec, of, facts) {
        if before.get(&host).is_some_and(|before| at > *before) {
            let from = stream(spec, of, facts, &host).and_then(|receiver| receiver.sender.clone());
            let from = from.map(|from| format!(" from {from}")).unwrap_or_default();
            signs.push(Sign { words: format!("WAL arrives on {host}{from}"), serves: true });
        }
    }
    let ports = ports(spec, of);
    for host in watchers(spec, of) {
        for (look, sight) in facts.all(host) {
            let (Look::Life(_), Sight::Life(answers)) = (look, sight) else { continue };
            let mut by_address: BTreeMap<&str, (Vec<String>, bool)> = BTreeMap::new();
            // An address that moved to another host answers for that one.
            let open = answers.ports.iter().filter(|port| port.state == PortState::Open && !is_anothers(spec, of, facts, &port.address));
            for answer in open {
                let (whose, serves) = ports.get(&answer.port).copied().unwrap_or(("?", false));
                let said = answer.said.as_ref().map(|said| format!(": \"{said}\"")).unwrap_or_default();
                let entry = by_address.entry(&answer.address).or_default();
                entry.0.push(format!("port {} ({whose}{said})", answer.port));
                entry.1 |= serves;
            }
            signs.extend(
                by_address.into_iter().map(|(address, (open, serves))| Sign {
                    words: format!("{host} sees {address} answer on {}", open.join(", ")),
                    serves,
                }),
            );
        }
    }
    signs
}

/// What to do about a host that lives and lets nobody in.
pub fn remedy(of: &str) -> String {
    format!(
        "switch it off (`poweroff` there or at its console; one that hangs: its power switch or hypervisor), or pull its network \
         cable: once nothing of {of} answers, the statement counts"
    )
}
