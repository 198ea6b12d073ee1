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
use super::place::{DiskError, Place};
use super::receiver::Received;
use super::stream::PIECE;

/// A batch is put in place after so many files,
const FILES: usize = 5000;
/// so many bytes,
const BYTES: u64 = 512 << 20;
/// or so long: what an interruption can cost.
const TIME: Duration = Duration::from_secs(20);
/// Files are passed on so many at a time: waking a thread costs as much as one of them.
const GROUP: usize = 128;

/// How many threads write: creating a file is work for a processor, not only for a disk.
pub(super) fn writers() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).clamp(1, 4)
}

/// Small files, one after the other.
#[derive(Default)]
pub(super) struct Group {
    data: Vec<u8>,
    files: Vec<(StoreName, usize)>,
}

impl Group {
    pub fn is_full(&self) -> bool {
        self.files.len() >= GROUP || self.data.len() >= PIECE
    }

    /// Where a file begins.
    pub fn begin(&self) -> usize {
        self.data.len()
    }

    pub fn add(&mut self, piece: &[u8]) {
        self.data.extend_from_slice(piece);
    }

    pub fn since(&self, begin: usize) -> &[u8] {
        self.data.get(begin..).unwrap_or_default()
    }

    pub fn end(&mut self, name: StoreName, begin: usize) {
        self.files.push((name, self.data.len() - begin));
    }

    pub fn forget(&mut self, begin: usize) {
        self.data.truncate(begin);
    }
}

/// Files that were written and wait for their places.
pub(super) struct Done {
    pub names: Vec<StoreName>,
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
pub(super) fn write(place: &Place, groups: &Mutex<Receiver<Group>>, written: SyncSender<Done>, outcome: &Outcome) {
    let next = || groups.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(group) = next() {
        let mut done = Done { names: Vec::with_capacity(group.files.len()), bytes: 0 };
        let mut rest = group.data.as_slice();
        for (name, size) in group.files {
            let Some((content, behind)) = rest.split_at_checked(size) else { break };
            rest = behind;
            if outcome.failed() {
                break;
            }
            if Sha1::digest(content).as_slice() != name.sha1 {
                outcome.damaged(name);
                continue;
            }
            if let Err(error) = write_one(place, &name, content) {
                place.abandon(&name);
                outcome.fail(error);
                break;
            }
            done.names.push(name);
            done.bytes += size as u64;
        }
        let _ = written.send(done);
    }
}

fn write_one(place: &Place, name: &StoreName, content: &[u8]) -> Result<(), DiskError> {
    let mut file = place.create(name)?;
    file.write_all(content).map_err(|source| DiskError { what: "write", path: place.path().join(name.to_string()), source })
}

/// Puts what was written in its place, batch by batch.
pub(super) fn put_in_place(place: &Place, done: Receiver<Done>, outcome: &Outcome) {
    let (mut names, mut bytes, mut begun) = (Vec::new(), 0, Instant::now());
    let commit = |names: &mut Vec<StoreName>, bytes: &mut u64| {
        match place.commit(names) {
            Ok(()) => {
                let mut received = outcome.received.lock().unwrap_or_else(PoisonError::into_inner);
                received.files += names.len() as u64;
                received.bytes += *bytes;
            }
            Err(error) => outcome.fail(error),
        }
        names.clear();
        *bytes = 0;
    };
    let mut any = false;
    loop {
        match done.recv_timeout(TIME.saturating_sub(begun.elapsed())) {
            Ok(more) => {
                outcome.files.fetch_add(more.names.len() as u64, Ordering::Relaxed);
                outcome.bytes.fetch_add(more.bytes, Ordering::Relaxed);
                any |= !more.names.is_empty();
                names.extend(more.names);
                bytes += more.bytes;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if names.len() >= FILES || bytes >= BYTES || begun.elapsed() >= TIME {
            commit(&mut names, &mut bytes);
            begun = Instant::now();
        }
    }
    commit(&mut names, &mut bytes);
    if any && let Err(error) = place.settle() {
        outcome.fail(error);
    }
}
