//! The epoch: a number raised at every promotion, and the host that became production with it.
//! The higher one is right.
//!
//! It is kept on both hosts in a small file, so that each knows without the other what was
//! last decided. Pure.

use std::fmt;
use std::path::PathBuf;

use crate::facts::{FactError, Facts};
use crate::name::HostName;

/// What was last decided about who is production. Nothing yet is number 0.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch {
    /// Raised at every promotion: its time, seconds since 1970.
    pub number: u64,
    /// Who became production with it.
    pub production: Option<HostName>,
}

impl Epoch {
    /// Reads the file; `None` if it is damaged, which is never the same as absent.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, host) = text.trim_end().split_once(' ')?;
        Some(Self { number: number.parse().ok()?, production: Some(host.parse().ok()?) })
    }

    /// The file's text.
    pub fn text(&self) -> String {
        format!("{self}\n")
    }

    /// Where it is kept on each host.
    pub fn path(installation: &str) -> PathBuf {
        format!("/var/lib/otr/epoch-{installation}").into()
    }

    /// What a host has.
    ///
    /// # Errors
    /// It was not seen, or the file is damaged.
    pub fn seen(facts: &Facts, host: &HostName, installation: &str) -> Result<Self, FactError> {
        let path = Self::path(installation);
        match facts.content(host, &path)? {
            None => Ok(Self::default()),
            Some(content) => Self::parse(&content.text).ok_or_else(|| {
                FactError::Refused(format!("{host}: {} is damaged; copy it from the other host (`NUMBER HOST`)", path.display()))
            }),
        }
    }

    /// The epoch of a promotion of `host`: above all that is known, and above all that is not, for
    /// it is the time of the promotion (`now`, seconds since 1970, by the clock of the machine otr
    /// runs on). A counter alone would do only if every host always heard of every promotion
    /// (tests/protocol.rs finds the way to two writers otherwise).
    pub fn raised<'a>(known: impl IntoIterator<Item = &'a Epoch>, host: &HostName, now: u64) -> Self {
        let above = known.into_iter().map(|epoch| epoch.number).max().unwrap_or(0) + 1;
        Self { number: above.max(now), production: Some(host.clone()) }
    }

    /// The epoch of a production that is to stay one: its own if it is the highest, else above all.
    pub fn kept<'a>(known: impl IntoIterator<Item = &'a Epoch>, host: &HostName, now: u64) -> Self {
        let known: Vec<&Epoch> = known.into_iter().collect();
        let highest = known.iter().map(|epoch| epoch.number).max().unwrap_or(0);
        let mut top = known.iter().filter(|epoch| epoch.number == highest);
        match top.all(|epoch| epoch.production.as_ref() == Some(host)) && highest > 0 {
            true => Self { number: highest, production: Some(host.clone()) },
            false => Self::raised(known, host, now),
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.production {
            Some(host) => write!(f, "{} {host}", self.number),
            None => write!(f, "{}", self.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> HostName {
        name.parse().unwrap()
    }

    #[test]
    fn the_file_is_read_as_it_is_written() {
        let epoch = Epoch { number: 7, production: Some(host("erp2")) };
        assert_eq!(Epoch::parse(&epoch.text()), Some(epoch));
        for damaged in ["", "7", "7 ", "x erp2", "\0\0\0"] {
            assert_eq!(Epoch::parse(damaged), None, "{damaged:?}");
        }
    }

    #[test]
    fn a_promotion_raises_it() {
        let none = Epoch::default();
        let first = Epoch::raised([&none, &none], &host("erp2"), 0);
        assert_eq!(first, Epoch { number: 1, production: Some(host("erp2")) });
        assert_eq!(Epoch::raised([&first, &none], &host("erp2"), 0).number, 2, "a clock that runs behind");
        assert_eq!(Epoch::raised([&first, &none], &host("erp2"), 1_795_000_000).number, 1_795_000_000);
        assert_eq!(Epoch::kept([&first, &none], &host("erp2"), 9), first, "it is production already");
        assert_eq!(Epoch::kept([&first, &none], &host("erp1"), 9).number, 9);
    }
}
