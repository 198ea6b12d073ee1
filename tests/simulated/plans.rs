//! Plans as people read them: each folder of tests/plans holds a spec, a scene (a simulated
//! world and what was done to it) and the text `otr plan` prints; some also the Markdown and the
//! JUnit XML.
//!
//! `OTR_BLESS=1 cargo test --test simulated plans` writes the texts anew; read the diff before
//! you keep it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use otr::host::simulated::World;
use otr::plan::check::may_change;
use otr::plan::{Plan, split};
use otr::report::text::{Style, render};
use otr::report::{HostReport, Report, junit, markdown, of_plan, summary};
use otr::spec::load::parse;

use crate::refusals::{own_production, second_primary};
use crate::stage::{STORE, Stage, erp1, erp2, main_cluster};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Scene {
    /// `bare`, `pair`, or `converged`: a pair on which apply ran once.
    world: String,
    /// What was done to it then, by name.
    #[serde(default)]
    tampering: Vec<String>,
}

fn stage(folder: &Path) -> Stage {
    let scene: Scene = serde_yaml::from_str(&fs::read_to_string(folder.join("scene.yaml")).unwrap()).unwrap();
    let (spec, _) = parse(&fs::read_to_string(folder.join("spec.yaml")).unwrap()).unwrap();
    let world = if scene.world == "bare" { World::bare() } else { World::pair() };
    let stage = Stage::with(world, spec, |_| Ok("made-up".into()));
    if scene.world == "converged" {
        stage.apply().unwrap();
        assert!(stage.plan().holds(), "{}: {:#?}", folder.display(), stage.open());
    }
    scene.tampering.iter().for_each(|name| tamper(&stage, name));
    stage
}

fn tamper(stage: &Stage, name: &str) {
    let world = &stage.world;
    match name {
        "odoo.conf was edited on erp2" => {
            world.mutate(&erp2(), |m| {
                let text = m.files.text("/etc/odoo/odoo.conf").replace("workers = 0", "workers = 8");
                let now = m.tick();
                m.files.write("/etc/odoo/odoo.conf", text, ("root", "root", 0o644), now);
            });
        }
        "vim was removed from erp2" => drop(world.mutate(&erp2(), |m| m.packages.remove("vim"))),
        "the slot was dropped" => {
            world.mutate(&erp1(), |m| m.clusters.get_mut(&main_cluster()).unwrap().data.as_mut().unwrap().slots.clear());
        }
        "a file was attached" => drop(world.create_attachment(&erp1(), "invoice 4712.pdf", b"invoice").unwrap()),
        "a file on erp2 was torn" => {
            let (name, _) = stage.sound_files(&erp2()).pop_first().unwrap();
            assert!(name.starts_with(STORE));
            world.mutate(&erp2(), |m| {
                let now = m.tick();
                m.files.write(name, "torn", ("odoo", "odoo", 0o644), now);
            });
        }
        "erp1 has no power" => world.power_cut(&erp1()),
        "erp2 became a second primary" => second_primary(stage),
        "erp2 is a production of its own" => own_production(stage),
        other => panic!("scene.yaml: no such tampering: {other}"),
    }
}

fn planned(stage: &Stage) -> Report {
    let fleet = stage.fleet();
    let wanted = stage.wanted();
    let facts = otr::converge::look(&fleet, &wanted, split::looks(&stage.spec));
    let plan = Plan::make(&wanted, &facts);
    let observed: BTreeMap<_, _> = stage.spec.members().map(|host| (host.clone(), !may_change(&stage.spec, host))).collect();
    let hosts = stage.spec.hosts.iter().map(|(name, host)| HostReport {
        host: name.clone(),
        role: stage.spec.role(name).as_str(),
        address: host.address.clone(),
        observed: observed[name],
        error: fleet.unreachable(name),
    });
    let resources = of_plan(&plan, &observed);
    let mut notes: Vec<String> = split::split_brain(&stage.spec, &facts).into_iter().map(|(_, words)| words).collect();
    notes.extend(otr::plan::check::check(&plan, &stage.spec, None).iter().map(|v| format!("apply will refuse this plan: {v}")));
    Report {
        format: 1,
        verb: "plan",
        spec: stage.spec.name.to_string(),
        hosts: hosts.collect(),
        summary: summary(&resources),
        resources,
        changed: false,
        split_brain: false,
        stale_spec: false,
        notes,
    }
}

#[test]
fn each_scene_is_told_in_its_words() {
    let mut folders: Vec<PathBuf> = fs::read_dir("tests/plans").unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 5);
    let mut wrong = String::new();
    for folder in folders {
        let report = planned(&stage(&folder));
        for (name, actual) in [
            ("expected.txt", render(&report, Style::default())),
            ("expected.md", markdown::render(&report)),
            ("expected.xml", junit::render(&report)),
        ] {
            assert!(!actual.contains("made-up"), "{}: a secret is shown", folder.display());
            if name.ends_with(".xml") {
                roxmltree::Document::parse(&actual).unwrap();
            }
            let file = folder.join(name);
            if name != "expected.txt" && !file.exists() {
                continue;
            }
            if std::env::var_os("OTR_BLESS").is_some() {
                fs::write(&file, &actual).unwrap();
            }
            let expected = fs::read_to_string(&file).unwrap_or_default();
            if expected != actual {
                let diff = similar::TextDiff::from_lines(expected.as_str(), actual.as_str());
                wrong += &format!("{}\n{}", file.display(), diff.unified_diff().header("expected", "actual"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
