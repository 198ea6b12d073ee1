//! Odoo's session modules: a table, one file each, of what each can and where it reads its
//! settings. Pure.
//!
//! A new module is one file here and one line in [`MODULES`]. Nothing here knows a host: a
//! [`Wish`] goes in, settings come out.

use std::path::Path;

use crate::secret::{Secret, Text};

mod mangono_addon;
mod mangono_odoo;
mod muk;
mod session_db;
mod session_redis;
mod url;

/// Every module otr knows.
pub const MODULES: [&Module; 5] =
    [&mangono_addon::MODULE, &mangono_odoo::MODULE, &session_redis::MODULE, &session_db::MODULE, &muk::MODULE];

/// Where sessions are kept, as far as a module can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Redis or Valkey.
    Redis,
    /// A table of PostgreSQL.
    Database,
}

/// What a module is, and what it can.
#[derive(Debug)]
pub struct Module {
    /// Its word in the spec.
    pub name: &'static str,
    /// Its name in `server_wide_modules`.
    pub addon: &'static str,
    /// The stores it reaches.
    pub stores: &'static [Store],
    /// The first and last Odoo it runs on.
    pub odoo: (u32, u32),
    /// The oldest Redis that answers all it asks, and what an older one does not answer.
    pub redis: Option<(u32, &'static str)>,
    /// The Python module, the version from which it does not run with it, and why; up to an Odoo.
    pub python: Option<(&'static str, u32, u32, &'static str)>,
    /// It asks Sentinel who is the primary; otherwise why not.
    pub sentinel: Result<(), &'static str>,
    /// It knows TLS; otherwise why not.
    pub tls: Result<(), &'static str>,
    /// It can put a prefix before its keys.
    pub prefix: bool,
    /// It needs worker processes.
    pub workers: bool,
    /// Where its own code comes from.
    pub code: Code,
    /// What it is to be installed from PyPI for a version of itself (if one is wanted) and of Odoo.
    pub requirements: fn(Option<&str>, Option<u32>) -> Vec<String>,
    /// Its settings.
    pub settings: fn(&Wish<'_>) -> Settings,
    /// What stands in Redis before a session's id.
    pub key: fn(Option<&str>) -> String,
}

/// Where a module's own code comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// PyPI, with its requirements.
    Pypi,
    /// A folder in `addons_path` that somebody puts there.
    AddonsPath,
}

/// What a module is told.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// Which of its stores.
    pub store: Store,
    /// Where Redis answers.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// Redis's database number.
    pub index: Option<u32>,
    /// The login, where Redis knows several.
    pub user: Option<&'a str>,
    /// Its password.
    pub password: Option<Text>,
    /// What keeps two installations on one server apart.
    pub prefix: Option<&'a str>,
    /// Seconds a login lives.
    pub expiration: Option<u64>,
    /// Seconds a visit without login lives.
    pub anonymous: Option<u64>,
    /// TLS, and the file of the authority that signed the server's certificate.
    pub tls: Option<&'a Path>,
    /// A sentinel and the name it knows the primary by.
    pub sentinel: Option<Sentinel<'a>>,
    /// The connection to PostgreSQL.
    pub uri: Option<Text>,
}

/// Where a sentinel answers.
#[derive(Debug, Clone, Copy)]
pub struct Sentinel<'a> {
    /// Its host.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// The primary's name.
    pub primary: &'a str,
}

/// Settings of a module, each where the module reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Variables of the service's environment.
    pub environment: Vec<(&'static str, Text)>,
    /// Options of odoo.conf.
    pub options: Vec<(&'static str, Text)>,
}

impl Module {
    /// The module of a name of the spec; its name in `server_wide_modules` will do where it is one's alone.
    pub fn find(name: &str) -> Option<&'static Module> {
        let exact = MODULES.into_iter().find(|module| module.name == name);
        let mut of_addon = MODULES.into_iter().filter(|module| module.addon == name);
        exact.or_else(|| of_addon.next().filter(|_| of_addon.next().is_none()))
    }

    /// Why it cannot run on an Odoo.
    pub fn refuses(&self, odoo: u32) -> Option<String> {
        let (first, last) = self.odoo;
        (!(first..=last).contains(&odoo)).then(|| format!("{} runs on Odoo {first} to {last}, not on {odoo}", self.name))
    }
}

/// The modules of `server_wide_modules` with one more. It stands behind Odoo's own, for it replaces
/// what those set up; the others keep the order somebody chose.
pub fn server_wide(is: Option<&str>, odoo: Option<u32>, addon: &str) -> String {
    // odoo/tools/config.py of each version: the default is lost once the key is written.
    let default = match odoo {
        Some(19..) => "base,rpc,web",
        Some(..=11) => "web",
        _ => "base,web",
    };
    let mut names: Vec<&str> = is.unwrap_or(default).split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let own = names.iter().rposition(|name| ["base", "rpc", "web"].contains(name));
    match names.iter().position(|name| *name == addon) {
        None => names.push(addon),
        Some(at) if own.is_some_and(|own| at < own) => {
            names.remove(at);
            names.insert(own.unwrap_or_default(), addon);
        }
        Some(_) => {}
    }
    names.join(",")
}

/// A list of settings under construction.
#[derive(Default)]
struct Pairs(Vec<(&'static str, Text)>);

impl Pairs {
    fn set(&mut self, name: &'static str, value: impl Into<Text>) {
        self.0.push((name, value.into()));
    }
    fn maybe(&mut self, name: &'static str, value: Option<impl Into<Text>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }
}

/// `session::PREFIX:`, as camptocamp's module and both descendants of it write it.
fn double_colon(prefix: Option<&str>) -> String {
    prefix.filter(|prefix| !prefix.is_empty()).map_or("session:".to_owned(), |prefix| format!("session::{prefix}:"))
}

/// A requirement of pip, at one version if one is wanted.
fn pinned(name: &str, version: Option<&str>) -> String {
    version.map_or(name.to_owned(), |version| format!("{name}=={version}"))
}

/// Two texts made into one; a secret if one of them is.
fn joined(texts: &[&Text]) -> Text {
    let whole: String = texts.iter().map(|text| text.expose()).collect();
    match texts.iter().any(|text| text.is_sensitive()) {
        true => Text::Sensitive(Secret::new(whole)),
        false => Text::Plain(whole),
    }
}

#[cfg(test)]
mod tests;
