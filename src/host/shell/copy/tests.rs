use super::*;
use crate::host::{Host, local};
use std::path::Path;
use std::process::Command;

fn transfer(dir: &Path, names: &[&str]) -> Transfer {
    let whoami = Command::new("id").arg("-un").output().unwrap().stdout;
    std::fs::create_dir_all(dir.join("to")).unwrap();
    Transfer {
        source: dir.join("from"),
        directory: dir.join("to"),
        mount: None,
        owner: String::from_utf8(whoami).unwrap().trim().parse().ok(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn here() -> Shell {
    local::open(&serde_json::from_value(serde_json::json!({"address": "local"})).unwrap())
}

fn fill(dir: &Path, names: &[&str]) {
    for name in names {
        let path = dir.join("from").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name.repeat(5000)).unwrap();
    }
}

/// A stream that breaks after some bytes, with an error or as if it were whole.
struct Broken<R>(R, usize, bool);

impl<R: Read> Read for Broken<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.1 == 0 {
            return if self.2 { Err(io::Error::other("cut")) } else { Ok(0) };
        }
        let most = buffer.len().min(self.1);
        let n = self.0.read(&mut buffer[..most])?;
        self.1 -= n;
        Ok(n)
    }
}

#[test]
fn files_arrive_and_a_missing_one_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &["a/b/it's", "c"]);
    let transfer = transfer(dir.path(), &["a/b/it's", "c", "gone"]);
    let mut stream = here().give(&transfer.gift()).unwrap();
    assert_eq!(here().take(&transfer, &mut stream).unwrap().files, 2);
    assert_eq!(std::fs::read(dir.path().join("to/a/b/it's")).unwrap(), "a/b/it's".repeat(5000).as_bytes());
}

#[test]
fn a_list_longer_than_every_buffer_does_not_block() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &["c"]);
    let names: Vec<String> = (0..100_000).map(|n| format!("missing/{n}")).chain(["c".into()]).collect();
    let transfer = transfer(dir.path(), &names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut stream = here().give(&transfer.gift()).unwrap();
    assert_eq!(here().take(&transfer, &mut stream).unwrap().files, 1);
}

#[test]
fn a_giver_that_fails_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let transfer = transfer(dir.path(), &["c"]);
    let mut stream = here().give(&transfer.gift()).unwrap();
    match here().take(&transfer, &mut stream) {
        Err(HostError::Failed { said, .. }) => assert!(said.contains("exit status 74") && said.contains("from"), "{said}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(std::fs::read_dir(dir.path().join("to")).unwrap().count(), 0);
}

#[test]
fn a_stream_cut_between_two_files_is_not_taken_for_a_whole_one() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &["c", "d"]);
    let transfer = transfer(dir.path(), &["c", "d"]);
    // A header of 512 bytes and the 5000 bytes of "c", padded; with posix headers before it.
    for cut in (0..30).map(|n| n * 512) {
        let mut stream = Broken(here().give(&transfer.gift()).unwrap(), cut, true);
        assert!(matches!(here().take(&transfer, &mut stream), Err(HostError::Failed { .. })), "{cut}");
        assert_eq!(std::fs::read_dir(dir.path().join("to")).unwrap().count(), 0, "{cut}");
    }
}

#[test]
fn a_taker_that_cannot_store_says_why() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &["c"]);
    let mut transfer = transfer(dir.path(), &["c"]);
    transfer.directory = "/nonexistent/otr".into();
    let mut stream = Broken(io::repeat(0), 50 << 20, false);
    match here().take(&transfer, &mut stream) {
        Err(HostError::Failed { said, .. }) => assert!(said.contains("/nonexistent/otr"), "{said}"),
        other => panic!("{other:?}"),
    }
}
