//! What a hostile production can make a standby's memory grow to: `otr serve keep` itself, as a
//! process, is fed streams without an end, and its peak is read off the kernel (`VmHWM`, proc(5)).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use otr::action::keep::{Keep, Kept, Needed};
use otr::filestore::stream::MAGIC;
use otr::filestore::talk::{Message, piece};

/// Two buffers of the program's own, and what it starts with.
const MODEST: u64 = 40;
/// Ten million names, and the vector they grow in.
const LISTING: u64 = 600;

/// Production, as the standby's otr sees it.
struct Standby {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    store: tempfile::TempDir,
}

impl Standby {
    fn new() -> Self {
        let store = tempfile::tempdir().unwrap();
        let me = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
        let job = Keep {
            database: "acme".parse().unwrap(),
            needed: Needed::Listing,
            directory: store.path().join("store"),
            mount: None,
            owner: me.trim().parse().unwrap(),
            state: store.path().join("state"),
            suspects: Vec::new(),
            deletes: None,
            scrub: None,
            stamp: None,
            verified: None,
        };
        std::fs::create_dir(&job.directory).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_otr"))
            .args(["serve", "keep"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut standby = Self { child, to, from, store };
        assert!(standby.send(&serde_json::to_vec(&job).unwrap()) && standby.end());
        standby
    }

    /// One piece; whether it was taken.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.to.write_all(&piece(bytes)).and_then(|()| self.to.write_all(bytes)).is_ok()
    }

    fn end(&mut self) -> bool {
        self.to.write_all(&piece(&[])).is_ok()
    }

    fn message(&mut self) -> Message {
        let mut line = Vec::new();
        loop {
            line.clear();
            self.from.read_until(b'\n', &mut line).unwrap();
            match serde_json::from_slice(&line).unwrap() {
                Message::Moved(_) => {}
                other => return other,
            }
        }
    }

    /// Answers the question for a listing, and takes the names that are asked for.
    fn lists(&mut self, names: &[u8]) {
        assert_eq!(self.message(), Message::List);
        assert!(self.send(names) && self.end());
        let Message::Want { length, .. } = self.message() else { panic!("it asks for nothing") };
        std::io::copy(&mut std::io::Read::take(&mut self.from, length), &mut std::io::sink()).unwrap();
    }

    /// Megabytes.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it ended too early");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// Its last word; nothing of the stream stays behind.
    fn said(mut self) -> Result<Kept, String> {
        let last = self.message();
        drop(self.to);
        self.child.wait().unwrap();
        let mut all = Vec::new();
        for directory in std::fs::read_dir(self.store.path().join("store")).unwrap() {
            all.extend(std::fs::read_dir(directory.unwrap().path()).into_iter().flatten().map(|entry| entry.unwrap().path()));
        }
        assert!(all.is_empty(), "{all:?} stayed");
        match last {
            Message::Done(kept) => Ok(*kept),
            Message::Failed(why) => Err(why),
            other => panic!("{other:?}"),
        }
    }
}

fn name(n: u64) -> String {
    let hash = format!("{:040x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    format!("{}/{hash}", &hash[..2])
}

fn head(kind: u8, name: &str) -> Vec<u8> {
    [&[kind, u8::try_from(name.len()).unwrap()], name.as_bytes()].concat()
}

#[test]
fn a_listing_without_an_end() {
    let mut standby = Standby::new();
    assert_eq!(standby.message(), Message::List);
    // Nothing is compared before all came: repeated ones count as well.
    let names: String = (0..5000).map(|n| name(n) + "\0").collect();
    let mut peak = 0;
    while standby.send(names.as_bytes()) {
        peak = peak.max(standby.peak());
    }
    assert!(peak < LISTING, "{peak} MB");
    assert!(standby.said().unwrap_err().contains("more than 10000000 files"));
}

#[test]
fn one_name_repeated() {
    let mut standby = Standby::new();
    standby.lists((name(1) + "\0").repeat(5000).as_bytes());
    let frame = [head(1, &name(1)), 3u32.to_be_bytes().to_vec(), b"abc".to_vec(), 0u32.to_be_bytes().to_vec()].concat();
    assert!(standby.send(MAGIC));
    while standby.send(&frame.repeat(100)) {}
    let kept = standby.said().unwrap();
    assert!(kept.complaint().is_some_and(|why| why.contains("twice")), "{kept:?}");
}

#[test]
fn a_file_in_pieces_of_one_byte() {
    let mut standby = Standby::new();
    standby.lists((name(1) + "\0").as_bytes());
    assert!(standby.send(&[MAGIC.as_slice(), &head(1, &name(1))].concat()));
    let bytes = [0, 0, 0, 1, 7].repeat(50_000);
    for _ in 0..20 {
        assert!(standby.send(&bytes));
    }
    let peak = standby.peak();
    assert!(peak < MODEST, "{peak} MB after a million pieces of one byte");
    // The connection breaks: nothing of it stays.
    assert!(standby.to.write_all(&u32::MAX.to_be_bytes()).is_ok());
    let kept = standby.said().unwrap();
    assert!(kept.complaint().is_some_and(|why| why.contains("gave up")), "{kept:?}");
}

#[test]
fn a_large_file_that_is_not_what_its_name_says() {
    let mut standby = Standby::new();
    standby.lists((name(1) + "\0").as_bytes());
    assert!(standby.send(&[MAGIC.as_slice(), &head(1, &name(1))].concat()));
    let frame = [262_144u32.to_be_bytes().as_slice(), &vec![7; 262_144]].concat();
    for _ in 0..800 {
        assert!(standby.send(&frame));
    }
    let peak = standby.peak();
    assert!(peak < MODEST, "{peak} MB after a file of 200 MB");
    assert!(standby.send(&[0u32.to_be_bytes().as_slice(), &[3]].concat()) && standby.end());
    let kept = standby.said().unwrap();
    assert_eq!((kept.damaged, kept.files), (vec![name(1)], 0));
}

#[test]
fn reasons_as_long_as_may_be() {
    const FILES: u64 = 200_000;
    let mut standby = Standby::new();
    standby.lists((0..FILES).map(|n| name(n) + "\0").collect::<String>().as_bytes());
    assert!(standby.send(MAGIC));
    for n in 0..FILES {
        assert!(standby.send(&[head(2, &name(n)), vec![255], vec![b'x'; 255]].concat()));
    }
    let peak = standby.peak();
    // Twice 28 bytes of a name that is wanted, 48 of one that is absent, and the vectors they grow in.
    assert!(peak < 60, "{peak} MB");
    assert!(standby.send(&[3]) && standby.end());
    let kept = standby.said().unwrap();
    assert_eq!(kept.absent.len() as u64, FILES);
}
