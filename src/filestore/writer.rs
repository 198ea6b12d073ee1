//! Behind the receiver: some threads hash and write small files, and one puts batches in their
//! places while the next ones are written.
//!
//! Whoever fails goes on taking what it is given, and does nothing with it: so nobody waits for
//! somebody who is gone.

use std::io::Write;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha1::{Digest, Sha1};

use super::names::StoreName;
use super::place::{DiskError, Fresh, Place, Written};
use super::receiver::Received;
use super::spare::Spare;
use super::stream::PIECE;

/// A batch is put in place after so many files,
const FILES: usize = 5000;
/// so many bytes,
const BYTES: u64 = 512 << 20;
/// or so long: what an interruption can cost.
const TIME: Duration = Duration::from_secs(20);
/// Files are passed on so many at a time: waking a thread costs as much as one of them.
const GROUP: usize = 128;

/// Groups that may wait while a batch reaches the disk: two batches, so that neither the disk nor
/// the processor waits for the other.
pub(super) const AHEAD: usize = 2 * FILES / GROUP;

/// How many threads write: creating a file is work for a processor, not only for a disk.
pub(super) fn writers() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).clamp(1, 4)
}

/// Small files, one after the other.
pub(super) struct Group {
    /// As long as a group and the file that fills it can be.
    data: Vec<u8>,
    filled: usize,
    files: Vec<(StoreName, usize)>,
}

impl Default for Group {
    fn default() -> Self {
        Self { data: vec![0; 2 * PIECE], filled: 0, files: Vec::with_capacity(GROUP) }
    }
}

impl Group {
    pub fn is_full(&self) -> bool {
        self.files.len() >= GROUP || self.filled >= PIECE
    }

    /// Where a file begins.
    pub fn begin(&self) -> usize {
        self.filled
    }

    /// Where its next bytes go. Never empty for a file of at most [`PIECE`] in a group that is not full.
    pub fn room(&mut self) -> &mut [u8] {
        self.data.get_mut(self.filled..).unwrap_or_default()
    }

    /// So many bytes came there.
    pub fn advance(&mut self, n: usize) {
        self.filled += n;
    }

    pub fn since(&self, begin: usize) -> &[u8] {
        self.data.get(begin..self.filled).unwrap_or_default()
    }

    pub fn end(&mut self, name: StoreName, begin: usize) {
        self.files.push((name, self.filled - begin));
    }

    pub fn forget(&mut self, begin: usize) {
        self.filled = begin;
    }

    fn cleared(mut self) -> Self {
        self.filled = 0;
        self.files.clear();
        self
    }
}

/// Files that were written and wait for their places.
pub(super) struct Done {
    pub files: Vec<Written>,
    pub bytes: u64,
}

/// What all threads together achieved.
#[derive(Default)]
pub(super) struct Outcome {
    received: Mutex<Received>,
    failure: Mutex<Option<DiskError>>,
    failed: AtomicBool,
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Outcome {
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// The first failure is the one that is told.
    fn fail(&self, error: DiskError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Files and bytes that were written, in their places or not yet.
    pub fn written(&self) -> (u64, u64) {
        (self.files.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    pub fn damaged(&self, name: StoreName) {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).damaged.push(name);
    }

    pub fn end(self) -> (Received, Option<DiskError>) {
        let mut received = self.received.into_inner().unwrap_or_else(PoisonError::into_inner);
        received.damaged.sort_unstable();
        (received, self.failure.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Hashes and writes groups until there are no more.
pub(super) fn write(place: &Place, groups: &Mutex<Receiver<Group>>, spare: &Spare<Group>, written: SyncSender<Done>, outcome: &Outcome) {
    let next = || groups.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(group) = next() {
        let mut done = Done { files: Vec::with_capacity(group.files.len()), bytes: 0 };
        let mut rest = group.since(0);
        for (name, size) in &group.files {
            let Some((content, behind)) = rest.split_at_checked(*size) else { break };
            rest = behind;
            if outcome.failed() {
                break;
            }
            if Sha1::digest(content).as_slice() != name.sha1 {
                outcome.damaged(*name);
                continue;
            }
            match write_one(place, *name, content) {
                Ok(fresh) => done.files.push(fresh.into()),
                Err(error) => {
                    outcome.fail(error);
                    break;
                }
            }
            done.bytes += *size as u64;
        }
        spare.give(group.cleared());
        let _ = written.send(done);
    }
}

fn write_one(place: &Place, name: StoreName, content: &[u8]) -> Result<Fresh, DiskError> {
    let mut fresh = place.create(name)?;
    match fresh.file.write_all(content) {
        Ok(()) => Ok(fresh),
        Err(source) => {
            place.abandon(fresh);
            Err(DiskError { what: "write", path: place.path().join(name.to_string()), source })
        }
    }
}

/// Puts what was written in its place, batch by batch.
pub(super) fn put_in_place(place: &Place, done: Receiver<Done>, outcome: &Outcome) {
    let (mut files, mut bytes, mut begun) = (Vec::new(), 0, Instant::now());
    let commit = |files: &mut Vec<Written>, bytes: &mut u64| {
        match place.commit(files) {
            Ok(()) => {
                let mut received = outcome.received.lock().unwrap_or_else(PoisonError::into_inner);
                received.files += files.len() as u64;
                received.bytes += *bytes;
            }
            Err(error) => outcome.fail(error),
        }
        files.clear();
        *bytes = 0;
    };
    let mut any = false;
    loop {
        match done.recv_timeout(TIME.saturating_sub(begun.elapsed())) {
            Ok(more) => {
                outcome.files.fetch_add(more.files.len() as u64, Ordering::Relaxed);
                outcome.bytes.fetch_add(more.bytes, Ordering::Relaxed);
                any |= !more.files.is_empty();
                files.extend(more.files);
                bytes += more.bytes;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if files.len() >= FILES || bytes >= BYTES || begun.elapsed() >= TIME {
            commit(&mut files, &mut bytes);
            begun = Instant::now();
        }
    }
    commit(&mut files, &mut bytes);
    if any && let Err(error) = place.settle() {
        outcome.fail(error);
    }
}
