//! `otr serve give`, production's end of a stream: some threads read small files ahead, so that
//! a disk or a network file system is asked for several at once, and one sends them in order.

use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::buffer::spare_capacity;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use super::have::open_path;
use super::names::StoreName;
use super::spare::Spare;
use super::stream::{PIECE, Sender, names};

/// Files read by one thread at a time,
const GROUP: usize = 64;
/// and the bytes after which the rest of them are left to the one that sends.
const AHEAD: usize = 1 << 20;

/// What is to be sent, in order.
enum Part {
    /// Whole frames.
    Frames(Vec<u8>),
    /// A file too large to be read ahead.
    Large(StoreName, File),
}

struct Task {
    names: Vec<StoreName>,
    answer: SyncSender<Vec<Part>>,
}

/// Sends the files of the working directory named on `from`, as frames.
///
/// # Errors
/// The conversation broke. A file that cannot be read is said to be absent.
pub fn serve_give(from: impl Read + Send + 'static, to: impl Write) -> io::Result<()> {
    let here = Arc::new(open_path(Path::new("."))?);
    // As many as wait for a disk, rather than as many as there are processors.
    let readers = std::thread::available_parallelism().map_or(2, NonZero::get).clamp(2, 4);
    let (tasks, to_read) = sync_channel::<Task>(readers);
    let (order, in_order) = sync_channel::<io::Result<Receiver<Vec<Part>>>>(readers * 2);
    let to_read = Arc::new(Mutex::new(to_read));
    let spare = Arc::new(Spare::default());
    for _ in 0..readers {
        let (to_read, here, spare) = (to_read.clone(), here.clone(), spare.clone());
        std::thread::spawn(move || {
            let next = || to_read.lock().unwrap_or_else(PoisonError::into_inner).recv();
            while let Ok(task) = next() {
                // Nobody takes it: the stream is over.
                let _ = task.answer.send(read(&here, &task.names, &spare));
            }
        });
    }
    std::thread::spawn(move || ask(from, &tasks, &order));
    let mut sender = Sender::new(to)?;
    let mut buffer = vec![0; PIECE];
    for answer in in_order {
        let parts = answer?.recv().map_err(|_| io::Error::other("a reader failed"))?;
        for part in parts {
            match part {
                Part::Frames(mut frames) => {
                    sender.frames(&frames)?;
                    frames.clear();
                    spare.give(frames);
                }
                Part::Large(name, file) => sender.file(&name, file, &mut buffer)?,
            }
        }
    }
    sender.end()
}

/// Reads the request and hands it to the readers, group by group.
fn ask(from: impl Read, tasks: &SyncSender<Task>, order: &SyncSender<io::Result<Receiver<Vec<Part>>>>) {
    let mut names = names(from).map(|name| StoreName::parse(&name?).ok_or_else(|| io::Error::other("asked for what is no filestore file")));
    loop {
        let group: io::Result<Vec<StoreName>> = names.by_ref().take(GROUP).collect();
        let sent = match group {
            Ok(names) if names.is_empty() => return,
            Ok(names) => {
                let (answer, at_hand) = sync_channel(1);
                order.send(Ok(at_hand)).is_ok() && tasks.send(Task { names, answer }).is_ok()
            }
            Err(error) => {
                let _ = order.send(Err(error));
                false
            }
        };
        if !sent {
            return;
        }
    }
}

fn read(here: &OwnedFd, names: &[StoreName], spare: &Spare<Vec<u8>>) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut frames, mut ahead) = (Sender::amid(spare.take()), 0);
    for name in names {
        // Into memory: this cannot fail.
        let _ = match open(here, name) {
            Ok((file, size)) if size > PIECE as u64 || ahead > AHEAD as u64 => {
                parts.push(Part::Frames(std::mem::replace(&mut frames, Sender::amid(spare.take())).into_inner()));
                parts.push(Part::Large(*name, file));
                Ok(())
            }
            Ok((file, size)) => {
                ahead += size;
                frames.content(name, |frames| fill(&file, frames, size))
            }
            Err(why) => frames.absent(name, &why),
        };
    }
    parts.push(Part::Frames(frames.into_inner()));
    parts
}

fn open(here: &OwnedFd, name: &StoreName) -> Result<(File, u64), String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(here, name.to_string(), flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Err(String::new()),
        Err(error) => return Err(error.to_string()),
    };
    match file.metadata() {
        Ok(meta) if meta.is_file() => Ok((file, meta.len())),
        _ => Err("it is no regular file there".into()),
    }
}

/// Reads a file that had this size a moment ago. One that cannot be read to its end, or grew, is
/// cut: its hash tells.
fn fill(file: &File, to: &mut Vec<u8>, size: u64) {
    let end = to.len() + usize::try_from(size).unwrap_or_default();
    while to.len() < end {
        to.reserve(end - to.len());
        match rustix::io::read(file, spare_capacity(to)) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => break,
        }
    }
    to.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::super::stream::{Event, Stream};
    use super::*;

    #[test]
    fn files_come_in_the_order_they_were_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<StoreName> = (0..1000u32)
            .map(|n| {
                let mut sha1 = [7; 20];
                sha1[..4].copy_from_slice(&n.to_be_bytes());
                StoreName { sha1, legacy: false }
            })
            .collect();
        for (n, name) in names.iter().enumerate().filter(|(n, _)| n % 10 != 3) {
            let path = dir.path().join(name.to_string());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            // Some larger than what is read ahead.
            std::fs::write(path, vec![n as u8; if n % 100 == 7 { PIECE + n } else { n }]).unwrap();
        }
        let here = open_path(dir.path()).unwrap();
        let mut bytes = Vec::new();
        let mut sender = Sender::new(&mut bytes).unwrap();
        for group in names.chunks(GROUP) {
            for part in read(&here, group, &Spare::default()) {
                match part {
                    Part::Frames(frames) => sender.frames(&frames).unwrap(),
                    Part::Large(name, file) => sender.file(&name, file, &mut [0; 1000]).unwrap(),
                }
            }
        }
        sender.end().unwrap();
        let mut stream = Stream::open(bytes.as_slice()).unwrap();
        for (n, name) in names.iter().enumerate() {
            match stream.next_event().unwrap() {
                Event::Absent(absent, why) => assert!(n % 10 == 3 && absent == *name && why.is_empty()),
                Event::File(file, _) => {
                    let (mut size, mut buffer) = (0, [0; 4096]);
                    loop {
                        match stream.read(&mut buffer).unwrap() {
                            0 => break,
                            read => {
                                assert!(buffer[..read].iter().all(|&byte| byte == n as u8));
                                size += read;
                            }
                        }
                    }
                    assert_eq!((file, size), (*name, if n % 100 == 7 { PIECE + n } else { n }));
                }
                Event::End => panic!("it ended at {n}"),
            }
        }
        assert_eq!(stream.next_event().unwrap(), Event::End);
    }
}
