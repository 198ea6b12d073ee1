//! What production has is the measure: nothing an administrator set there is lowered or taken back.

use std::path::Path;

use otr::host::simulated::Machine;
use otr::spec::OptionValue;

use crate::failover::{assert_whole, failed};
use crate::stage::{Stage, erp1, erp2, main_cluster};

const CONF: &str = "/etc/postgresql/13/main";
const AUTO: &str = "/var/lib/postgresql/13/main/postgresql.auto.conf";

fn add(machine: &mut Machine, path: &str, lines: &str) {
    let text = format!("{}{lines}", machine.files.text(path));
    machine.files.write(path, text, ("postgres", "postgres", 0o644), 1.0);
}

fn restart(stage: &Stage, host: &otr::name::HostName) {
    stage.world.power_cut(host);
    stage.world.boot(host);
}

fn value(stage: &Stage, host: &otr::name::HostName, name: &str) -> String {
    stage.world.mutate(host, |m| m.clusters[&main_cluster()].server.as_ref().unwrap().value(name).to_owned()).unwrap()
}

/// A pair that was tuned by hand, in every way there is.
fn tuned() -> Stage {
    let mut stage = Stage::converged();
    stage.spec.replication.as_mut().unwrap().parameters.clear();
    stage.world.mutate(&erp1(), |m| {
        m.files.remove_tree(Path::new(&format!("{CONF}/conf.d/50-otr.conf")));
        add(
            m,
            &format!("{CONF}/conf.d/10-admin.conf"),
            "wal_level = logical\nwal_keep_size = '2GB'\nwal_sender_timeout = 70s\nwal_log_hints = on\n",
        );
        add(m, AUTO, "max_replication_slots = '12'\n");
        add(m, AUTO, "listen_addresses = '127.0.0.1, 192.0.2.11'\n");
    });
    restart(&stage, &erp1());
    stage.world.clear_actions();
    stage
}

#[test]
fn nothing_on_production_is_lowered_or_taken_back() {
    let stage = tuned();
    stage.apply().unwrap();
    for (name, wanted) in
        [("wal_level", "logical"), ("max_replication_slots", "12"), ("wal_keep_size", "2GB"), ("wal_sender_timeout", "70s")]
    {
        assert_eq!(value(&stage, &erp1(), name), wanted, "{name}");
    }
    assert!(value(&stage, &erp1(), "listen_addresses").starts_with("127.0.0.1"));
    let done: Vec<_> = stage.world.actions().into_iter().filter(|(host, _)| host.as_str() == "erp1").map(|(_, title)| title).collect();
    assert!(!done.iter().any(|title| title.contains("ALTER SYSTEM") || title.contains("restart postgresql")), "{done:#?}");
    for (name, wanted) in [("wal_level", "logical"), ("max_replication_slots", "12"), ("wal_keep_size", "2GB")] {
        assert_eq!(value(&stage, &erp2(), name), wanted, "the standby's {name}");
    }
    assert_whole(&stage, "tuned");
}

#[test]
fn what_the_new_production_has_is_the_measure_after_a_failover() {
    let stage = tuned();
    stage.apply().unwrap();
    let report = stage.switchover();
    assert!(report.promoted, "{:#?}", failed(&report));
    let stage = stage.after_promotion();
    assert_eq!(value(&stage, &erp2(), "max_replication_slots"), "12");
    stage.world.mutate(&erp2(), |m| add(m, AUTO, "max_connections = '300'\n"));
    restart(&stage, &erp2());
    stage.world.clear_actions();
    stage.apply().unwrap();
    assert_eq!([erp1(), erp2()].map(|host| value(&stage, &host, "max_connections")), ["300", "300"]);
    let done: Vec<_> = stage.world.actions().into_iter().filter(|(host, _)| host.as_str() == "erp2").map(|(_, title)| title).collect();
    assert!(!done.iter().any(|title| title.contains("ALTER SYSTEM") || title.contains("restart")), "{done:#?}");
    assert_whole(&stage, "raised");
}

#[test]
fn a_word_of_the_spec_does_not_lower_below_what_is_used() {
    let mut stage = tuned();
    stage.apply().unwrap();
    stage.world.mutate(&erp1(), |m| {
        let data = m.clusters.get_mut(&main_cluster()).unwrap().data.as_mut().unwrap();
        data.slots.extend((0..8).map(|n| (format!("feed{n}"), false)));
    });
    stage.spec.replication.as_mut().unwrap().parameters.insert("max_replication_slots".into(), OptionValue::Int(5));
    stage.world.mutate(&erp1(), |m| m.files.write(AUTO, "", ("postgres", "postgres", 0o600), 1.0));
    let said = format!("{:?}", stage.open());
    assert!(said.contains("max_replication_slots = 5, and 9 slots are there"), "{said}");
}

/// What a restore left on production: it sleeps there, and a standby that has it promotes itself.
#[test]
fn a_recovery_target_of_productions_does_not_travel() {
    let stage = Stage::converged();
    stage.world.mutate(&erp1(), |m| add(m, AUTO, "recovery_target_time = '2001-01-01'\nrecovery_target_action = 'promote'\n"));
    stage.world.power_cut(&erp2());
    stage.world.mutate(&erp2(), |m| m.files.remove_tree(Path::new("/var/lib/postgresql/13/main")));
    stage.world.boot(&erp2());
    stage.apply().unwrap();
    stage.world.mutate(&erp1(), |m| m.clusters.get_mut(&main_cluster()).unwrap().data.as_mut().unwrap().commit(9e9, 64, |_| ()));
    assert_eq!(stage.writes(&erp2()), Some(false), "it promoted itself");
    let told = stage.world.mutate(&erp1(), |m| m.files.text(AUTO).to_owned()).unwrap();
    assert!(told.contains("recovery_target_time"), "production's own was taken back");
    // And back: an old production whose own target wakes when it becomes a standby.
    let report = stage.switchover();
    assert!(report.promoted, "{:#?}", failed(&report));
    stage.world.mutate(&erp2(), |m| m.clusters.get_mut(&main_cluster()).unwrap().data.as_mut().unwrap().commit(9e9, 64, |_| ()));
    assert_eq!(stage.writes(&erp1()), Some(false), "the old production promoted itself");
}

#[test]
fn a_pause_by_hand_is_ended_by_a_promotion_and_by_nobody_else() {
    let stage = Stage::converged();
    stage.world.mutate(&erp2(), |m| m.clusters.get_mut(&main_cluster()).unwrap().server.as_mut().unwrap().replay_paused = true);
    let said = format!("{:?}", stage.open());
    assert!(said.contains("it was paused by hand"), "{said}");
    stage.world.power_cut(&erp1());
    let report = stage.promote(true);
    assert!(report.promoted, "{:#?}", failed(&report));
}

/// The spec's own number is lower than what production's administrator gave it, and production dies.
#[test]
fn what_was_more_than_the_spec_says_stays_after_a_failover_until_the_spec_says_something_else() {
    let mut stage = Stage::converged();
    stage.spec.replication.as_mut().unwrap().parameters.insert("max_connections".into(), OptionValue::Int(120));
    stage.world.mutate(&erp1(), |m| add(m, AUTO, "max_connections = '160'\n"));
    stage.apply().unwrap();
    restart(&stage, &erp1());
    stage.apply().unwrap();
    assert_whole(&stage, "raised by hand");
    stage.world.power_cut(&erp1());
    let report = stage.promote(true);
    assert!(report.promoted, "{:#?}", failed(&report));
    assert_eq!(value(&stage, &erp2(), "max_connections"), "160", "the new production was lowered");
    let mut stage = stage.after_promotion();
    stage.world.boot(&erp1());
    assert!(stage.rejoin().promoted || stage.writes(&erp1()) == Some(false));
    stage.apply().unwrap();
    assert_eq!([erp1(), erp2()].map(|host| value(&stage, &host, "max_connections")), ["160", "160"]);
    stage.spec.replication.as_mut().unwrap().parameters.insert("max_connections".into(), OptionValue::Int(130));
    stage.apply().unwrap();
    assert_eq!([erp1(), erp2()].map(|host| value(&stage, &host, "max_connections")), ["130", "130"], "a new word lowers it");
}
