//! Names of filestore files, checked once and kept small: a million of them fit in 21 MB.
//!
//! A name is `xx/SHA1` or Odoo's older `xxx/SHA1` (`_get_path` of ir_attachment); nothing else
//! becomes a path.

use std::fmt;

/// A file's name in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreName {
    /// What its content must hash to.
    pub sha1: [u8; 20],
    /// It lies in a directory of three letters.
    pub legacy: bool,
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// 40 lower-case digits.
pub fn parse_sha1(text: &[u8]) -> Option<[u8; 20]> {
    let mut sha1 = [0; 20];
    if text.len() != 40 {
        return None;
    }
    for (byte, pair) in sha1.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(sha1)
}

/// A hash as text.
pub fn hex(sha1: &[u8; 20]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    sha1.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| DIGITS.get(usize::from(digit))).map(|&c| char::from(c)).collect()
}

impl StoreName {
    /// Reads `xx/SHA1` or `xxx/SHA1`; `None` for anything else.
    pub fn parse(name: &[u8]) -> Option<Self> {
        let at = name.iter().position(|&byte| byte == b'/')?;
        let (directory, file) = (name.get(..at)?, name.get(at + 1..)?);
        let sha1 = parse_sha1(file)?;
        ((2..=3).contains(&at) && file.starts_with(directory)).then_some(Self { sha1, legacy: at == 3 })
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
