//! A file or directory: its content, owner, group and mode.

use std::path::{Path, PathBuf};

use super::{Decision, Difference, Kind, Resource, ResourceId, Shown};
use crate::action::{Action, Attributes, Reader};
use crate::facts::{FactError, Facts};
use crate::look::paths::Kind as EntryKind;
use crate::look::{Entry, Look};
use crate::name::HostName;
use crate::secret::{SecretError, Text};

/// A file whose content is known beforehand.
#[derive(Debug)]
pub struct File {
    /// Where.
    pub host: HostName,
    /// Its path.
    pub path: PathBuf,
    /// Its content; or the secret that could not be read, which spoils this file alone.
    pub content: Result<Text, SecretError>,
    /// Owner, group, mode.
    pub attributes: Attributes,
}

impl Resource for File {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::File, self.path.display().to_string())
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        looks(&self.host, &self.path, self.content.as_ref().is_ok_and(Text::is_sensitive))
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let content = self.content.as_ref().map_err(Clone::clone)?;
        if let Some(waits) = account_missing(&self.host, &self.attributes, facts)? {
            return Ok(waits);
        }
        let is = current(&self.host, &self.path, content.is_sensitive(), facts)?;
        let differences = content_differences(is.as_ref().map(Text::expose), content);
        settle(&self.host, &self.path, differences, content, &self.attributes, None, facts)
    }
}

/// What a file resource must see.
pub(super) fn looks(host: &HostName, path: &Path, sensitive: bool) -> Vec<(HostName, Look)> {
    let content = if sensitive { Look::SecretContent(path.to_owned()) } else { Look::Content(path.to_owned()) };
    [Look::Path(path.to_owned()), content, Look::Accounts].into_iter().map(|look| (host.clone(), look)).collect()
}

/// A file's present text.
pub(super) fn current(host: &HostName, path: &Path, sensitive: bool, facts: &Facts) -> Result<Option<Text>, FactError> {
    Ok(if sensitive {
        facts.secret_content(host, path)?.clone().map(Text::Sensitive)
    } else {
        facts.content(host, path)?.as_ref().map(|content| Text::Plain(content.text.clone()))
    })
}

/// The owner or group does not exist yet: something else must be installed first.
pub(super) fn account_missing(host: &HostName, attributes: &Attributes, facts: &Facts) -> Result<Option<Decision>, FactError> {
    let accounts = facts.accounts(host)?;
    Ok(if !accounts.users.contains_key(attributes.owner.as_str()) {
        Some(Decision::waits(format!("user {} (a package makes it)", attributes.owner)))
    } else if !accounts.groups.contains(attributes.group.as_str()) {
        Some(Decision::waits(format!("group {} (a package makes it)", attributes.group)))
    } else {
        None
    })
}

/// The difference between two texts, if there is one.
pub(super) fn content_differences(is: Option<&str>, wanted: &Text) -> Vec<Difference> {
    if is == Some(wanted.expose()) {
        return Vec::new();
    }
    vec![match wanted {
        Text::Plain(text) => Difference::new("content", is.map(str::to_owned), text.as_str()),
        Text::Sensitive(_) => {
            Difference { what: "content".into(), is: if is.is_some() { Shown::Sensitive } else { Shown::Absent }, wanted: Shown::Sensitive }
        }
    }]
}

/// Ends a file's decision: content as differing or not, then kind, owner, group, mode.
pub(super) fn settle(
    host: &HostName,
    path: &Path,
    content: Vec<Difference>,
    text: &Text,
    attributes: &Attributes,
    reader: Option<Reader>,
    facts: &Facts,
) -> Result<Decision, FactError> {
    let entry = facts.path(host, path)?.as_ref();
    let mut differences = content;
    let is_file = entry.is_some_and(|e| e.kind == EntryKind::File);
    if let Some(entry) = entry.filter(|_| !is_file) {
        if entry.kind == EntryKind::Directory {
            return Err(FactError::Refused(format!("{host}: {} is a directory where a file must be; move it away", path.display())));
        }
        differences.insert(0, Difference::new("kind", kind_words(entry), "a file"));
    }
    let write = !differences.is_empty() || entry.is_none();
    if entry.is_none() && differences.is_empty() {
        differences.push(Difference::new("file", Shown::Absent, "a file"));
    }
    differences.extend(entry.filter(|_| is_file).map(|entry| attribute_differences(entry, attributes)).unwrap_or_default());
    let mut actions = vec![if write {
        Action::WriteFile { path: path.to_owned(), content: text.clone(), attributes: attributes.clone(), reader }
    } else {
        Action::SetAttributes { path: path.to_owned(), attributes: attributes.clone() }
    }];
    // systemd reads its files when it is told to, or at boot.
    if write && path.starts_with("/etc/systemd/system") {
        actions.push(Action::DaemonReload);
    }
    Ok(Decision::from_parts(differences, actions))
}

fn kind_words(entry: &Entry) -> String {
    match &entry.kind {
        EntryKind::File => "a file".into(),
        EntryKind::Directory => "a directory".into(),
        EntryKind::Link(target) => format!("a link to {}", target.display()),
        EntryKind::Other => "a device, socket or pipe".into(),
    }
}

fn attribute_differences(entry: &Entry, wanted: &Attributes) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, is: String, wish: String| {
        if is != wish {
            differences.push(Difference::new(what, is, wish));
        }
    };
    compare("owner", entry.owner.clone(), wanted.owner.to_string());
    compare("group", entry.group.clone(), wanted.group.to_string());
    compare("mode", entry.mode.to_string(), wanted.mode.to_string());
    differences
}

/// A directory.
#[derive(Debug)]
pub struct Directory {
    /// Where.
    pub host: HostName,
    /// Its path.
    pub path: PathBuf,
    /// Owner, group, mode.
    pub attributes: Attributes,
}

impl Resource for Directory {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Directory, self.path.display().to_string())
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        [Look::Path(self.path.clone()), Look::Accounts].into_iter().map(|look| (self.host.clone(), look)).collect()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        if let Some(waits) = account_missing(&self.host, &self.attributes, facts)? {
            return Ok(waits);
        }
        let make = Action::MakeDirectory { path: self.path.clone(), attributes: self.attributes.clone() };
        let differences = match facts.path(&self.host, &self.path)? {
            None => vec![Difference::new("directory", Shown::Absent, "a directory")],
            Some(entry) if entry.kind == EntryKind::Directory => attribute_differences(entry, &self.attributes),
            Some(entry) => {
                let is = kind_words(entry);
                return Err(FactError::Refused(format!(
                    "{}: {} is {is} where a directory must be; move it away",
                    self.host,
                    self.path.display()
                )));
            }
        };
        Ok(Decision::from_parts(differences, vec![make]))
    }
}
