//! otr killed, or cut off, at every single action: running it again finishes the work, and
//! nothing that was whole is lost.

use otr::host::simulated::{Fault, World};
use otr::promote::{PromoteReport, StepOutcome};
use otr::report::State;

use crate::stage::{JOURNAL, Stage, erp1, erp2, main_cluster, troubles};

/// Runs `work` with each fault at each of its actions; `n` actions is what it takes undisturbed.
fn at_every_action(actions: usize, mut work: impl FnMut(usize, Fault)) {
    for n in 1..=actions {
        for fault in Fault::ALL {
            work(n, fault);
        }
    }
}

#[test]
fn apply_is_killed_at_every_action_and_run_again() {
    let start = Stage::new(World::pair());
    let data = start.data(&erp1());
    let undisturbed = start.fork();
    undisturbed.apply().unwrap();
    let actions = undisturbed.world.actions().len();
    assert!(actions > 40, "{actions}");
    at_every_action(actions, |n, fault| {
        let stage = start.fork();
        stage.world.fail_action(n, fault);
        let reports = stage.apply().unwrap();
        assert!(reports.iter().any(|r| r.state != State::Holds), "{fault:?} at {n} was not told");
        let reports = stage.apply().unwrap();
        assert!(reports.iter().all(|r| r.state == State::Holds), "{fault:?} at {n}: {:#?}", troubles(&reports));
        assert!(stage.plan().holds(), "{fault:?} at {n}: {:#?}", stage.open());
        assert_eq!(stage.data(&erp1()), data, "{fault:?} at {n}");
        assert_eq!(stage.data(&erp2()), data, "{fault:?} at {n}");
        assert_eq!(stage.odoo_starts_on_standby(), 0, "{fault:?} at {n}");
    });
}

#[test]
fn sync_is_killed_at_every_action_and_run_again() {
    let start = Stage::converged();
    for name in ["a.pdf", "b.pdf"] {
        start.world.create_attachment(&erp1(), name, name.as_bytes()).unwrap();
    }
    at_every_action(1, |n, fault| {
        let stage = start.fork();
        let before = stage.sound_files(&erp2());
        stage.world.fail_action(n, fault);
        stage.sync().unwrap();
        assert!(before.iter().all(|(path, bytes)| stage.sound_files(&erp2()).get(path) == Some(bytes)));
        stage.sync().unwrap();
        assert_eq!(stage.sound_files(&erp2()), stage.sound_files(&erp1()), "{fault:?} at {n}");
    });
}

/// A pair with a file that was never copied, whose production has no power.
fn after_the_cut() -> Stage {
    let stage = Stage::converged();
    stage.world.create_attachment(&erp1(), "kept.pdf", b"kept").unwrap();
    stage.sync().unwrap();
    stage.world.create_attachment(&erp1(), "never copied.pdf", b"never copied").unwrap();
    stage.world.power_cut(&erp1());
    stage.world.clear_actions();
    stage
}

fn lost(report: &PromoteReport) -> Vec<String> {
    report.lost.iter().flat_map(|lost| &lost.files).map(|file| format!("{} {} {}", file.fault, file.name, file.store_name)).collect()
}

fn assert_promoted(stage: &Stage, report: &PromoteReport, about: &str) {
    assert!(report.promoted, "{about}: {report:#?}");
    assert!(report.steps.iter().all(|step| step.outcome == StepOutcome::Done), "{about}");
    assert_eq!(report.smoke.as_ref().map(|smoke| (smoke.login, smoke.broken.len())), Some((200, 0)), "{about}");
    let data = stage.world.mutate(&erp2(), |m| m.clusters[&main_cluster()].data.clone().unwrap()).unwrap();
    assert_eq!((data.timeline, data.forks.len()), (2, 1), "{about}: exactly one step of the timeline");
    assert_eq!(stage.writes(&erp2()), Some(true), "{about}");
    let files = stage.world.files(&erp2());
    let journal: Vec<serde_json::Value> = files.text(JOURNAL).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(files.text(JOURNAL).ends_with('\n'), "{about}");
    let count = |event: &str| journal.iter().filter(|line| line["event"] == event).count();
    assert_eq!((journal[0]["event"].as_str(), count("begin"), count("end")), (Some("begin"), 1, 1), "{about}: {journal:#?}");
    assert_eq!(journal.last().unwrap()["event"], "end", "{about}");
    assert_eq!(journal[0]["left_timeline"], 1, "{about}");
    assert_eq!(journal[0]["stated_down"], "erp1", "{about}");
}

#[test]
fn promote_is_killed_at_every_action_and_run_again() {
    let start = after_the_cut();
    let undisturbed = start.fork();
    let report = undisturbed.promote(true);
    assert_promoted(&undisturbed, &report, "undisturbed");
    let (named, files) = (lost(&report), undisturbed.sound_files(&erp2()));
    assert_eq!(named.len(), 1, "{named:?}");
    assert!(named[0].starts_with("absent never copied.pdf "));
    let actions = undisturbed.world.actions().len();
    assert!(actions > 15, "{actions}");
    at_every_action(actions, |n, fault| {
        let about = format!("{fault:?} at {n}");
        let stage = start.fork();
        stage.world.fail_action(n, fault);
        let report = stage.promote(true);
        let last = n == actions;
        assert!(!report.promoted || last || report.steps.iter().any(|s| s.seen.as_ref().is_some_and(|s| s.contains("journal"))), "{about}");
        let report = stage.promote(true);
        // Killed after its very last word, the promotion is complete, and a second one is refused.
        if last && !report.promoted {
            let refused = report.steps[0].error.as_ref().unwrap();
            assert!(refused.contains("takes writes already"), "{about}: {refused}");
        } else {
            assert_promoted(&stage, &report, &about);
        }
        assert_eq!(lost(&report), named, "{about}");
        assert!(files.iter().all(|(path, bytes)| stage.sound_files(&erp2()).get(path) == Some(bytes)), "{about}");
        // What is left is no surprise: apply with the changed line has nothing to do on erp2.
        let after = stage.after_promotion();
        let open = after.open();
        assert!(open.keys().all(|id| !id.starts_with("erp2 ")), "{about}: {open:#?}");
    });
}

#[test]
fn a_promotion_of_a_cut_off_production_is_refused() {
    let stage = Stage::converged();
    stage.world.cut_link(&erp1());
    stage.world.clear_actions();
    let report = stage.promote(false);
    assert!(!report.promoted);
    let fence = &report.steps[1];
    assert_eq!((fence.step, fence.outcome), ("fence", StepOutcome::Failed));
    assert!(fence.error.as_ref().unwrap().contains("does not prove that it is down"));
    assert_eq!(stage.world.actions(), [], "nothing was done, not even the journal");
    stage.world.restore_link(&erp1());
    let report = stage.promote(true);
    assert!(report.steps[1].error.as_ref().unwrap().contains("is alive"), "a statement does not beat what is seen: {report:#?}");
    assert_eq!(stage.writes(&erp2()), Some(false));
}
