use super::super::have::{list, open_path};
use super::super::names::{parse_sha1, sort_needed};
use super::super::stream::{MAGIC, Sender};
use super::*;
use std::path::Path;

fn name(content: &[u8]) -> StoreName {
    StoreName { sha1: Sha1::digest(content).as_slice().try_into().unwrap(), legacy: false }
}

fn needed(contents: &[&[u8]]) -> Vec<NeededFile> {
    let mut files = contents.iter().map(|content| NeededFile::new(name(content), content.len() as u64)).collect();
    sort_needed(&mut files);
    files
}

fn owner() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

fn take(dir: &Path, wanted: &[NeededFile], stream: &[u8]) -> (Received, Result<(), ReceiveError>) {
    let place = Place::open(dir, owner()).unwrap();
    let result = receive(&place, wanted, stream, |_, _| {});
    place.close();
    result
}

fn sent(files: &[(StoreName, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut sender = Sender::new(&mut bytes).unwrap();
    for (name, content) in files {
        sender.file(name, *content, &mut vec![0; PIECE]).unwrap();
    }
    sender.end().unwrap();
    bytes
}

/// Everything below a directory but the directories of the store themselves.
fn names_in(dir: &Path) -> Vec<String> {
    assert!(!dir.join(".otr-new").exists(), "a temporary file was left");
    list(&open_path(dir).unwrap()).unwrap().iter().map(StoreName::to_string).collect()
}

#[test]
fn whole_files_take_their_place_torn_and_absent_ones_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (good, torn, gone) = (b"good".as_slice(), b"torn".as_slice(), b"gone".as_slice());
    let wanted = needed(&[good, torn, gone]);
    let stream = sent(&[(name(good), good), (name(torn), b"tor")]);
    let (received, result) = take(dir.path(), &wanted, &stream);
    result.unwrap();
    assert_eq!(
        (received.files, received.bytes, received.damaged, received.absent),
        (1, 4, vec![name(torn)], vec![(name(gone), String::new())])
    );
    assert_eq!(names_in(dir.path()), [name(good).to_string()]);
    let stat = std::fs::metadata(dir.path().join(name(good).to_string())).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!((stat.mode() & 0o777, stat.uid()), (0o644, owner().0));
}

#[test]
fn a_stream_cut_anywhere_keeps_what_was_whole_and_is_an_error() {
    let contents: Vec<Vec<u8>> = (0..20u8).map(|n| vec![n; 100 * usize::from(n)]).collect();
    let wanted = needed(&contents.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let stream = sent(&contents.iter().map(|c| (name(c), c.as_slice())).collect::<Vec<_>>());
    for end in (0..stream.len()).step_by(313) {
        let dir = tempfile::tempdir().unwrap();
        let (received, result) = take(dir.path(), &wanted, &stream[..end]);
        assert!(matches!(result, Err(ReceiveError::Stream(StreamError::Broken(_)))), "cut at {end}");
        assert_eq!(names_in(dir.path()).len() as u64, received.files);
        take(dir.path(), &wanted, &stream).1.unwrap();
        assert_eq!(names_in(dir.path()).len(), 20);
    }
}

#[test]
fn a_file_that_stands_there_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let content = b"the same".as_slice();
    let path = dir.path().join(name(content).to_string());
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "something else").unwrap();
    take(dir.path(), &needed(&[content]), &sent(&[(name(content), content)])).1.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"something else");
    assert_eq!(names_in(dir.path()).len(), 1);
}

#[test]
fn files_of_every_size_arrive_through_all_threads() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = (0..3000).map(|n| n % 97).chain([PIECE - 1, PIECE, PIECE + 1, 3 * PIECE]);
    let contents: Vec<Vec<u8>> = sizes.enumerate().map(|(n, size)| [n.to_string().into_bytes(), vec![b'x'; size]].concat()).collect();
    let torn = vec![b'y'; 2 * PIECE];
    let wanted = needed(&contents.iter().chain([&torn]).map(Vec::as_slice).collect::<Vec<_>>());
    let files: Vec<_> = contents.iter().map(|c| (name(c), c.as_slice())).chain([(name(&torn), &torn[1..])]).collect();
    let (received, result) = take(dir.path(), &wanted, &sent(&files));
    result.unwrap();
    assert_eq!((received.files, received.damaged), (contents.len() as u64, vec![name(&torn)]));
    assert_eq!(received.bytes, contents.iter().map(|c| c.len() as u64).sum::<u64>());
    assert_eq!(names_in(dir.path()).len(), contents.len());
    for content in &contents {
        assert_eq!(std::fs::read(dir.path().join(name(content).to_string())).unwrap(), *content);
    }
}

#[test]
fn a_disk_that_fails_ends_it_and_nobody_waits_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let contents: Vec<Vec<u8>> = (0..5000).map(|n| n.to_string().into_bytes()).collect();
    let wanted = needed(&contents.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let files: Vec<_> = contents.iter().map(|c| (name(c), c.as_slice())).collect();
    let place = Place::open(dir.path(), owner()).unwrap();
    // Nothing can be created in a directory that is none.
    (0..=255).for_each(|n| std::fs::write(dir.path().join(format!("{n:02x}")), "").unwrap());
    let (received, result) = receive(&place, &wanted, sent(&files).as_slice(), |_, _| {});
    assert!(matches!(result, Err(ReceiveError::Disk(DiskError { what: "make the directory of", .. }))), "{result:?}");
    assert_eq!(received.files, 0);
}

#[test]
fn a_hostile_sender_is_told_off_and_leaves_nothing() {
    let a = b"a".as_slice();
    let wanted = needed(&[a, &[7; 1000]]);
    let endless = [MAGIC.as_slice(), &[1, 43], name(a).to_string().as_bytes()].concat();
    let piece = [&[0, 1, 0, 0], [b'x'; 1 << 16].as_slice()].concat();
    let cases: [(&str, Box<dyn Read>); 4] = [
        ("nobody asked for", Box::new(std::io::Cursor::new(sent(&[(name(b"other"), b"other")])))),
        ("twice", Box::new(std::io::Cursor::new(sent(&[(name(a), a), (name(a), a)])))),
        ("not the name", Box::new(std::io::Cursor::new([MAGIC.as_slice(), &[1, 11], b"../evil/abc"].concat()))),
        ("the database says has 1", Box::new(std::io::Cursor::new(endless).chain(Endless(piece, 0)))),
    ];
    for (says, stream) in cases {
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("store");
        std::fs::create_dir(&dir).unwrap();
        let place = Place::open(&dir, owner()).unwrap();
        let (_, result) = receive(&place, &wanted, stream, |_, _| {});
        place.close();
        match result {
            Err(ReceiveError::Stream(StreamError::Hostile(why))) => assert!(why.contains(says), "{why}"),
            other => panic!("{says}: {other:?}"),
        }
        assert!(names_in(&dir).iter().all(|n| *n == name(a).to_string()), "{says}");
        assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 1);
    }
}

/// The same bytes again and again.
struct Endless(Vec<u8>, usize);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = (&self.0[self.1..]).read(buffer)?;
        self.1 = (self.1 + n) % self.0.len();
        Ok(n)
    }
}

/// As a fuzzer would, but the same bytes each time: streams changed in a few places.
#[test]
fn streams_with_changed_bytes_never_place_a_wrong_file_or_leave_the_store() {
    let contents: Vec<Vec<u8>> = (0..6u8).map(|n| vec![n; 40 * usize::from(n)]).collect();
    let wanted = needed(&contents.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let frames = sent(&contents.iter().map(|c| (name(c), c.as_slice())).collect::<Vec<_>>());
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 16).unwrap()
    };
    // In memory: every batch is synced to disk. OTR_FUZZ_SECONDS=300 makes it a soak.
    let outer = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let dir = outer.path().join("store");
    let seconds = std::env::var("OTR_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        std::fs::create_dir_all(&dir).unwrap();
        let mut stream = frames.clone();
        for _ in 0..1 + random() % 4 {
            let (at, byte) = (random() % stream.len(), random().to_le_bytes()[0]);
            match random() % 3 {
                0 => stream[at] = byte,
                1 => stream.insert(at, byte),
                _ => drop(stream.remove(at)),
            }
        }
        let _ = take(&dir, &wanted, &stream);
        for file in names_in(&dir) {
            let content = std::fs::read(dir.join(&file)).unwrap();
            assert_eq!(Sha1::digest(content).as_slice(), parse_sha1(&file.as_bytes()[3..]).unwrap());
        }
        assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 1);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
