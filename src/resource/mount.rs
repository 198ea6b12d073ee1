//! A mounted file system: there, of the right source and type, with the right options, and answering.

use std::path::PathBuf;

use super::{Change, Decision, Difference, Kind, Resource, ResourceId, Shown};
use crate::action::{Action, UnitVerb};
use crate::facts::{FactError, Facts};
use crate::look::mounts::Mounted;
use crate::look::{Enablement, Look};
use crate::name::{HostName, UnitName};
use crate::storage::{self, FLAGS, Source};

pub mod fstab;

/// A mount on one host.
#[derive(Debug)]
pub struct Mount {
    /// Where.
    pub host: HostName,
    /// The mount point.
    pub at: PathBuf,
    /// What is mounted.
    pub from: String,
    /// Its type, in the spec's word.
    pub word: String,
    /// All its options.
    pub options: Vec<String>,
    /// The unit that mounts it.
    pub unit: UnitName,
    /// The unit is a file of otr's own, so it must be enabled; else fstab is read at boot.
    pub own_unit: bool,
    /// The mount point cannot be written to while nothing is mounted.
    pub immutable: bool,
}

impl Mount {
    fn kind(&self) -> &'static storage::Kind {
        storage::kind(&self.word)
    }

    /// The look both this and the simulated host speak of.
    pub fn look(&self) -> Look {
        let folder = (self.kind().source == Source::Folder).then(|| PathBuf::from(&self.from));
        Look::Mount { at: self.at.clone(), folder, helper: self.kind().helper.map(str::to_owned) }
    }

    fn refuse(&self, why: &str) -> FactError {
        FactError::Refused(format!("{}: {}: {why}", self.host, self.at.display()))
    }

    /// Whether the source is the one wanted, as far as it shows itself.
    fn is_source(&self, mounted: &Mounted) -> bool {
        let trimmed = |text: &str| text.trim_end_matches('/').to_owned();
        match self.kind().source {
            Source::Hidden => true,
            Source::Folder => mounted.same,
            Source::Said => trimmed(&mounted.source) == trimmed(&self.from),
            Source::Device => mounted.source == self.from || mounted.tags.contains(&self.from) || self.from.starts_with("/dev/disk/"),
        }
    }

    /// Options that are seen and are not as wanted: those a remount changes, and those it does not.
    fn options(&self, mounted: &Mounted) -> (Vec<Difference>, Vec<String>) {
        let live = &mounted.options;
        let has = |option: &str| live.iter().any(|other| storage::Kind::shown(other) == storage::Kind::shown(option));
        let mut flags = Vec::new();
        let read_only = self.options.iter().any(|option| option == "ro");
        if read_only != has("ro") {
            let words = |on: bool| if on { "ro" } else { "rw" };
            flags.push(Difference::new("access", words(has("ro")), words(read_only)));
        }
        let wanted = self.options.iter().filter(|option| *option != "ro" && *option != "rw");
        let mut others = Vec::new();
        for option in wanted.filter(|option| self.kind().is_visible(option) && !has(option)) {
            match FLAGS.contains(&option.as_str()) {
                true => flags.push(Difference::new(option.as_str(), Shown::Absent, "set")),
                false => others.push(option.clone()),
            }
        }
        (flags, others)
    }

    fn start(&self) -> Action {
        Action::Mount { at: self.at.clone(), unit: self.unit.clone() }
    }

    fn remount(&self) -> Action {
        let mut options: Vec<String> = self.options.iter().filter(|option| FLAGS.contains(&option.as_str())).cloned().collect();
        if !options.iter().any(|option| option == "ro" || option == "rw") {
            options.push("rw".into());
        }
        if self.kind().source == Source::Folder {
            options.insert(0, "bind".into());
        }
        Action::Remount { at: self.at.clone(), options }
    }
}

impl Resource for Mount {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Mount, self.at.display().to_string())
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        vec![(self.host.clone(), self.look()), (self.host.clone(), Look::Unit(self.unit.clone()))]
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let sight = facts.mount(&self.host, &self.look())?;
        let unit = facts.unit(&self.host, &self.unit)?;
        let mut change = Change::default();
        if unit.needs_daemon_reload {
            change.differences.push(Difference::new("definition", "older than on disk", "as on disk"));
            change.actions.push(Action::DaemonReload);
        }
        if self.own_unit && unit.exists && unit.enablement == Enablement::Disabled {
            change.differences.push(Difference::new("start", "disabled", "enabled"));
            change.actions.push(Action::Unit { unit: self.unit.clone(), verb: UnitVerb::Enable });
        }
        // Also while it is mounted: the next boot needs it.
        if let (Some((link, program)), false) = (self.kind().link, sight.helper) {
            change.differences.push(Difference::new(link, Shown::Absent, format!("a link to {program}")));
            change.actions.push(Action::MakeLink { path: link.into(), target: program.into() });
        }
        match &sight.mounted {
            Some(mounted) => self.mounted(mounted, &mut change)?,
            None => {
                if let (Some(helper), false, None) = (self.kind().helper, sight.helper, self.kind().link) {
                    return match self.kind().packages.is_empty() {
                        false => Ok(Decision::waits(format!("{helper} (a package brings it)"))),
                        true => {
                            Err(self.refuse(&format!("{helper} is not installed, and Debian has no package of it: install it by hand")))
                        }
                    };
                }
                if !sight.entries.is_empty() {
                    let some = sight.entries.join(", ");
                    return Err(self.refuse(&format!(
                        "nothing is mounted there, and it holds {some} …: mounting would hide that. Somebody wrote while the file system was \
                         away, or these are the files to move onto it: move them away, then `otr apply`"
                    )));
                }
                // Made first, so that nobody writes there while nothing is mounted.
                if !sight.directory || (self.immutable && sight.immutable == Some(false)) {
                    let is = if sight.directory { "writable".into() } else { Shown::Absent };
                    let wanted = if self.immutable { "a directory, immutable until something is mounted" } else { "a directory" };
                    change.differences.push(Difference { what: "mount point".into(), is, wanted: wanted.into() });
                    change.actions.push(Action::MakeMountPoint { at: self.at.clone(), immutable: self.immutable });
                }
                change.differences.push(Difference::new("mount", Shown::Absent, format!("{} ({})", self.from, self.word)));
                change.actions.push(self.start());
            }
        }
        Ok(if change.differences.is_empty() { Decision::Holds } else { Decision::Change(change) })
    }
}

impl Mount {
    fn mounted(&self, mounted: &Mounted, change: &mut Change) -> Result<(), FactError> {
        if let Some(trouble) = &mounted.trouble {
            let at = self.at.display();
            let program = mounted.kind.starts_with("fuse");
            if mounted.ended {
                change.differences.push(Difference::new("mount", "its program ended", format!("{} ({})", self.from, self.word)));
                change.actions.push(Action::Detach { at: self.at.clone() });
                change.actions.push(Action::MakeMountPoint { at: self.at.clone(), immutable: self.immutable });
                change.actions.push(self.start());
                return Ok(());
            }
            let next = match program {
                true => format!("when it is back, the mount answers again; if it does not, `umount -l {at}` and `otr apply`"),
                false => format!("if it is, and this stays: `umount -l {at}` and `otr apply`"),
            };
            return Err(self.refuse(&format!("{} is mounted but {trouble}: is its server there? {next}", mounted.source)));
        }
        let live = self.kind().live;
        if (!live.is_empty() && !live.contains(&mounted.kind.as_str())) || !self.is_source(mounted) {
            return Err(self.refuse(&format!(
                "{} ({}) is mounted there instead of {} ({}): stop Odoo, unmount it, then `otr apply`",
                mounted.source, mounted.kind, self.from, self.word
            )));
        }
        let (flags, others) = self.options(mounted);
        if !others.is_empty() {
            return Err(self.refuse(&format!(
                "it is mounted without {}, which no remount changes: stop Odoo, unmount it, then `otr apply`",
                others.join(",")
            )));
        }
        if !flags.is_empty() {
            let access = flags.iter().any(|difference| difference.what == "access");
            change.differences.extend(flags);
            if access && self.kind().keeps_access {
                change.actions.push(Action::Unmount { at: self.at.clone() });
                change.actions.push(self.start());
            } else {
                change.actions.push(self.remount());
            }
        }
        Ok(())
    }
}
