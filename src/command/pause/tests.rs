use std::time::Duration;

use super::super::demo::Stage;
use super::*;
use crate::cli::{Data, PlanArgs, Selection, SyncArgs};
use crate::host::simulated::World;

fn global() -> Global {
    Global { spec: None, sets: Vec::new(), accept_new: false, here: None, json: false, verbose: false }
}

/// A pair in step, and a file that is on production only.
fn behind() -> Stage {
    let stage = Stage::new().unwrap();
    stage.apply().unwrap();
    stage.attach("invoice 4712.pdf", "%PDF-1.4 invoice").unwrap();
    stage
}

fn pause(stage: &Stage) -> Exit {
    let args = PauseArgs { span: Duration::from_secs(7200), reason: "a new disk".into(), dry_run: false };
    begin(&global(), &stage.session, &args).unwrap()
}

fn sync(stage: &Stage, despite_pause: bool) -> Exit {
    let args = SyncArgs {
        what: Data::Stored,
        dry_run: false,
        despite_pause,
        follow: false,
        every: None,
        allow_delete: None,
        checksum: false,
        share: None,
    };
    super::super::sync::with(&global(), &stage.session, &args).unwrap()
}

fn missing(stage: &Stage) -> u64 {
    let status = stage.status().unwrap();
    status.hosts.iter().flat_map(|host| &host.filestores).map(|store| store.missing as u64).sum()
}

fn shown(stage: &Stage) -> Option<Pause> {
    stage.status().unwrap().hosts.into_iter().find_map(|host| host.paused)
}

fn later(world: &World, host: &HostName, seconds: f64) {
    world.mutate(host, |machine| machine.now += seconds);
}

#[test]
fn a_paused_pair_is_left_alone_until_it_is_resumed() {
    let stage = behind();
    assert_eq!(pause(&stage), Exit::Done);
    let on = shown(&stage).unwrap();
    assert!(on.reason == "a new disk" && on.by == who() && on.until > on.at, "{on:?}");
    let text = crate::report::status::render(&stage.status().unwrap(), Default::default());
    assert!(text.contains(&format!("  Paused      until {} by {}: a new disk\n", on.until, on.by)), "{text}");
    assert_eq!((sync(&stage, false), missing(&stage)), (Exit::Done, 1), "it rests");
    assert_eq!(end(&global(), &stage.session, true).unwrap(), Exit::Done);
    assert!(shown(&stage).is_some(), "a dry run changes nothing");
    assert_eq!(end(&global(), &stage.session, false).unwrap(), Exit::Done);
    assert_eq!(shown(&stage), None);
    assert_eq!((sync(&stage, false), missing(&stage)), (Exit::Done, 0));
    let record = stage.world.files(&stage.new).text(Pause::path(&stage.session.loaded.spec)).to_owned();
    assert_eq!(record.lines().count(), 2, "who paused and who resumed stays on record: {record}");
    assert_eq!(end(&global(), &stage.session, false).unwrap(), Exit::Done, "nothing is paused: nothing is written");
    assert_eq!(stage.world.files(&stage.new).text(Pause::path(&stage.session.loaded.spec)), record);
}

#[test]
fn a_pause_ends_by_itself() {
    let stage = behind();
    pause(&stage);
    later(&stage.world, &stage.new, 7000.0);
    assert_eq!((sync(&stage, false), missing(&stage)), (Exit::Done, 1));
    later(&stage.world, &stage.new, 200.0);
    assert_eq!(shown(&stage), None);
    assert_eq!((sync(&stage, false), missing(&stage)), (Exit::Done, 0));
}

#[test]
fn a_person_may_sync_despite_it() {
    let stage = behind();
    pause(&stage);
    assert_eq!((sync(&stage, true), missing(&stage)), (Exit::Done, 0));
    assert!(shown(&stage).is_some());
}

#[test]
fn the_plan_of_the_timer_rests_and_a_persons_does_not() {
    let stage = behind();
    pause(&stage);
    stage.world.mutate(&stage.new, |machine| machine.packages.remove("vim"));
    let plan = |scheduled| {
        let args = PlanArgs { selection: Selection::default(), format: None, detailed_exitcode: true, scheduled, out: None };
        super::super::plan::with(&global(), &stage.session, &args).unwrap()
    };
    assert_eq!((plan(true), plan(false)), (Exit::Done, Exit::Drift));
    later(&stage.world, &stage.new, 10_000.0);
    assert_eq!(plan(true), Exit::Drift);
}

#[test]
fn a_pause_never_blocks_a_promotion() {
    let stage = behind();
    pause(&stage);
    assert!(stage.status().unwrap().ready);
    stage.world.power_cut(&stage.old);
    assert!(stage.promote().unwrap().promoted);
}

#[test]
fn a_standby_that_cannot_be_reached_or_written_is_named() {
    let stage = behind();
    stage.world.mutate(&stage.new, |machine| machine.disk_full = true);
    assert_eq!(pause(&stage), Exit::Failed);
    assert_eq!(shown(&stage), None);
    stage.world.power_cut(&stage.new);
    assert_eq!(pause(&stage), Exit::Failed);
}

#[test]
fn what_follows_rests_too() {
    let directory = tempfile::tempdir().unwrap();
    let record = directory.path().join("pause.jsonl");
    assert_eq!(resting_here(&record), None);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let line = |now| Pause::begin(now, Duration::from_secs(60), "ann", "a new disk").line().unwrap();
    std::fs::write(&record, line(now) + "\n").unwrap();
    assert!(resting_here(&record).unwrap().ends_with("by ann: a new disk"));
    std::fs::write(&record, line(now - 61.0) + "\n").unwrap();
    assert_eq!(resting_here(&record), None);
    assert!(resting_here(directory.path()).unwrap().contains("was not seen"));
}
