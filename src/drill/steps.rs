//! The table of steps. A new step is a new row.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::ground::{self, Place, mib};
use super::{DatabaseDrill, Drill, Progress, act, odoo, stopped};
use crate::action::DrillAction;
use crate::action::drill::{BUSY, ODOO, PLACE, PORT, psql};
use crate::look::drill::{Drilled, Files};
use crate::look::{DrillLook, DrillSight, Look};
use crate::name::DatabaseName;

type Seen = Result<Option<String>, String>;

/// One step.
pub struct Step {
    /// Its word.
    pub name: &'static str,
    /// A sentence for the person who waits.
    pub about: &'static str,
    /// It does something; a dry run only tells it.
    pub changes: bool,
    /// What it does.
    pub(crate) run: fn(&Drill<'_>, &mut Progress) -> Seen,
}

/// The steps of `drill`. At the end, whatever came of them, all is thrown away.
pub const STEPS: &[Step] = &[
    Step { name: "preflight", about: "A standby with room for a copy, and no promotion open.", changes: false, run: preflight },
    Step { name: "place", about: "What a power cut left is cleared, and the place is made.", changes: true, run: begin },
    Step { name: "copy", about: "The cluster is copied from its own socket.", changes: true, run: copy },
    Step { name: "recovery", about: "The copy takes writes, on a socket of its own.", changes: true, run: recover },
    Step {
        name: "neutralise",
        about: "In the copy nothing acts by itself, and the keys that otr knows of are blanked.",
        changes: true,
        run: neutralise,
    },
    Step { name: "attachments", about: "The files that the copy names are there, and some are read.", changes: true, run: attachments },
    Step { name: "odoo", about: "Odoo runs on the copy: no network, none of production's environment.", changes: true, run: start },
    Step { name: "login", about: "Each database's login page and every asset on it.", changes: true, run: login },
];

/// How long Odoo may take to answer, at low priority, seconds.
const PATIENCE: u64 = 600;
/// Files of each database that are read and hashed.
const SAMPLE: u32 = 500;

fn placed<'a>(drill: &Drill<'a>) -> Result<Place<'a>, String> {
    ground::place(drill.inputs.spec, drill.host)
}

fn preflight(drill: &Drill<'_>, progress: &mut Progress) -> Seen {
    let (spec, host, place) = (drill.inputs.spec, drill.host, placed(drill)?);
    let facts = drill.fleet.look(ground::looks(spec, &place));
    progress.busy = ground::busy(host, &facts);
    let (server, ground) = ground::judge(spec, &place, &facts)?;
    let config = facts.secret_content(host, &place.odoo.config).map_err(|e| e.to_string())?;
    let config = config.as_ref().ok_or_else(|| format!("{} is not there", place.odoo.config.display()))?;
    progress.odoo = Some(odoo::odoo(&drill.inputs, place.odoo, config.expose(), &ground.starts)?);
    progress.data = Some(ground.data);
    let at = server.last_replayed_at.and_then(|at| Duration::try_from_secs_f64(at).ok());
    progress.transaction = at.map(|at| humantime::format_rfc3339_seconds(UNIX_EPOCH + at).to_string());
    let newest = progress.transaction.as_ref().map_or_else(String::new, |at| format!(", newest transaction {at}"));
    let (data, free, memory) = (mib(ground.data), mib(ground.free), mib(ground.memory));
    Ok(Some(format!("{data} to copy, {free} free at {PLACE}, {memory} of memory available{newest}")))
}

fn begin(drill: &Drill<'_>, progress: &mut Progress) -> Seen {
    let (spec, place) = (drill.inputs.spec, placed(drill)?);
    let begun = act(drill, DrillAction::Begin { user: place.odoo.user.clone() });
    // One that began between the look and now keeps its place.
    progress.busy = begun.as_ref().is_err_and(|why| why.contains(BUSY));
    progress.begun = !progress.busy;
    begun?;
    // One that began since: it did not see this drill. One that begins from now on stops it.
    ground::nothing_open(spec, drill.host, &drill.fleet.look(ground::journals(spec)))?;
    Ok(None)
}

fn copy(drill: &Drill<'_>, _: &mut Progress) -> Seen {
    drill.watch.waits("the copy of the cluster");
    act(drill, DrillAction::Copy { cluster: placed(drill)?.at.cluster })
}

fn recover(drill: &Drill<'_>, _: &mut Progress) -> Seen {
    act(drill, DrillAction::Recover { cluster: placed(drill)?.at.cluster })
}

fn neutralise(drill: &Drill<'_>, _: &mut Progress) -> Seen {
    let place = placed(drill)?;
    for database in &place.odoo.databases {
        act(drill, DrillAction::Neutralise { cluster: place.at.cluster.clone(), database: database.clone() })?;
    }
    Ok(None)
}

fn start(drill: &Drill<'_>, progress: &mut Progress) -> Seen {
    let odoo = progress.odoo.take().ok_or("nothing is known of Odoo; this is a bug in otr")?;
    progress.started = Some(Instant::now());
    act(drill, DrillAction::StartOdoo(Box::new(odoo)))
}

fn login(drill: &Drill<'_>, progress: &mut Progress) -> Seen {
    let place = placed(drill)?;
    let started = progress.started.unwrap_or_else(Instant::now);
    let mut listened = None;
    for database in &place.odoo.databases {
        let (at, page) = answer(drill, database, started, listened)?;
        listened.get_or_insert(at);
        let (start, now) = (at.duration_since(started).as_secs_f64(), at.elapsed().as_secs_f64());
        progress.answers.get_or_insert((start, now));
        let page = page.page.ok_or("no page; this is a bug in otr")?;
        let assets = page.assets.iter().filter(|asset| asset.status == 200).count();
        let drilled = progress.of(database);
        (drilled.login, drilled.assets) = (page.status, assets);
        if let Some(why) = page.trouble() {
            return Err(format!("{database}: {why}"));
        }
    }
    let said = |d: &DatabaseDrill| format!("{}: login page 200, {} assets 200", d.database, d.assets);
    Ok(Some(progress.databases.iter().map(said).collect::<Vec<_>>().join("; ")))
}

/// Asks until the login page answers 200, and says since when Odoo listened.
fn answer(
    drill: &Drill<'_>,
    database: &DatabaseName,
    started: Instant,
    mut listened: Option<Instant>,
) -> Result<(Instant, Drilled), String> {
    let deadline = started + Duration::from_secs(PATIENCE);
    loop {
        let look = DrillLook::Odoo { unit: ODOO.into(), log: format!("{PLACE}/odoo.log"), port: PORT, database: database.clone() };
        let asked = Instant::now();
        let facts = drill.fleet.look([(drill.host.clone(), Look::Drill(look.clone()))]);
        let DrillSight::Odoo(seen) = facts.drill(drill.host, &look).map_err(|e| e.to_string())? else { continue };
        if !seen.running {
            let why = if stopped(drill) { "the drill was stopped (a promotion does that)" } else { "it does not stay up" };
            return Err(format!("Odoo on the copy of {database}: {why}{}", log(seen)));
        }
        shut_in(drill, seen)?;
        if seen.listening {
            listened.get_or_insert(asked);
        }
        let status = seen.page.as_ref().map_or(0, |page| page.status);
        // Sent elsewhere, it has no database: that is an answer too.
        let sent = seen.page.as_ref().is_some_and(|page| page.ended.is_some() || page.refused.is_some());
        if let (true, Some(listened)) = (status == 200 || sent, listened) {
            return Ok((listened, (**seen).clone()));
        }
        // An error is an answer: Odoo loads a database at the first request, and a code that breaks stays broken.
        if status >= 400 || Instant::now() > deadline {
            let waited = started.elapsed().as_secs();
            return Err(format!("the login page of {database} answers {status}, {waited} s after Odoo's start{}", log(seen)));
        }
        drill.watch.waits(&format!("Odoo on the copy of {database}"));
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn log(seen: &Drilled) -> String {
    if seen.log.is_empty() { String::new() } else { format!(". Its log:\n{}", seen.log.join("\n")) }
}

/// Seen, not believed: it has no network, and none of production's variables.
fn shut_in(drill: &Drill<'_>, seen: &Drilled) -> Result<(), String> {
    let spec = drill.inputs.spec;
    let productions = spec.odoo.iter().flat_map(|odoo| odoo.environment.keys()).chain(spec.sessions.environment.keys());
    let productions: BTreeSet<&String> = productions.filter(|name| !spec.drill.environment.contains_key(*name)).collect();
    if let Some(name) = seen.environment.iter().find(|name| productions.contains(name)) {
        return Err(format!("the drilled Odoo has production's {name} in its environment: it was ended"));
    }
    if seen.network.iter().any(|interface| interface != "lo") {
        return Err(format!("the drilled Odoo has a network ({}): it was ended", seen.network.join(" ")));
    }
    Ok(())
}

fn attachments(drill: &Drill<'_>, progress: &mut Progress) -> Seen {
    let place = placed(drill)?;
    let mut words = Vec::new();
    let mut wrong = Vec::new();
    for database in &place.odoo.databases {
        let directory = place.odoo.data_dir.join("filestore").join(database.as_str());
        let look = DrillLook::Files { psql: psql(database.as_str()), directory: directory.clone(), sample: SAMPLE };
        let facts = drill.fleet.look([(drill.host.clone(), Look::Drill(look.clone()))]);
        let DrillSight::Files(files) = facts.drill(drill.host, &look).map_err(|e| e.to_string())? else { continue };
        words.push(said(database, files));
        wrong.extend(complaint(files).map(|why| format!("{database}: {why} ({})", directory.display())));
        progress.of(database).files = Some(files.clone());
    }
    if wrong.is_empty() { Ok(Some(words.join("; "))) } else { Err(wrong.join("; ")) }
}

fn said(database: &DatabaseName, files: &Files) -> String {
    let mut text = format!("{database}: {} files, {} missing, {} read and whole", files.named, files.missing, files.sampled);
    if files.elsewhere > 0 {
        text += &format!(", {} in an object store, not read", files.elsewhere);
    }
    text
}

/// A file that was added after the last sync is no failure; a store that is not there, or more
/// than one file in a hundred, is.
fn complaint(files: &Files) -> Option<String> {
    if !files.store && files.named > 0 {
        return Some(format!("the filestore is not there, and the database names {} files", files.named));
    }
    if !files.damaged.is_empty() {
        return Some(format!("files whose SHA-1 is not their name: {}", files.damaged.join(", ")));
    }
    let few: Vec<&str> = files.examples.iter().take(3).map(String::as_str).collect();
    (files.missing * 100 > files.named)
        .then(|| format!("{} of {} files are missing ({} …): run `otr sync`", files.missing, files.named, few.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_file_is_no_failure_and_a_lost_store_is() {
        let files = Files { store: true, named: 200, missing: 2, sampled: 198, ..Files::default() };
        assert_eq!(complaint(&files), None);
        assert!(complaint(&Files { missing: 3, ..files.clone() }).is_some_and(|why| why.contains("3 of 200")));
        assert!(complaint(&Files { store: false, ..files.clone() }).is_some_and(|why| why.contains("is not there")));
        assert!(complaint(&Files { damaged: vec!["aa/aa".into()], ..files }).is_some_and(|why| why.contains("aa/aa")));
    }
}
