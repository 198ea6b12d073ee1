//! Random lives of a pair. After every step:
//!
//! - otr started Odoo on erp2 only if erp2's PostgreSQL takes writes;
//! - a promotion never begins to promote while erp1 has power and its PostgreSQL runs, whatever
//!   its link does, since in these lives a person states only what is true;
//! - otherwise otr never turns erp2 into a writer, nor erp1 into a standby;
//! - a sound file of either store is never replaced by otr, nor removed;
//! - erp1's databases are never changed by otr.
//!
//! At the end all faults are gone, and apply converges or names what a person must decide.

use otr::host::simulated::Fault;
use otr::report::State;
use proptest::prelude::*;

use crate::stage::{STORE, Stage, erp1, erp2, troubles};

#[derive(Debug, Clone)]
enum Step {
    Apply,
    Sync,
    Promote,
    Attach(u8),
    Tamper(u8),
    PowerCut(bool),
    Boot(bool),
    CutLink(bool),
    RestoreLink(bool),
    Fail(usize, u8),
    DiskFull(bool),
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Apply),
        3 => Just(Step::Sync),
        2 => Just(Step::Promote),
        3 => any::<u8>().prop_map(Step::Attach),
        4 => any::<u8>().prop_map(Step::Tamper),
        2 => any::<bool>().prop_map(Step::PowerCut),
        2 => any::<bool>().prop_map(Step::Boot),
        1 => any::<bool>().prop_map(Step::CutLink),
        2 => any::<bool>().prop_map(Step::RestoreLink),
        3 => (1..12_usize, 0..4_u8).prop_map(|(n, fault)| Step::Fail(n, fault)),
        1 => any::<bool>().prop_map(Step::DiskFull),
        1 => any::<u16>().prop_map(Step::Pass),
    ]
}

fn which(first: bool) -> otr::name::HostName {
    if first { erp1() } else { erp2() }
}

fn tamper(stage: &Stage, how: u8) {
    stage.world.mutate(&erp2(), |m| {
        let now = m.tick();
        match how % 6 {
            0 => m.files.write("/etc/redis/redis.conf", "maxmemory 1gb\n", ("root", "root", 0o644), now),
            1 => drop(m.packages.remove("vim")),
            2 => m.files.remove_tree("/etc/systemd/system/odoo.service".as_ref()),
            3 => m.files.write("/etc/odoo/odoo.conf", "[options]\nworkers = 9\n", ("root", "root", 0o600), now),
            4 => m.files.remove_tree("/etc/postgresql/13/main/conf.d/50-otr.conf".as_ref()),
            _ => m.files.remove_tree(STORE.as_ref()),
        }
    });
}

/// One step of a life; whether a promotion went through.
fn live(stage: &Stage, step: &Step) -> bool {
    let world = &stage.world;
    match step {
        Step::Apply => drop(stage.apply()),
        Step::Sync => drop(stage.sync()),
        Step::Promote => {
            let down = world.mutate(&erp1(), |m| !m.powered).unwrap();
            return stage.promote(down).promoted;
        }
        Step::Attach(n) => {
            if world.mutate(&erp1(), |m| m.is_active("odoo.service")) == Some(true) && stage.writes(&erp1()) == Some(true) {
                world.create_attachment(&erp1(), &format!("{n}.pdf"), format!("attachment {n}").as_bytes());
            }
        }
        Step::Tamper(how) => tamper(stage, *how),
        Step::PowerCut(first) => world.power_cut(&which(*first)),
        Step::Boot(first) => world.boot(&which(*first)),
        Step::CutLink(first) => world.cut_link(&which(*first)),
        Step::RestoreLink(first) => world.restore_link(&which(*first)),
        Step::Fail(n, fault) => world.fail_action(*n, Fault::ALL[usize::from(*fault)]),
        Step::DiskFull(first) => world.disk_full(&which(*first)),
        Step::Pass(seconds) => world.pass(f64::from(*seconds)),
    }
    false
}

fn is_otr(step: &Step) -> bool {
    matches!(step, Step::Apply | Step::Sync | Step::Promote)
}

fn check(stage: &Stage, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut production = stage.clone();
    for (number, step) in steps.iter().enumerate() {
        let about = format!("step {number}, {step:?}");
        let before = (production.data(&erp1()), stage.sound_files(&erp2()), stage.writes(&erp1()), stage.writes(&erp2()));
        let (starts, actions) = (stage.odoo_starts_on_standby(), stage.world.actions().len());
        if live(&production, step) {
            production = production.after_promotion();
        }
        if !is_otr(step) {
            continue;
        }
        prop_assert_eq!(&production.data(&erp1()).0, &before.0.0, "{}: erp1's databases", &about);
        let survives = |before: &std::collections::BTreeMap<_, _>, after: &std::collections::BTreeMap<_, _>| {
            before.iter().all(|(path, bytes)| after.get(path) == Some(bytes))
        };
        prop_assert!(survives(&before.0.1, &stage.sound_files(&erp1())), "{about}: a sound file of erp1");
        prop_assert!(survives(&before.1, &stage.sound_files(&erp2())), "{about}: a sound file of erp2");
        let took_over = stage.writes(&erp2()) == Some(true) && before.3 != Some(true);
        let done = stage.world.actions().split_off(actions);
        let promoted = done.iter().any(|(_, title)| title.starts_with("promote "));
        prop_assert!(!promoted || matches!(step, Step::Promote), "{about}: {done:?}");
        prop_assert!(!promoted || before.2.is_none(), "{about}: promoted while erp1's PostgreSQL ran");
        prop_assert!(!took_over || promoted || before.3.is_none(), "{about}: erp2 takes writes");
        prop_assert!(
            stage.odoo_starts_on_standby() == starts || stage.writes(&erp2()) == Some(true),
            "{about}: Odoo was started on a standby: {done:?}"
        );
        prop_assert!(stage.writes(&erp1()) != Some(false), "{about}: erp1 became a standby");
    }
    end_well(&production)
}

/// All faults are gone: apply converges, or names what a person must decide.
fn end_well(stage: &Stage) -> Result<(), TestCaseError> {
    let world = &stage.world;
    world.forgive();
    for host in [erp1(), erp2()] {
        world.disk_free(&host);
        world.restore_link(&host);
        world.boot(&host);
    }
    // A promotion that was begun and killed is finished by a person, who sees it in the plan.
    let begun = stage.writes(&erp2()) == Some(true) && stage.spec.production == erp1();
    let reports = match stage.apply().and_then(|_| stage.apply()) {
        Ok(reports) => reports,
        Err(violation) => return Err(TestCaseError::fail(violation.to_string())),
    };
    let for_a_person = reports.iter().any(|r| r.discards.is_some() || r.state == State::Refused);
    prop_assert!(!begun || for_a_person, "a promotion was begun, and nothing says so: {:#?}", troubles(&reports));
    prop_assert!(for_a_person || stage.plan().holds(), "{:#?}", troubles(&reports));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, max_shrink_iters: 200, ..Default::default() })]

    #[test]
    fn whatever_happens_nothing_whole_is_lost(steps in prop::collection::vec(step(), 1..12)) {
        check(&Stage::converged(), &steps)?;
    }
}
