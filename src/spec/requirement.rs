//! What a spec asks of packages: `name~=1.0,<2` for pip, `name=version` for apt.

use std::fmt;
use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifiers};

use crate::look::python::normalise;
use crate::name::PackageName;

/// A Python module and the versions that will do (PEP 440).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The module, normalised (PEP 503).
    pub name: String,
    /// The versions; none means any.
    pub specifiers: VersionSpecifiers,
    written: String,
}

impl Requirement {
    /// Whether a version will do. One that PEP 440 cannot read does only where any does.
    pub fn matches(&self, version: &str) -> bool {
        match Version::from_str(version) {
            Ok(version) => self.specifiers.contains(&version),
            Err(_) => self.specifiers.is_empty(),
        }
    }
}

impl FromStr for Requirement {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.contains("://") || text.contains('@') {
            return Err(format!("{text:?} is a URL: name a module of the package index"));
        }
        if text.contains('[') {
            return Err(format!("{text:?} names extras: list the modules they stand for"));
        }
        if text.contains(';') {
            return Err(format!("{text:?} has a marker: both machines are to be the same"));
        }
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c))).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let edges = |c: char| c.is_ascii_alphanumeric();
        if !(name.starts_with(edges) && name.ends_with(edges)) {
            return Err(format!("{text:?} is not a requirement such as redis~=5.0"));
        }
        let specifiers = VersionSpecifiers::from_str(rest.trim()).map_err(|error| {
            let why = error.to_string().lines().next().unwrap_or_default().trim_end_matches(':').to_owned();
            format!("{text:?} is not a requirement such as redis~=5.0: {why}")
        })?;
        Ok(Self { name: normalise(name), specifiers, written: text.to_owned() })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// A Debian package, perhaps at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSpec {
    /// The package.
    pub name: PackageName,
    /// Its version; any if absent.
    pub version: Option<String>,
}

impl FromStr for PackageSpec {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('=') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        let name = name.parse::<PackageName>().map_err(|error| error.to_string())?;
        // Debian policy 5.6.12.
        let good =
            |v: &str| v.starts_with(|c: char| c.is_ascii_digit()) && v.chars().all(|c| c.is_ascii_alphanumeric() || ".+~:-".contains(c));
        match version {
            Some(version) if !good(version) => Err(format!("{text:?}: {version:?} is not a Debian version such as 14.0.0+dfsg-1")),
            version => Ok(Self { name, version: version.map(str::to_owned) }),
        }
    }
}

impl fmt::Display for PackageSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}={version}", self.name),
            None => self.name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements() {
        let redis: Requirement = "Redis_Py ~= 5.0, <5.2".parse().unwrap();
        assert_eq!(redis.name, "redis-py");
        assert!(redis.matches("5.1.1") && !redis.matches("5.2") && !redis.matches("4.9") && !redis.matches("odd"));
        assert!("redis".parse::<Requirement>().unwrap().matches("odd"));
        assert!("a==1".parse::<Requirement>().unwrap().matches("1.0.0"));
        for bad in ["", "redis=5", "redis[hiredis]", "x @ https://y", "a; python_version<'3'", "-r x", "redis>=", "a b"] {
            assert!(bad.parse::<Requirement>().is_err(), "{bad}");
        }
    }

    #[test]
    fn packages() {
        let odoo: PackageSpec = "odoo-14=14.0.0+dfsg.2-7+deb11u1".parse().unwrap();
        assert_eq!((odoo.name.as_str(), odoo.version.as_deref()), ("odoo-14", Some("14.0.0+dfsg.2-7+deb11u1")));
        assert_eq!(odoo.to_string(), "odoo-14=14.0.0+dfsg.2-7+deb11u1");
        for bad in ["", "Odoo", "a=", "a==1", "a b", "a=1 b", "a=x'y"] {
            assert!(bad.parse::<PackageSpec>().is_err(), "{bad}");
        }
    }
}
