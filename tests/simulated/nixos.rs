//! A standby that is a NixOS: its packages are compared and never installed; the rest is done.

use std::collections::BTreeSet;

use otr::host::simulated::World;
use otr::look::NixSystem;
use otr::plan::Verdict;
use otr::report::{Outcome, State};
use otr::resource::Kind;
use otr::spec::load::parse;

use crate::stage::{Stage, erp1, erp2};

const SPEC: &str = "
version: 1
name: acme
production: erp1
hosts: {erp1: {address: 10.0.0.11}, erp2: {address: 10.0.0.12}}
packages: {install: [vim, nginx], remove: [tree], clone: {}}
files: [{path: /srv/motd, content: \"hello\\n\"}]
";

fn stage(names: &[&str]) -> Stage {
    let (spec, _) = parse(SPEC).unwrap();
    let stage = Stage::with(World::pair(), spec, |_| Err("none".into()));
    let system = NixSystem { names: names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>() };
    stage.world.mutate(&erp2(), |machine| machine.nixos = Some(system.clone()));
    stage
}

#[test]
fn what_is_missing_is_drift_that_apply_leaves_alone() {
    let stage = stage(&["vim-9.1", "tree-2.1"]);
    let reports = stage.apply().unwrap();
    let of = |kind| reports.iter().find(|report| report.host == erp2() && report.kind == kind).unwrap();
    let packages = of(Kind::Packages);
    assert_eq!((packages.state, packages.outcome), (State::Change, None), "{packages:#?}");
    assert!(packages.actions.is_empty() && packages.left_to.as_deref().is_some_and(|who| who.contains("NixOS")));
    let named: Vec<_> = packages.differences.iter().map(|difference| difference.what.as_str()).collect();
    assert_eq!(named, ["nginx", "tree"]);
    // The file comes after the packages, and is not kept from being written by them.
    assert_eq!(of(Kind::File).outcome, Some(Outcome::Changed));
    assert_eq!(stage.open().into_keys().collect::<Vec<_>>(), ["erp2 packages debian"]);
    stage.world.mutate(&erp2(), |machine| assert!(!machine.packages.contains_key("nginx")));
}

#[test]
fn the_next_generation_has_it() {
    let stage = stage(&["vim-9.1", "nginx-1.26.2"]);
    stage.apply().unwrap();
    assert!(stage.plan().holds(), "{:#?}", stage.open());
}

#[test]
fn a_debian_is_not_made_of_a_nixos_production() {
    let stage = stage(&[]);
    stage.world.mutate(&erp1(), |machine| machine.nixos = Some(NixSystem::default()));
    stage.world.mutate(&erp2(), |machine| machine.nixos = None);
    let open = stage.open();
    assert!(matches!(&open["erp2 packages debian"], Verdict::Refused(why) if why.contains("erp1 is a NixOS")), "{open:#?}");
}
