//! Whether a drill may begin, and on what: each refusal names its figures. Pure.

use crate::action::drill::{PLACE, UNIT};
use crate::facts::{FactError, Facts};
use crate::history::promotion;
use crate::look::drill::Ground;
use crate::look::{DrillLook, DrillSight, Look, Server, SightError};
use crate::name::HostName;
use crate::plan::check::may_change;
use crate::resource::postgres::ClusterAt;
use crate::spec::{Odoo, Spec};
use crate::wanted::cluster_at;

/// Below this an Odoo and a small PostgreSQL push production's successor into its swap.
const MEMORY: u64 = 512 << 20;
/// WAL that comes while the data is copied, at least.
const SLACK: u64 = 256 << 20;

/// The parts of a spec without which there is nothing to drill.
#[derive(Debug)]
pub struct Place<'a> {
    /// The cluster.
    pub at: ClusterAt,
    /// Odoo.
    pub odoo: &'a Odoo,
}

/// What the spec says.
///
/// # Errors
/// It has no replica, no Odoo, no databases, or otr may only look there.
pub fn place<'a>(spec: &'a Spec, host: &HostName) -> Result<Place<'a>, String> {
    let at = cluster_at(spec, host).ok_or("the spec has no `replication:`, so there is no standby to drill")?;
    let odoo = spec.odoo.as_ref().ok_or("the spec has no `odoo:`, so there is nothing to start on the copy")?;
    if odoo.databases.is_empty() {
        return Err("the spec names no database under `odoo.databases`".into());
    }
    if !may_change(spec, host) {
        return Err(format!("otr may only look at {host} (`access: observe`)"));
    }
    Ok(Place { at, odoo })
}

/// The look at the ground.
pub fn look(place: &Place<'_>) -> DrillLook {
    DrillLook::Ground { cluster: place.at.cluster.clone(), unit: place.odoo.unit.clone(), place: PLACE.into() }
}

/// What must be seen before.
pub fn looks(spec: &Spec, place: &Place<'_>) -> Vec<(HostName, Look)> {
    let host = &place.at.host;
    let mut looks = vec![Look::Machine, Look::Server(place.at.cluster.clone()), Look::Drill(look(place))];
    looks.push(Look::SecretContent(place.odoo.config.clone()));
    looks.extend(UNIT.parse().ok().map(Look::Unit));
    looks.into_iter().map(|look| (host.clone(), look)).chain(journals(spec)).collect()
}

/// The journals of every member: one is on the host that becomes production.
pub fn journals(spec: &Spec) -> Vec<(HostName, Look)> {
    let paths = promotion::paths(spec);
    // Where otr may only look, it never wrote one.
    let members = spec.members().filter(|member| may_change(spec, member));
    members.flat_map(|member| paths.iter().map(|path| (member.clone(), Look::Record(path.clone())))).collect()
}

/// Whether a promotion, switchover or rejoin is open; a member that gives no answer says nothing.
///
/// # Errors
/// One is, or a journal that is there cannot be read.
pub fn nothing_open(spec: &Spec, host: &HostName, facts: &Facts) -> Result<(), String> {
    for (member, look) in journals(spec) {
        let Look::Record(path) = look else { continue };
        let unread = |why: &str| format!("whether a promotion is open is not known: {} on {member} cannot be read: {why}", path.display());
        match facts.record(&member, &path) {
            Ok(None) | Err(FactError::Unreachable { .. }) => {}
            // A login that is not root promotes nobody there.
            Err(FactError::Unseen { why: SightError::Denied(_), .. }) if member != *host => {}
            Err(error) => return Err(unread(&error.to_string())),
            Ok(Some(record)) => match promotion::open(record) {
                Ok(None) => {}
                Err(why) => return Err(unread(&why)),
                Ok(Some(begun)) => {
                    let (verb, at, path) = (&begun.verb, &begun.at, path.display());
                    return Err(format!("a {verb} begun {at} is open ({path} on {member}): finish it first with `otr {verb}`"));
                }
            },
        }
    }
    Ok(())
}

/// Whether another drill is under way.
pub fn busy(host: &HostName, facts: &Facts) -> bool {
    UNIT.parse().ok().and_then(|unit| facts.unit(host, &unit).ok().map(|unit| unit.active)).unwrap_or(false)
}

/// The server and the ground, if a drill may begin.
///
/// # Errors
/// Why it may not.
pub fn judge<'a>(spec: &Spec, place: &Place<'_>, facts: &'a Facts) -> Result<(&'a Server, &'a Ground), String> {
    let host = &place.at.host;
    if let Some(why) = facts.unreachable(host) {
        return Err(format!("{host} cannot be reached: {why}"));
    }
    if !facts.machine(host).map_err(|e| e.to_string())?.root {
        return Err(format!("otr is not root on {host}; log in as root, or say `become: sudo` in the spec"));
    }
    if busy(host, facts) {
        return Err(format!("another drill is under way on {host} ({UNIT})"));
    }
    nothing_open(spec, host, facts)?;
    let server = place.at.server(facts).map_err(|e| e.to_string())?;
    let server = server.ok_or_else(|| format!("PostgreSQL {} does not run on {host}: start {}", place.at.cluster, place.at.unit()))?;
    if !server.in_recovery {
        return Err(format!("{host} takes writes: a drill runs on a standby only"));
    }
    if let Some(database) = place.odoo.databases.iter().find(|database| !server.databases.contains_key(database.as_str())) {
        return Err(format!("the replica on {host} has no database {database}"));
    }
    let DrillSight::Ground(ground) = facts.drill(host, &look(place)).map_err(|e| e.to_string())? else {
        return Err("another sight; this is a bug in otr".into());
    };
    sound(host, ground)?;
    Ok((server, ground))
}

fn sound(host: &HostName, ground: &Ground) -> Result<(), String> {
    if !ground.absent.is_empty() {
        return Err(format!("{} is not there on {host}: util-linux, coreutils, python3 and systemd have them", ground.absent.join(", ")));
    }
    if ground.tablespaces > 0 {
        return Err(format!(
            "the cluster has {} table spaces of its own; a drill copies only a cluster that lies in one place",
            ground.tablespaces
        ));
    }
    let needed = ground.data + ground.data / 10 + SLACK;
    if ground.free < needed {
        return Err(format!(
            "the copy needs {} at {PLACE} ({} of data, a tenth more, and {} for WAL) and {} are free: mount something larger there",
            mib(needed),
            mib(ground.data),
            mib(SLACK),
            mib(ground.free)
        ));
    }
    if ground.memory < MEMORY {
        return Err(format!(
            "{} of memory are available on {host} and a drill wants {}: it would push others out",
            mib(ground.memory),
            mib(MEMORY)
        ));
    }
    Ok(())
}

/// Bytes for people.
pub fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_its_figures() {
        let host: HostName = "erp2".parse().unwrap();
        let ground = Ground { data: 10 << 30, free: 11 << 30, memory: 1 << 30, ..Ground::default() };
        let why = sound(&host, &ground).unwrap_err();
        assert!(why.contains("11520 MiB") && why.contains("11264 MiB are free"), "{why}");
        let ground = Ground { free: 12 << 30, ..ground };
        assert_eq!(sound(&host, &ground), Ok(()));
        assert!(sound(&host, &Ground { memory: 100 << 20, ..ground.clone() }).unwrap_err().contains("100 MiB of memory"));
        assert!(sound(&host, &Ground { tablespaces: 1, ..ground.clone() }).is_err());
        assert!(sound(&host, &Ground { absent: vec!["nsenter".into()], ..ground }).unwrap_err().contains("nsenter"));
    }
}
