//! Records: files to which one line of JSON is added for each event. A record is read from its
//! end, and what is read of it is seen, absent, or unseen for a reason; never "empty" for want of sight.

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// The most that is read of a record, from its end, in bytes: the list of a whole filestore fits.
pub const TAIL: usize = 16 << 20;
/// A larger one begins anew with its last [`KEPT`] bytes; the whole stays beside it as `NAME.1`.
pub const LARGE: usize = 1 << 20;
/// What a record that begins anew keeps of itself, in bytes: years of runs.
pub const KEPT: usize = 256 << 10;

/// The end of a record, from the first line that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Record {
    /// Its lines.
    pub text: String,
    /// Bytes before them that were not read.
    pub skipped: u64,
}

impl Record {
    /// The last bytes of a file of `size` bytes.
    pub fn of(bytes: &[u8], size: u64) -> Self {
        let before = size.saturating_sub(bytes.len() as u64);
        let from = match before {
            0 => 0,
            _ => bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |at| at + 1),
        };
        let text = String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned();
        Self { text, skipped: if before == 0 { 0 } else { before + from as u64 } }
    }

    /// Its lines that hold something.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.text.lines().filter(|line| !torn_to_nothing(line))
    }

    /// Its events; a line that is none is left out, and told by [`Record::trouble`].
    pub fn events<T: DeserializeOwned>(&self) -> impl DoubleEndedIterator<Item = T> {
        self.lines().filter_map(|line| serde_json::from_str(line).ok())
    }

    /// What could not be read of it, in words.
    pub fn trouble<T: DeserializeOwned>(&self) -> Option<String> {
        let mut words = Vec::new();
        if self.skipped > 0 {
            words.push(format!("its first {} bytes were not read", self.skipped));
        }
        let last = self.text.lines().count();
        let broken: Vec<usize> =
            (1..).zip(self.text.lines()).filter(|(_, line)| serde_json::from_str::<T>(line).is_err()).map(|(number, _)| number).collect();
        match broken.as_slice() {
            [] => {}
            [one] if *one == last && !self.text.ends_with('\n') => words.push("its last line broke off: what it said is not known".into()),
            [one] => words.push(format!("line {one} is a line that cannot be read")),
            many => words.push(format!("{} lines of it cannot be read", many.len())),
        }
        (!words.is_empty()).then(|| words.join("; "))
    }
}

/// Whether a line is the beginning of one that a power cut ended: what it was about to say was not yet
/// relied on. A whole line in words nobody knows, or other bytes, may have said anything.
pub fn broke_off(line: &str) -> bool {
    torn_to_nothing(line) || line.starts_with('{') && serde_json::from_str::<IgnoredAny>(line).is_err()
}

/// A file system may have made room for a line and not yet written it.
fn torn_to_nothing(line: &str) -> bool {
    line.trim_matches('\0').is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_from_its_first_whole_line() {
        let record = Record::of(b"alf a line\n1\n2\n", 100);
        assert_eq!((record.events::<u8>().collect::<Vec<_>>(), record.skipped), (vec![1, 2], 96));
        assert_eq!(Record::of(b"1\n2\n", 4).events::<u8>().collect::<Vec<_>>(), [1, 2]);
        let none = Record::of(b"no line ends here", 100);
        assert_eq!((none.text.as_str(), none.skipped), ("", 100));
        assert!(none.trouble::<u8>().unwrap().contains("first 100 bytes"));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let trouble = |text: &str| Record::of(text.as_bytes(), text.len() as u64).trouble::<u8>();
        assert_eq!((trouble(""), trouble("1\n2\n"), trouble("1\n2")), (None, None, None));
        assert!(trouble("1\n{\"at").unwrap().contains("broke off"));
        assert!(trouble("1\n{\"at\n2\n").unwrap().contains("line 2"));
        assert!(trouble("x\n{\"at\n2\n").unwrap().contains("2 lines"));
    }

    #[test]
    fn only_the_beginning_of_a_line_broke_off() {
        assert!(broke_off("{\"event\":\"st") && broke_off("\0\0\0") && broke_off(""));
        assert!(!broke_off("{\"event\":\"new\"}") && !broke_off("PNG"));
    }
}
