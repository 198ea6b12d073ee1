//! stub until the spec branch lands
use std::str::FromStr;
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement { pub name: String, pub text: String, pub specifiers: pep440_rs::VersionSpecifiers }
impl Requirement {
    pub fn matches(&self, version: &str) -> bool { pep440_rs::Version::from_str(version).is_ok_and(|v| self.specifiers.contains(&v)) }
}
#[derive(Debug, Clone, PartialEq)]
pub struct PackageSpec { pub name: crate::name::PackageName, pub version: Option<String> }
