//! A production and two standbys: the one that has most is promoted, the other follows it, and one that
//! has more than the new production is taken back.

use std::sync::LazyLock;

use otr::host::simulated::World;
use otr::name::HostName;
use otr::plan::Verdict;
use otr::promote::PromoteReport;
use otr::spec::load::parse;

use crate::failover::{attach, failed};
use crate::stage::{Stage, erp1, erp2, main_cluster};

fn erp3() -> HostName {
    "erp3".parse().unwrap()
}

/// Both standbys are made by one apply.
static TRIO: LazyLock<Stage> = LazyLock::new(|| {
    let text = include_str!("../../specs/acme.yaml");
    let line = text.lines().find(|line| line.trim_start().starts_with("erp2:")).unwrap();
    let third = line.replace("erp2", "erp3").replace("192.0.2.12", "192.0.2.13");
    assert!(third.contains("192.0.2.13"), "it has an address of its own");
    let (spec, _) = parse(&text.replacen(line, &format!("{line}\n{third}"), 1)).unwrap();
    let stage = Stage::with(World::trio(), spec, |_| Ok("made-up".into()));
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
    assert_eq!((stage.status().ready, stage.status().unready), (true, Vec::new()));
    stage
});

fn follows(stage: &Stage, host: &HostName, production: &HostName) {
    let address = stage.spec.hosts[production].address.clone();
    let receiver = stage.world.mutate(host, |m| m.clusters[&main_cluster()].server.as_ref().and_then(|s| s.receiver.clone())).flatten();
    let receiver = receiver.unwrap_or_else(|| panic!("{host} receives nothing"));
    assert_eq!((receiver.status.as_str(), receiver.sender), ("streaming", Some(address)), "{host}");
}

/// erp1 writes what only one of the standbys gets, and loses its power.
fn behind(host: &HostName) -> Stage {
    let stage = TRIO.fork();
    stage.world.cut_link(host);
    attach(&stage, &erp1(), "late.pdf");
    stage.world.pass(2.0);
    stage.world.power_cut(&erp1());
    stage.world.restore_link(host);
    stage
}

fn step<'a>(report: &'a PromoteReport, name: &str) -> &'a otr::promote::StepReport {
    report.steps.iter().find(|step| step.step == name).unwrap()
}

#[test]
fn the_one_that_has_less_is_not_promoted_without_a_word() {
    let stage = behind(&erp3());
    let status = stage.status();
    assert_eq!((status.best, status.less.len()), (Some(erp2()), 1), "{:?}", status.less);
    let refused = failed(&stage.promote_host(&erp3(), None));
    assert!(refused[0].contains("erp2 has") && refused[0].contains("--despite-better erp2"), "{refused:?}");
    assert_eq!((stage.writes(&erp2()), stage.writes(&erp3())), (Some(false), Some(false)));
    let unknown = failed(&stage.promote_host(&erp3(), Some(&erp1())));
    assert!(unknown[0].contains("--despite-better erp2"), "the word names the better one: {unknown:?}");
    let report = stage.promote_host(&erp3(), Some(&erp2()));
    assert!(report.promoted, "{:#?}", failed(&report));
    // What erp2 has beyond that is kept, and it is taken back.
    assert!(report.next.iter().any(|line| line.contains("`otr rejoin erp2`")), "{:#?}", report.next);
    let stage = stage.with_production(&erp3());
    let Some(Verdict::Refused(why)) = stage.open().remove("erp2 standby 13/main") else { panic!("{:#?}", stage.open()) };
    assert!(why.contains("`otr rejoin erp2`"), "{why}");
    assert!(stage.status().obstacles.iter().any(|why| why.contains("`otr rejoin erp2`")), "{:#?}", stage.status());
    let report = stage.rejoin_host(&erp2());
    assert!(report.promoted, "{:#?}", failed(&report));
    assert_eq!(report.rejoin.unwrap().way, "rewind");
    follows(&stage, &erp2(), &erp3());
    let kept = stage.world.mutate(&erp2(), |m| m.clusters[&main_cluster()].kept.len()).unwrap();
    assert_eq!(kept, 1, "what only erp2 had is kept");
}

#[test]
fn the_best_is_promoted_and_the_other_follows_it() {
    let stage = behind(&erp3());
    let report = stage.promote_host(&erp2(), None);
    assert!(report.promoted, "{:#?}", failed(&report));
    assert_eq!(step(&report, "repoint").warnings, Vec::<String>::new());
    let stage = stage.with_production(&erp2());
    follows(&stage, &erp3(), &erp2());
    let status = stage.status();
    assert!(status.ready && status.best == Some(erp3()), "{:#?}", status.obstacles);
    assert!(status.unready.iter().any(|why| why.contains("erp1")), "the dead one is named: {:?}", status.unready);
}

#[test]
fn equal_ones_need_no_word_and_one_out_of_reach_is_said() {
    let stage = TRIO.fork();
    stage.world.power_cut(&erp1());
    let report = stage.fork().promote_host(&erp3(), None);
    assert!(report.promoted && step(&report, "preflight").seen.as_ref().unwrap().contains("erp2 has the same"), "{:?}", report.steps[0]);
    stage.world.cut_link(&erp2());
    let report = stage.promote_host(&erp3(), None);
    assert!(
        report.promoted && step(&report, "preflight").seen.as_ref().unwrap().contains("erp2 cannot be reached"),
        "{:?}",
        report.steps[0]
    );
    assert!(report.next.iter().any(|line| line.contains("erp2 cannot be reached and still follows erp1")), "{:#?}", report.next);
    // It comes back and follows the dead one: not ready, and apply repoints it.
    stage.world.restore_link(&erp2());
    let stage = stage.with_production(&erp3());
    let status = stage.status();
    assert!(!status.ready && status.obstacles.iter().any(|why| why.contains("erp2 follows erp1, not erp3")), "{:#?}", status.obstacles);
    // A second promotion would take it for a standby of erp3.
    let dead = stage.fork();
    dead.world.power_cut(&erp3());
    let refused = failed(&dead.promote_host(&erp2(), None));
    assert!(refused[0].contains("erp2 follows erp1, not erp3") && refused[0].contains("--despite-better erp3"), "{refused:?}");
    let _ = stage.apply();
    follows(&stage, &erp2(), &erp3());
}

#[test]
fn a_third_that_takes_writes_forbids_a_promotion() {
    let stage = TRIO.fork();
    stage.world.power_cut(&erp1());
    assert!(stage.promote_host(&erp2(), None).promoted);
    // Somebody else's spec still says erp1.
    let refused = failed(&stage.promote_host(&erp3(), None));
    assert!(refused[0].contains("the newest promotion is that of erp2"), "{refused:?}");
    assert_eq!(stage.writes(&erp3()), Some(false));
}

#[test]
fn a_switchover_takes_the_third_along() {
    let stage = TRIO.fork();
    let report = stage.switchover();
    assert!(report.promoted, "{:#?}", failed(&report));
    let stage = stage.with_production(&erp2());
    for host in [erp1(), erp3()] {
        follows(&stage, &host, &erp2());
    }
}

/// A message that names a role names the host that has it, also where a third one tells of it.
#[test]
fn who_was_promoted_is_named_and_not_who_tells_it() {
    let stage = TRIO.fork();
    stage.world.mutate(&erp3(), |m| {
        let now = m.tick();
        m.files.write("/var/lib/otr/epoch-acme", "1900000000 erp2\n", ("root", "root", 0o644), now);
    });
    let open = stage.open();
    let Verdict::Refused(why) = &open["erp3 epoch acme"] else { panic!("{open:#?}") };
    assert!(why.contains("`otr promote erp2`") && !why.contains("promote erp3"), "{why}");
}

/// A replica that somebody set up without a password in the spec is a standby's all the same.
#[test]
fn a_replica_that_the_spec_does_not_speak_of_is_no_production() {
    let mut stage = TRIO.fork();
    stage.spec.redis.as_mut().unwrap().password = None;
    for (name, verdict) in stage.open() {
        assert!(!name.starts_with("erp2 redis") && !name.starts_with("erp3 redis"), "{name}: {verdict:?}");
    }
}
