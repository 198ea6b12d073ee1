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
