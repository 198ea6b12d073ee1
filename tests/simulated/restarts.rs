//! Restarts on production that users feel: in the plan with their reason, and done with consent alone.

use std::collections::BTreeSet;
use std::time::Duration;

use otr::converge::{Limits, Silent, converge};
use otr::plan::interruption::planned;
use otr::report::{Outcome, ResourceReport, State};
use otr::spec::{Maintenance, Spec};

use super::stage::{Stage, erp1, erp2};

/// The pair, and a spec that wants another odoo.conf and another `max_connections` on production.
fn changed() -> Stage {
    let mut stage = Stage::converged();
    edit(&mut stage.spec);
    stage
}

fn edit(spec: &mut Spec) {
    let odoo = spec.odoo.as_mut().unwrap();
    odoo.production.insert("limit_time_cpu".into(), otr::spec::OptionValue::Int(777));
    spec.replication.as_mut().unwrap().parameters.insert("max_connections".into(), otr::spec::OptionValue::Int(333));
}

fn apply(stage: &Stage, restarts: bool) -> Vec<ResourceReport> {
    let consent = BTreeSet::new();
    let limits = Limits { spec: &stage.spec, patience: Duration::ZERO, consent: &consent, promoting: None, restarts, trusting: false };
    converge(&stage.fleet(), &stage.wanted(), &limits, &Silent).unwrap()
}

fn starts(stage: &Stage) -> (usize, usize) {
    (stage.world.starts(&erp1(), "odoo.service"), stage.world.starts(&erp1(), "postgresql@13-main.service"))
}

fn interruptions(stage: &Stage) -> Vec<String> {
    let wanted = stage.wanted();
    let facts = stage.fleet().look(wanted.iter().flat_map(|w| w.resource.looks()));
    let plan = planned(&wanted, &stage.spec, &facts);
    plan.items
        .iter()
        .filter_map(|item| match &item.verdict {
            otr::plan::Verdict::Change(change) => Some(format!("{}: {}", item.id, change.interruption.clone()?)),
            _ => None,
        })
        .collect()
}

#[test]
fn the_plan_names_each_restart_that_follows_with_its_reason() {
    let told = interruptions(&changed());
    assert!(told.iter().all(|line| line.starts_with("erp1 ")), "a standby's restart interrupts nobody: {told:#?}");
    let says = |words: &[&str]| told.iter().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(says(&["restart odoo.service", "limit_time_cpu", "users are interrupted for about 15 s"]), "{told:#?}");
    let mut stage = Stage::converged();
    stage.spec.replication.as_mut().unwrap().parameters.insert("shared_buffers".into(), otr::spec::OptionValue::Text("256MB".into()));
    let told = interruptions(&stage);
    let says = |words: &[&str]| told.iter().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(says(&["restart postgresql@13-main.service", "shared_buffers", "users are interrupted for about 5 s"]), "{told:#?}");
    // One that the standby must have first.
    let open = format!("{:?}", changed().open());
    assert!(open.contains("max_connections 333 first; then PostgreSQL is restarted here, which interrupts users"), "{open}");
}

#[test]
fn without_consent_all_else_is_done_and_the_restarts_are_left() {
    let stage = changed();
    let before = starts(&stage);
    let reports = apply(&stage, false);
    assert_eq!(starts(&stage), before, "production was restarted");
    assert!(stage.world.files(&erp1()).text("/etc/odoo/odoo.conf").contains("limit_time_cpu = 777"));
    let left: Vec<String> = reports.iter().filter(|r| r.outcome == Some(Outcome::Left)).map(|r| r.id().to_string()).collect();
    assert!(left.contains(&"erp1 postgresql settings".to_owned()), "{left:?}");
    assert!(reports.iter().all(|r| r.outcome != Some(Outcome::Failed)), "{reports:#?}");
    assert!(reports.iter().filter(|r| r.outcome == Some(Outcome::Left)).all(|r| r.interruption.is_some() && r.state == State::Change));
    // A second run is no other, and the one with consent ends it.
    apply(&stage, false);
    assert_eq!(starts(&stage), before);
    let reports = apply(&stage, true);
    assert!(reports.iter().all(|r| r.state == State::Holds), "{reports:#?}");
    assert!(starts(&stage).0 > before.0 && starts(&stage).1 > before.1);
}

#[test]
fn a_standby_is_restarted_without_consent() {
    let stage = Stage::converged();
    stage.world.mutate(&erp2(), |m| {
        let now = m.tick();
        m.files.write("/etc/systemd/system/redis-server.service.d/x.conf", "[Service]\n", ("root", "root", 0o644), now);
    });
    let before = stage.world.starts(&erp2(), "redis-server.service");
    let reports = apply(&stage, false);
    assert!(reports.iter().all(|r| r.state == State::Holds), "{reports:#?}");
    assert_eq!(stage.world.starts(&erp2(), "redis-server.service"), before + 1);
}

/// Nobody works on a production whose Odoo does not run: a first apply on bare machines asks for nothing.
#[test]
fn a_production_without_users_is_restarted_without_consent() {
    let stage = changed();
    stage.world.mutate(&erp1(), |m| m.unit_verb("odoo.service", otr::action::UnitVerb::Stop)).unwrap().unwrap();
    assert_eq!(interruptions(&stage), Vec::<String>::new());
    let reports = apply(&stage, false);
    assert!(reports.iter().all(|r| r.state == State::Holds), "{reports:#?}");
}

#[test]
fn the_window_of_the_spec_is_consent() {
    let window = |text: &str| Some(Maintenance { window: text.to_owned().try_into().unwrap() });
    let minutes = |stage: &Stage| stage.world.mutate(&erp1(), |m| (m.tick() / 60.0) as i64 % 1440).unwrap();
    let clock = |minutes: i64| format!("{:02}:{:02}", minutes.rem_euclid(1440) / 60, minutes.rem_euclid(60));
    let mut stage = changed();
    let now = minutes(&stage);
    stage.spec.maintenance = window(&format!("daily {}-{}", clock(now + 120), clock(now + 180)));
    let before = starts(&stage);
    apply(&stage, false);
    assert_eq!(starts(&stage), before, "outside of the window");
    stage.spec.maintenance = window(&format!("daily {}-{}", clock(now - 60), clock(now + 60)));
    let reports = apply(&stage, false);
    assert!(reports.iter().all(|r| r.state == State::Holds), "{reports:#?}");
}
