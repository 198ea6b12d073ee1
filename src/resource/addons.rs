//! Trees of add-ons that a standby takes from production: files with their times, owners and modes,
//! links, and whole checkouts.
//!
//! Two files are one if their contents are. A checkout's `.git` is
//! compared by its commit and branch, for git itself writes there whenever somebody only looks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Decision, Difference, Kind, Resource, ResourceId, Shown};
use crate::action::{Action, Attributes, Transfer};
use crate::facts::{FactError, Facts};
use crate::look::Look;
use crate::look::addons::AddonTree;
use crate::look::paths::{Entry, Kind as What};
use crate::name::{HostName, Word};
use crate::spec::CloneSpec;

/// A tree of add-ons on a standby.
#[derive(Debug)]
pub struct Addons {
    /// Where.
    pub host: HostName,
    /// From where.
    pub production: HostName,
    /// The root of the tree, the same on both.
    pub root: PathBuf,
    /// The file system of the spec that it lies on.
    pub mount: Option<PathBuf>,
    /// What is left out: names, or paths below the root.
    pub ignore: CloneSpec,
}

type Entries<'a> = BTreeMap<&'a str, &'a Entry>;

/// The most places that are named one by one.
const NAMED: usize = 40;

impl Addons {
    /// What is compared: all but what is ignored, and a `.git` that is at the same commit on both.
    fn taken<'a>(&self, tree: &'a AddonTree, other: Option<&AddonTree>) -> Entries<'a> {
        let same = |git: &str| tree.heads.get(git).is_some_and(|head| other.is_some_and(|other| other.heads.get(git) == Some(head)));
        let takes = |place: &str| {
            Path::new(place).ancestors().filter(|part| !part.as_os_str().is_empty()).all(|part| {
                let (path, name) = (part.to_string_lossy(), part.file_name().unwrap_or_default().to_string_lossy());
                self.ignore.takes(&path) && self.ignore.takes(&name) && !same(&path)
            })
        };
        tree.entries.iter().map(|(place, entry)| (place.as_str(), entry)).filter(|(place, _)| takes(place)).collect()
    }

    fn at(&self, place: &str) -> PathBuf {
        if place.is_empty() { self.root.clone() } else { self.root.join(place) }
    }
}

impl Resource for Addons {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Addons, self.root.display().to_string())
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let look = Look::Addons(self.root.clone());
        vec![(self.production.clone(), look.clone()), (self.host.clone(), look), (self.host.clone(), Look::Accounts)]
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let root = self.root.display();
        let Some(whole) = facts.addons(&self.production, &self.root)?.as_ref() else {
            return Err(FactError::Refused(format!(
                "{} has no {root}: take it out of odoo.addons.paths, or make it there",
                self.production
            )));
        };
        let standby = facts.addons(&self.host, &self.root)?.as_ref();
        let there = self.taken(whole, standby);
        let here = standby.map(|standby| self.taken(standby, Some(whole))).unwrap_or_default();
        let files = |entries: &Entries<'_>| entries.values().filter(|entry| entry.kind != What::Directory).count();
        let all = |tree: &AddonTree| tree.entries.values().filter(|entry| entry.kind != What::Directory).count();
        if all(whole) == 0 && files(&here) > 0 {
            return Err(FactError::Refused(format!(
                "{root} is empty on {}, and holds {} files here: a tree that was lost looks the same; remove them here by hand, or take it out of the spec",
                self.production,
                files(&here)
            )));
        }
        let mut work = Work { addons: self, differences: Vec::new(), remove: Vec::new(), root: None, fetch: BTreeSet::new() };
        work.clear(standby, &here, &there);
        let sums = |tree: Option<&AddonTree>, place: &str| tree.and_then(|tree| tree.sums.get(place)).cloned();
        let accounts = facts.accounts(&self.host)?;
        for (place, wanted) in &there {
            if !accounts.users.contains_key(&wanted.owner) || !accounts.groups.contains(&wanted.group) {
                let path = self.at(place);
                return Ok(Decision::waits(format!(
                    "{}:{}, to whom {} belongs on {}: make the account here, or give it to another there",
                    wanted.owner,
                    wanted.group,
                    path.display(),
                    self.production
                )));
            }
            let sums = (sums(standby, place), sums(Some(whole), place));
            work.bring(place, here.get(place).copied(), wanted, sums)?;
        }
        work.checkouts(standby, whole);
        Ok(work.done())
    }
}

fn told(entry: &Entry, sum: Option<&String>) -> String {
    match sum.and_then(|sum| sum.get(..8)) {
        Some(sum) => format!("{entry}, SHA-1 {sum}…"),
        None => entry.to_string(),
    }
}

/// What makes one tree the other.
struct Work<'a> {
    addons: &'a Addons,
    differences: Vec<Difference>,
    remove: Vec<String>,
    root: Option<Action>,
    fetch: BTreeSet<String>,
}

impl Work<'_> {
    /// What production does not have, and what is in the way of what it has: from the leaves. A
    /// directory with something that is ignored stays.
    fn clear(&mut self, standby: Option<&AddonTree>, here: &Entries<'_>, there: &Entries<'_>) {
        let kind = |entry: &Entry| std::mem::discriminant(&entry.kind);
        let left_alone = standby.iter().flat_map(|tree| tree.entries.keys()).filter(|place| !here.contains_key(place.as_str()));
        let holds: BTreeSet<&Path> = left_alone.flat_map(|place| Path::new(place).ancestors().skip(1)).collect();
        for (place, entry) in here.iter().rev() {
            let other = there.get(place);
            let stays = entry.kind == What::Directory && holds.contains(Path::new(place));
            if other.is_some_and(|other| kind(other) == kind(entry)) || stays && other.is_none() {
                continue;
            }
            if other.is_none() {
                self.differences.push(Difference::new(*place, entry.to_string(), Shown::Absent));
            }
            self.remove.push((*place).to_owned());
        }
    }

    /// `sums`: of the contents, there and wanted, where they are known.
    fn bring(&mut self, place: &str, is: Option<&Entry>, wanted: &Entry, sums: (Option<String>, Option<String>)) -> Result<(), FactError> {
        let path = self.addons.at(place);
        let name = if place.is_empty() { "the tree itself".to_owned() } else { place.to_owned() };
        let same_kind = is.is_some_and(|is| is.kind == wanted.kind);
        let same_content = is.is_some_and(|is| {
            same_kind
                && is.size == wanted.size
                && match &sums {
                    (Some(is), Some(wanted)) => is == wanted,
                    // In a `.git`. tar keeps fractions of a second, some file systems do not.
                    _ => (is.mtime - wanted.mtime).abs() < 0.01,
                }
        });
        let of = |entry: &Entry| format!("{}:{} {}", entry.owner, entry.group, entry.mode);
        // A link has no mode, and its owner says nothing.
        let same_owner = matches!(wanted.kind, What::Link(_)) || is.is_some_and(|is| of(is) == of(wanted));
        let same = match &wanted.kind {
            What::Link(_) | What::Directory => same_kind && same_owner,
            What::File => same_content && same_owner,
            What::Other => {
                return Err(FactError::Refused(format!("{} is a device, socket or pipe: leave it out with `ignore`", path.display())));
            }
        };
        if same {
            return Ok(());
        }
        self.differences.push(match is.filter(|_| same_kind && (same_content || wanted.kind == What::Directory)) {
            Some(is) => Difference::new(format!("{name} owner and mode"), of(is), of(wanted)),
            None => Difference::new(name, is.map(|is| told(is, sums.0.as_ref())), told(wanted, sums.1.as_ref())),
        });
        if place.is_empty() {
            let word = |text: &str| text.parse::<Word>().map_err(|e| FactError::Refused(format!("{}: {e}", path.display())));
            let attributes = Attributes { owner: word(&wanted.owner)?, group: word(&wanted.group)?, mode: wanted.mode };
            self.root = Some(Action::MakeDirectory { path, attributes });
        } else {
            // The folders on the way come with their owners and modes.
            let parts = Path::new(place).ancestors().filter(|part| !part.as_os_str().is_empty());
            self.fetch.extend(parts.map(|part| part.display().to_string()));
        }
        Ok(())
    }

    /// A checkout at another commit is one difference, and what lies in its `.git` none.
    fn checkouts(&mut self, standby: Option<&AddonTree>, whole: &AddonTree) {
        let none = BTreeMap::new();
        let heads = standby.map_or(&none, |standby| &standby.heads);
        let all: BTreeSet<&String> = heads.keys().chain(whole.heads.keys()).collect();
        for git in all.into_iter().filter(|git| heads.get(*git) != whole.heads.get(*git)) {
            self.differences.retain(|difference| !Path::new(&difference.what).starts_with(git));
            let name = Path::new(git).parent().unwrap_or(Path::new("")).display().to_string();
            let what = if name.is_empty() { "the checkout".to_owned() } else { format!("the checkout {name}") };
            let shown = |head: Option<&String>| head.map_or(Shown::Absent, |head| head.as_str().into());
            self.differences.insert(0, Difference { what, is: shown(heads.get(git)), wanted: shown(whole.heads.get(git)) });
        }
    }

    /// What is in the way first; files, links and folders come in one copy.
    fn done(self) -> Decision {
        let Work { addons, mut differences, remove, root, fetch } = self;
        let more = differences.len().saturating_sub(NAMED);
        if more > 1 {
            let names: BTreeSet<String> = differences.drain(NAMED..).filter_map(|d| Some(d.what.split('/').next()?.to_owned())).collect();
            let told = names.into_iter().take(10).collect::<Vec<_>>().join(", ");
            differences.push(Difference::new(format!("{more} more places"), "other than production's", format!("production's ({told})")));
        }
        let mut actions = Vec::new();
        if !remove.is_empty() {
            actions.push(Action::RemovePlaces { root: addons.root.clone(), places: remove });
        }
        actions.extend(root);
        if !fetch.is_empty() {
            let names = fetch.into_iter().collect();
            let transfer =
                Transfer { source: addons.root.clone(), directory: addons.root.clone(), mount: addons.mount.clone(), owner: None, names };
            actions.push(Action::Fetch { from: addons.production.clone(), transfer });
        }
        Decision::from_parts(differences, actions)
    }
}

#[cfg(test)]
mod tests;
