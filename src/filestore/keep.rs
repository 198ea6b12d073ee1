//! One run over one store: what is needed, what is there, fetch the difference, forget the rest.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use sha1::{Digest, Sha1};

use super::delete::{Forgotten, judge, remember};
use super::have::list;
use super::names::{NeededFile, StoreName, compare, sort_needed};
use super::place::{DiskError, Place};
use super::production::Production;
use super::quarantine::empty;
use super::receiver::receive;
use super::replica::{Replica, ReplicaError, Wanted};
use super::state::{State, set_time};
use super::stream::names;
use crate::action::keep::{Deletes, Keep, Kept, Moved, Needed};

/// How long another run may hold the store.
const PATIENCE: Duration = Duration::from_secs(300);
/// Files production is asked about though they are here.
const SAMPLE: usize = 16;

/// Names production may list: 28 bytes of memory each.
const LISTED: usize = 10_000_000;

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The replica.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Production's listing.
    #[error("production's listing of its store: {0}")]
    Listing(io::Error),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Makes the store hold what is needed. What went wrong after files were seen is in
/// [`Kept::problems`].
///
/// # Errors
/// It was not known what is needed or what is there: nothing was done.
pub fn keep(job: &Keep, production: &mut dyn Production, progress: &dyn Fn(Moved)) -> Result<Kept, KeepError> {
    let state = State::new(&job.state, &job.database);
    let _lock = lock(&state.lock_path())?;
    let mut place = open(job, &state)?;
    let (wanted, have) = both(job, production, &place)?;
    let begun = SystemTime::now();
    let mut run = Run { job, state, place: &mut place, kept: Kept::default(), have, fetched: Vec::new() };
    run.kept.needed = wanted.files.len() as u64;
    run.kept.had = run.have.len() as u64;
    run.kept.foreign = wanted.foreign;
    if wanted.files.is_empty() && !run.have.is_empty() {
        run.kept.problems.push(format!(
            "{} names no file, but {} lie here: that cannot be right, so nothing is fetched and nothing deleted",
            match job.needed {
                Needed::Database(_) => format!("ir_attachment of database {}", job.database),
                Needed::Listing => "production".into(),
            },
            run.have.len()
        ));
        let kept = run.kept;
        place.close();
        return Ok(kept);
    }
    run.suspects();
    run.scrub()?;
    let (missing, extra) = compare(&wanted.files, &run.have);
    run.sample(&wanted.files, &extra);
    if !missing.is_empty() {
        run.fetch(&missing, production, progress);
    }
    if matches!(job.needed, Needed::Database(_)) && run.kept.complaint().is_none() {
        run.forget(&extra)?;
        run.empty_quarantine(&wanted.files)?;
    }
    if !run.renew(begun)? {
        run.stamp()?;
    }
    let kept = run.kept;
    place.close();
    Ok(kept)
}

/// Fetches some files and nothing else: what follow mode does between two looks at everything.
///
/// # Errors
/// As [`keep`].
pub fn fetch_some(job: &Keep, files: &[NeededFile], production: &mut dyn Production) -> Result<Kept, KeepError> {
    let state = State::new(&job.state, &job.database);
    let _lock = lock(&state.lock_path())?;
    let mut place = open(job, &state)?;
    let missing: Vec<NeededFile> = files.iter().filter(|file| place.changed_at(&file.name).is_none()).copied().collect();
    let mut run = Run { job, state, place: &mut place, kept: Kept::default(), have: Vec::new(), fetched: Vec::new() };
    if !missing.is_empty() {
        run.fetch(&missing, production, &|_| {});
    }
    let kept = run.kept;
    place.close();
    Ok(kept)
}

/// The store, if it is the right one.
fn open(job: &Keep, state: &State) -> Result<Place, KeepError> {
    let user = owner(job.owner.as_str())?;
    if let Some(mount) = &job.mount {
        state.stands(&job.directory, mount).map_err(KeepError::Other)?;
    }
    let place = Place::open(&job.directory, user)?;
    if job.mount.is_some() {
        place.give_away(super::state::ID);
    }
    Ok(place)
}

struct Run<'a> {
    job: &'a Keep,
    state: State,
    place: &'a mut Place,
    kept: Kept,
    have: Vec<StoreName>,
    /// Verified in this very run.
    fetched: Vec<StoreName>,
}

impl Run<'_> {
    /// Hashes a file that is here. A damaged one is moved away and is not had any more.
    fn verify(&mut self, name: &StoreName) {
        let sound = self.place.read(name).and_then(|mut file| Ok((sha1(&mut file)? == name.sha1, file)));
        let done = match sound {
            Ok((true, file)) => match self.place.correct(name, &file) {
                Ok(corrected) => {
                    self.kept.corrected += u64::from(corrected);
                    return;
                }
                Err(error) => Err(error),
            },
            Ok((false, _)) => self.place.quarantine(name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(DiskError { what: "read", path: self.place.path().join(name.to_string()), source }),
        };
        match done {
            Ok(()) => {
                if let Ok(at) = self.have.binary_search(name) {
                    self.have.remove(at);
                    self.kept.quarantined.push(name.to_string());
                }
            }
            Err(error) => self.kept.problems.push(error.to_string()),
        }
    }

    fn suspects(&mut self) {
        for name in self.job.suspects.iter().filter_map(|name| StoreName::parse(name.as_bytes())) {
            self.verify(&name);
        }
    }

    /// The next share of the store, in the order of names, from where the last scrub ended.
    fn scrub(&mut self) -> Result<(), KeepError> {
        let Some(share) = self.job.scrub else { return Ok(()) };
        // At least one: a small store is seen too.
        let total = self.have.len() as u64;
        let count = share.of(total).max(u64::from(share.0 > 0).min(total));
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let last = self.state.scrubbed();
        let from = last.map_or(0, |last| self.have.partition_point(|name| *name <= last));
        let names: Vec<StoreName> = self.have.iter().cycle().skip(from).take(count).copied().collect();
        for (at, name) in names.iter().enumerate() {
            self.verify(name);
            self.kept.scrubbed += 1;
            // An interruption costs no more than this.
            if at % 1000 == 999 || at + 1 == names.len() {
                self.state.remember_scrubbed(name)?;
            }
        }
        Ok(())
    }

    fn sample(&mut self, needed: &[NeededFile], extra: &[StoreName]) {
        let here: Vec<&StoreName> = self.have.iter().filter(|name| extra.binary_search(name).is_err()).collect();
        let step = (here.len() / SAMPLE).max(1);
        if !needed.is_empty() {
            self.kept.sample = here.iter().step_by(step).take(SAMPLE).map(|name| name.to_string()).collect();
        }
    }

    fn fetch(&mut self, missing: &[NeededFile], production: &mut dyn Production, progress: &dyn Fn(Moved)) {
        let of_bytes = missing.iter().map(NeededFile::size).sum();
        let moved = |files, bytes| progress(Moved { files, bytes, of_files: missing.len() as u64, of_bytes });
        let mut stream = match production.fetch(missing) {
            Ok(stream) => stream,
            Err(error) => return self.kept.problems.push(format!("production cannot be asked for files: {error}")),
        };
        let (received, result) = receive(self.place, missing, &mut stream, moved);
        let left: BTreeSet<StoreName> = received.damaged.iter().copied().chain(received.absent.iter().map(|(name, _)| *name)).collect();
        if result.is_ok() && self.job.verified.is_some() {
            self.fetched = missing.iter().map(|file| file.name).filter(|name| !left.contains(name)).collect();
        }
        self.kept.files = received.files;
        self.kept.bytes = received.bytes;
        self.kept.damaged = received.damaged.iter().map(StoreName::to_string).collect();
        self.kept.absent =
            received.absent.iter().map(|(name, why)| if why.is_empty() { name.to_string() } else { format!("{name} ({why})") }).collect();
        match result {
            Err(error) => self.kept.problems.push(format!("{error}; {} files are in place", received.files)),
            // What follows the end: nothing, and that the sender ended well.
            Ok(()) => match io::copy(&mut stream.take(1 << 20), &mut io::sink()) {
                Ok(rest) if rest < 1 << 20 => {}
                Ok(_) => self.kept.problems.push("production sends on after the end of its stream".into()),
                Err(error) => self.kept.problems.push(format!("the stream broke off: {error}")),
            },
        }
    }

    fn forget(&mut self, extra: &[StoreName]) -> Result<(), KeepError> {
        self.kept.forgotten = extra.len() as u64;
        let Some(limits) = &self.job.deletes else { return Ok(()) };
        let now = now();
        let known = self.state.is_same_store(self.place.path())?;
        self.place.give_away(super::state::ID);
        let written = self.state.forgotten();
        // Another store than the known one: the time of grace begins anew.
        let before = if known { written.clone() } else { Forgotten::new() };
        let mut forgotten = remember(&before, extra, now);
        self.delete(limits, &mut forgotten, now);
        Ok(self.state.remember(&written, &forgotten)?)
    }

    fn empty_quarantine(&mut self, needed: &[NeededFile]) -> Result<(), KeepError> {
        // A deletion over its limit is a problem, and with a problem nothing goes.
        if let (Some(limits), None) = (&self.job.deletes, self.kept.complaint()) {
            self.kept.discarded = empty(&self.place.store, needed, limits.keep, now()).map_err(|source| DiskError {
                what: "empty .otr-quarantine in",
                path: self.job.directory.clone(),
                source,
            })?;
        }
        Ok(())
    }

    fn delete(&mut self, limits: &Deletes, forgotten: &mut Forgotten, now: i64) {
        let verdict = judge(forgotten, self.have.len(), limits, now, |name| self.place.changed_at(name));
        self.kept.problems.extend(verdict.problem);
        for name in verdict.due {
            match self.place.remove(&name) {
                Ok(()) => {
                    forgotten.remove(&name);
                    self.kept.deleted += 1;
                }
                Err(error) => return self.kept.problems.push(error.to_string()),
            }
        }
    }

    /// After a scrub or a first copy: hashes what is younger than the last verification and was
    /// not fetched just now, and keeps the time of this one. Touches every file's inode, so not
    /// done at every run.
    fn renew(&mut self, begun: SystemTime) -> Result<bool, KeepError> {
        let Some(path) = &self.job.verified else { return Ok(false) };
        let first = self.kept.files > 0 && self.kept.had == 0;
        // A store that somebody else filled is verified as a whole by a scrub of all of it.
        let all = self.job.scrub.is_some() && self.kept.scrubbed > 0 && self.kept.scrubbed == self.kept.had;
        if !(first || self.job.scrub.is_some()) || self.kept.complaint().is_some() {
            return Ok(false);
        }
        // What was never verified as a whole is left to the next plan, which hashes it.
        if !(first || all || path.exists()) {
            return Ok(false);
        }
        // Of all that is hashed from here on; of a scrub of everything, from its beginning on. The clock
        // of files is some milliseconds behind.
        let now = if all { begun } else { SystemTime::now() } - Duration::from_secs(1);
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let before = std::fs::metadata(path).and_then(|meta| meta.modified()).map_or(0.0, seconds);
        let young = |name: &&StoreName| self.fetched.binary_search(name).is_err() && self.place.ctime(name).is_none_or(|at| at > before);
        let young: Vec<StoreName> = if all { Vec::new() } else { self.have.iter().filter(young).copied().collect() };
        for name in young {
            self.verify(&name);
        }
        if self.kept.quarantined.is_empty() && self.kept.complaint().is_none() {
            set_time(path, now)?;
        }
        Ok(true)
    }

    /// Everything was seen and is well: up to the time of the look nothing needs to be hashed again.
    fn stamp(&self) -> Result<(), KeepError> {
        let (Some((path, at)), None) = (&self.job.stamp, self.kept.complaint()) else { return Ok(()) };
        let seconds: f64 = at.parse().map_err(|_| KeepError::Other(format!("{at:?} is no time")))?;
        let time = Duration::try_from_secs_f64(seconds).ok().and_then(|since| UNIX_EPOCH.checked_add(since));
        let time = time.ok_or_else(|| KeepError::Other(format!("{at:?} is no time")))?;
        Ok(set_time(path, time)?)
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or_default()
}

/// The two lists, made at the same time. Needed is asked first or later than have is listed:
/// either way a file that comes in between is only fetched or kept once more.
fn both(job: &Keep, production: &mut dyn Production, place: &Place) -> Result<(Wanted, Vec<StoreName>), KeepError> {
    std::thread::scope(|scope| {
        let have = scope.spawn(|| list(&place.store));
        let wanted = match &job.needed {
            Needed::Database(cluster) => Replica::open(cluster, &job.database).and_then(|mut replica| replica.needed())?,
            Needed::Listing => listed(production)?,
        };
        let have = have.join().map_err(|_| KeepError::Other("otr itself failed while listing".into()))?;
        let have = have.map_err(|source| DiskError { what: "list", path: job.directory.clone(), source })?;
        Ok((wanted, have))
    })
}

/// Production's own names. What is no name of a store there (a file Odoo is writing) is not needed.
fn listed(production: &mut dyn Production) -> Result<Wanted, KeepError> {
    let stream = production.list().map_err(KeepError::Listing)?;
    let mut wanted = Wanted::default();
    for name in names(stream) {
        wanted.files.extend(StoreName::parse(&name.map_err(KeepError::Listing)?).map(|name| NeededFile::new(name, 0)));
        if wanted.files.len() > LISTED {
            return Err(KeepError::Listing(io::Error::other(format!("it names more than {LISTED} files, which no store holds"))));
        }
    }
    sort_needed(&mut wanted.files);
    Ok(wanted)
}

/// A file's SHA-1.
fn sha1(file: &mut File) -> io::Result<[u8; 20]> {
    let mut hash = Sha1::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(n) => hash.update(buffer.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A user's numbers, wherever users are kept (`id` asks NSS).
fn owner(name: &str) -> Result<(u32, u32), KeepError> {
    let number = |flag| -> Option<u32> {
        let output = Command::new("id").args([flag, "--", name]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    match (number("-u"), number("-g")) {
        (Some(user), Some(group)) => Ok((user, group)),
        _ => Err(KeepError::Other(format!("there is no user {name} on this host"))),
    }
}

/// One run at a time works on a store; the end of the process frees it.
fn lock(path: &Path) -> Result<File, KeepError> {
    let error = |source| DiskError { what: "lock", path: path.to_owned(), source };
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).map_err(error)?;
    let file = File::create(path).map_err(error)?;
    let until = Instant::now() + PATIENCE;
    while let Err(why) = flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
        if Instant::now() > until {
            return Err(KeepError::Other(format!("another otr works on this store for {} s: {why}", PATIENCE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
