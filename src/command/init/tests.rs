use super::*;
use crate::cli::Cli;
use crate::host::simulated::World;
use clap::Parser;

const ERP1: &str = "erp1";

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

fn spec_of(address: &str) -> HostSpec {
    serde_json::from_value(serde_json::json!({ "address": address })).unwrap()
}

fn arguments(words: &[&str]) -> (Global, InitArgs) {
    let cli = Cli::try_parse_from(["otr", "init"].iter().chain(words)).unwrap();
    let crate::cli::Verb::Init(args) = cli.verb else { panic!() };
    (cli.global, args)
}

fn drafted(world: &World, words: &[&str]) -> Answer {
    let (global, args) = arguments(&[&["10.77.0.11", "--yes"], words].concat());
    let production = Production::look(world, &host(ERP1)).unwrap();
    let standby = args.standby.as_deref().map(|address| Follower::look(world, &host("erp2"), spec_of(address)));
    draft(&global, &args, &production, (&host(ERP1), &spec_of("10.77.0.11")), standby, Some(world)).unwrap()
}

#[test]
fn the_plan_of_a_fresh_spec_against_its_production_is_empty() {
    let world = World::pair();
    let answer = drafted(&world, &["--standby", "10.77.0.12"]);
    assert!(answer.differs.is_empty() && answer.holds > 5, "{answer:#?}\n{}", answer.spec);
    let (spec, _) = parse(&answer.spec).unwrap();
    assert_eq!((spec.name.as_str(), spec.production.as_str(), spec.hosts.len()), ("acme", ERP1, 2));
    let odoo = spec.odoo.clone().unwrap();
    assert_eq!(odoo.databases[0].as_str(), "acme");
    assert_eq!(odoo.addons.paths, [Path::new("/usr/share/odoo-acme")]);
    assert!(odoo.production.contains_key("workers") && !odoo.options.contains_key("workers"));
    assert!(spec.packages.unwrap().install.contains(&"odoo-14".to_owned()) && spec.pip.unwrap().system);
    assert!(spec.replication.is_none() && answer.not_yet.iter().any(|part| part.key == "replication"), "{answer:?}");
    assert!(world.actions().is_empty(), "it only looks");
}

#[test]
fn no_secret_of_production_is_in_the_spec() {
    let world = World::pair();
    world.mutate(&host(ERP1), |machine| {
        let text = machine.files.text("/etc/odoo/odoo.conf").to_owned() + "smtp_password = hunter2\nproxy = http://me:hunter3@proxy/\n";
        let now = machine.tick();
        machine.files.write("/etc/odoo/odoo.conf", text, ("odoo", "odoo", 0o640), now);
    });
    let answer = drafted(&world, &[]);
    let all = format!("{}{answer:?}{}", answer.spec, serde_json::to_string(&answer).unwrap());
    assert!(!all.contains("hunter") && !all.contains("simulated-master"), "{}", answer.spec);
    let (spec, _) = parse(&answer.spec).unwrap();
    assert!(spec.odoo.unwrap().clone.is_some(), "they go from host to host: {}", answer.spec);
}

#[test]
fn with_replicate_the_pair_is_in_the_spec_and_what_it_changes_is_told() {
    let answer = drafted(&World::pair(), &["--standby", "10.77.0.12", "--replicate"]);
    let (spec, _) = parse(&answer.spec).unwrap();
    assert_eq!(spec.replication.unwrap().postgresql, 13);
    assert!(answer.differs.iter().any(|differs| differs.resource.starts_with("role ")), "{:?}", answer.differs);
    let text = render(&answer, Default::default());
    assert!(text.contains("What is not as the spec says on erp1"), "{text}");
}

#[test]
fn what_the_predecessor_left_is_listed_with_what_replaces_it_and_can_go() {
    let world = World::pair();
    for (name, path, text) in [
        ("erp2", "/etc/cron.hourly/ot-redundancy", "#!/bin/sh\not-attachments-sync\n"),
        ("erp2", "/etc/cron.monthly/ot-redundancy", "#!/bin/sh\n/usr/bin/ot-sync-from-source\n"),
        ("erp2", "/etc/odoo/ot-redundancy-sync.conf", "SYNCMODE=standby\n"),
        ("erp2", "/etc/cron.daily/own", "#!/bin/sh\ntrue\n"),
    ] {
        world.mutate(&host(name), |machine| {
            let now = machine.tick();
            machine.files.write(path, text, ("root", "root", 0o755), now);
        });
    }
    let answer = drafted(&world, &["--standby", "10.77.0.12"]);
    let told: Vec<String> =
        answer.predecessor.iter().map(|left| format!("{} {} {}", left.host, left.found.what, left.found.replaced_by)).collect();
    let wanted = [
        "erp2 runs ot-attachments-sync filestore: {follow: 5s}",
        "erp2 runs ot-sync-from-source schedule: {sync: hourly}",
        "erp2 its settings the spec itself",
    ];
    assert_eq!(told, wanted);
    let hosts: IndexMap<HostName, HostSpec> = [(host("erp2"), spec_of("10.77.0.12"))].into();
    let (global, args) = arguments(&["--retire-predecessor", "--yes"]);
    let dry = InitArgs { dry_run: true, ..args.clone() };
    assert_eq!(retire::with(&global, &dry, &world, &hosts).unwrap(), Exit::Done);
    assert!(world.actions().is_empty());
    assert_eq!(retire::with(&global, &args, &world, &hosts).unwrap(), Exit::Done);
    let files = world.files(&host("erp2"));
    let there = |path: &str| files.get(path).is_some();
    assert!(!there("/etc/cron.hourly/ot-redundancy") && !there("/etc/cron.monthly/ot-redundancy"));
    assert!(there("/etc/cron.daily/own") && there("/etc/odoo/ot-redundancy-sync.conf"));
    world.power_cut(&host("erp2"));
    let silent = retire::with(&global, &args, &world, &hosts).unwrap_err().to_string();
    assert!(silent.contains("no host could be seen"), "not seen is not absent: {silent}");
}

#[test]
fn a_hostile_production_writes_no_line_of_the_spec() {
    let world = World::pair();
    world.mutate(&host(ERP1), |machine| {
        let text = machine.files.text("/etc/odoo/odoo.conf").to_owned()
            + "a: {secret} = x\n../../etc/passwd = x\nlogfile = x\\nproduction: evil # \u{2028}hosts: {}\nsmtp_server = {secret: \"command:id\"}\n";
        let now = machine.tick();
        machine.files.write("/etc/odoo/odoo.conf", text, ("odoo", "odoo", 0o640), now);
    });
    let answer = drafted(&world, &[]);
    let (spec, _) = parse(&answer.spec).unwrap();
    assert_eq!(spec.production.as_str(), ERP1);
    assert!(spec.secrets().is_empty(), "{}", answer.spec);
}

#[test]
fn who_only_looks_never_becomes_root() {
    let world = World::pair();
    world.mutate(&host(ERP1), |machine| machine.login = "guest".into());
    let asked = std::cell::RefCell::new(Vec::new());
    let connect = |_: &HostName, spec: &HostSpec| -> Box<dyn Connect> {
        asked.borrow_mut().push(spec.becomes);
        Box::new(world.clone())
    };
    for (observe, wanted) in [(true, vec![None]), (false, vec![None, Some(Become::Sudo)])] {
        asked.borrow_mut().clear();
        with_rights(&connect, &host(ERP1), spec_of("10.77.0.11"), observe).unwrap();
        assert_eq!(*asked.borrow(), wanted);
    }
}
