//! The filestore of one database on a standby: every file its replayed database refers to.
//!
//! Needed is what the standby's own database says, so what is compared is never newer than
//! the data it belongs to. Production is asked only what it has of the missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::postgres::ClusterAt;
use super::{Change, Decision, Difference, Kind, Resource, ResourceId, Shown};
use crate::action::keep::Needed;
use crate::action::{Action, Keep, Transfer};
use crate::facts::{FactError, Facts};
use crate::look::{Attachments, Look, StoreFile};
use crate::name::{DatabaseName, HostName, Word};

/// The filestore of one database on a standby.
#[derive(Debug)]
pub struct Filestore {
    /// The standby's cluster.
    pub at: ClusterAt,
    /// Who has the files.
    pub production: HostName,
    /// Whose files.
    pub database: DatabaseName,
    /// `data_dir/filestore/<database>`, the same on both.
    pub directory: PathBuf,
    /// The file system of the spec that it lies on.
    pub mount: Option<PathBuf>,
    /// Remembers up to when the store was verified.
    pub stamp: PathBuf,
    /// Who owns the files.
    pub owner: Word,
}

/// Where otr keeps its own state on a standby.
pub const STATE: &str = "/var/lib/otr";

/// The most differences that are listed one by one.
const LISTED: usize = 10;

impl Filestore {
    fn tree(&self) -> Look {
        Look::Tree(self.directory.clone())
    }

    /// What otr on the standby is asked to do.
    pub fn job(&self) -> Keep {
        Keep {
            database: self.database.clone(),
            needed: Needed::Database(self.at.cluster.clone()),
            directory: self.directory.clone(),
            mount: self.mount.clone(),
            owner: self.owner.clone(),
            state: STATE.into(),
            suspects: Vec::new(),
            deletes: None,
            scrub: None,
            stamp: None,
            verified: Some(self.stamp.clone()),
        }
    }

    /// The files that are not as they must be, with what is wrong.
    pub fn wrong(&self, facts: &Facts) -> Result<Result<Vec<(String, Shown)>, Decision>, FactError> {
        let host = &self.at.host;
        let Some(server) = self.at.server(facts)? else {
            return Ok(Err(Decision::waits(format!("PostgreSQL on {host}"))));
        };
        if !server.databases.contains_key(self.database.as_str()) {
            let production = ClusterAt { host: self.production.clone(), cluster: self.at.cluster.clone() };
            if production.server(facts)?.is_some_and(|server| !server.databases.contains_key(self.database.as_str())) {
                // Production has not made it yet: there are no files to have.
                return Ok(Ok(Vec::new()));
            }
            return Ok(Err(Decision::settles(format!("database {} on {host}", self.database))));
        }
        let needed = facts.attachments(host, &self.at.cluster, &self.database)?;
        let Some(store) = facts.store(host, &self.directory, &self.stamp, None)? else {
            return Ok(Err(Decision::waits(format!("directory {} on {host}", self.directory.display()))));
        };
        let owner = format!("{0}:{0}", self.owner);
        Ok(Ok(needed.keys().filter_map(|name| Some((name.clone(), fault(name, store.get(name), &owner)?))).collect()))
    }
}

/// What is wrong with a file, if anything is.
fn fault(name: &str, file: Option<&StoreFile>, owner: &str) -> Option<Shown> {
    let Some(file) = file else { return Some(Shown::Absent) };
    let sound = file.sha1.as_ref().is_none_or(|sha1| name.ends_with(sha1.as_str()));
    if !sound {
        return Some(format!("damaged: its SHA-1 is {}", file.sha1.as_deref().unwrap_or_default()).into());
    }
    (file.owner != owner).then(|| format!("owned by {}", file.owner).into())
}

/// Words for a file: the attachment's name as people know it.
fn title(name: &str, needed: &Attachments) -> String {
    needed.get(name).map_or_else(|| name.to_owned(), |attachment| format!("{} ({name})", attachment.name))
}

impl Resource for Filestore {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.at.host, Kind::Filestore, self.database.as_str())
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let here = [
            Look::Server(self.at.cluster.clone()),
            Look::Attachments(self.at.cluster.clone(), self.database.clone()),
            Look::Store { directory: self.directory.clone(), stamp: self.stamp.clone(), hashed: None },
            Look::Machine,
        ];
        let there = [self.tree(), Look::Server(self.at.cluster.clone())].map(|look| (self.production.clone(), look));
        here.into_iter().map(|look| (self.at.host.clone(), look)).chain(there).collect()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let wrong = match self.wrong(facts)? {
            Ok(wrong) if wrong.is_empty() => return Ok(Decision::Holds),
            Ok(wrong) => wrong,
            Err(waits) => return Ok(waits),
        };
        let needed = facts.attachments(&self.at.host, &self.at.cluster, &self.database)?;
        let there: BTreeSet<&String> = facts.tree(&self.production, &self.directory)?.iter().flat_map(|files| files.keys()).collect();
        // What production lost too cannot be fetched; `status` and `promote` name it.
        let wrong: Vec<(String, Shown)> = wrong.into_iter().filter(|(name, _)| there.contains(name)).collect();
        let mut differences: Vec<Difference> = wrong
            .iter()
            .take(LISTED)
            .map(|(name, is)| Difference { what: title(name, needed), is: is.clone(), wanted: "production's file".into() })
            .collect();
        if let Some(more) = wrong.len().checked_sub(LISTED).filter(|more| *more > 0) {
            differences.push(Difference::new(format!("{more} more files"), "absent or damaged", "production's files"));
        }
        if differences.is_empty() {
            return Ok(Decision::Holds);
        }
        let machine = facts.machine(&self.at.host)?;
        // What is absent the standby finds out itself; what is damaged it must be told.
        let suspects = wrong.into_iter().filter(|(_, is)| *is != Shown::Absent).map(|(name, _)| name).collect();
        let job = Keep { suspects, stamp: Some((self.stamp.clone(), format!("{:.3}", machine.now))), ..self.job() };
        Ok(Decision::Change(Change {
            differences,
            actions: vec![Action::KeepStore { from: self.production.clone(), job }],
            ..Change::default()
        }))
    }
}

/// A tree of changing files on a standby: sessions kept in the file system.
#[derive(Debug)]
pub struct Tree {
    /// Where.
    pub host: HostName,
    /// Who has the files.
    pub production: HostName,
    /// The directory, the same on both.
    pub directory: PathBuf,
    /// The file system of the spec that it lies on.
    pub mount: Option<PathBuf>,
    /// Who owns the files.
    pub owner: Word,
    /// Compare what is in the files, not their size and time alone.
    pub checksum: bool,
}

/// Seconds that Odoo keeps a session nobody uses: one that old has ended by itself.
const EXPIRED: f64 = 7.0 * 86_400.0;
/// So many sessions may end between two runs however few there are.
const FEW: usize = 20;

/// Whether a file is a session by its name, as Odoo and werkzeug write it: nothing else is ever deleted.
fn is_session(path: &str) -> bool {
    let id = |name: &str| (40..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match path.split_once('/') {
        None => path.strip_prefix("werkzeug_").and_then(|rest| rest.strip_suffix(".sess")).is_some_and(id),
        Some((folder, name)) => folder.len() == 2 && name.starts_with(folder) && id(name),
    }
}

/// What production no longer has: logged out, revoked, rotated or expired there.
#[derive(Debug, Default, PartialEq)]
struct Ended {
    names: Vec<String>,
    /// Why none of them may be deleted.
    problem: Option<String>,
}

/// Judges: a production that lost its sessions looks like one on which all have ended.
fn ended(there: &BTreeMap<String, (u64, f64)>, here: &BTreeMap<String, (u64, f64)>, now: f64) -> Ended {
    let sessions = |files: &BTreeMap<String, (u64, f64)>| files.keys().filter(|name| is_session(name)).count();
    let gone: Vec<(&String, f64)> =
        here.iter().filter(|(name, _)| is_session(name) && !there.contains_key(*name)).map(|(name, (_, mtime))| (name, *mtime)).collect();
    let living = gone.iter().filter(|(_, mtime)| now - mtime < EXPIRED).count();
    let most = FEW.max(sessions(here) / 2);
    let problem = match gone.len() {
        0 => None,
        count if sessions(there) == 0 => {
            Some(format!("production has no session at all, and {count} are here: one that lost them looks the same"))
        }
        _ if living > most => Some(format!("{living} of {} sessions ended on production, more than the {most} of one run", sessions(here))),
        _ => None,
    };
    Ended { names: gone.into_iter().map(|(name, _)| name.clone()).collect(), problem }
}

impl Tree {
    /// Files of production whose content the standby does not have.
    fn other_content(&self, facts: &Facts) -> Result<BTreeSet<String>, FactError> {
        if !self.checksum {
            return Ok(BTreeSet::new());
        }
        let there = facts.sums(&self.production, &self.directory)?.iter().flatten();
        let here = facts.sums(&self.host, &self.directory)?.as_ref();
        Ok(there.filter(|(name, sum)| here.and_then(|files| files.get(*name)) != Some(sum)).map(|(name, _)| name.clone()).collect())
    }
}

impl Resource for Tree {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Sessions, self.directory.display().to_string())
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let mut looks = vec![Look::Tree(self.directory.clone())];
        if self.checksum {
            looks.push(Look::Sums(self.directory.clone()));
        }
        let both = [&self.host, &self.production].into_iter().flat_map(|host| looks.iter().map(move |look| (host.clone(), look.clone())));
        both.chain([(self.host.clone(), Look::Machine)]).collect()
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let Some(there) = facts.tree(&self.production, &self.directory)? else { return Ok(Decision::Holds) };
        let Some(here) = facts.tree(&self.host, &self.directory)? else {
            return Ok(Decision::waits(format!("directory {}", self.directory.display())));
        };
        // tar keeps whole seconds of an mtime in its plain format and fractions in pax: half a second is no change.
        let differs = |name: &String, (size, mtime): &(u64, f64)| here.get(name).is_none_or(|(s, m)| s != size || (m - mtime).abs() > 0.5);
        let other = self.other_content(facts)?;
        let names: Vec<String> =
            there.iter().filter(|(name, entry)| differs(name, entry) || other.contains(*name)).map(|(name, _)| name.clone()).collect();
        let ended = ended(there, here, facts.machine(&self.host)?.now);
        let mut change = Change::default();
        if !ended.names.is_empty() {
            change.differences.push(Difference::new(
                format!("{} sessions that ended on production", ended.names.len()),
                "here",
                Shown::Absent,
            ));
            let (directory, mount, owner) = (self.directory.clone(), self.mount.clone(), self.owner.clone());
            match ended.problem {
                None => change.actions.push(Action::EndSessions { directory, mount, owner, names: ended.names }),
                Some(why) if names.is_empty() => {
                    change.left_to = Some(format!("a person: {why}; they stay until they are deleted by hand"))
                }
                Some(_) => {}
            }
        }
        if names.is_empty() {
            return Ok(if change.differences.is_empty() { Decision::Holds } else { Decision::Change(change) });
        }
        change.differences.push(Difference::new(format!("{} files", names.len()), "absent or different", "production's"));
        let transfer = Transfer {
            source: self.directory.clone(),
            directory: self.directory.clone(),
            mount: self.mount.clone(),
            owner: Some(self.owner.clone()),
            names,
        };
        change.actions.push(Action::Fetch { from: self.production.clone(), transfer });
        Ok(Decision::Change(change))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_on_production_ends_here_and_a_production_that_lost_all_is_not_followed() {
        const NOW: f64 = 1e9;
        let id = |n: u32| format!("ab/ab{n:0>82}");
        let files = |list: Vec<(String, f64)>| list.into_iter().map(|(name, age)| (name, (9, NOW - age))).collect::<BTreeMap<_, _>>();
        let here =
            files((0..10).map(|n| (id(n), 60.0)).chain([("werkzeug_old.sess".into(), 60.0), ("notes/readme".into(), 60.0)]).collect());
        let one = ended(&files(vec![(id(0), 60.0)]), &here, NOW);
        assert_eq!((one.names.len(), one.problem), (9, None), "what is no session by its name stays");
        assert!(ended(&files(vec![]), &here, NOW).problem.is_some_and(|why| why.contains("no session at all")));
        let many = files((0..100).map(|n| (id(n), 60.0)).collect());
        assert!(ended(&files(vec![(id(0), 60.0)]), &many, NOW).problem.is_some_and(|why| why.contains("99 of 100")));
        let old = files((0..100).map(|n| (id(n), EXPIRED + 1.0)).chain([(id(100), 60.0)]).collect());
        assert_eq!(ended(&files(vec![(id(100), 60.0)]), &old, NOW).problem, None, "a week's vacuum");
        assert!(is_session(&format!("werkzeug_{}.sess", "a".repeat(40))) && !is_session(&format!("cd/ab{}", "a".repeat(82))));
        assert!(!is_session("../ab") && !is_session(".otr-incoming/x"));
    }
}
