//! What a standby takes from production, on the simulated pair: everything is named, carried and
//! then holds; what only the standby has stays unless the spec says otherwise.

use otr::host::simulated::Machine;
use otr::host::simulated::files::Node;
use otr::look::debconf::Answer;
use otr::look::python::Source;
use otr::plan::Verdict;
use otr::resource::Difference;
use otr::secret::{Secret, Text};
use otr::spec::load::parse;

use crate::stage::{Stage, erp1, erp2};

const ROOT: (&str, &str, u32) = ("root", "root", 0o644);

/// acme.yaml with everything cloned.
fn stage(remove: bool) -> Stage {
    let clone = if remove { "{remove: true}" } else { "{}" };
    let text = include_str!("../../specs/acme.yaml")
        .replace("  clone: {ignore: [\"linux-*\", \"grub-*\"]} ", &format!("  clone: {{remove: {remove}, sources: {{}}}} "))
        .replace("  clone: {}             # and what else", &format!("  clone: {clone} # and what else"));
    assert!(text.contains("sources: {}"));
    let (mut spec, _) = parse(&text).unwrap();
    let more = "version: 1\nname: x\nproduction: erp1\nhosts: {erp1: {address: a}}\nodoo: {databases: [acme], clone: {ignore: [addons_path]}}\nsystem: {clone: {}}\nfiles:\n  - {path: /etc/nginx, clone: true, ignore: [\"*.bak\"]}\n  - {path: /etc/cron.d, clone: true, unit: ssh.service}\n";
    let (more, _) = parse(more).unwrap();
    spec.odoo.as_mut().unwrap().clone = more.odoo.unwrap().clone;
    spec.system = more.system;
    spec.files.extend(more.files);
    let base = Stage::converged();
    base.world.mutate(&erp1(), built);
    let stage = Stage::with(base.world, spec, |_| Ok("made-up".into()));
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
    stage
}

fn built(machine: &mut Machine) {
    let now = machine.tick();
    machine.files.write("/etc/apt/sources.list", "deb http://deb.example.net bullseye main\n", ROOT, now);
    machine.files.write("/etc/nginx/sites-available/erp", "server {}\n", ROOT, now);
    machine.files.write("/etc/nginx/old.bak", "x", ROOT, now);
    machine.files.make_parents("/etc/nginx/sites-enabled".as_ref(), ("root", "root", 0o755), now);
    machine.files.put("/etc/nginx/sites-enabled/erp", Node::Link("../sites-available/erp".into()), ("root", "root", 0o777), now);
    machine.files.write("/etc/cron.d/acme", "0 3 * * * root true\n", ROOT, now);
}

fn differences(stage: &Stage, id: &str) -> Vec<Difference> {
    match stage.open().get(id) {
        Some(Verdict::Change(change)) => change.differences.clone(),
        other => panic!("{id}: {other:?}, but {:?}", stage.open().keys()),
    }
}

#[test]
fn a_clone_is_whole_and_stays_so() {
    let stage = stage(false);
    let files = stage.world.files(&erp2());
    assert_eq!(files.text("/etc/nginx/sites-available/erp"), "server {}\n");
    assert_eq!(files.get("/etc/nginx/sites-enabled/erp").map(|e| e.node.clone()), Some(Node::Link("../sites-available/erp".into())));
    assert!(files.get("/etc/nginx/old.bak").is_none());
    assert!(
        files.text("/etc/odoo/odoo.conf").contains("limit_time_cpu = 120") && files.text("/etc/odoo/odoo.conf").contains("workers = 0")
    );
    stage.world.clear_actions();
    stage.apply().unwrap();
    assert_eq!(stage.world.actions(), []);
}

#[test]
fn add_ons_and_debconfs_answers_follow() {
    let mut stage = stage(false);
    let more = "version: 1\nname: x\nproduction: erp1\nhosts: {erp1: {address: a}}\npackages: {clone: {debconf: [acme/greeting, acme/key]}}\nodoo: {addons: {paths: [/usr/share/odoo-acme], clone: {ignore: [\"*.log\"]}}}\n";
    let (more, _) = parse(more).unwrap();
    stage.spec.odoo.as_mut().unwrap().addons = more.odoo.unwrap().addons;
    let clone = stage.spec.packages.as_mut().unwrap().clone.as_mut().unwrap();
    clone.debconf = more.packages.unwrap().clone.unwrap().debconf;
    let answer = |kind: &str, value| Answer { owner: "acme".into(), kind: kind.into(), value };
    stage.world.mutate(&erp1(), |machine| {
        machine.debconf.insert("acme/greeting".into(), answer("string", "hello".into()));
        machine.debconf.insert("acme/key".into(), answer("password", Text::Sensitive(Secret::new("hunter2"))));
        machine.debconf.insert("acme/other".into(), answer("string", "no".into()));
        let now = machine.tick();
        machine.files.put("/usr/share/odoo-acme/linked", Node::Link("acme_base".into()), ("odoo", "odoo", 0o777), now);
        machine.files.write("/usr/share/odoo-acme/acme_base/noise.log", "x", ("odoo", "odoo", 0o644), now);
    });
    assert!(!format!("{:?}", stage.open()).contains("hunter"));
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
    let files = stage.world.files(&erp2());
    assert!(files.text("/usr/share/odoo-acme/acme_base/__manifest__.py").contains("name"));
    assert_eq!(files.get("/usr/share/odoo-acme/linked").map(|e| e.node.clone()), Some(Node::Link("acme_base".into())));
    assert!(files.get("/usr/share/odoo-acme/acme_base/noise.log").is_none());
    stage.world.mutate(&erp2(), |machine| {
        assert_eq!(machine.debconf.len(), 2);
        assert_eq!(machine.debconf["acme/key"].value.expose(), "hunter2");
    });
    stage.world.mutate(&erp1(), |machine| machine.files.remove_tree("/usr/share/odoo-acme/linked".as_ref()));
    assert_eq!(differences(&stage, "erp2 addons /usr/share/odoo-acme").iter().map(|d| d.what.as_str()).collect::<Vec<_>>(), ["linked"]);
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
}

#[test]
fn what_happens_on_production_is_named_and_carried() {
    let stage = stage(true);
    stage.world.mutate(&erp1(), |machine| {
        let now = machine.tick();
        machine.files.write("/etc/nginx/sites-available/erp", "server { listen 81; }\n", ROOT, now);
        machine.files.remove_tree("/etc/nginx/sites-enabled/erp".as_ref());
        machine.files.write("/etc/cron.d/acme", "5 3 * * * root true\n", ROOT, now);
        machine.files.write("/etc/apt/sources.list.d/acme.list", "deb http://apt.acme.example ./\n", ROOT, now);
        machine.packages.remove("vim");
        machine.packages.get_mut("git").unwrap().manual = false;
        let source = |revision: &str| Source {
            url: "https://git.example.net/x.git".into(),
            vcs: Some("git".into()),
            revision: Some(revision.into()),
            ..Source::default()
        };
        machine.python.get_mut("").unwrap().insert("x".into(), "0.1".into());
        machine.python.get_mut("").unwrap().remove("phonenumbers");
        machine.python_sources.entry(String::new()).or_default().insert("x".into(), source("0a1b"));
        let conf =
            machine.files.text("/etc/odoo/odoo.conf").replace("limit_time_cpu = 120", "limit_time_real = 9\nsmtp_password = hunter2");
        machine.files.write("/etc/odoo/odoo.conf", conf, ("odoo", "odoo", 0o640), now);
        machine.system.insert("time zone".into(), "Europe/Stockholm".into());
    });
    let whats = |id: &str| differences(&stage, id).into_iter().map(|d| d.what).collect::<Vec<_>>();
    assert_eq!(whats("erp2 clone /etc/nginx"), ["/etc/nginx/sites-enabled/erp", "/etc/nginx/sites-available/erp"]);
    assert_eq!(whats("erp2 clone /etc/cron.d"), ["/etc/cron.d/acme"]);
    assert!(whats("erp2 sources apt").contains(&"/etc/apt/sources.list.d/acme.list".to_owned()));
    assert_eq!(whats("erp2 packages debian"), ["vim", "git mark"]);
    assert_eq!(whats("erp2 pip system"), ["x", "phonenumbers"]);
    assert_eq!(whats("erp2 odoo-conf /etc/odoo/odoo.conf"), ["limit_time_real", "smtp_password", "limit_time_cpu"]);
    assert_eq!(whats("erp2 system settings"), ["time zone"]);
    assert!(!format!("{:?}", stage.open()).contains("hunter2"));
    let starts = stage.world.starts(&erp2(), "ssh.service");
    let report = stage.apply().unwrap();
    assert!(!format!("{report:?}").contains("hunter2"));
    let open: Vec<String> = stage.open().into_keys().collect();
    assert_eq!(open, ["erp2 system settings"], "it is named, and nobody's to change");
    let files = stage.world.files(&erp2());
    assert_eq!(files.text("/etc/cron.d/acme"), "5 3 * * * root true\n");
    assert_eq!(files.text("/var/lib/otr/backup/etc/nginx/sites-available/erp"), "server {}\n");
    assert!(files.text("/etc/odoo/odoo.conf").contains("smtp_password = hunter2"));
    assert!(stage.world.starts(&erp2(), "ssh.service") >= starts);
}

#[test]
fn what_only_the_standby_has_is_named_and_stays() {
    let stage = stage(false);
    stage.world.mutate(&erp1(), |machine| {
        machine.packages.remove("vim");
        machine.python.get_mut("").unwrap().remove("phonenumbers");
    });
    for (id, what) in [("erp2 packages debian", "vim"), ("erp2 pip system", "phonenumbers")] {
        assert_eq!(differences(&stage, id).iter().map(|d| d.what.as_str()).collect::<Vec<_>>(), [what]);
    }
    stage.world.clear_actions();
    stage.apply().unwrap();
    // Production's modules are fewer: what is kept for a rebuild says so.
    assert_eq!(stage.world.actions(), [(erp2(), "write /var/lib/otr/requirements.txt".to_owned())]);
}

#[test]
fn a_production_that_lost_its_files_is_not_followed() {
    let stage = stage(true);
    stage.world.mutate(&erp1(), |machine| {
        for path in ["/etc/nginx", "/etc/cron.d/acme", "/etc/apt/sources.list"] {
            machine.files.remove_tree(path.as_ref());
        }
    });
    for id in ["erp2 clone /etc/nginx", "erp2 clone /etc/cron.d", "erp2 sources apt"] {
        assert!(matches!(stage.open().get(id), Some(Verdict::Refused(_))), "{id}: {:?}", stage.open().get(id));
    }
    let before = stage.world.files(&erp2());
    stage.apply().unwrap();
    assert!(stage.world.files(&erp2()).text("/etc/cron.d/acme") == before.text("/etc/cron.d/acme"));
}
