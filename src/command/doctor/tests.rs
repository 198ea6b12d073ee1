use super::super::demo::Stage;
use super::*;

/// What is not well: host, check, and what was seen.
fn troubles(stage: &Stage) -> Vec<String> {
    let spec = &stage.session.loaded.spec;
    let fleet = Fleet::open(&stage.world, spec.members());
    let all = findings(&stage.session, &fleet);
    assert!(all.iter().all(|finding| finding.ok == finding.remedy.is_none()), "{all:?}");
    all.into_iter().filter(|finding| !finding.ok).map(|finding| format!("{} {} {}", finding.host, finding.check, finding.seen)).collect()
}

#[test]
fn a_pair_in_step_is_well() {
    let stage = Stage::new().unwrap();
    assert_eq!(troubles(&stage), Vec::<String>::new());
    stage.apply().unwrap();
    assert_eq!(troubles(&stage), Vec::<String>::new());
}

#[test]
fn each_trouble_is_named() {
    let stage = Stage::new().unwrap();
    stage.apply().unwrap();
    stage.world.mutate(&stage.new, |machine| {
        machine.disk_full = true;
        if let Some(package) = machine.packages.get_mut("odoo-14") {
            package.version = "14.0.0".into();
        }
    });
    stage.world.mutate(&stage.old, |machine| machine.units.entry("odoo.service".into()).or_default().active = false);
    let told = troubles(&stage);
    for start in ["erp2 disk 0 bytes free on /", "erp2 versions odoo-14 14.0.0", "erp1 login page acme: nothing answers on 127.0.0.1:8069"]
    {
        assert!(told.iter().any(|line| line.starts_with(start)), "no {start:?} in {told:?}");
    }
    assert_eq!(told.len(), 3, "{told:?}");
    stage.world.power_cut(&stage.old);
    assert!(troubles(&stage).iter().any(|line| line.starts_with("erp1 reach ")));
}
