//! Every action, done to a simulated machine as its script does it to a real one.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::State;
use super::files::Node;
use super::machine::Machine;
use super::rejoin::rewind;
use super::streaming::{Backup, base_backup};
use crate::action::{Action, Attributes};
use crate::host::HostError;
use crate::look::content::bytes_of;
use crate::look::debconf::Answer;
use crate::name::HostName;
use crate::record::{KEPT, LARGE, Record};

/// Does one action, or says what the script would have said.
pub fn perform(state: &mut State, host: &HostName, action: &Action) -> Result<(), HostError> {
    let State { machines, fitting, archive, .. } = state;
    let failed = |said: String| HostError::Failed { title: action.title(), status: 1, said };
    if let Action::BaseBackup { cluster, data_directory, conninfo, slot, keep_old, .. } = action {
        let backup = Backup { cluster, directory: data_directory, conninfo, slot: slot.as_deref(), keep_old: *keep_old };
        return base_backup(machines, fitting, host, backup).map_err(failed);
    }
    if let Action::Rewind { cluster, data_directory, conninfo } = action {
        return rewind(machines, fitting, host, (cluster, data_directory, conninfo)).map_err(failed);
    }
    let Some(machine) = machines.get_mut(host) else { return Err(failed("no such machine".into())) };
    match action {
        Action::ChangePackages { run, steps, .. } => machine.change_packages(run, steps, archive),
        Action::PipReplace { site, requirements, .. } => machine.pip_replace(site, requirements, archive),
        Action::PipInstall { install } => machine.pip_run(install, archive),
        other => machine.perform(other),
    }
    .map_err(failed)
}

impl Machine {
    fn perform(&mut self, action: &Action) -> Result<(), String> {
        match action {
            Action::WriteFile { path, content, attributes, reader } => {
                self.owner_reads(reader.as_ref(), content.expose())?;
                self.write_file(path, bytes_of(content.expose()), attributes)
            }
            Action::MakeDirectory { path, attributes } => self.make_directory(path, attributes),
            Action::MakeMountPoint { at, immutable } => self.make_mount_point(at, *immutable),
            Action::Mount { at, unit } => self.mount_and_see(at, unit.as_str()),
            Action::Detach { at } => self.detach(at),
            Action::Unmount { at } => {
                self.mounts.remove(at);
                Ok(())
            }
            Action::Remount { at, options } => self.remount(at, options),
            Action::SetAttributes { path, attributes } => self.set_attributes(path, attributes),
            Action::RemoveFile { path } => self.remove_file(path),
            Action::WriteBytes { path, encoded, attributes } => {
                let bytes = STANDARD.decode(encoded.expose()).map_err(|error| error.to_string())?;
                self.write_file(path, bytes, attributes)
            }
            Action::MakeLink { path, target } => self.make_link(path, target),
            Action::EndSessions { directory, names, .. } => names.iter().try_for_each(|name| self.remove_file(&directory.join(name))),
            Action::RemovePlaces { root, places } => {
                for path in places.iter().map(|place| root.join(place)) {
                    match self.files.is_directory(&path) {
                        true => drop(self.remove_directory(&path)),
                        false => self.remove_file(&path)?,
                    }
                }
                Ok(())
            }
            Action::RemoveDirectory { path } => self.remove_directory(path),
            Action::MarkPackages { packages, automatic } => {
                for name in packages {
                    if let Some(package) = self.packages.get_mut(name.as_str()) {
                        package.manual = !automatic;
                    }
                }
                Ok(())
            }
            Action::AnswerDebconf { answers } => {
                for answer in answers.iter().cloned() {
                    let kept = Answer { owner: answer.owner, kind: answer.kind, value: answer.value };
                    self.debconf.insert(answer.question, kept);
                }
                Ok(())
            }
            Action::UpdatePackageLists { asked, .. } => {
                self.update_lists(asked);
                Ok(())
            }
            Action::ConfigurePackages => {
                self.packages
                    .values_mut()
                    .filter(|package| package.half)
                    .for_each(|package| (package.half, package.installed) = (false, true));
                Ok(())
            }
            Action::HoldPackages { packages } => self.hold(packages, true),
            Action::UnholdPackages { packages } => self.hold(packages, false),
            Action::MakeVenv { path } => self.make_venv(path),
            Action::PipUninstall { site, modules, .. } => self.pip_uninstall(site, modules),
            Action::DaemonReload => {
                self.daemon_reload();
                Ok(())
            }
            Action::Unit { unit, verb } => self.unit_verb(unit.as_str(), *verb),
            Action::ReloadPostgres { cluster } => self.reload_postgres(cluster),
            Action::SetReplicationRole { cluster, role, verifier } => self.set_replication_role(cluster, role.as_str(), verifier.expose()),
            Action::CreateSlot { cluster, slot } => self.create_slot(cluster, slot),
            Action::DropSlot { cluster, slot } => self.drop_slot(cluster, slot),
            Action::ResetSetting { cluster, name } => self.reset_setting(cluster, name),
            Action::MakeUpPassword { path, role } => self.make_up_password(path, role.as_str()),
            Action::FollowPrimary { cluster, data_directory } => self.follow_primary(cluster, data_directory),
            Action::MarkStandby { data_directory } => self.mark_standby(data_directory),
            Action::RecoverCluster { cluster, data_directory } => self.recover_cluster(cluster, data_directory),
            Action::KeepData { data_directory, to } => self.keep_data(data_directory, to),
            Action::GrantRewind { cluster, .. } => self.prove_write(cluster),
            Action::ReplayAll { cluster } => self.replay_all(cluster),
            Action::Promote { cluster } => self.promote(cluster),
            Action::Checkpoint { cluster } => self.checkpoint(cluster),
            Action::ProveWrite { cluster } => self.prove_write(cluster),
            Action::ForgetBundles { cluster, database, names } => self.forget_bundles(cluster, database.as_str(), names),
            Action::SetRedis { server, name, value } => self.set_redis(&server.config, server.port, name, value.expose()),
            Action::ReplicateRedis { server, primary } => self.replicate_redis(&server.config, server.port, primary.clone()),
            Action::Sentinel(_) => Err("a simulated machine has no sentinel".into()),
            Action::Drill(_) => Err("a simulated machine runs no drill".into()),
            Action::AppendJournal { path, line, rotates } => self.append(path, line, *rotates),
            Action::Run { command } => match self.call(command) {
                (0, _) => Ok(()),
                (status, said) => Err(format!("exit status {status}: {said}")),
            },
            Action::InstallOtr { path, sha256 } => self.install_otr(path, sha256),
            Action::Fetch { .. } | Action::KeepStore { .. } => Err("a copy between two hosts is done with give, take and keep".into()),
            Action::ChangePackages { .. }
            | Action::PipInstall { .. }
            | Action::PipReplace { .. }
            | Action::BaseBackup { .. }
            | Action::Rewind { .. } => Err("the simulator does this for the world, not for one machine".into()),
        }
    }

    fn room(&self) -> Result<(), String> {
        match self.disk_full {
            true => Err("No space left on device".into()),
            false => Ok(()),
        }
    }

    fn known(&self, attributes: &Attributes) -> Result<(), String> {
        let (owner, group) = (attributes.owner.as_str(), attributes.group.as_str());
        match self.accounts.users.contains_key(owner) && self.accounts.groups.contains(group) {
            true => Ok(()),
            false => Err(format!("chown: invalid user: '{owner}:{group}'")),
        }
    }

    fn parents(&mut self, path: &Path, now: f64) -> Result<(), String> {
        let Some(parent) = path.parent() else { return Ok(()) };
        if parent.ancestors().any(|above| self.files.get(above).is_some_and(|entry| matches!(entry.node, Node::File(_)))) {
            return Err(format!("mkdir: cannot create directory '{}': Not a directory", parent.display()));
        }
        self.files.make_parents(parent, ("root", "root", 0o755), now);
        Ok(())
    }

    fn write_file(&mut self, path: &Path, bytes: Vec<u8>, attributes: &Attributes) -> Result<(), String> {
        self.room()?;
        self.known(attributes)?;
        if self.files.is_directory(path) {
            return Err(format!("mv: cannot overwrite directory '{}' with non-directory", path.display()));
        }
        let now = self.tick();
        self.parents(path, now)?;
        self.files.back_up(path, now);
        self.files.put(path, Node::File(bytes), (attributes.owner.as_str(), attributes.group.as_str(), attributes.mode.0), now);
        Ok(())
    }

    fn make_directory(&mut self, path: &Path, attributes: &Attributes) -> Result<(), String> {
        if !self.files.is_directory(path) {
            self.room()?;
            let now = self.tick();
            if self.files.get(path).is_some() {
                return Err(format!("mkdir: cannot create directory '{}': File exists", path.display()));
            }
            self.parents(path, now)?;
            self.files.put(path, Node::Directory, ("root", "root", 0o755), now);
        }
        self.set_attributes(path, attributes)
    }

    fn set_attributes(&mut self, path: &Path, attributes: &Attributes) -> Result<(), String> {
        self.known(attributes)?;
        let now = self.tick();
        let entry =
            self.files.get_mut(path).ok_or_else(|| format!("chown: cannot access '{}': No such file or directory", path.display()))?;
        entry.owner = attributes.owner.to_string();
        entry.group = attributes.group.to_string();
        entry.mode = attributes.mode.0;
        entry.ctime = now;
        Ok(())
    }

    fn remove_file(&mut self, path: &Path) -> Result<(), String> {
        if self.files.is_directory(path) {
            return Err(format!("rm: cannot remove '{}': Is a directory", path.display()));
        }
        let now = self.tick();
        self.files.back_up(path, now);
        self.files.remove_tree(path);
        Ok(())
    }

    fn make_link(&mut self, path: &Path, target: &str) -> Result<(), String> {
        self.room()?;
        if self.files.is_directory(path) {
            return Err(format!("mv: cannot overwrite directory '{}' with non-directory", path.display()));
        }
        let now = self.tick();
        self.parents(path, now)?;
        self.files.back_up(path, now);
        self.files.put(path, Node::Link(target.into()), ("root", "root", 0o777), now);
        Ok(())
    }

    fn remove_directory(&mut self, path: &Path) -> Result<(), String> {
        if self.files.below(path).count() > 1 {
            return Err(format!("rmdir: failed to remove '{}': Directory not empty", path.display()));
        }
        self.files.remove_tree(path);
        Ok(())
    }

    fn append(&mut self, path: &Path, line: &str, rotates: bool) -> Result<(), String> {
        self.room()?;
        let now = self.tick();
        if let Some(parent) = path.parent().filter(|parent| !self.files.is_directory(parent)) {
            self.parents(parent, now)?;
            self.files.put(parent, Node::Directory, ("root", "root", 0o700), now);
        }
        let mut bytes = match self.files.get(path).map(|entry| &entry.node) {
            None => Vec::new(),
            Some(Node::File(bytes)) => bytes.clone(),
            Some(_) => return Err(format!("{} is no file", path.display())),
        };
        if rotates && bytes.len() > LARGE {
            self.files.put(format!("{}.1", path.display()), Node::File(bytes.clone()), ("root", "root", 0o644), now);
            let kept = Record::of(bytes.get(bytes.len() - KEPT..).unwrap_or_default(), bytes.len() as u64);
            bytes = kept.text.into();
        }
        if bytes.last().is_some_and(|last| *last != b'\n') {
            bytes.push(b'\n');
        }
        match self.tears {
            true => bytes.extend(line.bytes().take(line.len() / 2)),
            false => bytes.extend(line.bytes().chain([b'\n'])),
        }
        self.files.put(path, Node::File(bytes), ("root", "root", 0o644), now);
        Ok(())
    }

    /// The bytes stand for the program's; a test can tell one version from another by them.
    fn install_otr(&mut self, path: &Path, sha256: &str) -> Result<(), String> {
        self.room()?;
        let now = self.tick();
        self.parents(path, now)?;
        self.files.put(path, Node::File(format!("otr {sha256}\n").into()), ("root", "root", 0o755), now);
        Ok(())
    }
}
