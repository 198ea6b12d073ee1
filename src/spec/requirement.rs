//! stub until the spec branch lands
use std::str::FromStr;
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement { pub name: String, pub text: String, pub specifiers: pep440_rs::VersionSpecifiers }
impl Requirement {
    pub fn parse(text: &str) -> Result<Self, String> { let i = text.find(|c: char| "=<>~!".contains(c)).unwrap_or(text.len()); Ok(Self { name: text[..i].trim().into(), text: text.into(), specifiers: pep440_rs::VersionSpecifiers::from_str(&text[i..]).map_err(|e| e.to_string())? }) }
    pub fn matches(&self, version: &str) -> bool { pep440_rs::Version::from_str(version).is_ok_and(|v| self.specifiers.contains(&v)) }
}
#[derive(Debug, Clone, PartialEq)]
pub struct PackageSpec { pub name: crate::name::PackageName, pub version: Option<String> }
impl PackageSpec { pub fn parse(text: &str) -> Result<Self, String> { let (n, v) = text.split_once('=').map_or((text, None), |(n, v)| (n, Some(v.to_owned()))); Ok(Self { name: n.parse().map_err(|e: crate::name::NameError| e.to_string())?, version: v }) } }
