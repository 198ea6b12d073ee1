//! A production that otr cannot log in to, and that lives: nobody's word makes it dead.

use otr::host::simulated::Machine;

use crate::failover::failed;
use crate::stage::{Stage, erp1, erp2};

fn refused(about: &str, cut_off: impl FnOnce(&mut Machine)) {
    let stage = Stage::converged();
    stage.world.mutate(&erp1(), cut_off);
    let report = stage.promote(true);
    assert!(!report.promoted && failed(&report)[0].contains("erp1 lives"), "{about}: {:#?}", failed(&report));
    assert_eq!(stage.writes(&erp2()), Some(false), "{about}");
}

#[test]
fn a_production_that_the_standby_sees_is_not_stated_to_be_down() {
    refused("a blocked port", |machine| machine.filtered = true);
    refused("a refused key", |machine| machine.shut = Some("the login as root was refused".into()));
    refused("its PostgreSQL alone is dead", |machine| {
        machine.filtered = true;
        machine.stop_unit("postgresql@13-main.service");
    });
}

#[test]
fn a_production_without_power_or_network_is() {
    for cut in ["power", "link"] {
        let stage = Stage::converged();
        match cut {
            "power" => stage.world.power_cut(&erp1()),
            _ => stage.world.cut_link(&erp1()),
        }
        let report = stage.promote(true);
        assert!(report.promoted, "{cut}: {:#?}", failed(&report));
    }
}

#[test]
fn a_server_that_runs_beside_its_unit_is_seen_from_the_standby() {
    let stage = Stage::converged();
    // As a cluster manager starts it: systemd knows nothing of it.
    stage.world.mutate(&erp1(), |machine| {
        machine.stop_unit("odoo.service");
        machine.units.get_mut("postgresql@13-main.service").unwrap().active = false;
    });
    let report = stage.promote(false);
    assert!(!report.promoted && failed(&report)[0].contains("all the same erp1 lives"), "{:#?}", failed(&report));
}

/// Nothing was begun: PostgreSQL is a standby as before, and the words are those that `status` has.
fn hindered(about: &str, stage: &Stage, words: &str) {
    stage.world.power_cut(&erp1());
    let report = stage.promote(true);
    let failed = failed(&report);
    assert!(!report.promoted && failed[0].starts_with("preflight") && failed[0].contains(words), "{about}: {failed:#?}");
    assert_eq!(stage.writes(&erp2()), Some(false), "{about}");
    assert!(stage.world.actions().is_empty(), "{about}: {:?}", stage.world.actions());
}

#[test]
fn what_stops_a_promotion_half_way_is_seen_before_it_begins() {
    let converged = || {
        let stage = Stage::converged();
        stage.world.clear_actions();
        stage
    };
    let stage = converged();
    stage.world.mutate(&erp2(), |machine| {
        let text = format!("{}workers = 0\n", machine.files.text("/etc/odoo/odoo.conf"));
        let now = machine.now;
        machine.files.write("/etc/odoo/odoo.conf", text, ("odoo", "odoo", 0o640), now);
    });
    hindered("a key that stands twice", &stage, "is not a file Odoo can read");

    let stage = converged();
    stage.world.mutate(&erp2(), |machine| machine.login = "root".into());
    let mut wrong = stage.clone();
    let many = otr::spec::OptionValue::Text("many".into());
    wrong.spec.odoo.as_mut().unwrap().production.insert("workers".into(), many);
    hindered("a value that Odoo refuses", &wrong, "Odoo would not start with it: option --workers");
}
