//! Promote, switchover and rejoin on the simulated pair: roles swapped, nothing lost, and a way
//! back from wherever otr was killed.

use std::sync::atomic::{AtomicBool, Ordering};

use otr::action::{Action, UnitVerb};
use otr::converge::Watch;
use otr::host::HostError;
use otr::host::simulated::Fault;
use otr::name::HostName;
use otr::promote::{PromoteReport, StepOutcome};
use otr::resource::{Kind, ResourceId};
use otr::spec::BootWithoutPeer;

use crate::stage::{Stage, erp1, erp2, main_cluster};

fn epoch(stage: &Stage, host: &HostName) -> String {
    stage.world.files(host).text("/var/lib/otr/epoch-acme").trim().to_owned()
}

fn number(stage: &Stage) -> u64 {
    epoch(stage, &stage.spec.production).split(' ').next().unwrap().parse().unwrap()
}

fn active(stage: &Stage, host: &HostName, unit: &str) -> bool {
    stage.world.mutate(host, |m| m.is_active(unit)).unwrap()
}

pub fn failed(report: &PromoteReport) -> Vec<String> {
    let bad = report.steps.iter().filter(|step| step.outcome == StepOutcome::Failed);
    bad.map(|step| format!("{}: {}", step.step, step.error.clone().unwrap_or_default())).collect()
}

pub fn attach(stage: &Stage, host: &HostName, name: &str) {
    stage.world.create_attachment(host, name, name.as_bytes()).unwrap();
}

/// The pair is whole: one writer, Odoo beside it, the other streams, and nothing differs.
pub fn assert_whole(stage: &Stage, about: &str) {
    let (production, standby) = (stage.spec.production.clone(), stage.other());
    assert_eq!((stage.writes(&production), stage.writes(&standby)), (Some(true), Some(false)), "{about}");
    assert!(active(stage, &production, "odoo.service") && !active(stage, &standby, "odoo.service"), "{about}");
    assert!(stage.plan().holds(), "{about}: {:#?}", stage.open());
    assert_eq!(epoch(stage, &production), epoch(stage, &standby), "{about}");
    let data = |host: &HostName| stage.world.mutate(host, |m| m.clusters[&main_cluster()].data.clone().unwrap()).unwrap();
    assert_eq!(data(&production).content, data(&standby).content, "{about}");
}

#[test]
fn switchover_loses_nothing_and_back_again() {
    let mut stage = Stage::converged();
    let mut last = 0;
    for round in 1..=4 {
        let (old, new) = (stage.spec.production.clone(), stage.other());
        attach(&stage, &old, &format!("round {round}.pdf"));
        let before = stage.data(&old);
        let report = stage.switchover();
        assert!(report.promoted, "round {round}: {:#?}", failed(&report));
        stage = stage.with_production(&new);
        assert_whole(&stage, &format!("round {round}"));
        assert!(epoch(&stage, &new).ends_with(&format!(" {new}")) && number(&stage) > last, "round {round}");
        last = number(&stage);
        let after = stage.data(&new);
        assert_eq!(after.0, before.0, "round {round}: every row is there");
        assert_eq!(after.1, before.1, "round {round}: every file is there");
    }
}

#[test]
fn a_switchover_that_fails_early_puts_production_back() {
    let stage = Stage::converged();
    stage.world.mutate(&erp2(), |m| m.clusters.get_mut(&main_cluster()).unwrap().server.as_mut().unwrap().replay_paused = true);
    let report = stage.switchover();
    assert!(failed(&report)[0].contains("replay is paused"), "{:?}", failed(&report));
    assert_eq!(report.steps.last().unwrap().outcome, StepOutcome::NotReached, "nothing was done, so nothing is put back");

    let stage = Stage::converged();
    stage.world.clear_actions();
    let undisturbed = stage.fork();
    assert!(undisturbed.switchover().promoted);
    let actions = undisturbed.world.actions();
    let raised = actions.iter().position(|(_, title)| title.contains("epoch-acme")).unwrap();
    for n in 1..=raised {
        for (fault, host) in [(Fault::CutBefore, &actions[n - 1].0), (Fault::CutAfter, &actions[n - 1].0)] {
            let stage = Stage::converged();
            stage.world.fail_action(n, fault);
            let report = stage.switchover();
            assert!(!report.promoted, "{fault:?} at {n}");
            let last = report.steps.last().unwrap();
            // otr does not connect again in one run: production is put back where it can be reached.
            if *host == erp2() && last.step == "put-back" {
                assert_eq!(stage.writes(&erp1()), Some(true), "{fault:?} at {n}: {report:#?}");
                assert!(active(&stage, &erp1(), "odoo.service"), "{fault:?} at {n}: {report:#?}");
            }
            let report = stage.switchover();
            assert!(report.promoted, "{fault:?} at {n}: {:#?}", failed(&report));
            assert_whole(&stage.with_production(&erp2()), &format!("{fault:?} at {n}"));
        }
    }
}

#[test]
fn switchover_is_killed_at_every_action_and_run_again() {
    let start = Stage::converged();
    attach(&start, &erp1(), "kept.pdf");
    let undisturbed = start.fork();
    undisturbed.world.clear_actions();
    assert!(undisturbed.switchover().promoted);
    let actions = undisturbed.world.actions().len();
    assert!(actions > 15, "{actions}");
    let rows = start.data(&erp1()).0;
    for n in 1..=actions {
        // Killed before one action is killed after the one before it.
        let (about, stage) = (format!("killed after {n}"), start.fork());
        stage.world.fail_action(n, Fault::CrashAfter);
        stage.switchover();
        let report = stage.switchover();
        let over = report.steps[0].error.as_ref().is_some_and(|error| error.contains("takes writes already"));
        assert!(report.promoted || (over && n == actions), "{about}: {:#?}", failed(&report));
        assert_whole(&stage.with_production(&erp2()), &about);
        assert_eq!(stage.data(&erp2()).0, rows, "{about}");
    }
}

/// Somebody starts the old production's server after its end was proven, when an action of this kind begins.
struct Meddler<'a> {
    stage: &'a Stage,
    at: Kind,
    done: AtomicBool,
}

impl Watch for Meddler<'_> {
    fn begins(&self, id: &ResourceId, _: &str) {
        if id.kind == self.at && self.stage.writes(&erp1()).is_none() && !self.done.swap(true, Ordering::Relaxed) {
            let start = Action::Unit { unit: "postgresql@13-main.service".parse().unwrap(), verb: UnitVerb::Start };
            self.stage.fleet().act(&erp1(), &start).unwrap();
        }
    }
    fn ended(&self, id: &ResourceId, _: &str, _: Option<&HostError>) {
        // The last attachment comes when everything was copied.
        if id.kind == Kind::Unit && id.name == "odoo.service" && id.host == erp1() && !self.done.load(Ordering::Relaxed) {
            attach(self.stage, &erp1(), "last.pdf");
        }
    }
    fn waits(&self, _: &str) {}
}

#[test]
fn an_old_production_started_again_after_the_proof_stops_a_switchover() {
    for at in [Kind::Filestore, Kind::Epoch] {
        let stage = Stage::converged();
        let meddler = Meddler { stage: &stage, at, done: AtomicBool::new(false) };
        let report = stage.switchover_watched(&meddler);
        let about = format!("{at:?}: {:#?}", failed(&report));
        assert!(!report.promoted && failed(&report)[0].contains("runs again on erp1"), "{about}");
        assert_eq!((stage.writes(&erp1()), stage.writes(&erp2())), (Some(true), Some(false)), "{about}");
        let before = stage.data(&erp1());
        let report = stage.switchover();
        assert!(report.promoted, "{at:?}: {:#?}", failed(&report));
        assert_whole(&stage.with_production(&erp2()), &about);
        assert_eq!(stage.data(&erp2()), before, "{about}");
    }
}

#[test]
fn a_killed_switchover_can_be_given_up_while_the_old_production_is_right() {
    let start = Stage::converged();
    let undisturbed = start.fork();
    undisturbed.world.clear_actions();
    assert!(undisturbed.switchover().promoted);
    let raised = undisturbed.world.actions().iter().position(|(_, title)| title.contains("epoch-acme")).unwrap();
    for n in 1..=raised {
        let stage = start.fork();
        stage.world.fail_action(n, Fault::CrashAfter);
        stage.switchover();
        stage.apply().unwrap();
        assert_whole(&stage, &format!("killed after {n}, then apply"));
    }
}

/// erp1 lost its power with a row that never left it; erp2 is production.
fn after_the_cut() -> Stage {
    after_the_cut_of(Stage::converged())
}

/// The same where a host starts without its peer's answer.
fn after_the_cut_and_start() -> Stage {
    let mut stage = Stage::converged();
    stage.spec.failover.boot_without_peer = BootWithoutPeer::Start;
    stage.apply().unwrap();
    after_the_cut_of(stage)
}

fn after_the_cut_of(stage: Stage) -> Stage {
    stage.world.cut_link(&erp2());
    attach(&stage, &erp1(), "never sent.pdf");
    stage.world.power_cut(&erp1());
    stage.world.restore_link(&erp2());
    let report = stage.promote(true);
    assert!(report.promoted, "{:#?}", failed(&report));
    assert!(epoch(&stage, &erp2()).ends_with(" erp2"));
    stage.after_promotion()
}

#[test]
fn an_old_production_that_comes_back_stays_down() {
    let stage = after_the_cut();
    stage.world.boot(&erp1());
    assert_eq!(stage.writes(&erp1()), None, "its PostgreSQL is not started");
    assert!(!active(&stage, &erp1(), "odoo.service") && !active(&stage, &erp1(), "redis-server.service"));
    // While the new production cannot be asked, the spec's word counts.
    for (stage, starts) in [(after_the_cut(), None), (after_the_cut_and_start(), Some(true))] {
        stage.world.cut_link(&erp2());
        stage.world.boot(&erp1());
        assert_eq!(stage.writes(&erp1()), starts, "boot_without_peer: {:?}", stage.spec.failover.boot_without_peer);
    }
}

/// Nothing is decided by comparing the clocks of two hosts.
#[test]
fn clocks_an_hour_apart_change_nothing() {
    // Only ahead: files are newer than what read them where a clock is set back, which is a difference.
    for (one, two) in [(3600.0, 0.0), (0.0, 3600.0)] {
        let about = format!("erp1 {one} s, erp2 {two} s");
        let mut stage = Stage::converged();
        stage.world.mutate(&erp1(), |m| m.misset(one));
        stage.world.mutate(&erp2(), |m| m.misset(two));
        assert!(stage.plan().holds(), "{about}: {:#?}", stage.open());
        for round in 1..=2 {
            let (old, new) = (stage.spec.production.clone(), stage.other());
            attach(&stage, &old, &format!("round {round}.pdf"));
            let before = stage.data(&old);
            let report = stage.switchover();
            assert!(report.promoted, "{about}, round {round}: {:#?}", failed(&report));
            stage = stage.with_production(&new);
            assert_whole(&stage, &about);
            assert_eq!(stage.data(&new), before, "{about}, round {round}: every row and file is there");
        }
        let stage = after_the_cut_of(stage);
        stage.world.boot(&erp1());
        assert_eq!(stage.writes(&erp1()), None, "{about}: the old production stays down");
        let report = stage.rejoin();
        assert!(report.promoted, "{about}: {:#?}", failed(&report));
        assert_whole(&stage, &about);
    }
}

#[test]
fn an_old_production_is_rewound_and_what_only_it_has_is_kept() {
    let stage = after_the_cut();
    stage.world.boot(&erp1());
    let report = stage.rejoin();
    assert!(report.promoted, "{:#?}", failed(&report));
    let parting = report.rejoin.unwrap();
    assert_eq!(parting.way, "rewind", "{parting:?}");
    assert_eq!(parting.files.len(), 1, "the attachment that only erp1 has: {parting:?}");
    assert_whole(&stage, "rejoined");
    let kept = stage.world.mutate(&erp1(), |m| m.clusters[&main_cluster()].kept.len()).unwrap();
    assert_eq!(kept, 1, "its own data is kept");
    let again = stage.rejoin();
    assert!(again.promoted && again.rejoin.is_none(), "{again:#?}");
}

#[test]
fn rejoin_is_killed_at_every_action_and_run_again() {
    let start = after_the_cut();
    start.world.boot(&erp1());
    let undisturbed = start.fork();
    undisturbed.world.clear_actions();
    assert!(undisturbed.rejoin().promoted);
    let actions = undisturbed.world.actions().len();
    for n in 1..=actions {
        for fault in [Fault::CutBefore, Fault::CrashAfter] {
            let (about, stage) = (format!("{fault:?} at {n}"), start.fork());
            stage.world.fail_action(n, fault);
            stage.rejoin();
            let report = stage.rejoin();
            assert!(report.promoted, "{about}: {:#?}", failed(&report));
            assert_whole(&stage, &about);
            let kept = stage.world.mutate(&erp1(), |m| m.clusters[&main_cluster()].kept.len()).unwrap();
            assert!(kept >= 1, "{about}");
        }
    }
}

#[test]
fn a_split_brain_is_named_and_settled_by_naming_the_survivor() {
    let stage = after_the_cut_and_start();
    stage.world.cut_link(&erp2());
    stage.world.boot(&erp1());
    attach(&stage, &erp1(), "an order taken in split brain.pdf");
    stage.world.restore_link(&erp2());
    stage.world.clear_actions();
    for wrong in [stage.with_production(&erp1()), stage.clone()] {
        let words = wrong.apply().unwrap_err().to_string();
        for part in ["split brain", "erp1 (epoch 0, timeline 1", " erp2, timeline 2", "last write"] {
            assert!(words.contains(part), "{words}");
        }
        assert!(wrong.sync().is_err());
    }
    assert!(failed(&stage.with_production(&erp1()).switchover())[0].contains("split brain"));
    assert_eq!(stage.world.actions(), [], "nothing was changed");
    let report = stage.rejoin();
    assert!(report.promoted, "{:#?}", failed(&report));
    assert_whole(&stage, "settled");
}
