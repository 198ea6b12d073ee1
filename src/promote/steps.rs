//! The table of steps. A new step is a new row.

use super::journal::Journal;
use super::{Progress, Promotion, fence, look, loss, smoke};
use crate::action::Action;
use crate::look::Look;
use crate::resource::Wanted;
use crate::resource::promotion::{Goal, LostBundles, Promotion as Wish};
use crate::resource::unit::{Unit, UnitState};
use crate::wanted::{SERVICES, TIMERS, cluster_at, on, stamp};

type Seen = Result<Option<String>, String>;

/// One step.
pub struct Step {
    /// Its word, in the journal and reports.
    pub name: &'static str,
    /// A sentence for the person who waits.
    pub about: &'static str,
    /// It changes the host (or asks for it); a dry run stops before the first such step.
    pub changes: bool,
    /// Seconds to wait for what happens by itself.
    pub patience: u64,
    /// Whether the step may begin.
    pub(crate) guard: fn(&Promotion<'_>, &mut Progress, &Journal<'_>) -> Seen,
    /// What must hold at its end.
    pub(crate) wanted: fn(&Promotion<'_>, &Progress) -> Vec<Wanted>,
    /// What is seen at its end.
    pub(crate) after: fn(&Promotion<'_>, &mut Progress) -> Seen,
}

/// The steps in order. The journal is begun by the first step that changes something.
pub const STEPS: &[Step] = &[
    Step {
        name: "preflight",
        about: "The standby can be promoted.",
        changes: false,
        patience: 0,
        guard: preflight,
        wanted: nothing,
        after: no_more,
    },
    Step {
        name: "fence",
        about: "The old production can no longer write.",
        changes: false,
        patience: 0,
        guard: fence::proof,
        wanted: nothing,
        after: no_more,
    },
    Step {
        name: "timers",
        about: "Nothing copies from the old production any more.",
        changes: true,
        patience: 30,
        guard: position,
        wanted: timers,
        after: no_more,
    },
    Step {
        name: "replay",
        about: "All that was received is replayed.",
        changes: true,
        patience: 600,
        guard: position,
        wanted: replayed,
        after: no_more,
    },
    Step {
        name: "promote",
        about: "PostgreSQL takes writes, on a new timeline.",
        changes: true,
        patience: 30,
        guard: pass,
        wanted: promoted,
        after: timeline,
    },
    Step {
        name: "checkpoint",
        about: "The new timeline is on disk.",
        changes: true,
        patience: 30,
        guard: pass,
        wanted: checkpointed,
        after: no_more,
    },
    Step { name: "write", about: "A row can be written.", changes: true, patience: 0, guard: pass, wanted: nothing, after: prove_write },
    Step {
        name: "bundles",
        about: "Asset bundles whose files are lost are made again.",
        changes: true,
        patience: 0,
        guard: pass,
        wanted: bundles,
        after: no_more,
    },
    Step {
        name: "production-mode",
        about: "Configuration, Redis and Odoo are as production's.",
        changes: true,
        patience: 60,
        guard: pass,
        wanted: production_mode,
        after: no_more,
    },
    Step {
        name: "smoke-test",
        about: "Odoo answers: its login page and every asset on it.",
        changes: true,
        patience: 0,
        guard: pass,
        wanted: nothing,
        after: smoke::test,
    },
];

fn nothing(_: &Promotion<'_>, _: &Progress) -> Vec<Wanted> {
    Vec::new()
}
fn pass(_: &Promotion<'_>, _: &mut Progress, _: &Journal<'_>) -> Seen {
    Ok(None)
}
fn no_more(_: &Promotion<'_>, _: &mut Progress) -> Seen {
    Ok(None)
}

fn preflight(promotion: &Promotion<'_>, progress: &mut Progress, journal: &Journal<'_>) -> Seen {
    let (spec, host) = (promotion.inputs.spec, promotion.host);
    let Some(at) = cluster_at(spec, host) else {
        return Err("the spec has no `replication:`, so there is no standby to promote".into());
    };
    let facts = look(promotion, host, &[Look::Server(at.cluster.clone()), Look::Machine]);
    if let Some(why) = facts.unreachable(host) {
        return Err(format!("{host} cannot be reached: {why}"));
    }
    if !facts.machine(host).map_err(|e| e.to_string())?.root {
        return Err(format!("otr is not root on {host}; log in as root, or say `become: sudo` in the spec"));
    }
    let Some(server) = at.server(&facts).map_err(|e| e.to_string())? else {
        return Err(format!("PostgreSQL {} does not run on {host}: systemctl start {}", at.cluster, at.unit()));
    };
    if let Some(open) = journal.open() {
        progress.left = Some(open.left_timeline);
        progress.before.clone_from(&open.before);
        return Ok(Some(format!("a promotion begun {} goes on", open.at)));
    }
    if !server.in_recovery {
        return Err(format!(
            "{host} takes writes already (timeline {}), and no promotion of it is open in {}; if it is production, say so in the spec",
            server.timeline,
            journal.path().display()
        ));
    }
    if server.replay_paused {
        // pg_promote would shut this server down: recovery paused by a parameter mismatch cannot end.
        return Err(format!(
            "replay is paused on {host}: PostgreSQL would shut down instead of being promoted. Its log names the parameter that is lower than production's; raise it, restart, and run this again"
        ));
    }
    if let Some(error) = server.file_errors.first() {
        return Err(format!("PostgreSQL on {host} cannot read its configuration: {error}"));
    }
    progress.left = Some(server.timeline);
    Ok(Some(format!("a standby on timeline {}, replayed up to {}", server.timeline, server.replay_lsn.clone().unwrap_or_default())))
}

fn position(promotion: &Promotion<'_>, progress: &mut Progress, _: &Journal<'_>) -> Seen {
    if progress.before.is_none() {
        progress.before = Some(loss::position(promotion)?);
    }
    Ok(None)
}

fn timers(promotion: &Promotion<'_>, _: &Progress) -> Vec<Wanted> {
    let unit = |name: &str| {
        let unit = name.parse().ok()?;
        let resource = Unit { host: promotion.host.clone(), unit, state: UnitState::Stopped, reads: Vec::new(), reloads: false };
        Some(Wanted { resource: Box::new(resource), needs: Vec::new() })
    };
    TIMERS.into_iter().chain(SERVICES).filter_map(unit).collect()
}

fn wish(promotion: &Promotion<'_>, goal: Goal) -> Vec<Wanted> {
    let at = cluster_at(promotion.inputs.spec, promotion.host);
    at.into_iter().map(|at| Wanted { resource: Box::new(Wish { at, goal: goal.clone() }), needs: Vec::new() }).collect()
}

fn replayed(promotion: &Promotion<'_>, _: &Progress) -> Vec<Wanted> {
    wish(promotion, Goal::Replayed)
}

fn promoted(promotion: &Promotion<'_>, _: &Progress) -> Vec<Wanted> {
    wish(promotion, Goal::Promoted)
}

fn checkpointed(promotion: &Promotion<'_>, progress: &Progress) -> Vec<Wanted> {
    wish(promotion, Goal::Checkpointed { left: progress.left.unwrap_or(0) })
}

fn timeline(promotion: &Promotion<'_>, progress: &mut Progress) -> Seen {
    Ok(progress.left.map(|left| format!("{} leaves timeline {left}", promotion.host)))
}

fn prove_write(promotion: &Promotion<'_>, _: &mut Progress) -> Seen {
    let Some(at) = cluster_at(promotion.inputs.spec, promotion.host) else { return Ok(None) };
    promotion.fleet.act(promotion.host, &Action::ProveWrite { cluster: at.cluster }).map_err(|e| e.to_string())?;
    Ok(Some("a row was written and read".into()))
}

fn bundles(promotion: &Promotion<'_>, _: &Progress) -> Vec<Wanted> {
    let spec = promotion.inputs.spec;
    let (Some(odoo), Some(at)) = (&spec.odoo, cluster_at(spec, promotion.host)) else { return Vec::new() };
    odoo.databases
        .iter()
        .map(|database| {
            let directory = odoo.data_dir.join("filestore").join(database.as_str());
            let resource = LostBundles { at: at.clone(), database: database.clone(), directory, stamp: stamp(database.as_str()) };
            Wanted { resource: Box::new(resource), needs: Vec::new() }
        })
        .collect()
}

fn production_mode(promotion: &Promotion<'_>, _: &Progress) -> Vec<Wanted> {
    on(promotion.inputs, promotion.host)
}
