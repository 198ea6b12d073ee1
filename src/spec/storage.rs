//! Mounts.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Setting;

/// Mounts, on every member.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// File systems that every member mounts.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Addresses of object stores that Odoo's attachments are in, such as
    /// `https://s3.example.net/acme`: every member is seen to reach them. otr sends them no key.
    #[serde(default)]
    pub buckets: Vec<String>,
}

/// One file system and its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// The mount point.
    pub at: PathBuf,
    /// What is mounted there: a device, `server:/path`, a bucket; for `bind` a folder.
    #[schemars(length(min = 1))]
    pub from: String,
    /// The file system's type: ext4, xfs, bind, nfs4, cifs, glusterfs, s3fs, rclone, mount-s3,
    /// blobfuse2, or any other that mount(8) knows.
    #[serde(rename = "type")]
    #[schemars(length(min = 1))]
    pub kind: String,
    /// Its options. otr adds what the type needs at boot (`_netdev`, `nofail`).
    #[serde(default)]
    pub options: Vec<String>,
    /// Further options on a standby (`ro`, until a promotion makes it writable).
    #[serde(default)]
    pub standby_options: Vec<String>,
    /// A line of fstab, or a systemd mount unit.
    #[serde(default)]
    pub style: MountStyle,
    /// Files the type reads its credentials from, by path; written with mode 0600.
    #[serde(default)]
    pub credentials: IndexMap<String, Setting>,
    /// A package the type needs besides those otr knows.
    #[serde(default)]
    pub packages: Vec<crate::name::PackageName>,
    /// Odoo may not run without it. True if absent, for what holds, or lies in, its data or its add-ons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub odoo: Option<bool>,
    /// While nothing is mounted, the mount point cannot be written to (chattr +i).
    #[serde(default = "yes")]
    pub immutable: bool,
    /// All members mount the same file system. Then nothing of it is copied to a standby.
    #[serde(default)]
    pub shared: bool,
}

/// How a mount is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MountStyle {
    /// A line of /etc/fstab.
    #[default]
    Fstab,
    /// A unit of systemd (systemd.mount(5)).
    Unit,
}

fn yes() -> bool {
    true
}

impl super::Spec {
    /// Whether Odoo may not run without a mount.
    pub fn needs_mount(&self, mount: &Mount) -> bool {
        let Some(odoo) = &self.odoo else { return false };
        let touches = |path: &PathBuf| path.starts_with(&mount.at) || mount.at.starts_with(path);
        mount.odoo.unwrap_or_else(|| touches(&odoo.data_dir) || odoo.addons.paths.iter().any(touches))
    }

    /// The mount that a path lies on: the innermost of those that hold it.
    pub fn mount_of(&self, path: &std::path::Path) -> Option<PathBuf> {
        let holding = self.storage.mounts.iter().map(|mount| &mount.at).filter(|at| path.starts_with(at));
        holding.max_by_key(|at| at.components().count()).cloned()
    }

    /// Whether all members see the same files at a path.
    pub fn is_shared(&self, path: &std::path::Path) -> bool {
        self.storage.mounts.iter().any(|mount| mount.shared && path.starts_with(&mount.at))
    }
}
