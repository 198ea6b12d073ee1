//! Files and small trees that a standby takes from production: content, owner, mode, links.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Decision, Difference, Kind, Resource, ResourceId, Shown, text_of};
use crate::action::{Action, Attributes};
use crate::facts::{FactError, Facts};
use crate::look::Look;
use crate::look::folder::{Piece, What};
use crate::name::{HostName, Word};
use crate::spec::CloneSpec;

/// A file or tree of production's, on a standby.
#[derive(Debug)]
pub struct Folder {
    /// Where.
    pub host: HostName,
    /// From where.
    pub production: HostName,
    /// The file, or the root of the tree.
    pub path: PathBuf,
    /// What is left out: names, or paths below the root.
    pub ignore: CloneSpec,
    /// What otr writes on this host itself.
    pub own: BTreeSet<PathBuf>,
    /// The texts may be shown.
    pub show: bool,
}

/// Place below a root → what stands there.
pub(super) type Pieces = BTreeMap<String, Piece>;

impl Folder {
    fn takes(&self, place: &str) -> bool {
        let own = self.own.contains(&at(&self.path, place));
        let mut above = Path::new(place).ancestors().filter(|part| !part.as_os_str().is_empty());
        !own && above.all(|part| {
            let name = part.file_name().unwrap_or_default().to_string_lossy();
            self.ignore.takes(&part.to_string_lossy()) && self.ignore.takes(&name) && !left_by_otr(&name)
        })
    }
}

/// What a write that was cut off leaves.
fn left_by_otr(name: &str) -> bool {
    name.starts_with('.') && name.contains(".otr-")
}

impl Resource for Folder {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Clone, self.path.display().to_string())
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let look = Look::Folder(self.path.clone());
        vec![(self.production.clone(), look.clone()), (self.host.clone(), look), (self.host.clone(), Look::Accounts)]
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let path = self.path.display();
        let taken = |pieces: &Pieces| -> Pieces {
            pieces.iter().filter(|(place, _)| self.takes(place)).map(|(place, piece)| (place.clone(), piece.clone())).collect()
        };
        let Some(whole) = facts.folder(&self.production, &self.path)?.as_ref() else {
            return Err(FactError::Refused(format!(
                "{} has no {path}: nothing is taken from it and nothing is removed; take it out of the spec, or make it there",
                self.production
            )));
        };
        let here = facts.folder(&self.host, &self.path)?.as_ref().map(taken).unwrap_or_default();
        let content = |pieces: &Pieces| pieces.values().filter(|piece| piece.what != What::Directory).count();
        // What is left out counts: a tree that still has it was not lost.
        if content(whole) == 0 && content(&here) > 0 {
            return Err(FactError::Refused(format!(
                "{path} is empty on {}, and holds {} files here: a tree that was lost looks the same; remove them here by hand, or take it out of the spec",
                self.production,
                content(&here)
            )));
        }
        settle(&self.host, &self.path, &here, &taken(whole), self.show, facts)
    }
}

/// The place in the file system.
pub(super) fn at(root: &Path, place: &str) -> PathBuf {
    if place.is_empty() { root.to_owned() } else { root.join(place) }
}

/// What makes one tree the other, and how they differ. Removals come first and from the leaves,
/// then what is new from the root.
pub(super) fn settle(
    host: &HostName,
    root: &Path,
    here: &Pieces,
    there: &Pieces,
    show: bool,
    facts: &Facts,
) -> Result<Decision, FactError> {
    let (mut differences, mut actions) = (Vec::new(), Vec::new());
    let accounts = facts.accounts(host)?;
    for (place, piece) in here.iter().rev() {
        let path = at(root, place);
        let other = there.get(place);
        let kind = |piece: &Piece| std::mem::discriminant(&piece.what);
        if other.is_none() {
            differences.push(Difference::new(path.display().to_string(), words(piece), Shown::Absent));
        }
        // What is written or linked replaces a file or link by itself.
        let in_the_way = other.is_some_and(|other| kind(other) != kind(piece) && [&piece.what, &other.what].contains(&&What::Directory));
        if other.is_none() || in_the_way {
            actions.push(match piece.what {
                What::Directory => Action::RemoveDirectory { path },
                _ => Action::RemoveFile { path },
            });
        }
    }
    for (place, wanted) in there {
        let path = at(root, place);
        let name = path.display().to_string();
        let attributes = match (wanted.owner.parse::<Word>(), wanted.group.parse::<Word>()) {
            (Ok(owner), Ok(group)) => Attributes { owner, group, mode: wanted.mode },
            _ => {
                return Err(FactError::Refused(format!("{name} belongs to {}:{}, which no account is called", wanted.owner, wanted.group)));
            }
        };
        let is = here.get(place);
        let same = is.is_some_and(|is| is.what == wanted.what);
        let link = matches!(wanted.what, What::Link(_));
        let of = |piece: &Piece| format!("{}:{} {}", piece.owner, piece.group, piece.mode);
        let attributed = is.is_some_and(|is| of(is) == of(wanted)) || link;
        if same && attributed {
            continue;
        }
        // A link of root's needs no account but root's.
        let missing = !accounts.users.contains_key(attributes.owner.as_str()) || !accounts.groups.contains(attributes.group.as_str());
        if missing && !link {
            return Ok(Decision::waits(format!("{}:{}, to whom {name} belongs (a package makes it)", attributes.owner, attributes.group)));
        }
        if !same {
            differences.push(content(&name, is, wanted, show));
        } else {
            differences.push(Difference::new(format!("{name} owner and mode"), is.map(of), of(wanted)));
        }
        actions.push(match &wanted.what {
            What::File(_) if same => Action::SetAttributes { path, attributes },
            What::File(bytes) => Action::WriteBytes { path, encoded: bytes.clone(), attributes },
            What::Directory => Action::MakeDirectory { path, attributes },
            What::Link(target) => Action::MakeLink { path, target: target.clone() },
            What::Other => return Err(FactError::Refused(format!("{name} is a device, socket or pipe: leave it out with `ignore`"))),
        });
    }
    if !actions.is_empty() && root.starts_with("/etc/systemd/system") {
        actions.push(Action::DaemonReload);
    }
    Ok(Decision::from_parts(differences, actions))
}

fn content(name: &str, is: Option<&Piece>, wanted: &Piece, show: bool) -> Difference {
    let text = |piece: &Piece| match &piece.what {
        What::File(bytes) if show => text_of(bytes).map_or(Shown::Sensitive, |text| Shown::Text(text.expose().to_owned())),
        What::File(_) => Shown::Sensitive,
        _ => Shown::Text(words(piece)),
    };
    Difference { what: name.to_owned(), is: is.map_or(Shown::Absent, text), wanted: text(wanted) }
}

fn words(piece: &Piece) -> String {
    match &piece.what {
        What::File(_) => "a file".into(),
        What::Directory => "a directory".into(),
        What::Link(target) => format!("a link to {target}"),
        What::Other => "a device, socket or pipe".into(),
    }
}

#[cfg(test)]
mod tests;
