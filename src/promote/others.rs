//! The standbys besides the one that is promoted: whether one of them has more, and that they follow
//! the new production afterwards.

use super::journal::Journal;
use super::steps::{Seen, Step, changing};
use super::{Progress, Promotion, lock};
use crate::facts::Facts;
use crate::look::postgres::lsn_bytes;
use crate::look::{Look, Server};
use crate::name::HostName;
use crate::plan::check::may_change;
use crate::plan::split::{self, stale};
use crate::resource::Wanted;
use crate::resource::postgres::ClusterAt;
use crate::resource::rejoin::ahead;
use crate::wanted::{HASHED, cluster_at, is_of_both_roles, leader, on, slot_of, stamp};

/// They follow the new production. Users work meanwhile: what fails here is told, and stops nothing.
pub(super) const REPOINT: Step = Step {
    guard: able,
    wanted: repointed,
    after: follow,
    patience: 60,
    moving: true,
    aside: true,
    ..changing("repoint", "The other standbys follow the new production.")
};

/// Those that are neither the new production nor the old one.
pub(super) fn others<'a>(promotion: &'a Promotion<'_>) -> impl Iterator<Item = &'a HostName> {
    promotion.inputs.spec.standbys().filter(|host| *host != promotion.old)
}

/// What must be seen to compare them; nothing more in a pair.
pub(super) fn looks(promotion: &Promotion<'_>) -> Vec<(HostName, Look)> {
    if others(promotion).next().is_none() {
        return Vec::new();
    }
    let spec = promotion.inputs.spec;
    let mut looks = split::looks(spec);
    for host in others(promotion).chain([promotion.host]) {
        let Some(at) = cluster_at(spec, host) else { continue };
        looks.push((host.clone(), Look::Cluster(at.cluster.clone())));
        for (database, directory) in stores(promotion) {
            looks.push((host.clone(), Look::Attachments(at.cluster.clone(), database.clone())));
            looks.push((host.clone(), Look::Store { directory, stamp: stamp(database.as_str()), hashed: HASHED }));
        }
    }
    looks
}

/// The databases whose files each host has for itself.
fn stores<'a>(promotion: &'a Promotion<'_>) -> impl Iterator<Item = (&'a crate::name::DatabaseName, std::path::PathBuf)> {
    let spec = promotion.inputs.spec;
    spec.odoo
        .iter()
        .flat_map(|odoo| odoo.databases.iter().map(|name| (name, odoo.data_dir.join("filestore").join(name.as_str()))))
        .filter(|(_, directory)| !spec.is_shared(directory))
}

/// Files that rows refer to and that are not there; `None` where that cannot be seen.
fn missing(promotion: &Promotion<'_>, facts: &Facts, at: &ClusterAt) -> Option<usize> {
    let mut missing = 0;
    for (database, directory) in stores(promotion) {
        let needed = facts.attachments(&at.host, &at.cluster, database).ok()?;
        let store = facts.store(&at.host, &directory, &stamp(database.as_str()), HASHED).ok()?;
        missing += needed.keys().filter(|name| store.as_ref().is_none_or(|files| !files.contains_key(*name))).count();
    }
    Some(missing)
}

/// Nothing speaks for another host than the one that is to be promoted; what was compared, in words.
pub(super) fn best(promotion: &Promotion<'_>, facts: &Facts, own: &Server) -> Result<Vec<String>, String> {
    let (spec, host, old) = (promotion.inputs.spec, promotion.host, promotion.old);
    if let Some(newer) = stale(spec, facts).filter(|newer| newer.host != *host && newer.host != *old) {
        return Err(newer.words(old));
    }
    let behind = leader(spec, own).filter(|leader| *leader != old && *leader != host);
    if let Some(leader) = behind.filter(|leader| !follows_itself(promotion, facts, leader) && promotion.despite_better != Some(old)) {
        return Err(format!(
            "{host} follows {leader}, not {old}: it has nothing of what was written since {old} became production. \
             If nothing better is left, say so: --despite-better {old}"
        ));
    }
    let mut said = Vec::new();
    let mut better: Option<(u64, String, &HostName)> = None;
    let mine = own.whole().unwrap_or(0);
    let at_home = cluster_at(spec, host).and_then(|at| missing(promotion, facts, &at));
    for other in others(promotion) {
        let Some(at) = cluster_at(spec, other) else { continue };
        if let Some(why) = facts.unreachable(other) {
            said.push(format!("{other} cannot be reached and was not compared: {why}"));
            continue;
        }
        let state = facts.cluster(other, &at.cluster).ok().and_then(|cluster| cluster.as_ref()?.state.as_ref());
        let (theirs, timeline, files) = match at.server(facts) {
            Ok(Some(server)) if server.system_identifier != own.system_identifier => {
                said.push(format!("{other} holds another system, no copy of {old}"));
                continue;
            }
            Ok(Some(server)) if !server.in_recovery => {
                return Err(format!(
                    "{other} takes writes (timeline {}): two productions would diverge. If it is production, write `production: {other}`",
                    server.timeline
                ));
            }
            Ok(Some(server)) => (server.whole(), server.timeline, missing(promotion, facts, &at)),
            // At least this much is on its disk.
            Ok(None) => (state.and_then(|state| lsn_bytes(state.replayed.as_ref()?)), state.map_or(0, |state| state.timeline), None),
            Err(error) => {
                said.push(format!("{other} was not compared: {error}"));
                continue;
            }
        };
        let down = matches!(at.server(facts), Ok(None));
        let theirs = theirs.unwrap_or(0);
        let lacks = at_home.zip(files).filter(|(mine, theirs)| theirs < mine).map(|(mine, theirs)| mine - theirs);
        let more = match () {
            () if timeline > own.timeline => Some(format!("{other} is on timeline {timeline}, {host} on {}", own.timeline)),
            () if timeline < own.timeline => None,
            () if theirs > mine => Some(format!("{other} has {} bytes of WAL that {host} has not", theirs - mine)),
            () if theirs == mine => lacks.map(|files| format!("{other} has {files} files that {host} lacks")),
            () => None,
        };
        match more {
            Some(words) => {
                let files = lacks.filter(|_| theirs != mine).map(|files| format!(", and {files} files that it lacks")).unwrap_or_default();
                if better.as_ref().is_none_or(|(most, ..)| theirs > *most) {
                    better = Some((theirs, words + &files, other));
                }
            }
            None if down => said.push(format!("PostgreSQL does not run on {other}, so it was not compared")),
            None if timeline < own.timeline => said.push(format!("{other} is on timeline {timeline}, behind {host}")),
            None if theirs == mine => said.push(format!("{other} has the same")),
            None => {
                let files = lacks.map(|files| format!(", but {files} files that {host} lacks")).unwrap_or_default();
                said.push(format!("{other} has {} bytes of WAL less{files}", mine - theirs));
            }
        }
    }
    match better {
        Some((_, words, other)) if promotion.despite_better == Some(other) => said.push(format!("{words}; chosen despite of that")),
        Some((_, words, other)) => {
            return Err(format!("{words}: `otr promote {other}`; if it must be {host}, say that you know: --despite-better {other}"));
        }
        None => {}
    }
    Ok(said)
}

/// A host that others follow is a standby itself: what it has comes from production.
fn follows_itself(promotion: &Promotion<'_>, facts: &Facts, host: &HostName) -> bool {
    let server = cluster_at(promotion.inputs.spec, host).map(|at| at.server(facts).is_ok_and(|s| s.is_some_and(|s| s.in_recovery)));
    server == Some(true)
}

/// Who can be made to follow: in reach, unlocked, a standby whose history is a part of the new production's.
fn able(promotion: &Promotion<'_>, progress: &mut Progress, _: &Journal<'_>) -> Seen {
    let spec = promotion.inputs.spec;
    let (mut able, mut unled) = (Vec::new(), Vec::new());
    if others(promotion).next().is_none() {
        progress.followers = Some(able);
        return Ok(None);
    }
    let looks = others(promotion).chain([promotion.host]).filter_map(|host| Some((host, cluster_at(spec, host)?)));
    let looks = looks.flat_map(|(host, at)| [Look::Server(at.cluster.clone()), Look::Cluster(at.cluster)].map(|look| (host.clone(), look)));
    let facts = promotion.fleet.look(looks.collect::<Vec<_>>());
    let here = cluster_at(spec, promotion.host).and_then(|at| facts.cluster(promotion.host, &at.cluster).ok()?.as_ref()?.state.clone());
    for other in others(promotion) {
        let Some(at) = cluster_at(spec, other) else { continue };
        let apply = |why: String| (other.clone(), format!("{why}: once that is mended, `otr apply` makes it follow {}", promotion.host));
        if facts.unreachable(other).is_some() {
            unled.push(apply(format!("{other} cannot be reached and still follows {}", promotion.old)));
        } else if !may_change(spec, other) {
            unled
                .push((other.clone(), format!("{other} is not changed (`access: observe`): its admin makes it follow {}", promotion.host)));
        } else {
            match at.server(&facts) {
                Ok(Some(server)) if server.in_recovery => match here.as_ref().and_then(|state| ahead(server, state)) {
                    Some((parted, reached)) => unled.push((
                        other.clone(),
                        format!(
                            "{other} has WAL up to {reached}, and {} left their history at {parted}: \
                             `otr rejoin {other}` keeps what only it has and makes it a standby again",
                            promotion.host
                        ),
                    )),
                    None => match lock(promotion.fleet, promotion.by, &[other]) {
                        Ok(()) => able.push(other.clone()),
                        Err((_, error)) => unled.push(apply(format!("{other}: {error}"))),
                    },
                },
                Ok(Some(_)) => unled.push((other.clone(), format!("{other} takes writes: see `otr status`"))),
                Ok(None) => unled.push(apply(format!("PostgreSQL does not run on {other}"))),
                Err(error) => unled.push(apply(error.to_string())),
            }
        }
    }
    let said: Vec<String> = unled.iter().map(|(_, why)| why.clone()).collect();
    (progress.followers, progress.unled) = (Some(able), unled);
    Ok((!said.is_empty()).then(|| said.join("; ")))
}

/// Everything in which a standby depends on who is production. Software and data are for `apply` and `sync`.
fn repointed(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    let reached = |host: &&HostName| promotion.fleet.unreachable(host).is_none() && may_change(promotion.inputs.spec, host);
    let hosts: Vec<HostName> = match &progress.followers {
        Some(hosts) => hosts.clone(),
        // A dry run.
        None => others(promotion).filter(reached).cloned().collect(),
    };
    hosts.iter().flat_map(|host| on(promotion.inputs, host)).filter(|wanted| !is_of_both_roles(wanted)).collect()
}

/// They stream, each from the new production.
fn follow(promotion: &Promotion<'_>, progress: &mut Progress, _: &Journal<'_>) -> Seen {
    let mut said: Vec<String> = progress.unled.iter().map(|(_, why)| why.clone()).collect();
    for host in progress.followers.clone().unwrap_or_default() {
        match streams(promotion, &host) {
            Ok(seen) => said.extend(seen),
            Err(why) => {
                said.push(why.clone());
                progress.unled.push((host.clone(), format!("{why}; `otr apply` tries again")));
            }
        }
    }
    Ok((!said.is_empty()).then(|| said.join("; ")))
}

/// Streaming, on production's timeline, through its slot: `pg_is_in_recovery()` proves nothing.
pub(super) fn streams(promotion: &Promotion<'_>, standby: &HostName) -> Seen {
    let (spec, host) = (promotion.inputs.spec, promotion.host);
    let (Some(here), Some(there)) = (cluster_at(spec, host), cluster_at(spec, standby)) else { return Ok(None) };
    let facts = promotion.fleet.look([&here, &there].map(|at| (at.host.clone(), Look::Server(at.cluster.clone()))));
    let (primary, server) = (running(&facts, &here)?, running(&facts, &there)?);
    let Some(receiver) = server.receiver.as_ref().filter(|receiver| receiver.status == "streaming") else {
        return Err(format!("{standby} does not stream from {host}; its PostgreSQL log says why"));
    };
    if receiver.timeline != primary.timeline {
        return Err(format!("{standby} receives timeline {}, {host} is on {}", receiver.timeline, primary.timeline));
    }
    if let Some(slot) = slot_of(spec, standby).filter(|slot| !primary.slots.get(slot).is_some_and(|slot| slot.active)) {
        return Err(format!("{standby} streams, but slot {slot} on {host} is not in use: WAL it needs may be thrown away"));
    }
    Ok(Some(format!("{standby} streams from {host} on timeline {}", primary.timeline)))
}

pub(super) fn running<'a>(facts: &'a Facts, at: &ClusterAt) -> Result<&'a Server, String> {
    let server = at.server(facts).map_err(|e| e.to_string())?;
    server.ok_or_else(|| format!("PostgreSQL {} does not run on {}: systemctl start {}", at.cluster, at.host, at.unit()))
}
