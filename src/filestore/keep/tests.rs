use super::*;
use crate::action::keep::Share;
use crate::filestore::stream::{PIECE, Sender};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A production made of values, asked by name.
struct Have(BTreeMap<StoreName, Vec<u8>>);

impl Have {
    fn of(contents: &[&str]) -> Self {
        Self(contents.iter().map(|text| (name(text), text.as_bytes().to_vec())).collect())
    }
}

fn name(text: &str) -> StoreName {
    StoreName { sha1: Sha1::digest(text).into(), legacy: false }
}

impl Production for Have {
    fn list(&mut self) -> io::Result<Box<dyn Read + '_>> {
        let list: Vec<u8> = self.0.keys().flat_map(|name| format!("{name}\0").into_bytes()).collect();
        Ok(Box::new(io::Cursor::new(list)))
    }
    fn fetch(&mut self, files: &[NeededFile]) -> io::Result<Box<dyn Read + '_>> {
        let mut bytes = Vec::new();
        let mut sender = Sender::new(&mut bytes)?;
        for file in files {
            match self.0.get(&file.name) {
                Some(content) => sender.file(&file.name, content.as_slice(), &mut vec![0; PIECE])?,
                None => sender.absent(&file.name, "it is gone")?,
            }
        }
        sender.end()?;
        Ok(Box::new(io::Cursor::new(bytes)))
    }
}

/// One that takes more than a second to give anything.
struct Slow(Have);

impl Production for Slow {
    fn list(&mut self) -> io::Result<Box<dyn Read + '_>> {
        self.0.list()
    }
    fn fetch(&mut self, files: &[NeededFile]) -> io::Result<Box<dyn Read + '_>> {
        std::thread::sleep(Duration::from_millis(1200));
        self.0.fetch(files)
    }
}

fn job(dir: &Path) -> Keep {
    let whoami = Command::new("id").arg("-un").output().unwrap().stdout;
    let directory = dir.join("store");
    std::fs::create_dir_all(&directory).unwrap();
    Keep {
        database: "acme".parse().unwrap(),
        needed: Needed::Listing,
        directory,
        mount: None,
        owner: String::from_utf8(whoami).unwrap().trim().parse().unwrap(),
        state: dir.join("state"),
        suspects: Vec::new(),
        deletes: None,
        scrub: None,
        stamp: None,
        verified: None,
    }
}

fn run(job: &Keep, production: &mut dyn Production) -> Kept {
    let kept = keep(job, production, &|_| {}).unwrap();
    assert!(!job.directory.join(".otr-new").exists());
    kept
}

fn path(job: &Keep, text: &str) -> PathBuf {
    job.directory.join(name(text).to_string())
}

#[test]
fn a_first_copy_has_everything_and_a_second_run_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (job, mut production) = (job(dir.path()), Have::of(&["a", "b", ""]));
    let kept = run(&job, &mut production);
    assert_eq!((kept.needed, kept.had, kept.files, kept.complaint()), (3, 0, 3, None));
    assert_eq!(std::fs::read(path(&job, "b")).unwrap(), b"b");
    let kept = run(&job, &mut production);
    assert_eq!((kept.had, kept.files), (3, 0));
    assert_eq!(kept.sample.len(), 3);
}

#[test]
fn a_production_that_lists_nothing_deletes_nothing_and_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let job = job(dir.path());
    run(&job, &mut Have::of(&["a"]));
    let kept = run(&job, &mut Have::of(&[]));
    assert!(kept.complaint().unwrap().contains("cannot be right"), "{kept:?}");
    assert!(path(&job, "a").exists());
}

#[test]
fn damage_here_is_found_by_a_scrub_and_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let (mut job, mut production) = (job(dir.path()), Have::of(&["one", "two", "three", "four"]));
    run(&job, &mut production);
    std::fs::write(path(&job, "two"), "twO").unwrap();
    std::fs::write(path(&job, "three"), "t").unwrap();
    std::fs::remove_file(path(&job, "four")).unwrap();
    // A quarter a day: after four days everything was seen.
    job.scrub = Some(Share(2500));
    let all: Vec<Kept> = (0..4).map(|_| run(&job, &mut production)).collect();
    assert_eq!(all.iter().map(|kept| kept.quarantined.len()).sum::<usize>(), 2, "{all:?}");
    assert_eq!(all.iter().map(|kept| kept.files).sum::<u64>(), 3);
    for text in ["one", "two", "three", "four"] {
        assert_eq!(std::fs::read(path(&job, text)).unwrap(), text.as_bytes());
    }
    assert_eq!(std::fs::read_dir(job.directory.join(".otr-quarantine")).unwrap().count(), 2);
}

#[test]
fn what_is_damaged_on_production_is_named_and_not_carried_over() {
    let dir = tempfile::tempdir().unwrap();
    let (mut job, mut production) = (job(dir.path()), Have::of(&["one", "two"]));
    production.0.insert(name("two"), b"twO".to_vec());
    let kept = run(&job, &mut production);
    assert_eq!((kept.files, kept.damaged.as_slice()), (1, [name("two").to_string()].as_slice()));
    assert!(kept.complaint().unwrap().contains(&name("two").to_string()));
    assert!(!path(&job, "two").exists());
    // The standby has it, production has it damaged: the standby's stays.
    std::fs::create_dir_all(path(&job, "two").parent().unwrap()).unwrap();
    std::fs::write(path(&job, "two"), "two").unwrap();
    job.suspects = vec![name("two").to_string(), "../../etc/passwd".into()];
    let kept = run(&job, &mut production);
    assert_eq!((kept.files, kept.complaint()), (0, None));
    assert_eq!(std::fs::read(path(&job, "two")).unwrap(), b"two");
}

#[test]
fn the_stamp_is_set_only_when_all_is_well() {
    let dir = tempfile::tempdir().unwrap();
    let mut job = job(dir.path());
    let stamp = dir.path().join("state/stamp");
    job.stamp = Some((stamp.clone(), "1000.5".into()));
    let mut production = Have::of(&["one"]);
    production.0.insert(name("one"), b"".to_vec());
    run(&job, &mut production);
    assert!(!stamp.exists());
    run(&job, &mut Have::of(&["one"]));
    assert_eq!(stamp.metadata().unwrap().modified().unwrap(), UNIX_EPOCH + Duration::from_millis(1_000_500));
}

#[test]
fn a_first_copy_and_a_scrub_renew_the_time_up_to_which_all_is_verified() {
    let dir = tempfile::tempdir().unwrap();
    let mut job = job(dir.path());
    let stamp = dir.path().join("state/verified");
    job.verified = Some(stamp.clone());
    let kept = run(&job, &mut Have::of(&["old", "new"]));
    assert_eq!((kept.files, kept.complaint()), (2, None));
    let renewed = || stamp.metadata().unwrap().modified().unwrap().elapsed().unwrap() < Duration::from_secs(60);
    assert!(renewed());
    // Damaged later than that: no scrub of another part of the store vouches for it.
    std::fs::File::open(&stamp).unwrap().set_modified(UNIX_EPOCH).unwrap();
    std::fs::write(path(&job, "old"), "0ld").unwrap();
    job.scrub = Some(Share(0));
    let kept = run(&job, &mut Have::of(&["old", "new"]));
    assert_eq!(kept.quarantined, [name("old").to_string()]);
    assert!(!renewed(), "a file is missing now");
    run(&job, &mut Have::of(&["old", "new"]));
    assert!(renewed());
}

/// By the predecessor's rsync, say.
#[test]
fn a_store_that_somebody_else_filled_is_verified_by_a_scrub_of_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut job = job(dir.path());
    run(&job, &mut Have::of(&["old", "new"]));
    let stamp = dir.path().join("state/verified");
    job.verified = Some(stamp.clone());
    for share in [0, 5000] {
        job.scrub = Some(Share(share));
        run(&job, &mut Have::of(&["old", "new"]));
        assert!(!stamp.exists(), "{share}");
    }
    std::fs::write(path(&job, "old"), "0ld").unwrap();
    job.scrub = Some(Share(10_000));
    let kept = run(&job, &mut Have::of(&["old", "new"]));
    assert_eq!((kept.scrubbed, kept.quarantined.len(), kept.files), (2, 1, 1));
    assert!(!stamp.exists(), "one was damaged: the next run looks at its successor");
    // What changes while it runs is hashed again: its beginning counts, however long the rest takes.
    std::fs::remove_file(path(&job, "old")).unwrap();
    let begun = SystemTime::now();
    let kept = run(&job, &mut Slow(Have::of(&["old", "new"])));
    assert_eq!((kept.scrubbed, kept.files, kept.complaint()), (1, 1, None));
    assert!(stamp.metadata().unwrap().modified().unwrap() < begun);
}

#[test]
fn some_files_are_fetched_without_a_listing() {
    let dir = tempfile::tempdir().unwrap();
    let job = job(dir.path());
    let files: Vec<NeededFile> = ["a", "b"].map(|text| NeededFile::new(name(text), 1)).to_vec();
    let mut files = files;
    sort_needed(&mut files);
    let kept = fetch_some(&job, &files, &mut Have::of(&["a", "b"])).unwrap();
    assert_eq!(kept.files, 2);
    assert_eq!(fetch_some(&job, &files, &mut Have::of(&[])).unwrap(), Kept::default(), "nobody is asked");
}
