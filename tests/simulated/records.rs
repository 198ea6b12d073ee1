//! Records that broke off, cannot be read, or are long.

use std::path::Path;

use otr::host::simulated::files::Node;
use otr::host::simulated::{Fault, World};
use otr::look::Look;
use otr::promote::StepOutcome;
use otr::promote::incident::{Incident, IncidentState};
use otr::record::Record;
use otr::status::{looks, status};

use crate::stage::{JOURNAL, Stage, erp1, erp2, main_cluster};

fn silent() -> Stage {
    let stage = Stage::converged();
    stage.world.power_cut(&erp1());
    stage.world.clear_actions();
    stage
}

fn journal(stage: &Stage) -> Record {
    let files = stage.world.files(&erp2());
    let bytes = files.bytes(JOURNAL).unwrap_or_default();
    Record::of(bytes, bytes.len() as u64)
}

fn put(world: &World, path: &str, node: Node) {
    world.mutate(&erp2(), |machine| machine.files.put(Path::new(path), node.clone(), ("root", "root", 0o600), 0.0));
}

#[test]
fn a_power_cut_within_any_line_of_the_journal_is_survived() {
    let start = silent();
    let undisturbed = start.fork();
    assert!(undisturbed.promote(true).promoted);
    let actions = undisturbed.world.actions().len();
    for n in 1..=actions {
        let stage = start.fork();
        stage.world.fail_action(n, Fault::PowerWithin);
        let first = stage.promote(true);
        let report = stage.promote(true);
        let already = report.steps[0].error.as_ref().is_some_and(|error| error.contains("takes writes already"));
        assert!(report.promoted || n == actions && already, "{n}: {first:#?} {report:#?}");
        let data = stage.world.mutate(&erp2(), |m| m.clusters[&main_cluster()].data.clone().unwrap()).unwrap();
        assert_eq!(data.timeline, 2, "{n}");
        let incidents = Incident::read(&erp2(), &journal(&stage));
        assert_eq!(incidents.iter().map(|one| one.state).collect::<Vec<_>>(), [IncidentState::Complete], "{n}: {}", journal(&stage).text);
    }
}

#[test]
fn nothing_begins_beside_a_journal_that_cannot_be_read() {
    for node in [Node::Directory, Node::File("these are no events\n".into()), Node::Link("/nowhere".into())] {
        let stage = silent();
        put(&stage.world, JOURNAL, node);
        let report = stage.promote(true);
        let error = report.steps[0].error.clone().unwrap();
        assert!(!report.promoted && error.contains(JOURNAL) && error.contains("not known"), "{error}");
        assert_eq!(stage.world.actions(), []);
        let facts = stage.fleet().look(looks(&stage.spec));
        let seen = status(&stage.spec, &facts);
        assert!(!seen.ready && seen.obstacles.iter().any(|why| why.contains(JOURNAL)), "{:?}", seen.obstacles);
    }
}

#[test]
fn a_history_that_cannot_be_read_is_no_obstacle_and_is_named() {
    let stage = Stage::converged();
    for name in ["sync", "drill", "pause"] {
        put(&stage.world, &format!("/var/lib/otr/{name}-acme.jsonl"), Node::Directory);
    }
    let seen = status(&stage.spec, &stage.fleet().look(looks(&stage.spec)));
    let host = seen.hosts.iter().find(|host| host.host == erp2()).unwrap();
    assert!(seen.ready && host.records.len() == 3 && host.last_sync_unseen, "{host:?}");
    let text = otr::report::status::render(&seen, Default::default());
    assert!(text.contains("Last sync   not known") && text.contains("sync-acme.jsonl"), "{text}");
}

#[test]
fn a_long_list_of_lost_files_lies_beside_the_journal() {
    let stage = Stage::converged();
    for n in 0..150 {
        stage.world.create_attachment(&erp1(), &format!("{n}.pdf"), format!("{n}").as_bytes()).unwrap();
    }
    stage.world.power_cut(&erp1());
    let report = stage.promote(true);
    assert!(report.promoted && report.steps.iter().all(|step| step.outcome == StepOutcome::Done));
    let mut incidents = Incident::read(&erp2(), &journal(&stage));
    assert!(journal(&stage).text.len() < 20_000, "{}", journal(&stage).text.len());
    let incident = incidents.last_mut().unwrap();
    let list = incident.apart().next().unwrap().clone();
    assert_eq!((list.lines, incident.found.lost.as_ref().unwrap().files.len()), (150, 0));
    let facts = stage.fleet().look([(erp2(), Look::Record(list.path.clone()))]);
    assert_eq!(incident.clone().complete(&facts), [""; 0]);
    incident.complete(&facts);
    assert_eq!(incident.found.lost.as_ref().unwrap().files, report.lost.unwrap().files);
    // Without it the record says so.
    let mut again = Incident::read(&erp2(), &journal(&stage)).remove(0);
    put(&stage.world, list.path.to_str().unwrap(), Node::Directory);
    let why = again.complete(&stage.fleet().look([(erp2(), Look::Record(list.path.clone()))]));
    assert!(why.len() == 1 && why[0].contains("150 files"), "{why:?}");
    assert!(otr::report::incident::render(&again, Default::default()).contains("150 files"));
}
