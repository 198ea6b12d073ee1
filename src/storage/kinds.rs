//! The table. Sources: nfs(5), mount.cifs(8), mount.glusterfs(8), s3fs(1), rclone(1), mount-s3(1),
//! blobfuse2's README, ext4(5).

use super::{Danger, Kind, Source};

const fn danger(option: &'static str, why: &'static str) -> Danger {
    Danger { option, why }
}

/// What no type bears.
pub(super) const EVERYWHERE: &[Danger] = &[danger("noauto", "it is not mounted at boot, so Odoo would find nothing there")];

const LOCAL: Kind = Kind {
    name: "",
    fstab: "",
    live: &[],
    source: Source::Device,
    packages: &[],
    helper: None,
    network: false,
    visible: &[],
    dangers: &[
        danger("nobarrier", "a power cut can lose files that were already reported as written"),
        danger("barrier=0", "a power cut can lose files that were already reported as written"),
        danger("data=writeback", "a power cut can leave files of the right size with other content"),
    ],
    encrypted: &[],
    defaults: &[],
    link: None,
    keeps_access: false,
};

/// A file system of the network, whose source shows as it was said.
const NETWORK: Kind = Kind { source: Source::Said, network: true, dangers: &[], ..LOCAL };

/// Every type otr knows more about than mount(8) does.
pub const KINDS: &[Kind] = &[
    Kind { name: "ext4", fstab: "ext4", live: &["ext4"], ..LOCAL },
    Kind { name: "xfs", fstab: "xfs", live: &["xfs"], packages: &["xfsprogs"], ..LOCAL },
    Kind { name: "btrfs", fstab: "btrfs", live: &["btrfs"], packages: &["btrfs-progs"], ..LOCAL },
    Kind { name: "bind", fstab: "none", source: Source::Folder, dangers: &[], ..LOCAL },
    Kind {
        name: "nfs4",
        fstab: "nfs4",
        live: &["nfs4", "nfs"],
        packages: &["nfs-common"],
        helper: Some("mount.nfs4"),
        visible: &["vers", "nfsvers", "hard", "soft", "softerr", "sec", "xprtsec", "proto", "nolock"],
        dangers: &[
            danger("soft", "when the server is slow, a write fails in its middle and Odoo keeps a torn file; write hard"),
            danger("softerr", "when the server is slow, a write fails in its middle and Odoo keeps a torn file; write hard"),
            danger("nolock", "locks are not seen by the other host"),
            danger("nfsvers=3", "version 3 has neither its own locks nor encryption; write nfsvers=4.2"),
        ],
        encrypted: &["sec=krb5p", "xprtsec=tls", "xprtsec=mtls"],
        ..NETWORK
    },
    Kind {
        name: "cifs",
        fstab: "cifs",
        live: &["cifs", "smb3"],
        packages: &["cifs-utils"],
        helper: Some("mount.cifs"),
        visible: &["vers", "seal", "hard", "soft", "cache"],
        dangers: &[
            danger("soft", "when the server is slow, a write fails in its middle and Odoo keeps a torn file; write hard"),
            danger("cache=loose", "the other host may read what is no longer true"),
            danger("nobrl", "locks are not seen by the other host"),
            danger("guest", "everybody on the network may read the files"),
            danger("password=", "every login may read it in /etc/fstab; use credentials=FILE and `credentials:`"),
        ],
        encrypted: &["seal"],
        ..NETWORK
    },
    Kind {
        name: "glusterfs",
        fstab: "glusterfs",
        live: &["fuse.glusterfs"],
        packages: &["glusterfs-client"],
        helper: Some("mount.glusterfs"),
        keeps_access: true,
        ..NETWORK
    },
    Kind {
        name: "s3fs",
        fstab: "fuse.s3fs",
        live: &["fuse.s3fs"],
        source: Source::Hidden,
        packages: &["s3fs"],
        helper: Some("s3fs"),
        dangers: &[
            danger("url=http:", "files and their signatures cross the network unencrypted; write https"),
            danger("no_check_certificate", "anybody in between can pretend to be the store"),
            danger("ssl_verify_hostname=0", "anybody in between can pretend to be the store"),
            danger("use_cache=", "the other host may have newer files than this cache"),
            danger("enable_noobj_cache", "a file of the other host may stay unseen"),
        ],
        ..NETWORK
    },
    Kind {
        name: "rclone",
        fstab: "rclone",
        live: &["fuse.rclone"],
        packages: &["rclone", "fuse3"],
        helper: Some("mount.rclone"),
        dangers: &[
            danger("vfs_cache_mode=writes", "a file waits in a local cache after Odoo was told it is written: a crash loses it"),
            danger("vfs_cache_mode=full", "a file waits in a local cache after Odoo was told it is written: a crash loses it"),
            danger("no_check_certificate", "anybody in between can pretend to be the store"),
        ],
        // Its own five minutes would hide new files of the other host, and a server that is gone.
        defaults: &["dir_cache_time=10s"],
        link: Some(("/sbin/mount.rclone", "/usr/bin/rclone")),
        keeps_access: true,
        ..NETWORK
    },
    Kind {
        name: "mount-s3",
        fstab: "mount-s3",
        live: &["fuse", "fuse.mountpoint-s3", "fuse.mount-s3"],
        source: Source::Hidden,
        helper: Some("mount.mount-s3"),
        dangers: &[danger("cache=", "the other host may have newer files than this cache")],
        keeps_access: true,
        ..NETWORK
    },
    Kind {
        name: "blobfuse2",
        fstab: "fuse3",
        live: &["fuse", "fuse.blobfuse2"],
        source: Source::Hidden,
        packages: &["fuse3"],
        helper: Some("blobfuse2"),
        keeps_access: true,
        ..NETWORK
    },
];
