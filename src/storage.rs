//! File systems Odoo's files can stand on: a table of what each needs, how it shows itself when it
//! is mounted, and which options are unsafe for a filestore. Pure.
//!
//! A new type is one entry of [`KINDS`]. A type that is not there is mounted as mount(8) knows it.

use std::path::Path;

mod kinds;

pub use kinds::KINDS;

/// What a type of file system is.
#[derive(Debug)]
pub struct Kind {
    /// Its word in the spec.
    pub name: &'static str,
    /// Its word in fstab.
    pub fstab: &'static str,
    /// What the kernel calls it when it is mounted; empty: anything.
    pub live: &'static [&'static str],
    /// How its source shows itself when it is mounted.
    pub source: Source,
    /// Debian packages that bring its helper.
    pub packages: &'static [&'static str],
    /// The helper mount(8) calls; none if the kernel does it.
    pub helper: Option<&'static str>,
    /// It needs the network.
    pub network: bool,
    /// Options that can be seen again when it is mounted, besides those of every type.
    pub visible: &'static [&'static str],
    /// What is unsafe for a filestore, and why.
    pub dangers: &'static [Danger],
    /// Encryption on the way: the options of which one is enough, if the mount can say it.
    pub encrypted: &'static [&'static str],
    /// Options otr adds unless the spec names them (by the part before `=`).
    pub defaults: &'static [&'static str],
    /// What its package leaves out: the helper as a link to a program of the package.
    pub link: Option<(&'static str, &'static str)>,
    /// Its program refuses writes by itself while it is mounted `ro`: the kernel's remount does not
    /// reach that, only mounting it anew.
    pub keeps_access: bool,
}

/// How a source shows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// As a device; an image as the loop device it stands behind.
    Device,
    /// As another folder of the same machine.
    Folder,
    /// As it was said.
    Said,
    /// By the program's name alone.
    Hidden,
}

/// An option that a filestore does not bear.
#[derive(Debug)]
pub struct Danger {
    /// The option; one that ends in `=` stands for every value.
    pub option: &'static str,
    /// What happens.
    pub why: &'static str,
}

/// A type that otr knows nothing about.
const OTHER: Kind = Kind {
    name: "",
    fstab: "",
    live: &[],
    source: Source::Hidden,
    packages: &[],
    helper: None,
    network: false,
    visible: &[],
    dangers: &[],
    encrypted: &[],
    defaults: &[],
    link: None,
    keeps_access: false,
};

/// The type of a word; `nfs` is `nfs4`, `fuse.s3fs` is `s3fs`.
pub fn kind(word: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.name == word || kind.fstab == word || kind.live.contains(&word)).unwrap_or(&OTHER)
}

impl Kind {
    /// The word fstab needs for a word of the spec.
    pub fn in_fstab(&self, word: &str) -> String {
        if self.fstab.is_empty() { word.to_owned() } else { self.fstab.to_owned() }
    }

    /// All options of a mount: those said, and what a boot needs.
    pub fn options(&self, said: &[String]) -> Vec<String> {
        let mut all: Vec<String> = if self.name == "bind" { vec!["bind".into()] } else { Vec::new() };
        all.extend(said.iter().cloned());
        let name = |option: &str| option.split('=').next().unwrap_or_default().to_owned();
        let missing = self.defaults.iter().filter(|default| !said.iter().any(|option| name(option) == name(default)));
        all.extend(missing.map(|default| (*default).to_owned()));
        // A file system that is away must not keep a machine from booting: what needs it is held back.
        for option in if self.network { &["_netdev", "nofail"][..] } else { &["nofail"] } {
            if !all.iter().any(|other| other == option) {
                all.push((*option).to_owned());
            }
        }
        all
    }

    /// Options that say the same thing twice: NFS shows `nfsvers=` as `vers=`.
    pub fn shown(option: &str) -> String {
        option.strip_prefix("nfsvers=").map_or(option.to_owned(), |version| format!("vers={version}"))
    }

    /// Whether an option can be seen when the file system is mounted.
    pub fn is_visible(&self, option: &str) -> bool {
        let name = option.split('=').next().unwrap_or(option);
        FLAGS.contains(&option) || self.visible.contains(&name)
    }

    /// What is unsafe among options.
    pub fn dangers<'a>(&'a self, options: &'a [String]) -> impl Iterator<Item = (usize, &'a Danger)> {
        let hit = |option: &str, danger: &Danger| match danger.option.strip_suffix('=') {
            Some(name) => option.split('=').next() == Some(name),
            None => option == danger.option || (danger.option.contains("=http:") && option.starts_with(danger.option)),
        };
        options.iter().enumerate().flat_map(move |(number, option)| {
            self.dangers.iter().chain(kinds::EVERYWHERE).filter(move |danger| hit(option, danger)).map(move |danger| (number, danger))
        })
    }
}

/// Options of every type, which the kernel shows and a remount changes.
pub const FLAGS: [&str; 9] = ["ro", "rw", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "sync"];

/// What to do about a mount that failed, by what its helper said.
pub fn advice(said: &str) -> Option<&'static str> {
    let known = [
        (
            &["No such device", "unknown filesystem type", "not supported by kernel"][..],
            "this kernel has no client of that type (`grep KIND /proc/filesystems`): load or build its module, or choose a type that \
             needs none (glusterfs, s3fs, rclone are programs)",
        ),
        (
            &["unknown command", "unknown shorthand flag"],
            "this version cannot be called by mount(8), as rclone before 1.57: install a newer one",
        ),
        (
            &["it does not answer", "Connection refused", "timed out", "No route to host", "it was gone again", "not connected"],
            "is its server there, and let in by every firewall between? Then `otr apply`",
        ),
    ];
    known.iter().find(|(words, _)| words.iter().any(|word| said.contains(word))).map(|(_, advice)| *advice)
}

/// An `x-systemd.…` option of fstab as lines of a unit (systemd.mount(5)); `None`: a unit has no such thing.
pub fn directive(option: &str) -> Option<String> {
    let (word, value) = option.strip_prefix("x-systemd.")?.split_once('=')?;
    let named = if value.starts_with('/') { unit(Path::new(value)) } else { value.to_owned() };
    Some(match word {
        "requires" => format!("Requires={named}\nAfter={named}\n"),
        "wants" => format!("Wants={named}\nAfter={named}\n"),
        "after" => format!("After={named}\n"),
        "before" => format!("Before={named}\n"),
        "requires-mounts-for" => format!("RequiresMountsFor={value}\n"),
        "mount-timeout" => format!("TimeoutSec={value}\n"),
        _ => return None,
    })
}

/// The name of the unit that mounts a path at its first access.
pub fn automount(at: &Path) -> String {
    unit(at).replace(".mount", ".automount")
}

/// The name of the unit that mounts a path (systemd-escape --path).
pub fn unit(at: &Path) -> String {
    let text = at.to_string_lossy();
    let trimmed = text.trim_matches('/');
    let mut name = String::new();
    for (at, byte) in trimmed.bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if at == 0 => name.push_str("\\x2e"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => name.push(char::from(byte)),
            other => name.push_str(&format!("\\x{other:02x}")),
        }
    }
    format!("{}.mount", if name.is_empty() { "-" } else { &name })
}

/// A field of fstab(5): blanks and backslashes as octal numbers.
pub fn field(text: &str) -> String {
    text.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('\n', "\\012")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_names_are_systemds() {
        for (path, name) in [
            ("/srv/filestore", "srv-filestore.mount"),
            ("/srv/a-b c/.x", "srv-a\\x2db\\x20c-.x.mount"),
            ("/.hidden", "\\x2ehidden.mount"),
            ("/var/lib/odoo/.local", "var-lib-odoo-.local.mount"),
        ] {
            assert_eq!(unit(Path::new(path)), name);
        }
    }

    #[test]
    fn every_type_is_found_by_each_of_its_names() {
        for (word, name) in [("nfs4", "nfs4"), ("nfs", "nfs4"), ("fuse.s3fs", "s3fs"), ("bind", "bind"), ("ext4", "ext4"), ("zfs", "")] {
            assert_eq!(kind(word).name, name, "{word}");
        }
        assert_eq!(kind("zfs").in_fstab("zfs"), "zfs");
        assert_eq!(kind("s3fs").in_fstab("s3fs"), "fuse.s3fs");
        let said = vec!["hard".to_owned(), "nofail".into()];
        assert_eq!(kind("nfs4").options(&said), ["hard", "nofail", "_netdev"]);
    }

    #[test]
    fn dangers_are_named() {
        let named = |word: &str, options: &[&str]| {
            let options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
            kind(word).dangers(&options).map(|(_, danger)| danger.option).collect::<Vec<_>>()
        };
        assert_eq!(named("nfs4", &["hard", "soft"]), ["soft"]);
        assert_eq!(named("s3fs", &["url=http://10.0.0.1", "use_cache=/tmp"]), ["url=http:", "use_cache="]);
        assert_eq!(named("zfs", &["noauto"]), ["noauto"]);
    }

    #[test]
    fn what_a_helper_says_leads_somewhere() {
        assert!(advice("mount.nfs4: No such device").unwrap().contains("no client"));
        assert!(advice("Error: unknown command \"az:acme\" for \"mount.rclone\"").unwrap().contains("1.57"));
        assert!(advice("mounted, but it does not answer within 30 s").unwrap().contains("server there"));
        assert_eq!(advice("wrong fs type"), None);
    }

    #[test]
    fn what_fstab_tells_systemd_a_unit_says_itself() {
        assert_eq!(directive("x-systemd.requires=glusterd.service").unwrap(), "Requires=glusterd.service\nAfter=glusterd.service\n");
        assert_eq!(directive("x-systemd.after=/srv/a").unwrap(), "After=srv-a.mount\n");
        assert_eq!(directive("x-systemd.mount-timeout=20s").unwrap(), "TimeoutSec=20s\n");
        assert_eq!((directive("x-systemd.automount"), directive("hard")), (None, None));
    }

    #[test]
    fn a_default_gives_way_to_what_was_said() {
        assert_eq!(kind("rclone").options(&["dir_cache_time=2s".into()]), ["dir_cache_time=2s", "_netdev", "nofail"]);
        assert_eq!(kind("rclone").options(&[]), ["dir_cache_time=10s", "_netdev", "nofail"]);
    }
}
