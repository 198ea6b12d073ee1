//! Moving data to the standbys: trees by looking and acting, filestores by the engine on the
//! standby itself, which needs no look.

use std::collections::BTreeSet;

use crate::action::keep::{Deletes, Needed, Share};
use crate::action::{Action, Keep, Kept};
use crate::converge::{Limits, Watch, converge};
use crate::fleet::Fleet;
use crate::look::Look;
use crate::name::HostName;
use crate::plan::check::{Violation, may_change};
use crate::plan::{Item, Verdict};
use crate::report::text::size;
use crate::report::{Outcome, ResourceReport, State};
use crate::resource::filestore::STATE;
use crate::resource::{Change, Difference, Kind, ResourceId, Shown, Wanted};
use crate::spec::Spec;
use crate::wanted::cluster_at;

/// How a run treats the stores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stores {
    /// A person allowed so many files to be deleted.
    pub allow_delete: Option<u64>,
    /// Hash this share of each store.
    pub scrub: Option<Share>,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq)]
pub struct Synced {
    /// The resources.
    pub resources: Vec<ResourceReport>,
    /// What a person should know besides.
    pub notes: Vec<String>,
}

/// Without a limit in the spec, one run deletes at most so much.
const SHARE: f64 = 5.0;
const FILES: u64 = 1000;

/// The stores of a spec: the standby, and what it is asked to do.
pub fn stores(spec: &Spec, how: Stores) -> Vec<(HostName, Keep)> {
    let Some(odoo) = &spec.odoo else { return Vec::new() };
    let said = &spec.filestore;
    // Without a time of grace in the spec nothing is ever deleted, unless a person says so.
    let keep = said.keep_deleted.map(|span| span.0.as_secs());
    let deletes = keep.map(|keep| Deletes {
        keep,
        share: Share::percent(said.max_delete.map_or(SHARE, |share| share.0)),
        files: said.max_delete_files.unwrap_or(FILES),
        allowed: how.allow_delete,
    });
    let of = |host: &HostName| -> Vec<(HostName, Keep)> {
        let needed = cluster_at(spec, host).map_or(Needed::Listing, |at| Needed::Database(at.cluster));
        let job = |database: &crate::name::DatabaseName| Keep {
            database: database.clone(),
            needed: needed.clone(),
            directory: odoo.data_dir.join("filestore").join(database.as_str()),
            mount: spec.mount_of(&odoo.data_dir.join("filestore").join(database.as_str())),
            owner: odoo.user.clone(),
            state: STATE.into(),
            suspects: Vec::new(),
            deletes,
            scrub: how.scrub,
            stamp: None,
            verified: Some(crate::wanted::stamp(database.as_str())),
        };
        let jobs = odoo.databases.iter().map(job);
        // A store that all hosts mount is nobody's copy.
        jobs.filter(|job| !spec.is_shared(&job.directory)).map(|job| (host.clone(), job)).collect()
    };
    spec.standbys().flat_map(of).collect()
}

/// Moves what is wanted and keeps every store.
///
/// # Errors
/// The plan breaks a rule that no plan may break; nothing was done.
pub fn sync(
    fleet: &Fleet,
    wanted: &[Wanted],
    stores: &[(HostName, Keep)],
    limits: &Limits<'_>,
    watch: &dyn Watch,
) -> Result<Synced, Violation> {
    let mut synced = Synced { resources: converge(fleet, wanted, limits, watch)?, notes: Vec::new() };
    let broken: BTreeSet<HostName> =
        synced.resources.iter().filter(|r| r.outcome == Some(Outcome::Failed) && r.kind == Kind::File).map(|r| r.host.clone()).collect();
    for (host, job) in stores {
        let id = ResourceId::new(host, Kind::Filestore, job.database.as_str());
        if !may_change(limits.spec, host) {
            synced.notes.push(format!("{host} is only observed: run otr sync there, or let it be managed"));
            continue;
        }
        let action = Action::KeepStore { from: limits.spec.production.clone(), job: job.clone() };
        watch.begins(&id, &action.title());
        let done = match broken.contains(host) {
            true => Err("the otr there is not this one".to_owned()),
            false => fleet.act_and_tell(host, &action, &|moved| watch.moves(&id, moved)).map_err(|error| error.to_string()),
        };
        let done = done.map(Option::unwrap_or_default).map(|kept| check_production(fleet, &limits.spec.production, job, kept));
        watch.kept(&id, done.as_ref().map(Kept::complaint).unwrap_or_else(|error| Some(error.clone())).as_deref());
        if let Ok(kept) = &done {
            synced.notes.extend(kept.notes().into_iter().map(|note| format!("{host} {}: {note}", job.database)));
        }
        synced.resources.push(report(&id, &action, done));
    }
    Ok(synced)
}

/// A standby that has everything asks production for nothing, and would not notice that
/// production's store is gone. So a few of its files are looked for.
fn check_production(fleet: &Fleet, production: &HostName, job: &Keep, mut kept: Kept) -> Kept {
    if kept.sample.is_empty() {
        return kept;
    }
    let look = Look::Present { directory: job.directory.clone(), names: kept.sample.clone() };
    let facts = fleet.look([(production.clone(), look)]);
    let directory = job.directory.display();
    let problem = match facts.present(production, &job.directory, &kept.sample) {
        Ok(None) => Some(format!("{directory} is gone on {production}: this standby keeps all its {} files", kept.had)),
        Ok(Some(there)) => {
            let gone = kept.sample.len().saturating_sub(there.len());
            // One or two may have been deleted a moment ago.
            (gone * 2 > kept.sample.len()).then(|| {
                format!(
                    "{gone} of {} files looked for are gone from {directory} on {production}: this standby keeps all its {} files",
                    kept.sample.len(),
                    kept.had
                )
            })
        }
        // A production that is silent is told by others, and is no fault of the copy.
        Err(_) => None,
    };
    kept.problems.extend(problem);
    kept
}

fn report(id: &ResourceId, action: &Action, done: Result<Kept, String>) -> ResourceReport {
    let mut differences = Vec::new();
    let (kept, error) = match done {
        Ok(kept) => {
            let complaint = kept.complaint();
            (kept, complaint)
        }
        Err(error) => (Kept::default(), Some(error)),
    };
    if kept.files > 0 {
        differences.push(Difference::new(format!("{} files ({})", kept.files, size(kept.bytes)), Shown::Absent, "production's, verified"));
    }
    if kept.corrected > 0 {
        differences.push(Difference::new(format!("owner or mode of {} files", kept.corrected), "wrong", "corrected"));
    }
    if kept.deleted > 0 {
        differences.push(Difference::new(format!("{} files", kept.deleted), "forgotten by the database", Shown::Absent));
    }
    let changed = !differences.is_empty();
    let change = Change { differences, actions: vec![action.clone()], ..Change::default() };
    let verdict = if changed { Verdict::Change(change) } else { Verdict::Holds };
    let mut report = ResourceReport::new(&Item { id: id.clone(), verdict, needs: Vec::new() }, false);
    report.outcome = match (&error, changed) {
        (Some(_), _) => Some(Outcome::Failed),
        (None, true) => Some(Outcome::Changed),
        (None, false) => None,
    };
    report.state = if error.is_some() { State::Change } else { State::Holds };
    report.error = error;
    report
}
