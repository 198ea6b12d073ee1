//! Reads the archive GNU tar makes of a list of files (`--format=gnu`), for a production
//! without otr. Only what such an archive can hold is accepted; the rest is an error.
//!
//! Source of the format: tar(5), GNU tar's manual, "Basic Tar Format".

use std::io::{self, Read};

use super::names::StoreName;
use super::stream::{Event, StreamError, shown};

const BLOCK: usize = 512;

/// An archive of filestore files.
pub struct Tar<R> {
    from: R,
    left: u64,
    padding: u64,
}

impl<R: Read> Tar<R> {
    /// Reads from its first byte.
    pub fn new(from: R) -> Self {
        Self { from, left: 0, padding: 0 }
    }

    /// The next file; what is left of the one before is passed over.
    pub(super) fn next_store_file(&mut self) -> Result<Event, StreamError> {
        self.pass_over()?;
        let mut block = [0; BLOCK];
        self.from.read_exact(&mut block)?;
        if block.iter().all(|&byte| byte == 0) {
            // Two empty blocks end an archive. tar killed in the middle writes none.
            self.from.read_exact(&mut block)?;
            return match block.iter().all(|&byte| byte == 0) {
                true => Ok(Event::End),
                false => Err(StreamError::Hostile("an archive that goes on after its end".into())),
            };
        }
        let header = Header(&block);
        if !header.sum_holds() {
            return Err(StreamError::Hostile("it is neither an archive nor otr's own stream, or it was damaged on its way".into()));
        }
        let text = header.name();
        let name =
            StoreName::parse(text).ok_or_else(|| StreamError::Hostile(format!("{:?} is not the name of a filestore file", shown(text))))?;
        let size = header.size().ok_or_else(|| StreamError::Hostile(format!("a size that is no number, of {name}")))?;
        match header.kind() {
            b'0' | 0 => {
                self.left = size;
                self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
                Ok(Event::File(name, Some(size)))
            }
            b'1' => Ok(Event::Absent(name, "it is there twice, as a hard link".into())),
            b'2' => Ok(Event::Absent(name, "it is a symbolic link there".into())),
            b'3'..=b'6' => Ok(Event::Absent(name, "it is no regular file there".into())),
            other => Err(StreamError::Hostile(format!("{name} as an entry of type {:?}", char::from(other)))),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, StreamError> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..most) else { return Ok(0) };
        if buffer.is_empty() {
            return Ok(0);
        }
        match self.from.read(buffer)? {
            0 => Err(StreamError::Broken(io::ErrorKind::UnexpectedEof.into())),
            n => {
                self.left -= n as u64;
                Ok(n)
            }
        }
    }

    fn pass_over(&mut self) -> Result<(), StreamError> {
        let rest = self.left.saturating_add(self.padding);
        let passed = io::copy(&mut (&mut self.from).take(rest), &mut io::sink())?;
        (self.left, self.padding) = (0, 0);
        match passed == rest {
            true => Ok(()),
            false => Err(StreamError::Broken(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

struct Header<'a>(&'a [u8; BLOCK]);

impl Header<'_> {
    fn field(&self, at: usize, length: usize) -> &[u8] {
        self.0.get(at..at + length).unwrap_or_default()
    }

    fn name(&self) -> &[u8] {
        self.field(0, 100).split(|&byte| byte == 0).next().unwrap_or_default()
    }

    fn kind(&self) -> u8 {
        self.field(156, 1).first().copied().unwrap_or_default()
    }

    /// Octal digits; GNU writes sizes beyond 8 GiB as a binary number with its first bit set.
    fn size(&self) -> Option<u64> {
        let field = self.field(124, 12);
        match field.split_first()? {
            (0x80, rest) => {
                let (high, low) = rest.split_at_checked(3)?;
                high.iter().all(|&byte| byte == 0).then(|| low.iter().fold(0, |number: u64, &byte| number << 8 | u64::from(byte)))
            }
            _ => octal(field),
        }
    }

    fn sum_holds(&self) -> bool {
        let without = self.0.iter().enumerate().map(|(at, &byte)| if (148..156).contains(&at) { u64::from(b' ') } else { u64::from(byte) });
        octal(self.field(148, 8)) == Some(without.sum())
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(|c| c == '\0' || c == ' ');
    u64::from_str_radix(text, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::super::stream::Stream;
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    const EMPTY: &str = "da/da39a3ee5e6b4b0d3255bfef95601890afd80709";
    const HELLO: &str = "aa/aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
    const LINK: &str = "ad/adc83b19e793491b1c6ea0fd8b46cd9f32e592fc";

    /// What the real tar makes of real files.
    fn archive(dir: &std::path::Path, names: &[&str]) -> Vec<u8> {
        let mut child = Command::new("sh").args(["-c", "exec tar --create --file=- --format=gnu --ignore-failed-read --no-recursion --null --verbatim-files-from --files-from=- 2>/dev/null"])
            .current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let list: Vec<u8> = names.iter().flat_map(|name| name.bytes().chain([0])).collect();
        child.stdin.take().unwrap().write_all(&list).unwrap();
        child.wait_with_output().unwrap().stdout
    }

    /// A name and its content; none for what is no file.
    type Read = (String, Option<Vec<u8>>);

    fn read(bytes: &[u8]) -> Result<Vec<Read>, StreamError> {
        let mut stream = Stream::open(bytes)?;
        let mut all = Vec::new();
        loop {
            match stream.next_event()? {
                Event::End => return Ok(all),
                Event::Absent(name, _) => all.push((name.to_string(), None)),
                Event::File(name, _) => {
                    let (mut content, mut buffer) = (Vec::new(), [0; 333]);
                    loop {
                        match stream.read(&mut buffer)? {
                            0 => break,
                            n => content.extend(&buffer[..n]),
                        }
                    }
                    all.push((name.to_string(), Some(content)));
                }
            }
        }
    }

    #[test]
    fn what_tar_makes_is_read_and_no_shorter_archive_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        for directory in ["da", "aa", "ad"] {
            std::fs::create_dir(dir.path().join(directory)).unwrap();
        }
        std::fs::write(dir.path().join(EMPTY), "").unwrap();
        std::fs::write(dir.path().join(HELLO), "hello".repeat(1000)).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join(LINK)).unwrap();
        let bytes = archive(dir.path(), &[EMPTY, HELLO, LINK, "bb/gone"]);
        let read_all = read(&bytes).unwrap();
        assert_eq!(read_all, [(EMPTY.into(), Some(Vec::new())), (HELLO.into(), Some("hello".repeat(1000).into())), (LINK.into(), None)]);
        // What follows the two empty blocks only fills tar's last record.
        for end in (0..512 * 13).step_by(100) {
            assert!(read(&bytes[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn hostile_archives_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("evil"), "x").unwrap();
        assert!(matches!(read(&archive(dir.path(), &["evil"])), Err(StreamError::Hostile(why)) if why.contains("evil")));
        assert!(matches!(read(&[b'x'; 4096]), Err(StreamError::Hostile(_))));
        let mut long = vec![0; 1024];
        long[..5].copy_from_slice(b"hello");
        assert!(read(&long).is_err());
    }
}
