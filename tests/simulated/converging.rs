//! plan, apply, plan: the second plan is empty, the second apply does nothing.

use otr::host::simulated::World;
use otr::report::{Outcome, State};
use otr::secret::SecretSource;

use crate::stage::{CONVERGED, Stage, erp1, erp2, troubles};

#[test]
fn a_bare_standby_is_made_whole_at_once() {
    let stage = Stage::new(World::pair());
    let before = stage.data(&erp1());
    assert!(!stage.plan().holds());
    let reports = stage.apply().unwrap();
    assert!(reports.iter().all(|r| r.state == State::Holds), "{:#?}", troubles(&reports));
    assert_eq!(stage.open().keys().collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(stage.data(&erp1()), before);
    assert_eq!(stage.data(&erp2()), before, "everything was copied");
    assert_eq!(stage.odoo_starts_on_standby(), 0);
    assert_eq!((stage.writes(&erp1()), stage.writes(&erp2())), (Some(true), Some(false)));
}

#[test]
fn a_second_apply_does_nothing() {
    let stage = Stage::converged();
    stage.world.clear_actions();
    let reports = stage.apply().unwrap();
    assert_eq!(stage.world.actions(), []);
    assert!(reports.iter().all(|r| r.state == State::Holds && r.outcome.is_none()));
}

#[test]
fn two_bare_machines_become_a_pair() {
    let mut stage = Stage::new(World::bare());
    // On a production that was set up by hand pip3 is there, and cloned.
    stage.spec.packages.as_mut().unwrap().install.push("python3-pip".into());
    for _ in 0..2 {
        stage.apply().unwrap();
    }
    // Odoo's database is made by a person in Odoo, not by otr: until then there are no files to have.
    assert!(stage.plan().holds(), "{:#?}", troubles(&stage.apply().unwrap()));
    assert_eq!(stage.odoo_starts_on_standby(), 0);
    stage.world.clear_actions();
    stage.apply().unwrap();
    assert_eq!(stage.world.actions(), []);
}

#[test]
fn an_observed_production_receives_no_action_and_is_told_the_commands() {
    let stage = Stage::new(World::pair()).observing();
    let before = stage.world.files(&erp1());
    let reports = stage.apply().unwrap();
    assert!(stage.world.actions().iter().all(|(host, _)| *host != erp1()), "{:?}", stage.world.actions());
    assert_eq!(stage.world.files(&erp1()), before);
    let changes: Vec<_> = reports.iter().filter(|r| r.host == erp1() && r.state == State::Change).collect();
    assert!(!changes.is_empty());
    for report in changes {
        assert_eq!(report.outcome, None, "{}", report.id());
        assert!(report.actions.iter().all(|action| action.commands.as_ref().is_some_and(|text| !text.trim().is_empty())), "{report:#?}");
        assert!(!format!("{report:?}").contains("made-up"), "{report:#?}");
    }
    // An admin does what was said; then otr finishes the standby.
    let stage = Stage { spec: Stage::new(World::bare()).spec, ..stage };
    stage.apply().unwrap();
    let stage = stage.observing();
    stage.world.clear_actions();
    stage.apply().unwrap();
    assert!(stage.world.actions().iter().all(|(host, _)| *host != erp1()));
    assert!(stage.plan().holds(), "{:#?}", stage.open());
}

#[test]
fn a_secret_that_cannot_be_read_spoils_only_what_needs_it() {
    let right = Stage::new(World::pair());
    let secret = |source: &SecretSource| match source.to_string().contains("redis") {
        true => Err("No such file".to_owned()),
        false => Ok("made-up".to_owned()),
    };
    let stage = Stage::with(right.world.clone(), right.spec.clone(), secret);
    let reports = stage.apply().unwrap();
    for report in &reports {
        let failed = report.outcome == Some(Outcome::Failed);
        let redis = ["redis", "odoo-sessions.env"].iter().any(|name| report.id().to_string().contains(name));
        assert!(!failed || redis, "{} failed for want of another's secret: {:?}", report.id(), report.error);
    }
    let named = |id: &str| reports.iter().find(|r| r.id().to_string() == id).unwrap();
    for host in ["erp1", "erp2"] {
        let redis = named(&format!("{host} redis port 6379"));
        assert_eq!(redis.outcome, Some(Outcome::Failed));
        assert!(redis.error.as_ref().unwrap().contains("redis_password"), "{:?}", redis.error);
    }
    assert_eq!(named("erp2 standby 13/main").state, State::Holds);
    assert_eq!(named("erp2 filestore acme").state, State::Holds);
    right.apply().unwrap();
    assert!(right.plan().holds(), "with the secret there, the rest is done: {:#?}", right.open());
}

#[test]
fn files_attached_later_are_moved_by_sync() {
    let stage = Stage::converged();
    stage.world.create_attachment(&erp1(), "new.pdf", b"new").unwrap();
    assert_eq!(stage.open().keys().collect::<Vec<_>>(), ["erp2 filestore acme"]);
    stage.sync().unwrap();
    assert!(stage.plan().holds());
    assert_eq!(stage.data(&erp2()), stage.data(&erp1()));
    assert_eq!(CONVERGED.sound_files(&erp2()).len() + 1, stage.sound_files(&erp2()).len());
}

#[test]
fn a_standby_that_booted_without_its_settings_follows_again() {
    let stage = Stage::converged();
    stage.world.mutate(&erp2(), |m| m.files.remove_tree("/etc/postgresql/13/main/conf.d/50-otr.conf".as_ref()));
    stage.world.power_cut(&erp2());
    stage.world.boot(&erp2());
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
    assert_eq!(stage.writes(&erp2()), Some(false));
}

#[test]
fn a_full_disk_fails_and_leaves_nothing_half_done() {
    let stage = Stage::new(World::pair());
    stage.world.disk_full(&erp2());
    let data = stage.data(&erp1());
    let reports = stage.apply().unwrap();
    let failed: Vec<_> = reports.iter().filter(|r| r.outcome == Some(Outcome::Failed)).collect();
    assert!(failed.iter().any(|r| r.error.as_ref().is_some_and(|e| e.to_lowercase().contains("no space left"))), "{failed:#?}");
    stage.world.disk_free(&erp2());
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
    assert_eq!((stage.data(&erp1()), stage.data(&erp2())), (data.clone(), data));
    assert_eq!(stage.odoo_starts_on_standby(), 0);
}
