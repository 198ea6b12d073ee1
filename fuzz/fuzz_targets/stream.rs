//! What a hostile production may send: otr's frames, or tar's archive. The reader must never
//! panic, never say more than it was given, and never name what is no file of a store.

#![no_main]

#[path = "../../src/filestore/names.rs"]
#[allow(dead_code, reason = "the target uses a part of it")]
mod names;
#[path = "../../src/filestore/stream.rs"]
#[allow(dead_code, reason = "the target uses a part of it")]
mod stream;
#[path = "../../src/filestore/tar.rs"]
#[allow(dead_code, reason = "the target uses a part of it")]
mod tar;

use libfuzzer_sys::fuzz_target;
use names::StoreName;
use stream::{Event, Stream, StreamError};

fuzz_target!(|bytes: &[u8]| {
    // An error is as good an answer as an end.
    let _ = read(bytes);
    for name in stream::names(bytes).map_while(Result::ok) {
        check(&StoreName::parse(&name));
    }
});

fn check(name: &Option<StoreName>) {
    let Some(name) = name else { return };
    let text = name.to_string();
    assert!(!text.contains("..") && !text.starts_with('/') && text.matches('/').count() == 1, "{text}");
    assert_eq!(StoreName::parse(text.as_bytes()), Some(*name));
}

fn read(bytes: &[u8]) -> Result<(), StreamError> {
    let mut stream = Stream::open(bytes)?;
    let (mut total, mut buffer) = (0, [0; 777]);
    for n in 0.. {
        // Every event takes at least a byte.
        assert!(n <= bytes.len());
        match stream.next_event()? {
            Event::End => return Ok(()),
            Event::Absent(name, why) => {
                check(&Some(name));
                assert!(why.chars().count() <= 255 && !why.chars().any(char::is_control));
            }
            Event::File(name, _) => {
                check(&Some(name));
                // Every other file is passed over.
                while n % 2 == 0 {
                    let read = stream.read(&mut buffer)?;
                    total += read;
                    assert!(total <= bytes.len());
                    if read == 0 {
                        break;
                    }
                }
            }
        }
    }
    Ok(())
}
