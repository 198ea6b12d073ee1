//! Takes files in: each is hashed while it arrives and gets its place only if its SHA-1 is its
//! name. What was not asked for, comes twice or never ends is an error, and nothing of it stays.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use sha1::{Digest, Sha1};

use super::names::{NeededFile, StoreName};
use super::place::{DiskError, Place};
use super::stream::{Event, PIECE, Stream, StreamError};

/// A batch is put in place after so many files,
const FILES: usize = 5000;
/// so many bytes,
const BYTES: u64 = 512 << 20;
/// or so long: what an interruption can cost.
const TIME: Duration = Duration::from_secs(20);
/// A file may be longer on production than the database says (it is damaged then, and left
/// out); beyond this and twice its size it is no file any more.
const SLACK: u64 = 64 << 20;
/// A file whose size the database does not say.
const LARGEST: u64 = 1 << 40;

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
    place: &mut Place,
    wanted: &[NeededFile],
    stream: impl Read,
    mut progress: impl FnMut(u64, u64),
) -> (Received, Result<(), ReceiveError>) {
    let mut run = Run { place, wanted, seen: vec![false; wanted.len()], batch: Vec::new(), batch_bytes: 0, received: Received::default() };
    let result = run.all(stream, &mut progress);
    // Even then: whole files are worth keeping.
    let result = match (result, run.commit()) {
        (Err(error), _) => Err(error),
        (Ok(()), last) => last,
    };
    if result.is_ok() {
        let never_came = wanted.iter().zip(&run.seen).filter(|(_, seen)| !**seen);
        run.received.absent.extend(never_came.map(|(file, _)| (file.name, String::new())));
    }
    (run.received, result)
}

struct Run<'a> {
    place: &'a mut Place,
    wanted: &'a [NeededFile],
    seen: Vec<bool>,
    batch: Vec<StoreName>,
    batch_bytes: u64,
    received: Received,
}

impl Run<'_> {
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
                    self.received.absent.push((name, why));
                }
                Event::End => return Ok(()),
            }
            if self.batch.len() >= FILES || self.batch_bytes >= BYTES || begun.elapsed() > TIME {
                self.commit()?;
                begun = Instant::now();
            }
            progress(self.received.files + self.batch.len() as u64, self.received.bytes + self.batch_bytes);
        }
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
        let mut file = if said.is_none_or(fits) { Some(self.place.create(name)?) } else { None };
        let (mut hash, mut size) = (Sha1::new(), 0);
        let result = loop {
            let n = match stream.read(buffer) {
                Ok(0) => break Ok(()),
                Ok(n) => n,
                Err(error) => break Err(ReceiveError::from(error)),
            };
            size += n as u64;
            if size > most {
                break Err(endless(size).into());
            }
            if !fits(size) {
                file = None;
            }
            let Some(file) = &mut file else { continue };
            let piece = buffer.get(..n).unwrap_or_default();
            hash.update(piece);
            if let Err(source) = file.write_all(piece) {
                let path = self.place.path().join(name.to_string());
                break Err(DiskError { what: "write", path, source }.into());
            }
        };
        if let Err(error) = result {
            self.place.abandon(name);
            return Err(error);
        }
        if file.is_some() && hash.finalize().as_slice() == name.sha1 {
            self.batch.push(*name);
            self.batch_bytes += size;
        } else {
            self.place.abandon(name);
            self.received.damaged.push(*name);
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), ReceiveError> {
        let batch = std::mem::take(&mut self.batch);
        let bytes = std::mem::take(&mut self.batch_bytes);
        self.place.commit(&batch)?;
        self.received.files += batch.len() as u64;
        self.received.bytes += bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
