//! Names of filestore files, checked once and kept small: a million of them fit in 21 MB.
//!
//! A name is `xx/SHA1` or Odoo's older `xxx/SHA1` (`_get_path` of ir_attachment); nothing else
//! becomes a path.

use std::cmp::Ordering;
use std::fmt;

/// A file's name in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreName {
    /// What its content must hash to.
    pub sha1: [u8; 20],
    /// It lies in a directory of three letters.
    pub legacy: bool,
}

/// The value of each digit, and [`NONE`] of what is no lower-case one.
const VALUES: [u8; 256] = {
    let (mut values, mut n) = ([NONE; 256], 0);
    while n < 16 {
        values[DIGITS[n] as usize] = n as u8;
        n += 1;
    }
    values
};
const NONE: u8 = 0xff;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// 40 lower-case digits.
pub fn parse_sha1(text: &[u8]) -> Option<[u8; 20]> {
    let text: &[u8; 40] = text.try_into().ok()?;
    let (mut sha1, mut wrong) = ([0; 20], 0);
    for (byte, pair) in sha1.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let [high, low] = [VALUES[usize::from(*high)], VALUES[usize::from(*low)]];
        wrong |= high | low;
        *byte = high << 4 | low & 15;
    }
    (wrong < 16).then_some(sha1)
}

/// A hash as text.
pub fn hex(sha1: &[u8; 20]) -> String {
    let mut text = String::with_capacity(40);
    for byte in sha1 {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)])));
    }
    text
}

/// By hash; of two names of one hash the older kind is the later one. The first eight bytes
/// nearly always decide: a million names are sorted in half the time.
impl Ord for StoreName {
    fn cmp(&self, other: &Self) -> Ordering {
        let first = |name: &Self| name.sha1.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        first(self).cmp(&first(other)).then_with(|| (self.sha1, self.legacy).cmp(&(other.sha1, other.legacy)))
    }
}

impl PartialOrd for StoreName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl StoreName {
    /// Reads `xx/SHA1` or `xxx/SHA1`; `None` for anything else.
    pub fn parse(name: &[u8]) -> Option<Self> {
        let at = name.iter().position(|&byte| byte == b'/')?;
        let (directory, file) = (name.get(..at)?, name.get(at + 1..)?);
        Self::of(directory, file)
    }

    /// Reads the two parts of a name.
    pub fn of(directory: &[u8], file: &[u8]) -> Option<Self> {
        let sha1 = parse_sha1(file)?;
        ((2..=3).contains(&directory.len()) && file.starts_with(directory)).then_some(Self { sha1, legacy: directory.len() == 3 })
    }

    /// The directory it lies in.
    pub fn directory(&self) -> String {
        let mut hex = hex(&self.sha1);
        hex.truncate(if self.legacy { 3 } else { 2 });
        hex
    }

    /// The last part of its path.
    pub fn file(&self) -> String {
        hex(&self.sha1)
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = hex(&self.sha1);
        write!(f, "{}/{hex}", hex.get(..if self.legacy { 3 } else { 2 }).unwrap_or_default())
    }
}

/// A file that must be there, and its bytes as the database says (0: it does not say).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NeededFile {
    /// Which.
    pub name: StoreName,
    size: [u8; 6],
}

impl NeededFile {
    /// A size beyond 256 TiB is not said.
    pub fn new(name: StoreName, size: u64) -> Self {
        let [b0, b1, b2, b3, b4, b5, 0, 0] = size.to_le_bytes() else { return Self { name, size: [0; 6] } };
        Self { name, size: [b0, b1, b2, b3, b4, b5] }
    }

    /// Bytes; 0 if the database does not say.
    pub fn size(&self) -> u64 {
        let [b0, b1, b2, b3, b4, b5] = self.size;
        u64::from_le_bytes([b0, b1, b2, b3, b4, b5, 0, 0])
    }
}

/// Sorts, and keeps one of each name: several rows may share a file.
pub fn sort_needed(files: &mut Vec<NeededFile>) {
    files.sort_unstable();
    // The last of equals has the largest size.
    files.reverse();
    files.dedup_by_key(|file| file.name);
    files.reverse();
}

/// What is needed and not there, and what is there and not needed; both lists sorted.
pub fn compare(needed: &[NeededFile], have: &[StoreName]) -> (Vec<NeededFile>, Vec<StoreName>) {
    let (mut missing, mut extra) = (Vec::new(), Vec::new());
    let mut have = have.iter().copied().peekable();
    for file in needed {
        while let Some(name) = have.next_if(|name| *name < file.name) {
            extra.push(name);
        }
        if have.next_if_eq(&file.name).is_none() {
            missing.push(*file);
        }
    }
    extra.extend(have);
    (missing, extra)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

    #[test]
    fn only_names_of_the_grammar_are_names() {
        for good in [format!("da/{SHA}"), format!("da3/{SHA}")] {
            assert_eq!(StoreName::parse(good.as_bytes()).unwrap().to_string(), good);
        }
        let bad = ["", "/", "..", "../x", "da", "da/", "/da/x", "d/da39", "da/../../etc/passwd", "checklist/da"].map(String::from);
        let close = [
            format!("db/{SHA}"),
            format!("da/{SHA}0"),
            format!("da39/{SHA}"),
            format!("DA/{}", SHA.to_uppercase()),
            format!("da/{SHA}\n"),
            format!("da//{SHA}"),
            format!("./da/{SHA}"),
            format!("da/{SHA}/x"),
        ];
        for bad in bad.into_iter().chain(close) {
            assert_eq!(StoreName::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn the_difference_is_exact() {
        let name = |n: u8| StoreName { sha1: [n; 20], legacy: n.is_multiple_of(2) };
        let mut all: Vec<NeededFile> = [5, 1, 3, 3, 2].map(|n| NeededFile::new(name(n), u64::from(n) * 1000)).to_vec();
        all.push(NeededFile::new(name(3), 0));
        sort_needed(&mut all);
        assert_eq!(all.iter().map(|f| (f.name.sha1[0], f.size())).collect::<Vec<_>>(), [(1, 1000), (2, 2000), (3, 3000), (5, 5000)]);
        let have: Vec<StoreName> = [2, 4, 5, 9].map(name).to_vec();
        let (missing, extra) = compare(&all, &have);
        assert_eq!(missing.iter().map(|f| f.name.sha1[0]).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(extra, [name(4), name(9)]);
        assert!(size_of::<NeededFile>() <= 27 && size_of::<StoreName>() == 21);
        assert_eq!(NeededFile::new(name(1), u64::MAX).size(), 0);
    }
}
