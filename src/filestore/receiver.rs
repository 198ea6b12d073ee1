//! Takes files in: each is hashed when it arrived and gets its place only if its SHA-1 is its
//! name. What was not asked for, comes twice or never ends is an error, and nothing of it stays.
//!
//! One thread reads, some hash and write (`writer`), and one puts batches in their
//! places meanwhile.

use std::io::{Read, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use sha1::{Digest, Sha1};

use super::names::{NeededFile, StoreName};
use super::place::{DiskError, Fresh, Place};
use super::spare::Spare;
use super::stream::{Event, PIECE, Stream, StreamError};
use super::writer::{AHEAD, Done, Group, Outcome, put_in_place, writers};

/// A file may be longer on production than the database says (it is damaged then, and left
/// out); beyond this and twice its size it is no file any more.
const SLACK: u64 = 64 << 20;
/// A file whose size the database does not say.
const LARGEST: u64 = 1 << 40;
/// Reasons that are kept; of further absent files only the names are.
const REASONS: usize = 1000;
/// How often progress is told.
const TOLD: Duration = Duration::from_millis(200);

/// Why receiving ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The stream.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// This host's disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// What came.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Files in their places.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Left out: their SHA-1 is not their name.
    pub damaged: Vec<StoreName>,
    /// Production does not have them, or cannot read them; why, where it said.
    pub absent: Vec<(StoreName, String)>,
}

/// Takes in the files of a stream; `wanted` is sorted. What is whole keeps its place even if
/// the rest fails.
pub fn receive(
    place: &Place,
    wanted: &[NeededFile],
    stream: impl Read,
    mut progress: impl FnMut(u64, u64),
) -> (Received, Result<(), ReceiveError>) {
    let outcome = Outcome::default();
    let mut seen = vec![false; wanted.len()];
    let mut absent = Vec::new();
    let (groups, to_write) = sync_channel(writers());
    let (written, done) = sync_channel(AHEAD);
    let to_write = to_write.into();
    let spare = Spare::default();
    let result = std::thread::scope(|scope| {
        for _ in 0..writers() {
            let written = written.clone();
            scope.spawn(|| super::writer::write(place, &to_write, &spare, written, &outcome));
        }
        scope.spawn(|| put_in_place(place, done, &outcome));
        let (group, spare) = (spare.take(), &spare);
        let mut reader = Reader { place, wanted, seen: &mut seen, absent: &mut absent, outcome: &outcome, group, spare, groups, written };
        let result = reader.all(stream, &mut progress);
        // Even then: whole files are worth keeping.
        reader.pass_on();
        result
    });
    let (mut received, failure) = outcome.end();
    // A disk that failed is why the stream was left, not the other way.
    let result = failure.map_or(result, |failure| Err(failure.into()));
    if result.is_ok() {
        let never_came = wanted.iter().zip(&seen).filter(|(_, seen)| !**seen);
        absent.extend(never_came.map(|(file, _)| (file.name, String::new())));
    }
    received.absent = absent;
    (received, result)
}

struct Reader<'a> {
    place: &'a Place,
    wanted: &'a [NeededFile],
    seen: &'a mut [bool],
    absent: &'a mut Vec<(StoreName, String)>,
    outcome: &'a Outcome,
    group: Group,
    spare: &'a Spare<Group>,
    groups: SyncSender<Group>,
    written: SyncSender<Done>,
}

impl Reader<'_> {
    fn all(&mut self, stream: impl Read, progress: &mut dyn FnMut(u64, u64)) -> Result<(), ReceiveError> {
        let mut stream = Stream::open(stream)?;
        let mut begun = Instant::now();
        loop {
            match stream.next_event()? {
                Event::File(name, said) => {
                    let expected = self.expect(&name)?;
                    self.file(name, expected, said, &mut stream)?;
                }
                Event::Absent(name, why) => {
                    self.expect(&name)?;
                    let why = if self.absent.len() < REASONS { why } else { String::new() };
                    self.absent.push((name, why));
                }
                Event::End => return Ok(()),
            }
            if self.group.is_full() {
                self.pass_on();
            }
            if begun.elapsed() > TOLD {
                let (files, bytes) = self.outcome.written();
                progress(files, bytes);
                begun = Instant::now();
            }
            if self.outcome.failed() {
                // Why is told by the one that failed.
                return Ok(());
            }
        }
    }

    /// Gives what was gathered to the writers, who take until they are told that it is over.
    fn pass_on(&mut self) {
        let _ = self.groups.send(std::mem::replace(&mut self.group, self.spare.take()));
    }

    /// The size of a file that was asked for and did not come yet.
    fn expect(&mut self, name: &StoreName) -> Result<u64, StreamError> {
        let at = self.wanted.binary_search_by_key(name, |file| file.name);
        let at = at.map_err(|_| StreamError::Hostile(format!("{name}, which nobody asked for")))?;
        match self.seen.get_mut(at) {
            Some(seen) if !*seen => *seen = true,
            _ => return Err(StreamError::Hostile(format!("{name} twice"))),
        }
        Ok(self.wanted.get(at).map_or(0, NeededFile::size))
    }

    fn file<R: Read>(&mut self, name: StoreName, expected: u64, said: Option<u64>, stream: &mut Stream<R>) -> Result<(), ReceiveError> {
        let most = if expected == 0 { LARGEST } else { expected.saturating_add(expected.max(SLACK)) };
        let endless = |size| StreamError::Hostile(format!("{size} bytes of {name}, which the database says has {expected}"));
        if let Some(said) = said.filter(|said| *said > most) {
            return Err(endless(said).into());
        }
        let fits = |size: u64| expected == 0 || size <= expected;
        let (mut large, mut size) = (None, 0);
        let begin = self.group.begin();
        loop {
            let n = match stream.read(self.group.room()) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) => {
                    self.forget(begin, large);
                    return Err(error.into());
                }
            };
            size += n as u64;
            if size > most {
                self.forget(begin, large);
                return Err(endless(size).into());
            }
            if !fits(size) || self.outcome.failed() {
                // Passed over: it cannot be the file.
                continue;
            }
            let begun = match large {
                Some(large) => self.add(large, n),
                None => {
                    self.group.advance(n);
                    if size <= PIECE as u64 {
                        continue;
                    }
                    // Too large to be passed on in one piece.
                    let n = self.group.begin() - begin;
                    self.group.forget(begin);
                    Large::begin(self.place, name).and_then(|large| self.add(large, n))
                }
            };
            large = Some(begun?);
        }
        match large {
            large if !fits(size) => {
                self.forget(begin, large);
                self.outcome.damaged(name);
            }
            None => self.group.end(name, begin),
            Some(large) if large.is_whole() => {
                let _ = self.written.send(Done { files: vec![large.fresh.into()], bytes: size });
            }
            Some(large) => {
                self.place.abandon(large.fresh);
                self.outcome.damaged(name);
            }
        }
        Ok(())
    }

    /// Writes what came into the group's room.
    fn add(&mut self, mut large: Large, n: usize) -> Result<Large, DiskError> {
        let piece = self.group.room().get(..n).unwrap_or_default();
        match large.add(piece) {
            Ok(()) => Ok(large),
            Err(source) => {
                let path = self.place.path().join(large.fresh.name.to_string());
                self.place.abandon(large.fresh);
                Err(DiskError { what: "write", path, source })
            }
        }
    }

    fn forget(&mut self, begin: usize, large: Option<Large>) {
        self.group.forget(begin);
        if let Some(large) = large {
            self.place.abandon(large.fresh);
        }
    }
}

/// A file that is written while it arrives.
struct Large {
    fresh: Fresh,
    hash: Sha1,
}

impl Large {
    fn begin(place: &Place, name: StoreName) -> Result<Self, DiskError> {
        Ok(Self { fresh: place.create(name)?, hash: Sha1::new() })
    }

    fn add(&mut self, piece: &[u8]) -> std::io::Result<()> {
        self.hash.update(piece);
        self.fresh.file.write_all(piece)
    }

    fn is_whole(&self) -> bool {
        self.hash.clone().finalize().as_slice() == self.fresh.name.sha1
    }
}

#[cfg(test)]
mod tests;
