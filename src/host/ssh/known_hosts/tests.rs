use super::*;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn key(dir: &Path, name: &str, kind: &str) -> String {
    let path = dir.join(name);
    assert!(Command::new("ssh-keygen").args(["-q", "-N", "", "-t", kind, "-f"]).arg(&path).status().unwrap().success());
    let text = std::fs::read_to_string(path.with_extension("pub")).unwrap();
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn blob(line: &str) -> Vec<u8> {
    STANDARD.decode(line.split(' ').nth(1).unwrap()).unwrap()
}

fn settings(dir: &Path, port: u16) -> Settings {
    let spec = serde_json::from_value(serde_json::json!({
        "address": "ERP1.example.org", "port": port, "ssh": {"known_hosts": dir.join("new/known"), "config": "/dev/null"}
    }));
    let mut settings = super::super::config::settings(&spec.unwrap()).unwrap();
    settings.global_known_hosts = vec![dir.join("global")];
    settings
}

fn check(settings: &Settings, key: &str, accept_new: bool) -> Result<(), String> {
    KnownHost::read(settings).unwrap().check(settings, &blob(key), accept_new).map_err(|e| e.to_string())
}

#[test]
fn an_unknown_key_is_refused_with_a_way_out_and_learned_once() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, a) = (settings(dir.path(), 2222), key(dir.path(), "a", "ed25519"));
    let why = check(&settings, &a, false).unwrap_err();
    let told = Command::new("ssh-keygen").arg("-lf").arg(dir.path().join("a.pub")).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let print = told.split(' ').nth(1).unwrap();
    assert!(why.contains(print) && why.contains("--accept-new") && why.contains("ssh-keyscan -p 2222"), "{why}");
    check(&settings, &a, true).unwrap();
    check(&settings, &a, true).unwrap();
    check(&settings, &a, false).unwrap();
    let path = dir.path().join("new/known");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("[erp1.example.org]:2222 {a}\n"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(KnownHost::read(&settings).unwrap().types(), ["ssh-ed25519"]);
}

#[test]
fn a_changed_key_is_refused_whatever_was_said() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), 22);
    let (a, b, c) = (key(dir.path(), "a", "ed25519"), key(dir.path(), "b", "ed25519"), key(dir.path(), "c", "ecdsa"));
    std::fs::write(dir.path().join("global"), format!("# erp1.example.org\n*.example.org,!x {a}\n")).unwrap();
    for other in [&b, &c] {
        let why = check(&settings, other, true).unwrap_err();
        assert!(why.contains(&fingerprint(&blob(&a))) && why.contains(&fingerprint(&blob(other))) && why.contains("global:2"), "{why}");
    }
    check(&settings, &a, false).unwrap();
    assert!(!dir.path().join("new").exists());
}

#[test]
fn hashed_names_ports_and_revoked_keys_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (key(dir.path(), "a", "ed25519"), key(dir.path(), "b", "ed25519"));
    let known = dir.path().join("global");
    std::fs::write(&known, format!("[erp1.example.org]:2222 {a}\n")).unwrap();
    assert!(Command::new("ssh-keygen").arg("-Hf").arg(&known).output().unwrap().status.success());
    assert!(std::fs::read_to_string(&known).unwrap().starts_with("|1|"));
    check(&settings(dir.path(), 2222), &a, false).unwrap();
    assert!(check(&settings(dir.path(), 22), &a, false).unwrap_err().contains("unknown"));
    std::fs::write(&known, format!("@revoked * {a}\n@cert-authority * {b}\nerp1.example.org {b}\n")).unwrap();
    assert!(check(&settings(dir.path(), 22), &a, true).unwrap_err().contains("revoked"));
    check(&settings(dir.path(), 22), &b, false).unwrap();
    check(&settings(dir.path(), 2222), &b, false).unwrap();
}

#[test]
fn patterns_match_as_ssh_matches_them() {
    for (hosts, name, expected) in [
        ("a,b", "b", true),
        ("*.x", "a.x", true),
        ("*.x,!a.x", "a.x", false),
        ("10.0.0.?", "10.0.0.7", true),
        ("[a]:22", "a", false),
        ("a", "ab", false),
        ("|1|x", "a", false),
    ] {
        assert_eq!(matches(hosts, name), expected, "{hosts} {name}");
    }
}
