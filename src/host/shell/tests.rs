use super::*;
use crate::host::process::Process;
use crate::look::Sight;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `sh -c`, with something in front of or around the command.
struct Test(fn(&Path, &str) -> String, PathBuf);

impl Line for Test {
    fn name(&self) -> String {
        "test".into()
    }
    fn open(&mut self, command: &str) -> Result<Box<dyn Wire>, HostError> {
        let command = (self.0)(&self.1, command);
        Ok(Box::new(Process::start(Command::new("sh").arg("-c").arg(command), false).unwrap()))
    }
}

fn host_with(wrap: fn(&Path, &str) -> String, dir: &Path) -> Shell {
    let mut shell = Shell::new(Box::new(Test(wrap, dir.into())), None);
    shell.lock_file = dir.join("lock").display().to_string();
    shell
}

fn host(dir: &Path) -> Shell {
    host_with(|_, command| command.into(), dir)
}

fn set(looks: &[Look]) -> BTreeSet<Look> {
    looks.iter().cloned().collect()
}

#[test]
fn one_shell_serves_looks_and_actions_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = host(dir.path());
    let path = dir.path().join("journal/it's");
    for round in 1..=3 {
        host.act(&Action::AppendJournal { path: path.clone(), line: format!("line {round}"), rotates: false }).unwrap();
        let seen = host.look(&set(&[Look::Machine, Look::Content(path.clone()), Look::Path("/gone".into())])).unwrap();
        assert!(matches!(&seen[&Look::Machine], Ok(Sight::Machine(_))));
        assert!(matches!(&seen[&Look::Content(path.clone())], Ok(Sight::Content(Some(c))) if c.text.lines().count() == round));
        assert_eq!(seen[&Look::Path("/gone".into())], Ok(Sight::Path(None)));
    }
}

#[test]
fn a_failing_action_stops_at_its_first_failure_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = host(dir.path());
    let file = dir.path().join("after");
    let script = format!("seq 1 9000\necho broken >&2\n( exit 7 )\ntouch {}", file.display());
    match host.perform("do it".into(), &script) {
        Err(HostError::Failed { title, status: 7, said }) => {
            assert!(title == "do it" && said.ends_with("9000\nbroken") && said.lines().count() == 40, "{said}");
        }
        other => panic!("{other:?}"),
    }
    assert!(!file.exists());
    host.perform("go on".into(), "cat; exit 0").unwrap();
}

#[test]
fn no_secret_is_in_anybodys_arguments_or_environment() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = host(dir.path());
    let secret = format!("{}-{}", "hunter2", std::process::id());
    let found = std::thread::scope(|scope| {
        let action = scope.spawn(|| host.perform("t".into(), &format!("password='{secret}'\nsleep 1")));
        std::thread::sleep(Duration::from_millis(500));
        let mut found = Vec::new();
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            for file in ["cmdline", "environ"] {
                let bytes = std::fs::read(process.path().join(file)).unwrap_or_default();
                if batch::find(&bytes, secret.as_bytes()).is_some() {
                    found.push(process.path());
                }
            }
        }
        action.join().unwrap().unwrap();
        found
    });
    assert_eq!(found, Vec::<PathBuf>::new());
}

#[test]
fn a_lock_names_its_holder_and_lasts_as_long_as_what_was_started() {
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut two) = (host(dir.path()), host(dir.path()));
    one.lock("al on laptop (pid 7)").unwrap();
    one.lock("al on laptop (pid 7)").unwrap();
    for _ in 0..2 {
        match two.lock("bo") {
            Err(HostError::Locked { holder }) => assert!(holder.starts_with("al on laptop (pid 7) since 20"), "{holder}"),
            other => panic!("{other:?}"),
        }
    }
    one.perform("start".into(), "sleep 2 >/dev/null 2>&1 &").unwrap();
    drop(one);
    assert!(matches!(two.lock("bo"), Err(HostError::Locked { .. })));
    std::thread::sleep(Duration::from_secs(3));
    two.lock("bo").unwrap();
    two.look(&set(&[Look::Machine])).unwrap();
}

#[test]
fn a_lock_that_cannot_be_made_does_not_end_the_shell() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = host(dir.path());
    host.lock_file = "/nonexistent/lock".into();
    assert!(matches!(host.lock("bo"), Err(HostError::Failed { said, .. }) if said.contains("/nonexistent/lock")));
    host.look(&set(&[Look::Machine])).unwrap();
}

#[test]
fn a_shell_that_dies_is_unreachable_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = host(dir.path());
    let begin = Instant::now();
    match host.perform("die".into(), "kill -9 $$") {
        Err(HostError::Unreachable { why }) => assert!(why.contains("whether \"die\" was done is not known"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(matches!(host.look(&set(&[Look::Machine])), Err(HostError::Unreachable { .. })));
}

#[test]
fn a_reply_that_breaks_off_is_never_absence() {
    let looks = set(&[Look::Path("/etc".into()), Look::Content("/etc/hostname".into()), Look::Machine]);
    let dir = tempfile::tempdir().unwrap();
    let whole = host(dir.path()).look(&looks).unwrap();
    let cuts: [fn(&Path, &str) -> String; 4] = [
        |_, command| format!("( {command} ) | {{ head -c 10; kill -9 0; }}"),
        |_, command| format!("( {command} ) | {{ head -c 60; kill -9 0; }}"),
        |_, command| format!("( {command} ) | {{ head -c 150; kill -9 0; }}"),
        |_, command| format!("( {command} ) | {{ head -c 250; kill -9 0; }}"),
    ];
    for cut in cuts {
        match host_with(cut, dir.path()).look(&looks) {
            Err(HostError::Unreachable { .. }) => {}
            Ok(seen) => {
                for (look, sight) in &seen {
                    assert!(
                        matches!((look, sight), (Look::Machine, Ok(_))) || *sight == whole[look] || *sight == Err(SightError::Truncated),
                        "{look:?} {sight:?}"
                    );
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_dead_mount_spoils_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("stat", "case \"$*\" in */dead*) sleep 60;; esac\nPATH=/usr/bin:/bin; exec stat \"$@\""),
        ("timeout", "shift 3\nexec /usr/bin/timeout -k 1 1 \"$@\""),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        assert!(Command::new("chmod").arg("755").arg(&path).status().unwrap().success());
    }
    let looks = ["/etc", "/dead/mount", "/gone"].map(|path| Look::Path(path.into()));
    let mut host = host_with(|dir, command| format!("PATH={}:$PATH; export PATH; {command}", dir.display()), dir.path());
    let seen = host.look(&set(&looks)).unwrap();
    assert!(matches!(&seen[&looks[0]], Ok(Sight::Path(Some(_)))));
    assert!(matches!(&seen[&looks[1]], Err(SightError::Timeout(_))));
    assert_eq!(seen[&looks[2]], Ok(Sight::Path(None)));
}

#[test]
fn a_missing_right_to_sudo_is_denied_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = host_with(|_, _| "echo 'sudo: a password is required' >&2; exit 1".into(), dir.path());
    host.becomes = Some(Become::Sudo);
    assert!(matches!(host.look(&set(&[Look::Machine])), Err(HostError::Denied { why }) if why.contains("NOPASSWD")));
}
