//! Files as they arrive: otr's own frames or a tar archive, told apart by the first bytes.
//!
//! The sender is not believed: every length is bounded before anything is kept, a name is a
//! name of the store or it is an error, and a stream that breaks off is never a whole one.

use std::io::{self, BufReader, Read, Write};

use super::names::StoreName;
use super::tar::Tar;

/// The first bytes of otr's own frames; the digit is the version of the format.
pub const MAGIC: &[u8; 8] = b"otr-fs1\n";
/// Most bytes of one piece of content.
pub const PIECE: usize = 256 * 1024;

/// Why a stream cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// It ended or broke before its end.
    #[error("the stream broke off: {0}")]
    Broken(#[from] io::Error),
    /// It says what no honest sender says; nothing more of it is believed.
    #[error("production sent what it was not asked for: {0}")]
    Hostile(String),
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A file; its content follows. The size is what the sender says, if it does.
    File(StoreName, Option<u64>),
    /// The sender has no such file, or cannot read it; why.
    Absent(StoreName, String),
    /// All that was asked for came.
    End,
}

/// A stream of files.
pub enum Stream<R: Read> {
    /// otr's own.
    Frames(Frames<R>),
    /// What Debian's tar makes.
    Tar(Tar<R>),
}

type Head<R> = io::Chain<io::Cursor<Vec<u8>>, R>;

impl<R: Read> Stream<Head<R>> {
    /// Reads the first bytes and knows what follows.
    ///
    /// # Errors
    /// It ended before.
    pub fn open(mut from: R) -> Result<Self, StreamError> {
        let mut first = vec![0; MAGIC.len()];
        from.read_exact(&mut first)?;
        Ok(match first == MAGIC {
            true => Stream::Frames(Frames { from: io::Cursor::new(Vec::new()).chain(from), left: 0, open: false }),
            false => Stream::Tar(Tar::new(io::Cursor::new(first).chain(from))),
        })
    }
}

impl<R: Read> Stream<R> {
    /// The next file. What is left of the one before is passed over.
    ///
    /// # Errors
    /// It broke off, or says what must not be.
    pub fn next_event(&mut self) -> Result<Event, StreamError> {
        match self {
            Stream::Frames(frames) => frames.next_event(),
            Stream::Tar(tar) => tar.next_store_file(),
        }
    }

    /// The next bytes of the file; 0 at its end.
    ///
    /// # Errors
    /// It broke off.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, StreamError> {
        match self {
            Stream::Frames(frames) => frames.read(buffer),
            Stream::Tar(tar) => tar.read(buffer),
        }
    }
}

const FILE: u8 = 1;
const ABSENT: u8 = 2;
const END: u8 = 3;
/// Longest name and longest reason.
const TEXT: usize = 255;

/// otr's own frames: kind, name, then content in pieces with a length each; 0 ends a file.
pub struct Frames<R> {
    from: R,
    left: usize,
    open: bool,
}

impl<R: Read> Frames<R> {
    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.from.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn text(&mut self) -> io::Result<Vec<u8>> {
        let mut text = vec![0; usize::from(self.byte()?)];
        self.from.read_exact(&mut text)?;
        Ok(text)
    }

    fn name(&mut self) -> Result<StoreName, StreamError> {
        let name = self.text()?;
        StoreName::parse(&name).ok_or_else(|| StreamError::Hostile(format!("{:?} is not the name of a filestore file", shown(&name))))
    }

    fn next_event(&mut self) -> Result<Event, StreamError> {
        let mut rest = [0; 4096];
        while self.open && self.read(&mut rest)? > 0 {}
        match self.byte()? {
            FILE => {
                let name = self.name()?;
                (self.left, self.open) = (0, true);
                Ok(Event::File(name, None))
            }
            ABSENT => {
                let name = self.name()?;
                let why = shown(&self.text()?);
                Ok(Event::Absent(name, why))
            }
            END => Ok(Event::End),
            other => Err(StreamError::Hostile(format!("a frame of kind {other}"))),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, StreamError> {
        if !self.open {
            return Ok(0);
        }
        if self.left == 0 {
            let mut length = [0; 4];
            self.from.read_exact(&mut length)?;
            self.left = u32::from_be_bytes(length) as usize;
            if self.left > PIECE {
                return Err(StreamError::Hostile(format!("a piece of {} bytes", self.left)));
            }
            self.open = self.left > 0;
        }
        let most = self.left.min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let Some(buffer) = buffer.get_mut(..most) else { return Ok(0) };
        let n = self.from.read(buffer)?;
        if n == 0 {
            return Err(StreamError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        self.left -= n;
        Ok(n)
    }
}

/// Text of a stranger, made fit for a terminal.
pub(super) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(TEXT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Writes frames.
pub struct Sender<W> {
    to: W,
}

impl<W: Write> Sender<W> {
    /// Begins a stream.
    ///
    /// # Errors
    /// It cannot be written; so with the others.
    pub fn new(mut to: W) -> io::Result<Self> {
        to.write_all(MAGIC)?;
        Ok(Self { to })
    }

    fn head(&mut self, kind: u8, name: &str) -> io::Result<()> {
        self.to.write_all(&[kind])?;
        self.text(name)
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        let text = text.as_bytes().get(..text.len().min(TEXT)).unwrap_or_default();
        self.to.write_all(&[u8::try_from(text.len()).unwrap_or(0)])?;
        self.to.write_all(text)
    }

    /// Sends a file to its end, however long it is then.
    ///
    /// # Errors
    /// As [`Sender::new`]. A file that cannot be read to its end is cut there: its hash tells.
    pub fn file(&mut self, name: &StoreName, mut content: impl Read, buffer: &mut [u8]) -> io::Result<()> {
        self.head(FILE, &name.to_string())?;
        loop {
            let n = match content.read(buffer) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => 0,
            };
            self.piece(buffer.get(..n).unwrap_or_default())?;
            if n == 0 {
                return Ok(());
            }
        }
    }

    fn piece(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(&u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes())?;
        self.to.write_all(bytes)
    }

    /// Sends whole frames that were made elsewhere.
    ///
    /// # Errors
    /// As [`Sender::new`].
    pub(super) fn frames(&mut self, frames: &[u8]) -> io::Result<()> {
        self.to.write_all(frames)
    }

    /// Goes on with a stream that was begun.
    pub(super) fn amid(to: W) -> Self {
        Self { to }
    }

    /// What was written so far.
    pub(super) fn into_inner(self) -> W {
        self.to
    }

    /// Says that a file cannot be sent.
    ///
    /// # Errors
    /// As [`Sender::new`].
    pub fn absent(&mut self, name: &StoreName, why: &str) -> io::Result<()> {
        self.head(ABSENT, &name.to_string())?;
        self.text(why)
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// As [`Sender::new`].
    pub fn end(mut self) -> io::Result<()> {
        self.to.write_all(&[END])?;
        self.to.flush()
    }
}

impl Sender<Vec<u8>> {
    /// A file whose content, at most [`PIECE`] bytes, `fill` appends.
    ///
    /// # Errors
    /// As [`Sender::new`].
    pub(super) fn content(&mut self, name: &StoreName, fill: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.head(FILE, &name.to_string())?;
        let at = self.to.len();
        self.to.extend([0; 4]);
        fill(&mut self.to);
        let length = self.to.len() - at - 4;
        match self.to.get_mut(at..at + 4) {
            Some(head) if length > 0 => head.copy_from_slice(&u32::try_from(length).unwrap_or(0).to_be_bytes()),
            // The length of nothing is the end of the file.
            _ => return Ok(()),
        }
        self.piece(&[])
    }
}

/// The names of a request, one at a time: NUL after each.
pub fn names(from: impl Read) -> impl Iterator<Item = io::Result<Vec<u8>>> {
    let mut from = BufReader::with_capacity(64 * 1024, from);
    std::iter::from_fn(move || {
        let mut name = Vec::new();
        // A name is at most 44 bytes; who sends more is not served.
        match io::BufRead::read_until(&mut (&mut from).take(256), 0, &mut name) {
            Ok(0) => None,
            Ok(_) if name.pop() != Some(0) => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Some(Ok(name)),
            Err(error) => Some(Err(error)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "da/da39a3ee5e6b4b0d3255bfef95601890afd80709";

    fn name() -> StoreName {
        StoreName::parse(NAME.as_bytes()).unwrap()
    }

    fn drain<R: Read>(stream: &mut Stream<R>) -> Result<Vec<u8>, StreamError> {
        let (mut all, mut buffer) = (Vec::new(), [0; 1000]);
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(all),
                n => all.extend(&buffer[..n]),
            }
        }
    }

    #[test]
    fn what_is_sent_arrives_and_no_shorter_stream_is_whole() {
        let content = b"0123456789".repeat(100_000);
        let mut sent = Vec::new();
        let mut sender = Sender::new(&mut sent).unwrap();
        sender.file(&name(), content.as_slice(), &mut vec![0; PIECE]).unwrap();
        sender.absent(&name(), "it is gone").unwrap();
        sender.file(&name(), io::empty(), &mut [0; 10]).unwrap();
        sender.end().unwrap();
        let mut stream = Stream::open(sent.as_slice()).unwrap();
        assert_eq!(stream.next_event().unwrap(), Event::File(name(), None));
        assert_eq!(drain(&mut stream).unwrap(), content);
        assert_eq!(stream.next_event().unwrap(), Event::Absent(name(), "it is gone".into()));
        assert_eq!(stream.next_event().unwrap(), Event::File(name(), None));
        assert_eq!(stream.next_event().unwrap(), Event::End);
        for end in (0..sent.len()).step_by(997).chain(sent.len() - 80..sent.len()) {
            let read = || -> Result<(), StreamError> {
                let mut stream = Stream::open(&sent[..end])?;
                while stream.next_event()? != Event::End {
                    drain(&mut stream)?;
                }
                Ok(())
            };
            assert!(read().is_err(), "cut at {end}");
        }
    }

    #[test]
    fn hostile_frames_are_refused() {
        let frame = |bytes: &[u8]| [MAGIC.as_slice(), bytes].concat();
        for (bytes, says) in [
            (frame(b"\x01\x0c../../passwd"), "not the name"),
            (frame(b"\x01\x0b/etc/passwd"), "not the name"),
            (frame(b"\x07"), "kind 7"),
            (frame(&[b"\x01\x2b", NAME.as_bytes(), b"\xff\xff\xff\xff"].concat()), "a piece of 4294967295 bytes"),
        ] {
            let mut stream = Stream::open(bytes.as_slice()).unwrap();
            let error = match stream.next_event() {
                Ok(_) => drain(&mut stream).unwrap_err(),
                Err(error) => error,
            };
            assert!(matches!(&error, StreamError::Hostile(why) if why.contains(says)), "{error}");
        }
    }

    #[test]
    fn a_request_is_read_name_by_name() {
        let asked: Vec<_> = names(&b"a\0b\0"[..]).map(Result::unwrap).collect();
        assert_eq!(asked, [b"a", b"b"]);
        assert!(names(&b"a\0b"[..]).any(|name| name.is_err()));
        assert!(names(&[b'x'; 1000][..]).any(|name| name.is_err()));
    }
}
