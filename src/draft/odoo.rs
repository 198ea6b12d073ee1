//! Odoo in a draft: its service, configuration, databases and add-ons.

use std::path::{Path, PathBuf};

use super::{Choices, Section, Seen, yaml};
use crate::format::ini::Ini;
use crate::look::Survey;
use crate::look::survey::Service;
use crate::name::DatabaseName;

/// The section Odoo reads.
const OPTIONS: &str = "options";

/// How many processes work: production's own, none on a standby.
const BY_ROLE: [&str; 2] = ["workers", "max_cron_threads"];

/// Where packages put add-ons.
const PACKAGED: &str = "/usr/lib/python3";

/// The service that is production's: the first that runs.
fn service(survey: &Survey) -> Option<&Service> {
    survey.services.iter().find(|service| service.active).or_else(|| survey.services.first())
}

/// odoo.conf, as its service names it.
pub fn config_path(survey: &Survey) -> PathBuf {
    let argv = service(survey).map(|service| service.argv.as_slice()).unwrap_or_default();
    let after =
        argv.iter().zip(argv.iter().skip(1)).find(|(flag, _)| ["-c", "--config"].contains(&flag.as_str())).map(|(_, path)| path.as_str());
    let joined = argv.iter().find_map(|word| word.strip_prefix("--config=").or_else(|| word.strip_prefix("-c=")));
    after.or(joined).unwrap_or("/etc/odoo/odoo.conf").into()
}

/// The account Odoo runs as.
pub fn user(survey: &Survey) -> &str {
    match service(survey).map(|service| service.user.as_str()) {
        // A script of init.d changes to Odoo's account itself.
        None | Some("") => "odoo",
        Some(user) => user,
    }
}

/// Where the filestore is: as odoo.conf says, or below the account's home.
pub fn data_dir(seen: &Seen<'_>) -> PathBuf {
    if let Some(said) = set(seen, "data_dir") {
        return said.into();
    }
    let home = seen.homes.get(user(seen.survey)).map_or("/var/lib/odoo", String::as_str);
    Path::new(home).join(".local/share/Odoo")
}

/// The databases odoo.conf names.
pub fn databases_named(conf: Option<&Ini>) -> Vec<DatabaseName> {
    let named = conf.and_then(|conf| conf.get(OPTIONS, "db_name")).filter(|name| !unset(name)).unwrap_or_default();
    named.split(',').filter_map(|name| name.trim().parse().ok()).collect()
}

/// Odoo writes what is not set as False or None.
fn unset(value: &str) -> bool {
    matches!(value.trim(), "" | "False" | "None")
}

fn set<'a>(seen: &Seen<'a>, key: &str) -> Option<&'a str> {
    seen.conf?.get(OPTIONS, key).filter(|value| !unset(value))
}

/// Keys that name this very machine.
pub fn of_this_host(seen: &Seen<'_>) -> Vec<(String, String)> {
    let Some(conf) = seen.conf else { return Vec::new() };
    let own = |value: &str| seen.machine.addresses.iter().chain([&seen.machine.hostname]).any(|name| !name.is_empty() && value == name);
    let pair = |key: &str| Some((key.to_owned(), conf.get(OPTIONS, key).filter(|value| own(value))?.to_owned()));
    conf.keys(OPTIONS).filter_map(pair).collect()
}

/// Its section, if there is an Odoo.
pub fn odoo(seen: &Seen<'_>, choices: &Choices, notes: &mut Vec<String>) -> Option<Section> {
    let Some(service) = service(seen.survey) else {
        notes.push("no service that runs Odoo was found: name it as odoo.unit once there is one".into());
        return None;
    };
    for other in seen.survey.services.iter().filter(|other| other.unit != service.unit) {
        notes.push(format!("{} runs Odoo too; the spec has {}", other.unit, service.unit));
    }
    if let Some(program) = service.argv.iter().find(|word| word.ends_with("odoo-bin") || word.ends_with("openerp-server")) {
        notes.push(format!("Odoo runs from {program}: no package brings that code, so put it on the standby as you put it here"));
    }
    let mut text = "odoo:\n".to_owned();
    let mut put = |line: String| text.push_str(&format!("  {line}\n"));
    let config = config_path(seen.survey);
    if config != Path::new("/etc/odoo/odoo.conf") {
        put(format!("config: {}", yaml::scalar(&config.display().to_string())));
    }
    if service.unit != "odoo.service" {
        put(format!("unit: {}", yaml::scalar(&service.unit)));
    }
    if user(seen.survey) != "odoo" {
        put(format!("user: {}", yaml::scalar(user(seen.survey))));
    }
    if data_dir(seen) != Path::new("/var/lib/odoo/.local/share/Odoo") {
        put(format!("data_dir: {}", yaml::scalar(&data_dir(seen).display().to_string())));
    }
    if let Some(version) = version(seen, notes) {
        put(format!("version: {version}"));
    }
    put(format!("databases: {}", yaml::list(choices.databases.iter().map(DatabaseName::as_str))));
    if let Some(conf) = seen.conf {
        options(seen, conf, &mut put, notes);
    } else {
        notes.push(format!("{} could not be read: what it says is not in the spec", config.display()));
    }
    let trees = addons(seen);
    if !trees.is_empty() {
        put(format!("addons: {{paths: {}, clone: {{}}}}", yaml::list(trees)));
    }
    Some(Section::new("odoo", "", text))
}

/// Odoo's version, where no package's name tells it.
fn version(seen: &Seen<'_>, notes: &mut Vec<String>) -> Option<u32> {
    let packaged = seen.packages.is_some_and(|packages| {
        packages.iter().any(|(name, package)| package.installed && name.strip_prefix("odoo-").is_some_and(|v| v.parse::<u32>().is_ok()))
    });
    let nightly = || seen.packages?.get("odoo").filter(|package| package.installed)?.version.split('.').next()?.parse().ok();
    let found = nightly().or_else(|| seen.survey.releases.iter().next_back().copied());
    if !packaged && found.is_none() {
        notes.push("Odoo's version was not found: say odoo.version".into());
    }
    found.filter(|_| !packaged)
}

/// How many processes work is said by role; the rest is taken from production as it stands, secrets too.
fn options(seen: &Seen<'_>, conf: &Ini, put: &mut impl FnMut(String), notes: &mut Vec<String>) {
    let by_role: Vec<String> = BY_ROLE.iter().filter_map(|key| Some(format!("{key}: {}", yaml::value(set(seen, key)?)))).collect();
    if !by_role.is_empty() {
        put(format!("production: {{{}}}", by_role.join(", ")));
    }
    put("standby: {workers: 0, max_cron_threads: 0}".into());
    put("clone: {}   # its odoo.conf has the other keys of production's, secrets too".into());
    for key in conf.keys(OPTIONS).filter(|key| !is_key(key)) {
        notes.push(format!("odoo.conf has a key that cannot be Odoo's: {key:?}"));
    }
    if let Some(host) = set(seen, "db_host").filter(|host| !matches!(*host, "localhost" | "127.0.0.1" | "::1") && !host.starts_with('/')) {
        notes.push(format!("Odoo's database is on {host}: otr replicates a PostgreSQL that runs on production itself"));
    }
}

/// What Odoo may call an option.
fn is_key(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

/// Add-on directories outside packages.
fn addons(seen: &Seen<'_>) -> Vec<String> {
    let named = set(seen, "addons_path").unwrap_or_default().split(',').map(|path| path.trim().to_owned());
    let own = |path: &String| path.starts_with('/') && !path.starts_with(PACKAGED);
    let data = data_dir(seen);
    let mut trees: Vec<String> = named.filter(own).filter(|path| !Path::new(path).starts_with(&data)).collect();
    trees.sort();
    trees.dedup();
    trees
}
