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
    /// Raised by one at every promotion.
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

    /// The epoch of a promotion of `host`, where these are known. A promotion that goes on keeps the one it raised.
    pub fn raised<'a>(known: impl IntoIterator<Item = &'a Epoch>, host: &HostName) -> Self {
        match known.into_iter().max() {
            Some(highest) if highest.production.as_ref() == Some(host) => highest.clone(),
            highest => Self { number: highest.map_or(0, |e| e.number) + 1, production: Some(host.clone()) },
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
    fn a_promotion_raises_it_once() {
        let none = Epoch::default();
        let first = Epoch::raised([&none, &none], &host("erp2"));
        assert_eq!(first, Epoch { number: 1, production: Some(host("erp2")) });
        assert_eq!(Epoch::raised([&first, &none], &host("erp2")), first, "a promotion that was killed goes on");
        assert_eq!(Epoch::raised([&none, &first], &host("erp1")).number, 2);
    }
}
