use super::*;
use crate::look::accounts::Accounts;
use crate::look::{Seen, Sight};
use crate::name::Mode;

fn entry(kind: What, size: u64, mtime: f64) -> Entry {
    let mode = Mode(if kind == What::Directory { 0o775 } else { 0o664 });
    Entry { kind, owner: "odoo".into(), group: "odoo".into(), mode, size, mtime }
}
fn file(size: u64, mtime: f64) -> Entry {
    entry(What::File, size, mtime)
}
fn folder() -> Entry {
    entry(What::Directory, 0, 1.0)
}

fn tree(entries: &[(&str, Entry)], heads: &[(&str, &str)]) -> Option<AddonTree> {
    let root = [("".to_owned(), folder())];
    Some(AddonTree {
        entries: entries.iter().map(|(place, entry)| ((*place).to_owned(), entry.clone())).chain(root).collect(),
        sums: BTreeMap::new(),
        heads: heads.iter().map(|(git, head)| ((*git).to_owned(), (*head).to_owned())).collect(),
    })
}

fn decide(there: Option<AddonTree>, here: Option<AddonTree>) -> Result<Decision, FactError> {
    let (one, two): (HostName, HostName) = ("erp1".parse().unwrap(), "erp2".parse().unwrap());
    let root = PathBuf::from("/usr/share/odoo-acme");
    let seen = |tree| Seen::from([(Look::Addons(root.clone()), Ok(Sight::Addons(tree)))]);
    let accounts = Accounts { users: [("odoo".to_owned(), "/".to_owned())].into(), groups: ["odoo".to_owned()].into() };
    let mut standby = seen(here);
    standby.insert(Look::Accounts, Ok(Sight::Accounts(accounts)));
    let facts = Facts::new([(one.clone(), Ok(seen(there))), (two.clone(), Ok(standby))].into());
    Addons { host: two, production: one, root, mount: None, ignore: CloneSpec { ignore: vec!["*.log".into()] } }.decide(&facts)
}

fn titles(decision: Result<Decision, FactError>) -> Vec<String> {
    match decision.unwrap() {
        Decision::Change(change) => change.actions.iter().map(Action::title).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_copy_is_one_with_what_it_is_of() {
    let same = || tree(&[("acme", folder()), ("acme/a.py", file(5, 1.25)), ("x.log", file(1, 1.0))], &[]);
    assert_eq!(decide(same(), same()).unwrap(), Decision::Holds);
    let without_log = tree(&[("acme", folder()), ("acme/a.py", file(5, 1.250_4))], &[]);
    assert_eq!(decide(same(), without_log).unwrap(), Decision::Holds);
}

#[test]
fn contents_decide_and_not_times() {
    let with = |mtime: f64, sum: &str| {
        let mut tree = tree(&[("acme", folder()), ("acme/a.py", file(5, mtime))], &[]).unwrap();
        tree.sums.insert("acme/a.py".into(), sum.into());
        Some(tree)
    };
    assert_eq!(decide(with(1.0, "aaaaaaaaaa"), with(2.0, "aaaaaaaaaa")).unwrap(), Decision::Holds);
    let Decision::Change(change) = decide(with(1.0, "aaaaaaaaaa"), with(1.0, "bbbbbbbbbb")).unwrap() else { panic!() };
    assert_eq!(change.differences[0].wanted, "5 bytes of 1970-01-01T00:00:01Z, SHA-1 aaaaaaaa…".into());
}

#[test]
fn edited_added_and_deleted_files_are_carried() {
    let there = tree(&[("acme", folder()), ("acme/a.py", file(5, 2.0)), ("new", folder()), ("new/b.py", file(1, 1.0))], &[]);
    let here = tree(&[("acme", folder()), ("acme/a.py", file(5, 1.0)), ("old", folder()), ("old/c.py", file(1, 1.0))], &[]);
    let wanted = [
        "remove 2 places of /usr/share/odoo-acme",
        // The folders with their owners, and two files.
        "copy 4 places of /usr/share/odoo-acme from erp1",
    ];
    assert_eq!(titles(decide(there, here)), wanted);
    let there = tree(&[("acme", entry(What::Link("../b".into()), 0, 1.0)), ("a.py", Entry { mode: Mode(0o600), ..file(1, 1.0) })], &[]);
    let here = tree(&[("acme", folder()), ("a.py", file(1, 1.0))], &[]);
    let wanted = ["remove /usr/share/odoo-acme/acme", "copy 2 places of /usr/share/odoo-acme from erp1"];
    assert_eq!(titles(decide(there.clone(), here)), wanted);
    assert!(titles(decide(there, None)).iter().any(|title| title.contains("make directory /usr/share/odoo-acme")));
}

#[test]
fn a_checkout_is_compared_by_its_commit_and_carried_whole() {
    let at = |head: &str, index: f64, work: f64| {
        let entries = [("acme", folder()), ("acme/.git", folder()), ("acme/.git/index", file(9, index)), ("acme/a.py", file(5, work))];
        tree(&entries, &[("acme/.git", head)])
    };
    assert_eq!(decide(at("abc 14.0", 1.0, 1.0), at("abc 14.0", 2.0, 1.0)).unwrap(), Decision::Holds, "somebody only looked");
    assert_eq!(titles(decide(at("abc 14.0", 1.0, 3.0), at("abc 14.0", 2.0, 1.0))), ["copy 2 places of /usr/share/odoo-acme from erp1"]);
    let Decision::Change(change) = decide(at("def 14.0", 1.0, 3.0), at("abc 14.0", 2.0, 1.0)).unwrap() else { panic!() };
    assert_eq!((change.differences[0].what.as_str(), change.differences.len()), ("the checkout acme", 2), "{change:?}");
    assert_eq!(change.actions[0].title(), "copy 4 places of /usr/share/odoo-acme from erp1");
}

#[test]
fn a_folder_with_something_ignored_stays() {
    let here = || tree(&[("old", folder()), ("old/a.py", file(1, 1.0)), ("old/x.log", file(1, 1.0)), ("b.py", file(1, 1.0))], &[]);
    let there = || tree(&[("b.py", file(1, 1.0))], &[]);
    assert_eq!(titles(decide(there(), here())), ["remove /usr/share/odoo-acme/old/a.py"]);
    let after = tree(&[("old", folder()), ("old/x.log", file(1, 1.0)), ("b.py", file(1, 1.0))], &[]);
    assert_eq!(decide(there(), after).unwrap(), Decision::Holds);
}

#[test]
fn a_tree_that_was_lost_is_not_carried() {
    let here = || tree(&[("a.py", file(5, 1.0))], &[]);
    for there in [None, tree(&[], &[]), tree(&[("acme", folder())], &[])] {
        assert!(matches!(decide(there, here()), Err(FactError::Refused(_))));
    }
}

#[test]
fn many_places_are_told_in_few_lines() {
    let names: Vec<String> = (0..500).map(|n| format!("acme/{n}.py")).collect();
    let mut entries: Vec<(&str, Entry)> = names.iter().map(|name| (name.as_str(), file(1, 1.0))).collect();
    entries.push(("acme", folder()));
    let Decision::Change(change) = decide(tree(&entries, &[]), tree(&[], &[])).unwrap() else { panic!() };
    assert!(change.differences.len() <= NAMED + 1 && change.actions.len() == 1, "{:?}", change.differences.len());
}
