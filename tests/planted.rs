//! What otr does as root in folders of somebody else's: no link that lies there is followed, and no
//! program that lies there is run as root. Real shells and real files; needs root, and the user nobody.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use otr::action::script::{BACKUPS, script};
use otr::action::{Action, Attributes, PipInstall, SentinelAction, Transfer};
use otr::look::{Look, Site};
use otr::name::Mode;
use otr::secret::Secret;

const TARGET: &str = "this is root's, and stays as it is";

/// A folder of nobody's, and beside it a file and a folder of root's that nothing may change.
struct Stage {
    root: tempfile::TempDir,
    nobody: (u32, u32),
}

impl Stage {
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not run: it needs root");
            return None;
        }
        let id = |flag: &str| String::from_utf8(Command::new("id").args([flag, "nobody"]).output().unwrap().stdout).unwrap();
        let nobody = (id("-u").trim().parse().unwrap(), id("-g").trim().parse().unwrap());
        let stage = Self { root: tempfile::tempdir().unwrap(), nobody };
        fs::set_permissions(stage.root.path(), PermissionsExt::from_mode(0o755)).unwrap();
        fs::create_dir(stage.at("own")).unwrap();
        fs::create_dir(stage.at("vault")).unwrap();
        fs::set_permissions(stage.at("vault"), PermissionsExt::from_mode(0o755)).unwrap();
        fs::write(stage.at("vault/target"), TARGET).unwrap();
        fs::set_permissions(stage.at("vault/target"), PermissionsExt::from_mode(0o600)).unwrap();
        stage.give(&stage.at("own"));
        Some(stage)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn give(&self, path: &Path) {
        chown(path, Some(self.nobody.0), Some(self.nobody.1)).unwrap();
    }

    /// A link of nobody's in the folder of nobody's.
    fn plant(&self, name: &str, target: &str) {
        let path = self.at("own").join(name);
        symlink(self.at(target), &path).unwrap();
        std::os::unix::fs::lchown(&path, Some(self.nobody.0), Some(self.nobody.1)).unwrap();
    }

    fn attributes(&self) -> Attributes {
        let group = String::from_utf8(Command::new("id").args(["-gn", "nobody"]).output().unwrap().stdout).unwrap();
        Attributes { owner: "nobody".parse().unwrap(), group: group.trim().parse().unwrap(), mode: Mode(0o644) }
    }

    fn run(&self, text: &str, input: &[u8]) -> Output {
        let text = text.replace(BACKUPS, self.at("backup").to_str().unwrap());
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("( set -e\n{text}\n)"))
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    fn act(&self, action: &Action) -> Output {
        self.run(&script(action), b"")
    }

    /// Nothing of root's was touched.
    fn untouched(&self, about: &str) {
        let target = self.at("vault/target");
        let is = fs::metadata(&target).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), TARGET, "{about}");
        assert_eq!((is.uid(), is.mode() & 0o7777), (0, 0o600), "{about}");
        let vault = fs::metadata(self.at("vault")).unwrap();
        assert_eq!((vault.uid(), vault.mode() & 0o7777), (0, 0o755), "{about}");
        let names: Vec<_> = fs::read_dir(self.at("vault")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["target"], "{about}");
    }

    /// Nothing of otr's own is left in the folder.
    fn clean(&self, about: &str) {
        let left: Vec<String> = fs::read_dir(self.at("own"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains(".otr-") && name != ".otr-incoming")
            .collect();
        assert_eq!(left, [""; 0], "{about}");
    }
}

fn write(stage: &Stage, path: &Path) -> [Action; 3] {
    [
        Action::WriteFile { path: path.into(), content: "new".into(), attributes: stage.attributes(), reader: None },
        Action::WriteBytes { path: path.into(), encoded: Secret::new("bmV3"), attributes: stage.attributes() },
        Action::MakeLink { path: path.into(), target: "elsewhere".into() },
    ]
}

#[test]
fn a_file_is_written_beside_a_link_and_not_through_it() {
    let Some(stage) = Stage::new() else { return };
    let path = stage.at("own/x.conf");
    for action in write(&stage, &path) {
        for name in [".x.conf.otr-new", "x.conf"] {
            let _ = fs::remove_file(stage.at("own").join(name));
            stage.plant(name, "vault/target");
            let output = stage.act(&action);
            assert!(output.status.success(), "{action:?}: {output:?}");
            stage.untouched(&format!("{action:?} over {name}"));
            stage.clean(&format!("{action:?}"));
            assert!(fs::symlink_metadata(&path).is_ok_and(|is| is.is_symlink() == matches!(action, Action::MakeLink { .. })));
        }
    }
}

#[test]
fn no_folder_is_entered_through_a_link_of_another() {
    let Some(stage) = Stage::new() else { return };
    stage.plant("sub", "vault");
    let path = stage.at("own/sub/target");
    let mut actions = write(&stage, &path).to_vec();
    actions.extend(write(&stage, &stage.at("own/sub/new")));
    actions.extend([
        Action::MakeDirectory { path: stage.at("own/sub"), attributes: stage.attributes() },
        Action::MakeDirectory { path: stage.at("own/sub/deep/er"), attributes: stage.attributes() },
        Action::MakeMountPoint { at: stage.at("own/sub/mount"), immutable: false },
        Action::SetAttributes { path: path.clone(), attributes: stage.attributes() },
        Action::RemoveFile { path: path.clone() },
        Action::RemovePlaces { root: stage.at("own"), places: vec!["sub/target".into()] },
        Action::RemoveDirectory { path: stage.at("own/sub/target") },
        Action::AppendJournal { path: stage.at("own/sub/record"), line: "x".into(), rotates: true },
    ]);
    for action in actions {
        let output = stage.act(&action);
        stage.untouched(&format!("{action:?}"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("link"), "{action:?}: {said}");
    }
}

#[test]
fn a_link_of_roots_and_a_link_to_ones_own_are_followed() {
    let Some(stage) = Stage::new() else { return };
    fs::create_dir(stage.at("own/releases")).unwrap();
    stage.give(&stage.at("own/releases"));
    stage.plant("current", "own/releases");
    symlink(stage.at("own"), stage.at("by-root")).unwrap();
    let path = stage.at("by-root/current/x.conf");
    for action in write(&stage, &path) {
        let output = stage.act(&action);
        assert!(output.status.success(), "{action:?}: {output:?}");
        assert!(fs::symlink_metadata(stage.at("own/releases/x.conf")).is_ok());
    }
}

#[test]
fn owner_and_mode_are_not_set_through_a_link() {
    let Some(stage) = Stage::new() else { return };
    stage.plant("file", "vault/target");
    stage.plant("folder", "vault");
    for name in ["file", "folder"] {
        let output = stage.act(&Action::SetAttributes { path: stage.at("own").join(name), attributes: stage.attributes() });
        assert!(!output.status.success(), "{name}");
        stage.untouched(name);
    }
    fs::write(stage.at("own/true"), "").unwrap();
    let output = stage.act(&Action::SetAttributes { path: stage.at("own/true"), attributes: stage.attributes() });
    assert!(output.status.success(), "{output:?}");
    let is = fs::metadata(stage.at("own/true")).unwrap();
    assert_eq!((is.uid(), is.mode() & 0o7777), (stage.nobody.0, 0o644));
}

#[test]
fn a_record_is_not_written_through_a_link() {
    let Some(stage) = Stage::new() else { return };
    stage.plant("summary", "vault/target");
    stage.plant("fresh", "vault/not-there-yet");
    for name in ["summary", "fresh"] {
        let output = stage.act(&Action::AppendJournal { path: stage.at("own").join(name), line: "x".into(), rotates: true });
        assert!(!output.status.success(), "{name}");
        stage.untouched(name);
    }
}

fn tar(stage: &Stage, names: &[&str]) -> Vec<u8> {
    let from = stage.at("from");
    for name in names {
        fs::create_dir_all(from.join(name).parent().unwrap()).unwrap();
        fs::write(from.join(name), "copied").unwrap();
    }
    let output = Command::new("tar").arg("-C").arg(&from).args(["--create", "--file=-", "."]).output().unwrap();
    [output.stdout, Transfer::seal()].concat()
}

#[test]
fn no_tree_is_received_through_a_link() {
    let Some(stage) = Stage::new() else { return };
    let stream = tar(&stage, &["sub/target", "sub/more", "file"]);
    for owner in [None, "nobody".parse().ok()] {
        for (name, target) in [("sub", "vault"), (".otr-incoming", "vault"), ("file", "vault/target")] {
            let _ = fs::remove_file(stage.at("own").join(name));
            stage.plant(name, target);
            let transfer =
                Transfer { source: stage.at("from"), directory: stage.at("own"), mount: None, owner: owner.clone(), names: vec![] };
            let output = stage.run(&transfer.take_script(), &stream);
            stage.untouched(&format!("{owner:?} {name}: {output:?}"));
            stage.clean(name);
            fs::remove_dir_all(stage.at("own")).unwrap();
            fs::create_dir(stage.at("own")).unwrap();
            stage.give(&stage.at("own"));
            let output = stage.run(&transfer.take_script(), &stream);
            assert!(output.status.success(), "{output:?}");
            assert_eq!(fs::read_to_string(stage.at("own/sub/more")).unwrap(), "copied");
            fs::remove_dir_all(stage.at("own")).unwrap();
            fs::create_dir(stage.at("own")).unwrap();
            stage.give(&stage.at("own"));
        }
    }
}

#[test]
fn what_belongs_to_postgres_is_done_as_postgres() {
    let Some(stage) = Stage::new() else { return };
    // Nobody plays postgres.
    let played = |action: &Action| script(action).replace("postgres", "nobody").replace("nobody:nobody", "nobody");
    let cluster = otr::look::ClusterName { version: 13, name: "main".parse().unwrap(), port: 5432 };
    stage.plant("..pgpass.otr-new", "vault/target");
    stage.plant(".pgpass", "vault/target");
    let output = stage.run(&played(&Action::MakeUpPassword { path: stage.at("own/.pgpass"), role: "otr".parse().unwrap() }), b"");
    stage.untouched("a password");
    assert!(output.status.success(), "{output:?}");
    assert!(fs::read_to_string(stage.at("own/.pgpass")).unwrap().starts_with("*:*:*:otr:"));
    stage.plant("main.otr-rewinding", "vault/made");
    let (data_directory, conninfo) = (stage.at("own/main"), "host=x".into());
    stage.run(&played(&Action::Rewind { cluster, data_directory, conninfo }), b"");
    stage.untouched("a rewind");
    fs::create_dir(stage.at("own/main")).unwrap();
    stage.give(&stage.at("own/main"));
    stage.plant("kept", "vault/kept");
    stage.run(&played(&Action::KeepData { data_directory: stage.at("own/main"), to: stage.at("own/kept") }), b"");
    stage.untouched("kept data");
}

#[test]
fn sentinels_file_is_not_changed_through_a_link() {
    let Some(stage) = Stage::new() else { return };
    let config = stage.at("own/sentinel.conf");
    fs::write(&config, "port 26379\nsentinel myid abc\n").unwrap();
    stage.give(&config);
    stage.plant("sentinel.conf.otr", "vault/target");
    stage.plant("sentinel.conf.otr2", "vault/target");
    let action = SentinelAction::Configure {
        unit: "redis-sentinel.service".parse().unwrap(),
        config: config.clone(),
        set: vec![("port".into(), "1".into())],
        without: Vec::new(),
    };
    let output = stage.run(&format!("systemctl() {{ :; }}\n{}", script(&Action::Sentinel(action))), b"");
    stage.untouched("sentinel.conf");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(&config).unwrap(), "sentinel myid abc\nport 1\n");
    assert_eq!(fs::metadata(&config).unwrap().uid(), stage.nobody.0);
}

/// A virtual environment of nobody's, whose programs say who runs them.
#[test]
fn nothing_of_anothers_venv_runs_as_root() {
    let Some(stage) = Stage::new() else { return };
    fs::create_dir_all(stage.at("own/venv/bin")).unwrap();
    fs::create_dir_all(stage.at("own/venv/lib/python3.9/site-packages")).unwrap();
    let said = stage.at("own/said");
    for name in ["python", "python3", "pip"] {
        let path = stage.at("own/venv/bin").join(name);
        fs::write(&path, format!("#!/bin/sh\nid -u >>{}\n", said.display())).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    fs::write(&said, "").unwrap();
    for path in ["own/said", "own/venv", "own/venv/bin", "own/venv/bin/python", "own/venv/bin/python3", "own/venv/bin/pip"] {
        stage.give(&stage.at(path));
    }
    // Whose the folder is is not enough: what is in it counts.
    for owner in [stage.nobody.0, 0] {
        chown(stage.at("own/venv"), Some(owner), None).unwrap();
        let site = Site::Venv(stage.at("own/venv"));
        let requirements = vec!["x".to_owned()];
        for action in [
            Action::PipInstall {
                install: PipInstall {
                    site: site.clone(),
                    requirements: requirements.clone(),
                    over: Vec::new(),
                    keep: Vec::new(),
                    whole: true,
                    break_system_packages: false,
                },
            },
            Action::PipReplace { site: site.clone(), requirements: requirements.clone(), break_system_packages: false },
            Action::PipUninstall { site: site.clone(), modules: requirements.clone(), break_system_packages: false },
        ] {
            stage.act(&action);
        }
        let question = otr::look::batch::questions(&[Look::Python(site)].into());
        stage.run(&otr::look::batch::program(&question, "~w"), b"");
        let who: Vec<u32> = fs::read_to_string(&said).unwrap().lines().map(|line| line.parse().unwrap()).collect();
        assert!(who.len() >= 4 && who.iter().all(|uid| *uid == stage.nobody.0), "{who:?}");
        fs::write(&said, "").unwrap();
    }
}

/// What marks a store lies in the folder of Odoo's user, and the store may be a link.
#[test]
fn a_store_is_not_marked_through_a_link() {
    let Some(stage) = Stage::new() else { return };
    let database = "acme".parse().unwrap();
    let state = otr::filestore::state::State::new(&stage.at("state"), &database);
    stage.plant(".otr-store-id.otr-new", "vault/target");
    stage.plant(".otr-store-id", "vault/target");
    state.is_same_store(&stage.at("own")).unwrap();
    stage.untouched("a store's mark");
    assert!(!fs::read_to_string(stage.at("own/.otr-store-id")).unwrap().contains(TARGET), "what it leads to is not read");
    stage.plant("filestore", "vault");
    assert!(otr::filestore::place::Place::open(&stage.at("own/filestore"), stage.nobody).is_err());
    assert!(state.is_same_store(&stage.at("own/filestore")).is_err());
    stage.untouched("a store that is a link");
}
