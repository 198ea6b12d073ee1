//! Rejoin: an old production, or a standby that had more than the one which was promoted, follows
//! production. It attaches, is rewound or is copied anew, as timelines and ends of history say; what
//! only it has is shown first and kept.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::event::Apart;
use super::journal::Journal;
use super::steps::{EPOCH, Seen, Step, changing, checkpointed, epoch, looking, raised};
use super::switchover::streams;
use super::{Progress, Promotion, look};
use crate::action::Action;
use crate::look::postgres::lsn_text;
use crate::look::{ClusterState, Look, Server};
use crate::plan::split::{self, stale};
use crate::resource::postgres::ClusterAt;
use crate::resource::rejoin::{Joined, Kept, Marked, Recovered, Way, way};
use crate::resource::switchover::Stopped;
use crate::resource::{Resource, Wanted};
use crate::wanted::{cluster_at, follows, on, resting};

/// The steps in order.
pub const REJOIN: &[Step] = &[
    Step { guard: preflight, ..looking("preflight", "How the host can follow production is known.") },
    Step { wanted: stopped, ..changing("stop", "Its Odoo and PostgreSQL are stopped.") },
    Step { guard: decided, wanted: raised, ..EPOCH },
    Step { wanted: recovered, ..changing("recover", "A crash of its PostgreSQL is behind it.") },
    Step { wanted: marked, ..changing("mark", "It can start as a standby only.") },
    Step { wanted: production, after: source, patience: 60, ..changing("source", "Production lets it in and keeps WAL for it.") },
    Step { guard: parting, wanted: kept, ..changing("keep", "What only it has is kept.") },
    Step { wanted: joined, ..changing("join", "Its history is a part of production's.") },
    Step { wanted: followed, after: streams, patience: 120, moving: true, ..changing("follow", "It streams from production.") },
];

/// How the old production joins, and what it gives up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parting {
    /// `attach`, `rewind` or `rebuild`.
    pub way: String,
    /// The reason in words.
    pub words: String,
    /// Positions from which and up to which its own history is discarded; `X/Y`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discards: Option<(String, String)>,
    /// Files of its store that no row of production refers to, `database/name`. They stay where they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Where they are listed, if there are many: in a journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_in: Option<Apart>,
    /// Stores that could not be compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
}

fn ends(promotion: &Promotion<'_>) -> Option<(ClusterAt, ClusterAt)> {
    let spec = promotion.inputs.spec;
    Some((cluster_at(spec, promotion.old)?, cluster_at(spec, promotion.host)?))
}

fn preflight(promotion: &Promotion<'_>, progress: &mut Progress, journal: &Journal<'_>) -> Seen {
    let (spec, host, old) = (promotion.inputs.spec, promotion.host, promotion.old);
    let Some((target, production)) = ends(promotion) else {
        return Err("the spec has no `replication:`, so there is nothing to follow".into());
    };
    let seen = promotion.fleet.look(split::looks(spec));
    if let Some(newer) = stale(spec, &seen) {
        return Err(newer.words(host));
    }
    for name in [host, old] {
        let facts = look(promotion, name, &[Look::Machine]);
        if let Some(why) = facts.unreachable(name) {
            return Err(format!("{name} cannot be reached: {why}"));
        }
        if !facts.machine(name).map_err(|e| e.to_string())?.root {
            return Err(format!("otr is not root on {name}; a rejoin changes both hosts: say `become: sudo`, or log in as root"));
        }
    }
    match production.server(&seen).map_err(|e| e.to_string())? {
        Some(server) if !server.in_recovery => {}
        Some(_) => return Err(format!("the spec says that {host} is production, but its PostgreSQL is a standby; `otr promote {host}`")),
        None => return Err(format!("PostgreSQL does not run on {host}, which {old} is to follow: systemctl start {}", production.unit())),
    }
    if streams(promotion, progress, journal).is_ok() {
        progress.promoted = true;
        return Ok(Some(format!("{old} streams from {host} already")));
    }
    progress.promoted = false;
    let facts = look(promotion, old, &[Look::Server(target.cluster.clone())]);
    let server = target.server(&facts).ok().flatten();
    let alive = server.is_some_and(|server| !server.in_recovery);
    progress.reached = server.filter(|server| server.in_recovery).and_then(Server::reached).map(lsn_text);
    let mut parting = compare(promotion, progress)?;
    if alive {
        parting.words = format!("{old} takes writes now and is stopped first; {}", parting.words);
    }
    files(promotion, spec, &mut parting);
    let words = parting.words.clone();
    progress.parting = Some(parting);
    let again = journal.open().map_or_else(String::new, |open| format!("a rejoin begun {} goes on; ", open.at));
    Ok(Some(format!("{again}{words}")))
}

fn compare(promotion: &Promotion<'_>, progress: &Progress) -> Result<Parting, String> {
    let (target, production) = ends(promotion).ok_or("the spec has no `replication:`")?;
    let clusters = [&target, &production].map(|at| (at.host.clone(), Look::Cluster(at.cluster.clone())));
    let facts = promotion.fleet.look(clusters.into_iter().chain([(production.host.clone(), Look::Server(production.cluster.clone()))]));
    let state = |at: &ClusterAt| crate::resource::switchover::state(&facts, at).cloned().map_err(|e| e.to_string());
    let (mut is, mut right) = (state(&target)?, state(&production)?);
    let running = facts.cluster(&target.host, &target.cluster).is_ok_and(|cluster| cluster.as_ref().is_some_and(|c| c.running));
    if let Some(reached) = progress.reached.as_ref().filter(|_| running) {
        // As it will be once it has stopped in order.
        (is.state, is.replayed) = ("shut down in recovery".into(), Some(reached.clone()));
    }
    // Its control data is behind until the first checkpoint after a promotion.
    if let Ok(Some(server)) = production.server(&facts) {
        right.timeline = server.timeline;
    }
    Ok(told(promotion, progress.reached.as_deref(), &is, &right))
}

fn told(promotion: &Promotion<'_>, reached: Option<&str>, is: &ClusterState, right: &ClusterState) -> Parting {
    let old = promotion.old;
    let end = if is.was_primary() { is.checkpoint.clone() } else { reached.map(str::to_owned).or_else(|| is.replayed.clone()) };
    let end = end.unwrap_or_default();
    let (way, words, discards) = match way(is, right, reached) {
        Way::Attach => ("attach", format!("{old} has nothing that {} has not: it only follows", promotion.host), None),
        Way::Rewind { from } => {
            let beyond = if is.is_clean() { "up to" } else { "up to at least" };
            let did = if is.was_primary() { "wrote" } else { "received" };
            let words =
                format!("{old} left the common history at {from} (timeline {}) and {did} {beyond} {end}: it is rewound", is.timeline);
            ("rewind", words, Some((from, end)))
        }
        Way::Rebuild { why } => ("rebuild", format!("{old} is copied anew: {why}"), Some(("unknown".into(), end))),
    };
    Parting { way: way.into(), words, discards, files: Vec::new(), files_in: None, unseen: Vec::new() }
}

/// Attachments that only the old production has: files no row of production refers to.
fn files(promotion: &Promotion<'_>, spec: &crate::spec::Spec, parting: &mut Parting) {
    let (Some(odoo), Some((_, production))) = (&spec.odoo, ends(promotion)) else { return };
    for database in &odoo.databases {
        let directory = odoo.data_dir.join("filestore").join(database.as_str());
        let facts = promotion.fleet.look([
            (promotion.old.clone(), Look::Tree(directory.clone())),
            (promotion.host.clone(), Look::Attachments(production.cluster.clone(), database.clone())),
        ]);
        match (facts.tree(promotion.old, &directory), facts.attachments(promotion.host, &production.cluster, database)) {
            (Ok(tree), Ok(known)) => {
                let names: BTreeSet<&String> = tree.iter().flat_map(|files| files.keys()).collect();
                let only = names.into_iter().filter(|name| !known.contains_key(*name) && is_odoos(name));
                parting.files.extend(only.map(|name| format!("{database}/{name}")));
            }
            (Err(error), _) | (_, Err(error)) => parting.unseen.push(error.to_string()),
        }
    }
}

/// Odoo's own lists for its garbage collection, and otr's own marks, are no attachments.
fn is_odoos(name: &str) -> bool {
    !name.starts_with("checklist/") && !name.split('/').any(|part| part.starts_with(".otr-"))
}

/// Production stays what it is; the other must not have started again meanwhile.
fn decided(promotion: &Promotion<'_>, progress: &mut Progress, journal: &Journal<'_>) -> Seen {
    if let (false, Some((target, _))) = (progress.promoted, ends(promotion)) {
        let facts = look(promotion, promotion.old, &[Look::Server(target.cluster.clone())]);
        if target.server(&facts).map_err(|e| e.to_string())?.is_some() {
            return Err(format!("PostgreSQL on {} was started again; find out who does that", promotion.old));
        }
    }
    epoch(promotion, progress, journal)
}

/// After recovery the decision is made again: only now is it known how far it wrote.
fn parting(promotion: &Promotion<'_>, progress: &mut Progress, _: &Journal<'_>) -> Seen {
    if progress.promoted {
        return Ok(None);
    }
    let now = compare(promotion, progress)?;
    let before = progress.parting.take();
    let words = now.words.clone();
    // A run that goes on after the rewind finds it done: what was discarded then stays on record.
    progress.parting = Some(match before {
        Some(before) => Parting { files: before.files, unseen: before.unseen, ..now },
        None => now,
    });
    Ok(Some(words))
}

fn one(resource: impl Resource + 'static) -> Vec<Wanted> {
    vec![Wanted { resource: Box::new(resource), needs: Vec::new() }]
}

/// Nothing, where it follows already.
fn open(promotion: &Promotion<'_>, progress: &Progress, wanted: impl FnOnce(ClusterAt, ClusterAt) -> Vec<Wanted>) -> Vec<Wanted> {
    match ends(promotion) {
        Some((target, production)) if !progress.promoted => wanted(target, production),
        _ => Vec::new(),
    }
}

fn stopped(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    open(promotion, progress, |at, _| {
        let mut wanted = Vec::new();
        if let Some(odoo) = &promotion.inputs.spec.odoo {
            wanted.extend(one(resting(promotion.inputs.spec, promotion.old, &odoo.unit)));
        }
        wanted.extend(one(Stopped { at }));
        wanted
    })
}

fn recovered(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    open(promotion, progress, |at, _| one(Recovered { at }))
}

fn marked(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    open(promotion, progress, |at, _| one(Marked { at }))
}

fn kept(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    if !promotion.keep_diverged {
        return Vec::new();
    }
    let reached = progress.reached.clone();
    open(promotion, progress, |at, production| one(Kept { at, production, reached }))
}

/// With a checkpoint, for pg_rewind reads production's control data (PostgreSQL before 16), and so
/// do the steps that follow.
fn production(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    [on(promotion.inputs, promotion.host), checkpointed(promotion, progress)].into_iter().flatten().collect()
}

fn source(promotion: &Promotion<'_>, progress: &mut Progress, _: &Journal<'_>) -> Seen {
    let (Some((_, production)), Some(replication)) = (ends(promotion), &promotion.inputs.spec.replication) else { return Ok(None) };
    if progress.promoted || progress.parting.as_ref().is_none_or(|parting| parting.way != "rewind") {
        return Ok(None);
    }
    let grant = Action::GrantRewind { cluster: production.cluster, role: replication.user.clone() };
    promotion.fleet.act(promotion.host, &grant).map_err(|e| e.to_string())?;
    Ok(Some(format!("role {} may read what pg_rewind reads", replication.user)))
}

fn joined(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    let Some(follows) = follows(promotion.inputs, promotion.old) else { return Vec::new() };
    let reached = progress.reached.clone();
    open(promotion, progress, |at, _| one(Joined { at, follows, keep_old: promotion.keep_diverged, reached }))
}

fn followed(promotion: &Promotion<'_>, _: &Progress) -> Vec<Wanted> {
    on(promotion.inputs, promotion.old)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_otrs_own_is_no_file_of_odoos() {
        for own in [".otr-store-id", ".otr-new/x", ".otr-quarantine/ab/abc", "checklist/ab/abc"] {
            assert!(!super::is_odoos(own), "{own}");
        }
        assert!(super::is_odoos("0b/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33"));
    }
}
