//! Odoo's service as an administrator's own file: kept down, carried, started, and never destroyed.

use std::path::Path;

use otr::action::UnitVerb;
use otr::host::simulated::World;
use otr::look::{Enablement, Look};
use otr::name::UnitName;

use super::stage::{Stage, erp1, erp2};

const UNIT: &str = "/etc/systemd/system/odoo.service";
const REST: &str = "/etc/systemd/system/odoo.service.d/otr-standby.conf";
const TEXT: &str =
    "[Unit]\nDescription=Odoo of acme\n\n[Service]\nUser=odoo\nExecStart=/opt/odoo/odoo-bin\n\n[Install]\nWantedBy=multi-user.target\n";

fn text(world: &World, host: &otr::name::HostName, path: &str) -> String {
    world.files(host).text(path).to_owned()
}

/// Both hosts have the file, and nothing was masked.
fn own_unit() -> Stage {
    let stage = Stage::converged();
    for host in [erp1(), erp2()] {
        stage.world.mutate(&host, |m| {
            m.files.remove_tree(Path::new(UNIT));
            let now = m.tick();
            m.files.write(UNIT, TEXT, ("root", "root", 0o644), now);
        });
    }
    stage
}

#[test]
fn an_administrators_own_unit_is_kept_down_by_a_drop_in() {
    let stage = own_unit();
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
    assert_eq!(text(&stage.world, &erp2(), UNIT), TEXT);
    assert!(text(&stage.world, &erp2(), REST).contains("ConditionPathExists=!"));
    // Neither a boot nor a person starts it.
    stage.world.mutate(&erp2(), |m| m.units.get_mut("odoo.service").unwrap().enabled = true);
    stage.world.mutate(&erp2(), |m| {
        m.power_off();
        m.power_on();
        assert!(!m.is_active("odoo.service"));
    });
    assert!(text(&stage.world, &erp1(), REST).is_empty(), "production has none");
}

#[test]
fn the_promoted_one_starts_from_its_own_unit() {
    let stage = own_unit();
    stage.apply().unwrap();
    stage.world.mutate(&erp1(), |m| m.power_off());
    let report = stage.promote(true);
    assert!(report.promoted, "{report:#?}");
    stage.world.mutate(&erp2(), |m| assert!(m.is_active("odoo.service") && m.units["odoo.service"].enabled));
    assert_eq!((text(&stage.world, &erp2(), UNIT), text(&stage.world, &erp2(), REST)), (TEXT.to_owned(), String::new()));
}

/// `files:` at the unit's own path on a standby whose mask stands there: the drop-in comes first.
#[test]
fn a_unit_file_of_the_spec_replaces_the_mask_and_rests() {
    let mut stage = Stage::converged();
    let files = format!("[{{path: {UNIT}, content: \"{}\"}}]", TEXT.replace('\n', "\\n"));
    stage.spec.files =
        otr::spec::load::parse(&format!("version: 1\nname: acme\nproduction: erp1\nhosts: {{erp1: {{address: a}}}}\nfiles: {files}\n"))
            .unwrap()
            .0
            .files;
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
    for host in [erp1(), erp2()] {
        assert_eq!(text(&stage.world, &host, UNIT), TEXT, "{host}");
    }
    assert!(!text(&stage.world, &erp2(), REST).is_empty());
    stage.world.mutate(&erp2(), |m| assert!(m.starts.iter().all(|start| start.unit != "odoo.service")));
}

#[test]
fn an_administrators_mask_on_production_is_left_to_him() {
    let stage = Stage::converged();
    stage.world.mutate(&erp1(), |m| {
        m.unit_verb("odoo.service", UnitVerb::Stop).unwrap();
        m.unit_verb("odoo.service", UnitVerb::Mask).unwrap();
    });
    stage.apply().unwrap();
    let unit: UnitName = "odoo.service".parse().unwrap();
    let facts = stage.fleet().look([(erp1(), Look::Unit(unit.clone()))]);
    let seen = facts.unit(&erp1(), &unit).unwrap();
    assert!(seen.enablement == Enablement::Masked && !seen.active);
    assert!(format!("{:?}", stage.plan()).contains("odoo.service is masked"));
}
