//! Units as a real systemd has them.

use super::*;

fn machine() -> Machine {
    let mut machine = Machine::bare("erp1".parse().unwrap(), "10.77.0.11", 1e9);
    machine.files.write("/lib/systemd/system/x.service", "[Service]\n[Install]\n", ("root", "root", 0o644), 1e9);
    machine
}

#[test]
fn a_masked_unit_neither_starts_nor_is_enabled() {
    let mut machine = machine();
    machine.unit_verb("x.service", UnitVerb::Mask).unwrap();
    assert!(machine.unit_verb("x.service", UnitVerb::Start).unwrap_err().contains("is masked"));
    assert!(machine.unit_verb("x.service", UnitVerb::Enable).is_err());
    assert_eq!(machine.unit_sight("x.service").enablement, Enablement::Masked);
    machine.unit_verb("x.service", UnitVerb::Unmask).unwrap();
    machine.unit_verb("x.service", UnitVerb::Enable).unwrap();
    machine.unit_verb("x.service", UnitVerb::Start).unwrap();
    assert!(machine.unit_sight("x.service").active);
    assert_eq!(machine.starts.len(), 1);
    assert!(machine.unit_verb("y.service", UnitVerb::Start).unwrap_err().contains("not found"));
}

#[test]
fn a_mask_never_takes_the_place_of_a_file() {
    let mut machine = machine();
    machine.files.write("/etc/systemd/system/x.service", "[Service]\n", ("root", "root", 0o644), 1e9);
    assert!(machine.unit_verb("x.service", UnitVerb::Mask).unwrap_err().contains("File exists"));
    assert_eq!(machine.files.text("/etc/systemd/system/x.service"), "[Service]\n");
}

#[test]
fn a_reload_leaves_the_time_of_the_start() {
    let mut machine = machine();
    machine.files.write("/lib/systemd/system/x.service", "[Service]\nExecReload=/bin/true\n", ("root", "root", 0o644), 1e9);
    machine.unit_verb("x.service", UnitVerb::Start).unwrap();
    let started = machine.unit_sight("x.service");
    machine.tick();
    machine.unit_verb("x.service", UnitVerb::Reload).unwrap();
    let seen = machine.unit_sight("x.service");
    assert!(seen.active_since == started.active_since && seen.changed > started.changed);
}

#[test]
fn a_new_drop_in_is_seen_after_a_reload_only() {
    let mut machine = machine();
    machine.unit_verb("x.service", UnitVerb::Start).unwrap();
    assert!(!machine.unit_sight("x.service").needs_daemon_reload);
    let now = machine.tick();
    machine.files.write("/etc/systemd/system/x.service.d/otr.conf", "[Service]\n", ("root", "root", 0o644), now);
    assert!(machine.unit_sight("x.service").needs_daemon_reload);
    machine.unit_verb("x.service", UnitVerb::Restart).unwrap();
    assert!(machine.unit_sight("x.service").needs_daemon_reload, "a restart runs what systemd has read");
    machine.daemon_reload();
    assert!(!machine.unit_sight("x.service").needs_daemon_reload);
}

#[test]
fn a_timer_needs_its_service() {
    let mut machine = machine();
    machine.files.write("/etc/systemd/system/t.timer", "[Timer]\n[Install]\n", ("root", "root", 0o644), 1e9);
    assert!(machine.unit_verb("t.timer", UnitVerb::Start).is_err());
    machine.files.write("/etc/systemd/system/t.service", "[Service]\nType=oneshot\n", ("root", "root", 0o644), 1e9);
    machine.unit_verb("t.timer", UnitVerb::Start).unwrap();
    assert!(machine.unit_sight("t.timer").active);
    assert_eq!(machine.unit_sight("t.service").enablement, Enablement::Other);
}
