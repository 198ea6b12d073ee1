//! Mounts of a simulated machine: fstab and mount units are files, what is mounted is a value.

use std::path::{Path, PathBuf};

use super::machine::Machine;
use crate::look::{MountSight, Mounted};
use crate::storage::{KINDS, Kind, kind, unit};

/// A mount as a file describes it.
struct Line {
    source: String,
    at: PathBuf,
    word: String,
    options: Vec<String>,
}

/// Options that fstab alone knows.
const AT_BOOT: [&str; 5] = ["_netdev", "nofail", "noauto", "defaults", "bind"];

impl Machine {
    /// What would be mounted by a unit's name: its own file wins over fstab.
    fn described(&self, name: &str) -> Option<Line> {
        let options = |text: &str| text.split(',').map(str::to_owned).collect();
        let text = self.files.text(Path::new("/etc/systemd/system").join(name));
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned);
        if let (Some(source), Some(at), Some(word)) = (value("What"), value("Where"), value("Type")) {
            return Some(Line { source, at: at.into(), word, options: options(&value("Options").unwrap_or_default()) });
        }
        self.files.text("/etc/fstab").lines().filter(|line| !line.starts_with('#')).find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [source, at, word, said, ..] = fields.as_slice() else { return None };
            (unit(Path::new(at)) == name).then(|| Line {
                source: source.replace("\\040", " "),
                at: at.into(),
                word: (*word).to_owned(),
                options: options(said),
            })
        })
    }

    /// Whether a unit is made of a line of fstab.
    pub(super) fn is_generated(&self, name: &str) -> bool {
        name.ends_with(".mount") && self.described(name).is_some()
    }

    pub(super) fn mount(&mut self, name: &str) -> Result<(), String> {
        let line = self.described(name).ok_or_else(|| format!("Failed to start {name}: Unit {name} not found."))?;
        if !self.files.is_directory(&line.at) {
            return Err(format!("mount: {}: mount point does not exist.", line.at.display()));
        }
        if let Some(said) = self.unmountable.get(&line.source) {
            return Err(said.clone());
        }
        let bind = line.options.iter().any(|option| option == "bind");
        let known = if bind { kind("bind") } else { kind(&line.word) };
        let mut options: Vec<String> = line.options.iter().filter(|o| !AT_BOOT.contains(&o.as_str())).map(|o| Kind::shown(o)).collect();
        if !options.iter().any(|option| option == "ro" || option == "rw") {
            options.push("rw".into());
        }
        let mounted = Mounted {
            source: line.source,
            kind: known.live.first().map_or(line.word, |live| (*live).to_owned()),
            options,
            same: bind,
            ..Mounted::default()
        };
        self.mounts.insert(line.at, mounted);
        Ok(())
    }

    pub(super) fn unmount(&mut self, name: &str) {
        self.mounts.retain(|at, _| unit(at) != name);
    }

    pub(super) fn is_mounted(&self, name: &str) -> bool {
        self.mounts.keys().any(|at| unit(at) == name)
    }

    /// What a boot mounts: every line of fstab.
    pub(super) fn mount_all(&mut self) {
        let places: Vec<String> =
            self.files.text("/etc/fstab").lines().filter_map(|line| line.split_whitespace().nth(1)).map(|at| unit(Path::new(at))).collect();
        for name in places {
            // A boot goes on whatever fails (`nofail`).
            let _ = self.mount(&name);
        }
    }

    pub(super) fn make_mount_point(&mut self, at: &Path, immutable: bool) -> Result<(), String> {
        let now = self.tick();
        self.files.make_parents(at, ("root", "root", 0o755), now);
        if immutable {
            self.immutable.insert(at.to_owned());
        }
        Ok(())
    }

    pub(super) fn mount_and_see(&mut self, at: &Path, name: &str) -> Result<(), String> {
        let found = self.files.below(at).map(|(path, _)| path.to_owned()).find(|path| path != at);
        match found.filter(|_| !self.mounts.contains_key(at)) {
            Some(path) => Err(format!("nothing is mounted there, and it holds {}", path.display())),
            None => self.mount(&name.replace(".automount", ".mount")),
        }
    }

    pub(super) fn detach(&mut self, at: &Path) -> Result<(), String> {
        match self.mounts.get(at).is_some_and(|mounted| mounted.ended) {
            true => {
                self.mounts.remove(at);
                Ok(())
            }
            false => Err("its program lives: nothing was unmounted".into()),
        }
    }

    pub(super) fn remount(&mut self, at: &Path, options: &[String]) -> Result<(), String> {
        let mounted = self.mounts.get_mut(at).ok_or_else(|| format!("mount: {}: mount point not mounted.", at.display()))?;
        for option in options.iter().filter(|option| *option != "bind") {
            mounted
                .options
                .retain(|other| other != option && !(["ro", "rw"].contains(&other.as_str()) && ["ro", "rw"].contains(&option.as_str())));
            mounted.options.push(option.clone());
        }
        Ok(())
    }

    pub(super) fn mount_sight(&self, at: &Path, helper: Option<&str>) -> MountSight {
        let mounted = self.mounts.get(at).cloned();
        let brought = |helper: &str| {
            let known = KINDS.iter().find(|kind| kind.helper == Some(helper));
            let linked = |kind: &Kind| kind.link.is_none_or(|(link, _)| self.files.get(link).is_some());
            known.is_none_or(|kind| linked(kind) && kind.packages.iter().all(|package| self.has_package(package)))
        };
        let below = self.files.below(at).filter(|(path, _)| *path != at).map(|(path, _)| path.display().to_string());
        MountSight {
            directory: self.files.is_directory(at),
            immutable: mounted.is_none().then(|| self.immutable.contains(at)),
            entries: if mounted.is_none() { below.take(3).collect() } else { Vec::new() },
            helper: helper.is_none_or(brought),
            mounted,
        }
    }
}
