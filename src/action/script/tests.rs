//! Scripts run by a real shell on this machine's files.

use super::*;
use crate::action::PipInstall;
use crate::look::Site;
use crate::look::apt::{AptRun, PackageVersion, Step};
use crate::name::Mode;
use crate::secret::Secret;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

fn me() -> (String, String) {
    let id = |flag| String::from_utf8(Command::new("id").arg(flag).output().unwrap().stdout).unwrap().trim().to_owned();
    (id("-un"), id("-gn"))
}

fn run(action: &Action, backups: &Path) -> std::process::Output {
    let script = script(action).replace(BACKUPS, &backups.display().to_string());
    Command::new("sh").arg("-c").arg(format!("( set -e\n{script}\n) </dev/null")).output().unwrap()
}

fn attributes(mode: u32) -> Attributes {
    let (owner, group) = me();
    Attributes { owner: owner.parse().unwrap(), group: group.parse().unwrap(), mode: Mode(mode) }
}

#[test]
fn a_file_is_replaced_whole_and_its_first_predecessor_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (path, backups) = (dir.path().join("it's $x.conf"), dir.path().join("backup"));
    std::fs::write(&path, "first").unwrap();
    // Held open, or its inode could be given to a later one.
    let first = std::fs::File::open(&path).unwrap();
    for text in ["second\n", "third \u{e5} without newline", ""] {
        let output =
            run(&Action::WriteFile { path: path.clone(), content: text.into(), attributes: attributes(0o640), reader: None }, &backups);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o640);
    assert_ne!(metadata.ino(), first.metadata().unwrap().ino(), "renamed, not written in place");
    let kept = format!("{}{}", backups.display(), path.display());
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "first");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left behind");
}

#[test]
fn a_masked_units_link_is_replaced_by_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.timer");
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    let output = run(
        &Action::WriteFile { path: path.clone(), content: "new".into(), attributes: attributes(0o644), reader: None },
        &dir.path().join("b"),
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(path.symlink_metadata().unwrap().is_file());
}

/// systemctl refuses to mask here: there is no systemd, or a file stands there.
#[test]
fn a_mask_never_takes_the_place_of_a_file_or_link() {
    let dir = tempfile::tempdir().unwrap();
    let unit: crate::name::UnitName = "x.service".parse().unwrap();
    let mask = script(&Action::Unit { unit, verb: UnitVerb::Mask }).replace("/etc/systemd/system", &dir.path().display().to_string());
    let mask = |dir: &Path| {
        let tool = "systemctl() { [ \"$1\" != mask ]; }";
        Command::new("sh").arg("-c").arg(format!("set -e\n{tool}\n{mask}")).current_dir(dir).output().unwrap().status.success()
    };
    let path = dir.path().join("x.service");
    for make in
        [|path: &Path| std::fs::write(path, "mine").unwrap(), |path: &Path| std::os::unix::fs::symlink("/opt/x.service", path).unwrap()]
    {
        make(&path);
        let before = (std::fs::read_link(&path).ok(), std::fs::read(&path).ok());
        assert!(!mask(dir.path()));
        assert_eq!((std::fs::read_link(&path).ok(), std::fs::read(&path).ok()), before);
        std::fs::remove_file(&path).unwrap();
    }
    assert!(mask(dir.path()), "nothing stands there");
    assert_eq!(std::fs::read_link(&path).unwrap(), Path::new("/dev/null"));
}

#[test]
fn a_write_that_fails_leaves_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    std::fs::write(&path, "old").unwrap();
    let mut wrong = attributes(0o644);
    wrong.owner = "no_such_user_otr".parse().unwrap();
    let output =
        run(&Action::WriteFile { path: path.clone(), content: "new".into(), attributes: wrong, reader: None }, &dir.path().join("b"));
    assert!(!output.status.success());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
}

#[test]
fn what_is_shown_holds_no_secret() {
    let secret = || Text::Sensitive(Secret::new("hunter2-hunter2"));
    let cluster = ClusterName { version: 13, name: "main".parse().unwrap(), port: 5432 };
    let server = RedisServer { config: "/etc/redis/redis.conf".into(), port: 6379 };
    let actions = [
        Action::WriteFile { path: "/etc/x".into(), content: secret(), attributes: attributes(0o600), reader: None },
        Action::SetReplicationRole { cluster, role: "otr_repl".parse().unwrap(), verifier: secret() },
        Action::SetRedis { server, name: "requirepass".into(), value: secret() },
    ];
    for action in actions {
        assert!(script(&action).contains("hunter2") || script(&action).contains(&STANDARD.encode("hunter2-hunter2")));
        for text in [shown(&action), action.title(), format!("{action:?}"), serde_json::to_string(&action).unwrap()] {
            assert!(!text.contains("hunter2") && !text.contains(&STANDARD.encode("hunter2-hunter2")), "{text}");
        }
    }
}

fn pip(requirements: &[&str], over: &[&str]) -> PipInstall {
    let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let (requirements, over, keep) = (list(requirements), list(over), list(&["it's===1.0"]));
    PipInstall { site: Site::System, requirements, over, keep, whole: false, break_system_packages: true }
}

#[test]
fn every_script_is_shell() {
    let cluster = ClusterName { version: 13, name: "main".parse().unwrap(), port: 5432 };
    let server = RedisServer { config: "/etc/redis/redis.conf".into(), port: 6379 };
    let package: PackageName = "odoo-14".parse().unwrap();
    let unit: crate::name::UnitName = "odoo.service".parse().unwrap();
    let actions = vec![
        Action::ChangePackages {
            run: AptRun { install: vec![PackageVersion { name: package.clone(), version: Some("1:2~x".into()) }], remove: vec![package] },
            steps: vec![Step { name: "odoo-14".into(), from: None, to: Some("1:2~x".into()) }],
            restarts: Vec::new(),
        },
        Action::ConfigurePackages,
        Action::UpdatePackageLists { architectures: vec!["i386".into()], asked: vec!["a b=1".into()] },
        Action::MakeVenv { path: "/opt/a b".into() },
        Action::PipInstall { install: pip(&["redis~=5.0", "lxml==5.0"], &["lxml==5.0"]) },
        Action::Unit { unit: unit.clone(), verb: UnitVerb::Mask },
        Action::Unit { unit, verb: UnitVerb::Restart },
        Action::CreateSlot { cluster: cluster.clone(), slot: "otr_erp2".into() },
        Action::MakeUpPassword { path: "/var/lib/postgresql/.otr.pgpass".into(), role: "otr_repl".parse().unwrap() },
        Action::BaseBackup {
            cluster: cluster.clone(),
            data_directory: "/x".into(),
            conninfo: "host=a user=b".into(),
            slot: None,
            spaces: Vec::new(),
            keep_old: true,
        },
        Action::Promote { cluster: cluster.clone() },
        Action::ProveWrite { cluster: cluster.clone() },
        Action::RecoverCluster { cluster: cluster.clone(), data_directory: "/x y".into() },
        Action::KeepData { data_directory: "/x y".into(), to: "/x y.kept".into() },
        Action::GrantRewind { cluster: cluster.clone(), role: "otr_repl".parse().unwrap() },
        Action::Rewind { cluster, data_directory: "/x y".into(), conninfo: "host=a user=b".into() },
        Action::ReplicateRedis { server, primary: None },
        Action::AppendJournal { path: "/var/lib/otr/j".into(), line: "it's".into(), rotates: true },
    ];
    for action in actions {
        let output = Command::new("sh").arg("-n").arg("-c").arg(script(&action)).output().unwrap();
        assert!(output.status.success(), "{action:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
