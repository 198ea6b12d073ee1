use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::look::accounts::Accounts;
use crate::look::{Seen, Sight};
use crate::name::Mode;
use crate::secret::Secret;

fn piece(what: What, mode: u32) -> Piece {
    Piece { what, owner: "root".into(), group: "root".into(), mode: Mode(mode), mtime: 1.0 }
}
fn file(text: &str) -> Piece {
    piece(What::File(Secret::new(STANDARD.encode(text))), 0o644)
}
fn link(target: &str) -> Piece {
    piece(What::Link(target.into()), 0o777)
}
fn tree(pieces: &[(&str, Piece)]) -> Option<Pieces> {
    let root = ("".to_owned(), piece(What::Directory, 0o755));
    Some(pieces.iter().map(|(place, piece)| ((*place).to_owned(), piece.clone())).chain([root]).collect())
}

fn decide(here: Option<Pieces>, there: Option<Pieces>) -> Result<Decision, FactError> {
    let (one, two): (HostName, HostName) = ("erp1".parse().unwrap(), "erp2".parse().unwrap());
    let path = PathBuf::from("/etc/nginx");
    let accounts = Accounts { users: [("root".to_owned(), "/root".to_owned())].into(), groups: ["root".to_owned()].into() };
    let seen = |folder| Seen::from([(Look::Folder(path.clone()), Ok(Sight::Folder(folder)))]);
    let mut standby = seen(here);
    standby.insert(Look::Accounts, Ok(Sight::Accounts(accounts)));
    let facts = Facts::new([(one.clone(), Ok(seen(there))), (two.clone(), Ok(standby))].into());
    let ignore = CloneSpec { ignore: vec!["*.bak".into(), "cache".into()] };
    let own = [PathBuf::from("/etc/nginx/otr.conf")].into();
    Folder { host: two, production: one, path, ignore, own, show: false }.decide(&facts)
}

fn change(here: Option<Pieces>, there: Option<Pieces>) -> (Vec<String>, Vec<String>) {
    match decide(here, there).unwrap() {
        Decision::Change(change) => (
            change.differences.iter().map(|d| format!("{}: {:?} -> {:?}", d.what, d.is, d.wanted)).collect(),
            change.actions.iter().map(Action::title).collect(),
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn links_stay_links_and_what_is_gone_there_goes_here() {
    let there = tree(&[("a", file("new")), ("enabled", piece(What::Directory, 0o755)), ("enabled/a", link("../a"))]);
    let here = tree(&[("a", file("hunter2")), ("old", piece(What::Directory, 0o755)), ("old/x", link("/x")), ("enabled", file("odd"))]);
    let (differences, actions) = change(here, there.clone());
    assert_eq!(
        actions,
        [
            "remove /etc/nginx/old/x",
            "remove the empty directory /etc/nginx/old",
            "remove /etc/nginx/enabled",
            "write /etc/nginx/a",
            "make directory /etc/nginx/enabled",
            "link /etc/nginx/enabled/a to ../a",
        ]
    );
    assert_eq!(differences.len(), 5, "{differences:?}");
    assert!(!format!("{differences:?}").contains("hunter2"));
    assert_eq!(decide(there.clone(), there).unwrap(), Decision::Holds);
}

#[test]
fn what_is_ignored_and_what_otr_writes_is_left_alone() {
    let there = tree(&[("a", file("x")), ("a.bak", file("1")), ("cache", piece(What::Directory, 0o700)), ("cache/deep", file("2"))]);
    let here = tree(&[("a", file("x")), ("b.bak", file("3")), ("otr.conf", file("otr's")), (".a.otr-new", file("half"))]);
    assert_eq!(decide(here, there).unwrap(), Decision::Holds);
}

#[test]
fn a_tree_that_was_lost_is_not_carried() {
    let here = || tree(&[("a", file("x"))]);
    assert!(matches!(decide(here(), None), Err(FactError::Refused(why)) if why.contains("nothing is removed")));
    assert!(matches!(decide(here(), tree(&[])), Err(FactError::Refused(why)) if why.contains("looks the same")));
    assert!(matches!(decide(None, here()), Ok(Decision::Change(_))));
}

#[test]
fn owner_and_mode_alone_are_set() {
    let there = tree(&[("key", Piece { mode: Mode(0o600), ..file("k") })]);
    let (differences, actions) = change(tree(&[("key", file("k"))]), there);
    assert_eq!(actions, ["set /etc/nginx/key to root:root 0600"]);
    assert!(differences[0].contains("/etc/nginx/key owner and mode"), "{differences:?}");
    let stranger = tree(&[("key", Piece { owner: "odoo".into(), ..file("k") })]);
    assert!(matches!(decide(tree(&[]), stranger), Ok(Decision::Waits { .. })));
}
