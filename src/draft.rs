//! A spec written from what a production is. Pure: sights and choices go in, commented YAML comes out.
//!
//! A draft is a list of sections. One that would change production is written as a comment, with
//! the reason, so that the plan of a fresh spec against its production is empty.

use std::collections::BTreeMap;

use crate::format::ini::Ini;
use crate::look::{Machine, Packages, PythonSight, RedisSight, Survey};
use crate::name::{DatabaseName, HostName, Word};
use crate::secret::Secret;

mod files;
mod odoo;
pub mod predecessor;
mod servers;
mod software;
mod yaml;

pub use odoo::{config_path, data_dir, databases_named, user};
pub use servers::{cluster, redis_config};
pub use software::site;

/// What was seen of production. Its odoo.conf holds passwords, so it is not to be printed.
#[derive(Clone)]
pub struct Seen<'a> {
    /// What stands there.
    pub survey: &'a Survey,
    /// The machine.
    pub machine: &'a Machine,
    /// Home directories by account.
    pub homes: &'a BTreeMap<String, String>,
    /// Its odoo.conf, if the login may read it.
    pub conf: Option<&'a Ini>,
    /// Debian packages, if it is a Debian.
    pub packages: Option<&'a Packages>,
    /// Python modules of the place Odoo's are in.
    pub python: Option<&'a PythonSight>,
    /// Its Redis, if there is one.
    pub redis: Option<&'a RedisSight>,
}

/// How a machine of the spec is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// Its name in the spec.
    pub name: HostName,
    /// `local`, an address, or a name of ~/.ssh/config.
    pub address: String,
    /// Where the other machine reaches it, if it is this very machine.
    pub listen: Option<String>,
    /// SSH login.
    pub user: Option<String>,
    /// SSH port.
    pub port: Option<u16>,
    /// The login becomes root with sudo.
    pub sudo: bool,
    /// The login has no right to change anything there.
    pub observe: bool,
}

/// What a person chose.
#[derive(Debug, Clone)]
pub struct Choices {
    /// The installation's name.
    pub name: Word,
    /// Production.
    pub production: Door,
    /// The standby, if one is named yet.
    pub standby: Option<Door>,
    /// The databases whose attachments are kept in step.
    pub databases: Vec<DatabaseName>,
    /// The folder its secrets are put in, for the spec to name; an absolute path.
    pub secrets: Option<String>,
    /// Where the predecessor told of its runs, on either machine.
    pub summary_file: Option<String>,
    /// The pair is to be made: production gets what replication needs.
    pub replicate: bool,
}

impl Choices {
    /// What stands for a secret in the spec.
    fn reference(&self, name: &str) -> String {
        let folder = self.secrets.as_deref().unwrap_or("/etc/otr");
        format!("{{secret: {}}}", yaml::scalar(&format!("file:{folder}/{name}")))
    }
}

/// The secrets of production that a spec can name, by the names of their files.
pub fn secrets(seen: &Seen<'_>) -> BTreeMap<String, Secret> {
    servers::password(seen).into_iter().collect()
}

/// One part of a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The spec's key.
    pub key: &'static str,
    /// What is said above it.
    pub comment: Vec<String>,
    /// Its YAML, with a line break at the end.
    pub text: String,
    /// Why it is written as a comment.
    pub off: Option<String>,
    /// A section without which it cannot stand.
    pub needs: Option<&'static str>,
}

impl Section {
    fn new(key: &'static str, comment: &str, text: String) -> Self {
        let comment = comment.lines().map(str::to_owned).collect();
        Self { key, comment, text, off: None, needs: None }
    }
}

/// A spec in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its parts, in order.
    pub sections: Vec<Section>,
    /// What a person has to know or to decide.
    pub notes: Vec<String>,
}

impl Draft {
    /// Drafts a spec.
    pub fn make(seen: &Seen<'_>, choices: &Choices) -> Self {
        let mut notes = Vec::new();
        let sections = [
            Some(head(seen, choices)),
            Some(hosts(seen, choices)),
            software::packages(seen, choices, &mut notes),
            software::pip(seen, &mut notes),
            odoo::odoo(seen, choices, &mut notes),
            servers::sessions(seen, &mut notes),
            servers::redis(seen, choices, &mut notes),
            servers::storage(seen, &mut notes),
            files::files(seen),
            Some(Section::new(
                "system",
                "Accounts, locales, time zone and kernel settings that must be alike: named where they differ.",
                "system: {clone: {}}\n".into(),
            )),
            servers::replication(seen, choices, &mut notes),
            Some(filestore()),
            Some(Section::new("schedule", "Timers on the standby: look for drift, and carry what changed.", schedule(choices))),
        ];
        notes.extend(strays(seen));
        let mut draft = Draft { sections: sections.into_iter().flatten().collect(), notes };
        draft.settle();
        draft
    }

    /// Writes a section as a comment, and those that cannot stand without it; tells whether that
    /// changed anything.
    pub fn put_off(&mut self, key: &str, why: &str) -> bool {
        let Some(section) = self.sections.iter_mut().find(|section| section.key == key && section.off.is_none()) else { return false };
        section.off = Some(why.to_owned());
        self.settle();
        true
    }

    fn settle(&mut self) {
        let on: Vec<&str> = self.sections.iter().filter(|section| section.off.is_none()).map(|section| section.key).collect();
        for section in &mut self.sections {
            if let (None, Some(needs)) = (&section.off, section.needs)
                && !on.contains(&needs)
            {
                section.off = Some(format!("it needs `{needs}:`"));
            }
        }
    }

    /// The spec's text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for section in &self.sections {
            if !text.is_empty() {
                text.push('\n');
            }
            for line in &section.comment {
                text.push_str(&format!("# {line}\n"));
            }
            match &section.off {
                None => text.push_str(&section.text),
                Some(why) => {
                    // What a machine said may hold what YAML takes for the end of a line, and so of a comment.
                    let why: String =
                        why.chars().map(|c| if c.is_control() || "\u{85}\u{2028}\u{2029}".contains(c) { ' ' } else { c }).collect();
                    text.push_str(&format!("# Not yet: {why}\n"));
                    for line in section.text.lines() {
                        text.push_str(&format!("#{}{line}\n", if line.is_empty() { "" } else { " " }));
                    }
                }
            }
        }
        text
    }
}

fn head(seen: &Seen<'_>, choices: &Choices) -> Section {
    let comment = format!(
        "{}: what both machines are to be. Written by `otr init` from {} ({}).\n\
         `otr plan` shows what differs; it changes nothing.",
        choices.name, choices.production.name, seen.machine.system
    );
    let text =
        format!("version: 1\nname: {}\nproduction: {}   # the one line a promotion changes\n", choices.name, choices.production.name);
    Section::new("version", &comment, text)
}

fn hosts(seen: &Seen<'_>, choices: &Choices) -> Section {
    let mut text = "hosts:\n".to_owned();
    for door in std::iter::once(&choices.production).chain(&choices.standby) {
        let mut fields = vec![format!("address: {}", yaml::scalar(&door.address))];
        fields.extend(door.listen.as_ref().map(|listen| format!("listen: {}", yaml::scalar(listen))));
        fields.extend(door.port.map(|port| format!("port: {port}")));
        fields.extend(door.user.as_ref().map(|user| format!("user: {}", yaml::scalar(user))));
        fields.extend(door.sudo.then(|| "become: sudo".to_owned()));
        fields.extend(door.observe.then(|| "access: observe".to_owned()));
        if *door == choices.production {
            let own: Vec<String> =
                odoo::of_this_host(seen).iter().map(|(key, value)| format!("{}: {}", yaml::scalar(key), yaml::value(value))).collect();
            fields.extend((!own.is_empty()).then(|| format!("odoo: {{{}}}", own.join(", "))));
        }
        text.push_str(&format!("  {}: {{{}}}\n", door.name, fields.join(", ")));
    }
    if choices.standby.is_none() {
        text.push_str("  # erp2: {address: 192.0.2.12, user: root}   # the standby\n");
    }
    Section::new("hosts", "", text)
}

fn filestore() -> Section {
    let comment = "Attachments follow within seconds; what the database forgot stays a week more.";
    let text = "filestore: {follow: 5s, keep_deleted: 7d, max_delete: 5%}\n".to_owned();
    Section { needs: Some("replication"), ..Section::new("filestore", comment, text) }
}

/// The predecessor's summary goes on, for whoever reads it.
fn schedule(choices: &Choices) -> String {
    let summary = choices.summary_file.as_ref().map(|path| format!(", summary_file: {}", yaml::scalar(path)));
    format!("schedule: {{plan: daily, sync: hourly{}}}\n", summary.unwrap_or_default())
}

fn strays(seen: &Seen<'_>) -> Vec<String> {
    let told = |process: &String| format!("this Odoo is run by no service, so otr does not know how to stop it: {process}");
    seen.survey.strays.iter().map(told).collect()
}

#[cfg(test)]
mod tests;
