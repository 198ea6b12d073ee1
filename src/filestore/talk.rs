//! What `otr serve` on a standby and the otr that started it say to each other.
//!
//! The one that serves speaks JSON, a line each, and raw names after [`Message::Want`]. It is
//! answered in pieces with a length; a length of 0 ends an answer, [`BROKEN`] breaks it off, so
//! that a connection that dies is never an answer that ended.

use std::io::{self, BufWriter, Read, Write};

use serde::{Deserialize, Serialize};

use super::keep::keep;
use super::names::NeededFile;
use super::production::Production;
use super::stream::PIECE;
use crate::action::keep::{Keep, Kept, Moved};

/// Ends an answer that is not whole.
pub const BROKEN: u32 = u32::MAX;

/// What the serving end says.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// Answer with production's listing.
    List,
    /// So many bytes of names follow; answer with their stream.
    Want {
        /// How many names.
        files: u64,
        /// Bytes of names.
        length: u64,
    },
    /// How far it is.
    Moved(Moved),
    /// It is over.
    Done(Box<Kept>),
    /// It could not be done.
    Failed(String),
}

/// Frames a piece of an answer.
pub fn piece(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(BROKEN).to_be_bytes()
}

/// One answer, from its first piece to its end.
struct Answer<R> {
    from: R,
    left: u32,
    ended: bool,
}

impl<R: Read> Read for Answer<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            let mut length = [0; 4];
            self.from.read_exact(&mut length)?;
            match u32::from_be_bytes(length) {
                0 => {
                    self.ended = true;
                    return Ok(0);
                }
                BROKEN => return Err(io::Error::other("the other end gave up")),
                length => self.left = length,
            }
        }
        let most = buffer.len().min(self.left as usize);
        let n = self.from.read(buffer.get_mut(..most).unwrap_or_default())?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= u32::try_from(n).unwrap_or(self.left);
        Ok(n)
    }
}

/// Production, as the one that started us reaches it.
struct Relayed<R, W> {
    from: R,
    to: W,
}

fn say(mut to: impl Write, message: &Message) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

impl<R: Read, W: Write> Production for Relayed<R, W> {
    fn list(&mut self) -> io::Result<Box<dyn Read + '_>> {
        say(&mut self.to, &Message::List)?;
        Ok(Box::new(Answer { from: &mut self.from, left: 0, ended: false }))
    }

    fn fetch(&mut self, files: &[NeededFile]) -> io::Result<Box<dyn Read + '_>> {
        let length = files.iter().map(|file| if file.name.legacy { 45 } else { 44 }).sum();
        say(&mut self.to, &Message::Want { files: files.len() as u64, length })?;
        let mut to = BufWriter::with_capacity(64 * 1024, &mut self.to);
        for file in files {
            write!(to, "{}\0", file.name)?;
        }
        to.flush()?;
        drop(to);
        Ok(Box::new(Answer { from: &mut self.from, left: 0, ended: false }))
    }
}

/// `otr serve keep`: reads the job, keeps the store, says what came of it.
///
/// # Errors
/// The conversation broke.
pub fn serve_keep(from: impl Read) -> io::Result<bool> {
    // The heads of files are a few bytes each.
    let mut from = io::BufReader::with_capacity(PIECE, from);
    let mut text = Vec::new();
    Answer { from: &mut from, left: 0, ended: false }.read_to_end(&mut text)?;
    let job: Keep = serde_json::from_slice(&text)?;
    let last = std::cell::Cell::new(std::time::Instant::now());
    let progress = |moved: Moved| {
        if last.get().elapsed() > std::time::Duration::from_millis(500) {
            last.set(std::time::Instant::now());
            // A broken conversation shows at the next read.
            let _ = say(io::stdout(), &Message::Moved(moved));
        }
    };
    let done = keep(&job, &mut Relayed { from, to: io::stdout() }, &progress);
    let ok = done.is_ok();
    say(io::stdout(), &done.map_or_else(|error| Message::Failed(error.to_string()), |kept| Message::Done(Box::new(kept))))?;
    Ok(ok)
}
