//! Random lives of a pair that changes its roles: promote, switchover, rejoin, apply, power cuts,
//! cut cables, killed runs. A person states only what is true, and names in the spec whom the
//! last finished procedure made production. After every step:
//!
//! - never do two hosts take writes (`boot_without_peer: wait`);
//! - no sound file of either store is replaced or removed;
//! - no line of a journal is lost.
//!
//! At the end all faults are gone, and a few commands that the situation itself names lead to a
//! whole pair.

use std::collections::BTreeMap;

use otr::host::simulated::Fault;
use otr::name::HostName;
use proptest::prelude::*;

use crate::failover::failed;
use crate::stage::{JOURNAL, Stage, erp1, erp2, is_sound, main_cluster};

#[derive(Debug, Clone)]
enum Step {
    Apply,
    Promote,
    Switchover,
    Rejoin,
    Attach(u8),
    PowerCut(bool),
    Boot(bool),
    CutLink(bool),
    RestoreLink(bool),
    Fail(usize, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Apply),
        4 => Just(Step::Promote),
        4 => Just(Step::Switchover),
        4 => Just(Step::Rejoin),
        2 => any::<u8>().prop_map(Step::Attach),
        3 => any::<bool>().prop_map(Step::PowerCut),
        3 => any::<bool>().prop_map(Step::Boot),
        2 => any::<bool>().prop_map(Step::CutLink),
        2 => any::<bool>().prop_map(Step::RestoreLink),
        4 => (1..30_usize, 0..4_u8).prop_map(|(n, fault)| Step::Fail(n, fault)),
    ]
}

fn which(first: bool) -> HostName {
    if first { erp1() } else { erp2() }
}

/// One step of a life; the host that a finished procedure made production.
fn live(stage: &Stage, step: &Step) -> Option<HostName> {
    let world = &stage.world;
    let production = stage.spec.production.clone();
    match step {
        Step::Apply => drop(stage.apply()),
        Step::Promote => {
            let down = world.mutate(&production, |m| !m.powered).unwrap();
            return stage.promote(down).promoted.then(|| stage.other());
        }
        Step::Switchover => return stage.switchover().promoted.then(|| stage.other()),
        Step::Rejoin => drop(stage.rejoin()),
        Step::Attach(n) => {
            if world.mutate(&production, |m| m.is_active("odoo.service")) == Some(true) && stage.writes(&production) == Some(true) {
                world.create_attachment(&production, &format!("{n}.pdf"), format!("attachment {n}").as_bytes());
            }
        }
        Step::PowerCut(first) => world.power_cut(&which(*first)),
        Step::Boot(first) => world.boot(&which(*first)),
        Step::CutLink(first) => world.cut_link(&which(*first)),
        Step::RestoreLink(first) => world.restore_link(&which(*first)),
        Step::Fail(n, fault) => world.fail_action(*n, Fault::ALL[usize::from(*fault)]),
    }
    None
}

fn journals(stage: &Stage) -> Vec<String> {
    let of = |host: &HostName| [JOURNAL, "/var/lib/otr/rejoin-acme.jsonl"].map(|path| stage.world.files(host).text(path).to_owned());
    [of(&erp1()), of(&erp2())].concat()
}

fn survives<K: Ord, V: PartialEq>(before: &BTreeMap<K, V>, after: &BTreeMap<K, V>) -> bool {
    before.iter().all(|(key, value)| after.get(key) == Some(value))
}

fn whole(stage: &Stage) -> bool {
    let (production, standby) = (stage.spec.production.clone(), stage.other());
    let content =
        |host: &HostName| stage.world.mutate(host, |m| m.clusters[&main_cluster()].data.as_ref().map(|data| data.content.clone()));
    (stage.writes(&production), stage.writes(&standby)) == (Some(true), Some(false))
        && stage.world.mutate(&production, |m| m.is_active("odoo.service")) == Some(true)
        && content(&production) == content(&standby)
        && stage.plan().holds()
}

fn check(stage: Stage, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut stage = stage;
    // What is sound stays sound while nobody touches it: it is hashed once.
    let mut sound = [erp1(), erp2()].map(|host| stage.sound_files(&host));
    let mut journals_before = journals(&stage);
    for (number, step) in steps.iter().enumerate() {
        let about = format!("step {number}, {step:?}, production {}", stage.spec.production);
        if let Some(production) = live(&stage, step) {
            stage = stage.with_production(&production);
        }
        let writers = [erp1(), erp2()].iter().filter(|host| stage.writes(host) == Some(true)).count();
        prop_assert!(writers < 2, "{about}: two writers");
        for (host, files) in [erp1(), erp2()].iter().zip(&mut sound) {
            let there = stage.store_files(host);
            prop_assert!(survives(files, &there), "{about}: a sound file of {host}");
            let new = there.into_iter().filter(|(path, bytes)| !files.contains_key(path) && is_sound(path, bytes));
            files.extend(new.collect::<Vec<_>>());
        }
        let now = journals(&stage);
        for (was, is) in journals_before.iter().zip(&now) {
            prop_assert!(is.starts_with(was), "{about}: a journal lost a line");
        }
        journals_before = now;
    }
    end_well(stage)
}

/// Whom the epoch names: the spec's line is behind where a procedure was killed.
fn right(stage: &Stage) -> HostName {
    let epoch = |host: &HostName| {
        let text = stage.world.files(host).text("/var/lib/otr/epoch-acme").to_owned();
        let (number, production) = text.trim().split_once(' ').map(|(n, host)| (n.parse::<u64>().unwrap(), host.to_owned()))?;
        Some((number, production))
    };
    let highest = [erp1(), erp2()].iter().filter_map(epoch).max();
    highest.map_or_else(|| stage.spec.production.clone(), |(_, host)| host.parse().unwrap())
}

fn end_well(stage: Stage) -> Result<(), TestCaseError> {
    stage.world.forgive();
    for host in [erp1(), erp2()] {
        stage.world.restore_link(&host);
    }
    for host in [erp1(), erp2()] {
        stage.world.boot(&host);
    }
    let right = right(&stage);
    let stage = stage.with_production(&right);
    let old = stage.other();
    let mut said = Vec::new();
    for _ in 0..3 {
        if whole(&stage) {
            return Ok(());
        }
        // The one that the epoch names still follows: the procedure that raised it goes on.
        if stage.writes(&right) == Some(false) {
            let before = stage.with_production(&old);
            let report = before.switchover();
            said.extend(failed(&report));
            if !report.promoted {
                said.extend(failed(&before.promote(false)));
            }
        }
        if let Err(violation) = stage.apply() {
            said.push(violation.to_string());
        }
        if !whole(&stage) {
            said.extend(failed(&stage.rejoin()));
        }
    }
    prop_assert!(whole(&stage), "no way back, production {right}: {said:#?}\nopen: {:#?}", stage.open());
    Ok(())
}

/// Lives that were hard once.
#[test]
fn lives_that_were_hard_end_well() {
    use Step::*;
    let lives: [&[Step]; 2] =
        [&[Fail(6, 0), Rejoin, Attach(1), PowerCut(true)], &[Switchover, PowerCut(false), Fail(1, 0), Promote, Fail(18, 0), Promote]];
    for life in lives {
        if let Err(error) = check(Stage::converged(), life) {
            panic!("{life:?}: {error}");
        }
    }
}

/// `OTR_LIVES=3000` lives longer.
fn lives() -> u32 {
    std::env::var("OTR_LIVES").ok().and_then(|n| n.parse().ok()).unwrap_or(60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: lives(), failure_persistence: None, max_shrink_iters: 300, max_shrink_time: 30_000, ..Default::default() })]

    #[test]
    fn never_two_writers_and_always_a_way_back(steps in prop::collection::vec(step(), 1..14)) {
        check(Stage::converged(), &steps)?;
    }
}
