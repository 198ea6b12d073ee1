//! Hooks, the fence, the snapshot and the dry run; and the record that tells of them.

use otr::host::simulated::World;
use otr::name::HostName;
use otr::promote::incident::{Incident, IncidentState, Mark};
use otr::promote::{HookOutcome, PromoteReport, Promotion, StepOutcome, StepReport};
use otr::report::incident::{markdown, render};
use otr::report::text::Style;
use otr::spec::load::parse;

use crate::failover::{assert_whole, failed};
use crate::stage::{JOURNAL, Stage, erp1, erp2};

/// A converged pair whose spec says more below `failover:`.
fn stage(failover: &str) -> Stage {
    let text = format!("{}\nfailover:\n{failover}", include_str!("../../specs/acme.yaml"));
    let (spec, _) = parse(&text).unwrap();
    Stage { spec, ..Stage::converged() }
}

fn program(world: &World, host: &HostName, path: &str, status: i32, said: &str) {
    world.mutate(host, |m| m.programs.insert(path.into(), (status, said.into())));
}

/// Every call of people's programs on a host: program, step and side.
fn calls(stage: &Stage, host: &HostName) -> Vec<String> {
    let calls = stage.world.mutate(host, |m| m.calls.clone()).unwrap();
    let told = |call: &otr::look::CommandLine| {
        let of = |name: &str| call.environment.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str()).to_owned();
        format!("{} {} {} {} {}", call.argv.join(" "), of("OTR_VERB"), of("OTR_WHEN"), of("OTR_STEP"), of("OTR_OLD_PRODUCTION"))
    };
    calls.iter().map(told).collect()
}

fn step<'a>(report: &'a PromoteReport, name: &str) -> &'a StepReport {
    report.steps.iter().find(|step| step.step == name).unwrap()
}

fn incidents(stage: &Stage, host: &HostName) -> Vec<Incident> {
    let files = stage.world.files(host);
    let bytes = files.bytes(JOURNAL).unwrap_or_default();
    Incident::read(host, &otr::record::Record::of(bytes, bytes.len() as u64))
}

const HOOKS: &str = "  hooks:
    - {before: stop-odoo, run: [/opt/page, down], on: old}
    - {after: promote, run: [/opt/address, take]}
    - {after: smoke-test, run: [/opt/chat, \"we are back\"], verbs: [switchover]}
    - {after: put-back, run: [/opt/page, up], on: old}
";

#[test]
fn hooks_run_at_their_steps_on_their_hosts() {
    let stage = stage(HOOKS);
    for (host, path) in [(erp1(), "/opt/page"), (erp2(), "/opt/address"), (erp2(), "/opt/chat")] {
        program(&stage.world, &host, path, 0, "");
    }
    let shown = stage.switchover_with(true);
    assert_eq!(step(&shown, "promote").hooks[0].outcome, HookOutcome::Planned);
    assert_eq!(calls(&stage, &erp2()), [""; 0], "a dry run runs nothing");
    let report = stage.switchover();
    assert!(report.promoted, "{:#?}", failed(&report));
    assert_eq!(calls(&stage, &erp1()), ["/opt/page down switchover before stop-odoo erp1"]);
    let on_new = ["/opt/address take switchover after promote erp1", "/opt/chat we are back switchover after smoke-test erp1"];
    assert_eq!(calls(&stage, &erp2()), on_new);
    assert_whole(&stage.with_production(&erp2()), "with hooks");
}

#[test]
fn a_failing_hook_is_reported_or_stops_as_the_spec_says() {
    let stage = stage(HOOKS);
    program(&stage.world, &erp1(), "/opt/page", 1, "no such page");
    let report = stage.fork().switchover();
    assert!(report.promoted, "{:#?}", failed(&report));
    assert_eq!(step(&report, "stop-odoo").hooks[0].outcome, HookOutcome::Failed);
    assert!(report.next.iter().any(|line| line.contains("`/opt/page down` on erp1): it failed")), "{:?}", report.next);

    let mut stops = stage.fork();
    stops.spec.failover.hooks[0].if_it_fails = otr::spec::IfItFails::Stop;
    let report = stops.switchover();
    assert!(failed(&report)[0].contains("the hook before stop-odoo on erp1 failed"), "{:?}", failed(&report));
    assert_eq!(report.steps.last().unwrap().step, "put-back");
    assert!(calls(&stops, &erp1()).contains(&"/opt/page up switchover after put-back erp1".to_owned()));
    assert_whole(&stops, "put back");

    // What a dead host would have done is left to a person.
    stage.world.power_cut(&erp1());
    let report = stage.promote(true);
    assert!(report.promoted, "{:#?}", failed(&report));
    assert_eq!(calls(&stage, &erp2()).len(), 1, "only the hooks of a promotion");
}

const FENCE: &str = "  fence: {run: [/opt/power, off], read_back: [/opt/power-status], expect: is off, timeout: 1s}\n";

#[test]
fn a_fence_counts_only_with_its_read_back() {
    let stage = stage(FENCE);
    stage.world.power_cut(&erp1());
    program(&stage.world, &erp2(), "/opt/power", 0, "");
    program(&stage.world, &erp2(), "/opt/power-status", 0, "Chassis Power is on\n");
    let report = stage.fork().promote(false);
    assert!(failed(&report)[0].starts_with("fence-command: the fence does not prove that erp1 is down"), "{:?}", failed(&report));
    assert_eq!(stage.writes(&erp2()), Some(false));

    let stated = stage.fork();
    let report = stated.promote(true);
    assert!(report.promoted, "a person's word counts where the fence fails: {:#?}", failed(&report));

    program(&stage.world, &erp2(), "/opt/power-status", 0, "Chassis Power is off\n");
    let shown = stage.promote_with(false, |promotion| Promotion { dry_run: true, ..promotion });
    assert!(step(&shown, "fence").seen.as_ref().unwrap().contains("says \"Chassis Power is off\""), "a dry run asks too: {shown:#?}");
    let report = stage.promote(false);
    assert!(report.promoted, "{:#?}", failed(&report));
    assert_eq!(calls(&stage, &erp2()).iter().filter(|call| call.starts_with("/opt/power off")).count(), 0, "it is off already");
    let incident = incidents(&stage, &erp2()).pop().unwrap();
    assert!(incident.checklist[2].how.contains("is down: `/opt/power-status` says"), "{:?}", incident.checklist[2]);

    // A read-back that fails proves nothing, whatever it prints.
    let stage = self::stage(FENCE);
    stage.world.power_cut(&erp1());
    program(&stage.world, &erp2(), "/opt/power", 0, "");
    program(&stage.world, &erp2(), "/opt/power-status", 1, "is off\n");
    assert!(!stage.promote(false).promoted);
    assert_eq!(calls(&stage, &erp2()).iter().filter(|call| call.starts_with("/opt/power off")).count(), 1);
}

#[test]
fn a_snapshot_is_made_once_before_anything_irreversible() {
    let stage = Stage::converged();
    stage.world.power_cut(&erp1());
    let promote = |stage: &Stage| stage.promote_with(true, |promotion| Promotion { snapshot: Some("lvcreate -s vg/pg"), ..promotion });
    let report = promote(&stage);
    assert!(failed(&report)[0].starts_with("snapshot: "), "{:?}", failed(&report));
    assert_eq!(stage.writes(&erp2()), Some(false), "it is still a standby");
    program(&stage.world, &erp2(), "/bin/sh", 0, "");
    stage.world.mutate(&erp2(), |m| m.disk_full = false);
    let report = promote(&stage);
    assert!(report.promoted, "{:#?}", failed(&report));
    let incident = incidents(&stage, &erp2()).pop().unwrap();
    assert_eq!((incident.state, incident.again.len()), (IncidentState::Complete, 1));
    assert_eq!(incident.checklist[3].mark, Mark::Done, "{:?}", incident.checklist[3]);
    assert!(incident.checklist[3].how.contains("done: lvcreate -s vg/pg"));
}

#[test]
fn a_dry_run_looks_at_the_first_steps_and_shows_the_rest() {
    let stage = Stage::converged();
    stage.world.create_attachment(&erp1(), "never copied.pdf", b"never copied").unwrap();
    let dry = |stage: &Stage, down| stage.promote_with(down, |promotion| Promotion { dry_run: true, ..promotion });
    stage.world.clear_actions();
    let alive = dry(&stage, false);
    assert!(step(&alive, "fence").error.as_ref().unwrap().contains("erp1 is alive"));
    assert_eq!(step(&alive, "promote").outcome, StepOutcome::Planned, "it shows what would follow all the same");
    assert!(alive.next[0].contains("mend what failed"), "{:?}", alive.next);
    stage.world.power_cut(&erp1());
    let report = dry(&stage, true);
    assert_eq!(failed(&report), [""; 0]);
    assert_eq!(report.next, ["nothing was changed; `otr promote erp2` without --dry-run does it"]);
    assert_eq!(step(&report, "preflight").outcome, StepOutcome::Done);
    assert_eq!(step(&report, "promote").done, ["erp2: promote PostgreSQL 13/main"]);
    assert!(step(&report, "production-mode").done.contains(&"erp2: start odoo.service".to_owned()), "{report:#?}");
    let lost = report.lost.as_ref().unwrap();
    assert_eq!(lost.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["never copied.pdf"], "what would be lost");
    assert_eq!(stage.world.actions(), [], "nothing was done");
    assert_eq!(stage.world.files(&erp2()).text(JOURNAL), "", "not even a journal");
}

#[test]
fn the_record_tells_times_losses_statements_and_what_is_left_to_do() {
    let stage = Stage::converged();
    stage.world.create_attachment(&erp1(), "never copied.pdf", b"never copied").unwrap();
    stage.world.power_cut(&erp1());
    assert!(stage.promote(true).promoted);
    let incident = incidents(&stage, &erp2()).pop().unwrap();
    assert_eq!(incident.state, IncidentState::Complete);
    assert!(incident.steps.iter().all(|step| step.ended.outcome == "done"), "{incident:#?}");
    assert_eq!(incident.steps.first().map(|step| step.ended.step.as_str()), Some("preflight"), "also what was only looked at");
    let marks: Vec<Mark> = incident.checklist.iter().map(|check| check.mark).collect();
    use Mark::{Done, LeftOut, Open};
    assert_eq!(marks, [Done, Open, Done, LeftOut, Done, Done, Open, Open, Open]);
    let text = render(&incident, Style { colour: false, verbose: false });
    for part in [
        "stated 20",
        "by a test: erp1 is down",
        "absent never copied.pdf",
        "still to be done by a person: tell them",
        "→ promote PostgreSQL",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let page = markdown(&incident);
    for part in ["# promote erp2 in place of erp1\n", "| ✓ promote |", "- [x] 3. Shut production down", "- [ ] 9. Tell the people"] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    assert_eq!(serde_json::to_value(&incident).unwrap()["lost"]["files"][0]["name"], "never copied.pdf");
    // A switchover has a record too, and no checklist of a disaster.
    let stage = Stage::converged();
    assert!(stage.switchover().promoted);
    let incident = incidents(&stage, &erp2()).pop().unwrap();
    assert!(incident.found.downtime.is_some() && incident.checklist.is_empty());
}

#[test]
fn an_action_that_fails_though_its_end_holds_is_told() {
    let stage = Stage::converged();
    stage.world.power_cut(&erp1());
    let undisturbed = stage.fork();
    undisturbed.world.clear_actions();
    assert!(undisturbed.promote(true).promoted);
    let at = undisturbed.world.actions().iter().position(|(_, title)| title == "promote PostgreSQL 13/main").unwrap();
    stage.world.clear_actions();
    stage.world.fail_action(at + 1, otr::host::simulated::Fault::FailAfter);
    let report = stage.promote(true);
    let warnings = &step(&report, "promote").warnings;
    assert!(warnings.iter().any(|warning| warning.contains("what was wanted holds all the same")), "{report:#?}");
    assert!(report.promoted, "{:#?}", failed(&report));
}
