//! The five parameters that a standby must not have below production's: raised on the standby
//! first, lowered on production first, whatever else happens.

use otr::host::simulated::Fault;
use otr::spec::OptionValue;

use crate::failover::{assert_whole, failed};
use crate::stage::{Stage, erp1, erp2, main_cluster};

fn with_connections(stage: &Stage, value: i64) -> Stage {
    let mut stage = stage.clone();
    let replication = stage.spec.replication.as_mut().unwrap();
    replication.parameters.insert("max_connections".into(), OptionValue::Int(value));
    stage.world.clear_actions();
    stage
}

fn connections(stage: &Stage) -> [Option<String>; 2] {
    [erp1(), erp2()].map(|host| {
        let server = stage.world.mutate(&host, |m| m.clusters[&main_cluster()].server.clone()).unwrap();
        server.map(|server| server.settings["max_connections"].0.value.clone())
    })
}

/// Which host's PostgreSQL was restarted, in order.
fn restarts(stage: &Stage) -> Vec<String> {
    let restarts = stage.world.actions().into_iter().filter(|(_, title)| title == "restart postgresql@13-main.service");
    restarts.map(|(host, _)| host.to_string()).collect()
}

fn both(value: &str) -> [Option<String>; 2] {
    [Some(value.into()), Some(value.into())]
}

#[test]
fn they_are_raised_on_the_standby_and_lowered_on_production_first() {
    let stage = with_connections(&Stage::converged(), 300);
    stage.apply().unwrap();
    assert_eq!(connections(&stage), both("300"));
    assert_eq!(restarts(&stage), ["erp2", "erp1"], "raised");
    assert_whole(&stage, "raised");
    let stage = with_connections(&stage, 150);
    stage.apply().unwrap();
    assert_eq!(connections(&stage), both("150"));
    assert_eq!(restarts(&stage), ["erp1", "erp2"], "lowered");
    assert_whole(&stage, "lowered");
}

#[test]
fn production_waits_for_a_standby_that_cannot_be_raised() {
    let stage = with_connections(&Stage::converged(), 300);
    stage.world.cut_link(&erp2());
    stage.apply().unwrap();
    assert_eq!(restarts(&stage), [""; 0], "a standby that comes back would stop");
    let said = format!("{:?}", stage.open());
    assert!(said.contains("erp2 to run with max_connections 300 first"), "{said}");
    stage.world.restore_link(&erp2());
    stage.apply().unwrap();
    assert_whole(&stage, "raised at last");
}

#[test]
fn killed_at_every_action_no_standby_is_ever_below_production() {
    for value in [300, 150] {
        let start = match value {
            150 => {
                let stage = with_connections(&Stage::converged(), 300);
                stage.apply().unwrap();
                stage
            }
            _ => Stage::converged(),
        };
        let undisturbed = with_connections(&start.fork(), value);
        undisturbed.apply().unwrap();
        for n in 1..=undisturbed.world.actions().len() {
            for fault in [Fault::CutBefore, Fault::CutAfter, Fault::CrashAfter] {
                let about = format!("to {value}, {fault:?} at {n}");
                let stage = with_connections(&start.fork(), value);
                stage.world.fail_action(n, fault);
                let _ = stage.apply();
                assert_eq!(stage.writes(&erp2()), Some(false), "{about}: the standby stopped");
                // Whatever came of it, the standby can take over.
                let taken = stage.fork();
                taken.world.power_cut(&erp1());
                let report = taken.promote(true);
                assert!(report.promoted, "{about}: {:#?}", failed(&report));
                stage.apply().unwrap();
                assert_whole(&stage, &about);
            }
        }
    }
}
