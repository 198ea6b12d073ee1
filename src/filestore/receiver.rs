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
use super::place::{DiskError, Place};
use super::stream::{Event, PIECE, Stream, StreamError};
use super::writer::{Done, Group, Outcome, put_in_place, writers};

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
    let (written, done) = sync_channel(writers() * 8);
    let to_write = to_write.into();
    let result = std::thread::scope(|scope| {
        for _ in 0..writers() {
            let written = written.clone();
            scope.spawn(|| super::writer::write(place, &to_write, written, &outcome));
        }
        scope.spawn(|| put_in_place(place, done, &outcome));
        let mut reader =
            Reader { place, wanted, seen: &mut seen, absent: &mut absent, outcome: &outcome, group: Group::default(), groups, written };
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
    groups: SyncSender<Group>,
    written: SyncSender<Done>,
}

impl Reader<'_> {
    fn all(&mut self, stream: impl Read, progress: &mut dyn FnMut(u64, u64)) -> Result<(), ReceiveError> {
        let mut stream = Stream::open(stream)?;
        let mut buffer = vec![0; PIECE];
        let mut begun = Instant::now();
        loop {
            match stream.next_event()? {
                Event::File(name, said) => {
                    let expected = self.expect(&name)?;
                    self.file(&name, expected, said, &mut stream, &mut buffer)?;
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
        let _ = self.groups.send(std::mem::take(&mut self.group));
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

    fn file<R: Read>(
        &mut self,
        name: &StoreName,
        expected: u64,
        said: Option<u64>,
        stream: &mut Stream<R>,
        buffer: &mut [u8],
    ) -> Result<(), ReceiveError> {
        let most = if expected == 0 { LARGEST } else { expected.saturating_add(expected.max(SLACK)) };
        let endless = |size| StreamError::Hostile(format!("{size} bytes of {name}, which the database says has {expected}"));
        if let Some(said) = said.filter(|said| *said > most) {
            return Err(endless(said).into());
        }
        let fits = |size: u64| expected == 0 || size <= expected;
        let mut large = None;
        let (begin, mut size) = (self.group.begin(), 0);
        loop {
            let n = match stream.read(buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) => {
                    self.forget(name, begin, large.is_some());
                    return Err(error.into());
                }
            };
            size += n as u64;
            if size > most {
                self.forget(name, begin, large.is_some());
                return Err(endless(size).into());
            }
            let piece = buffer.get(..n).unwrap_or_default();
            if !fits(size) || self.outcome.failed() {
                // Passed over: it cannot be the file.
                continue;
            }
            if large.is_none() && size > PIECE as u64 {
                // Too large to be passed on in one piece.
                large = Some(Large::begin(self.place, name, self.group.since(begin))?);
                self.group.forget(begin);
            }
            match &mut large {
                Some(large) => {
                    if let Err(error) = large.add(self.place, name, piece) {
                        self.place.abandon(name);
                        return Err(error.into());
                    }
                }
                None => self.group.add(piece),
            }
        }
        match large {
            _ if !fits(size) => {
                self.forget(name, begin, large.is_some());
                self.outcome.damaged(*name);
            }
            None => self.group.end(*name, begin),
            Some(large) if large.is(name) => {
                let _ = self.written.send(Done { names: vec![*name], bytes: size });
            }
            Some(_) => {
                self.place.abandon(name);
                self.outcome.damaged(*name);
            }
        }
        Ok(())
    }

    fn forget(&mut self, name: &StoreName, begin: usize, large: bool) {
        self.group.forget(begin);
        if large {
            self.place.abandon(name);
        }
    }
}

/// A file that is written while it arrives.
struct Large {
    file: std::fs::File,
    hash: Sha1,
}

impl Large {
    fn begin(place: &Place, name: &StoreName, first: &[u8]) -> Result<Self, DiskError> {
        let mut large = Self { file: place.create(name)?, hash: Sha1::new() };
        large.add(place, name, first)?;
        Ok(large)
    }

    fn add(&mut self, place: &Place, name: &StoreName, piece: &[u8]) -> Result<(), DiskError> {
        self.hash.update(piece);
        self.file.write_all(piece).map_err(|source| DiskError { what: "write", path: place.path().join(name.to_string()), source })
    }

    fn is(&self, name: &StoreName) -> bool {
        self.hash.clone().finalize().as_slice() == name.sha1
    }
}

#[cfg(test)]
mod tests;
