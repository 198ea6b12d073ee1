//! Two machines compared with each other, without a wish: what one has and the other lacks. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::facts::{FactError, Facts};
use crate::format::credentials::{holds_password, is_secret_key};
use crate::format::ini::Ini;
use crate::look::folder::What;
use crate::look::{Look, Site};
use crate::name::HostName;
use crate::resource::Shown;
use crate::secret::{Secret, Text};

/// How two machines differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The number of this format.
    pub format: u32,
    /// `diff`.
    pub verb: &'static str,
    /// One machine, as it was named.
    pub left: String,
    /// The other.
    pub right: String,
    /// What was compared.
    pub areas: Vec<Area>,
    /// What could not be.
    pub unseen: Vec<String>,
}

/// One kind of things.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Area {
    /// `packages`, `pip`, `odoo.conf` …
    pub area: &'static str,
    /// How many are the same on both.
    pub alike: usize,
    /// Those that are not.
    pub differences: Vec<Sides>,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sides {
    /// Which.
    pub what: String,
    /// On the one.
    pub left: Shown,
    /// On the other.
    pub right: Shown,
}

/// Where things are.
#[derive(Debug, Clone, PartialEq)]
pub struct Places {
    /// Where pip installs.
    pub site: Site,
    /// odoo.conf.
    pub odoo_conf: PathBuf,
    /// Files that are compared as a whole; their text may hold secrets, so it is not shown.
    pub files: BTreeSet<PathBuf>,
    /// Small trees, compared place by place.
    pub trees: BTreeSet<PathBuf>,
    /// Directories of add-ons, by the content of each file, and the commit of each checkout.
    pub addons: BTreeSet<PathBuf>,
}

/// One host's things of one kind.
type Things = BTreeMap<String, Text>;
type Reader = fn(&Facts, &HostName, &Places) -> Result<Things, FactError>;

/// Each kind of things, and what reads them.
const AREAS: [(&str, Reader); 10] = [
    ("machine", machine),
    ("settings", settings),
    ("sources", sources),
    ("packages", packages),
    ("pip", pip),
    ("odoo.conf", odoo_conf),
    ("addons", addons),
    ("files", files),
    ("users", users),
    ("groups", groups),
];

/// What must be seen of each.
pub fn looks(host: &HostName, places: &Places) -> Vec<(HostName, Look)> {
    let fixed = [
        Look::Machine,
        Look::Nixos,
        Look::Packages,
        Look::Accounts,
        Look::System,
        Look::Python(places.site.clone()),
        Look::SecretContent(places.odoo_conf.clone()),
    ];
    fixed
        .into_iter()
        .chain(SOURCES.map(|root| Look::Folder(root.into())))
        .chain(places.trees.iter().cloned().map(Look::Folder))
        .chain(places.addons.iter().cloned().map(Look::Addons))
        .chain(places.files.iter().cloned().map(Look::Digest))
        .map(|look| (host.clone(), look))
        .collect()
}

impl Comparison {
    /// Compares two hosts; each goes by the name a person gave it.
    pub fn make(facts: &Facts, left: (&HostName, &str), right: (&HostName, &str), places: &Places) -> Self {
        let (mut areas, mut unseen) = (Vec::new(), BTreeSet::new());
        let silent = |(host, name): (&HostName, &str)| facts.unreachable(host).map(|why| format!("{name} cannot be reached: {why}"));
        unseen.extend([left, right].into_iter().filter_map(silent));
        // Against a silent host nothing can be compared.
        let areas_to_read = if unseen.is_empty() { &AREAS[..] } else { &[] };
        for (area, read) in areas_to_read {
            match (read(facts, left.0, places), read(facts, right.0, places)) {
                (Ok(left), Ok(right)) => areas.push(Area::make(area, &left, &right)),
                (left, right) => unseen.extend([left, right].into_iter().filter_map(Result::err).map(|error| error.to_string())),
            }
        }
        let unseen = unseen.into_iter().collect();
        Self { format: 1, verb: "diff", left: left.1.into(), right: right.1.into(), areas, unseen }
    }

    /// How many things differ.
    pub fn differences(&self) -> usize {
        self.areas.iter().map(|area| area.differences.len()).sum()
    }
}

impl Area {
    fn make(area: &'static str, left: &Things, right: &Things) -> Self {
        let all: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        let same = |what: &String| left.get(what).map(Text::expose) == right.get(what).map(Text::expose);
        let (alike, differ): (Vec<_>, Vec<_>) = all.into_iter().partition(|what| same(what));
        let sides = |what: &String| {
            let hide = [left, right].iter().filter_map(|things| things.get(what)).any(Text::is_sensitive);
            let show = |things: &Things| match things.get(what) {
                None => Shown::Absent,
                Some(_) if hide => Shown::Sensitive,
                Some(text) => Shown::Text(text.expose().to_owned()),
            };
            Sides { what: what.clone(), left: show(left), right: show(right) }
        };
        Self { area, alike: alike.len(), differences: differ.into_iter().map(sides).collect() }
    }
}

fn plain(value: impl Into<String>) -> Text {
    Text::Plain(value.into())
}

fn machine(facts: &Facts, host: &HostName, _: &Places) -> Result<Things, FactError> {
    let machine = facts.machine(host)?;
    Ok([("system", &machine.system), ("architecture", &machine.architecture)].map(|(what, value)| (what.to_owned(), plain(value))).into())
}

/// Locales, time zone, kernel settings, limits, and the ids of accounts.
fn settings(facts: &Facts, host: &HostName, _: &Places) -> Result<Things, FactError> {
    Ok(facts.system(host)?.iter().map(|(name, value)| (name.clone(), plain(value))).collect())
}

/// Where apt's sources and preferences stand.
const SOURCES: [&str; 4] = ["/etc/apt/sources.list", "/etc/apt/sources.list.d", "/etc/apt/preferences", "/etc/apt/preferences.d"];

/// A line of a source is a thing: files are named differently from host to host.
fn sources(facts: &Facts, host: &HostName, _: &Places) -> Result<Things, FactError> {
    let mut things = Things::new();
    for root in SOURCES {
        for (place, piece) in facts.folder(host, Path::new(root))?.iter().flatten() {
            let What::File(bytes) = &piece.what else { continue };
            let path = Path::new(root).join(place).display().to_string().trim_end_matches('/').to_owned();
            things.insert(
                path,
                match crate::resource::text_of(bytes) {
                    Some(text) if !holds_password(text.expose()) => plain(text.expose().trim()),
                    _ => Text::Sensitive(bytes.clone()),
                },
            );
        }
    }
    Ok(things)
}

fn packages(facts: &Facts, host: &HostName, _: &Places) -> Result<Things, FactError> {
    if facts.nixos(host)?.is_some() {
        return Err(FactError::Refused(format!("{host} is a NixOS: it has no Debian packages to compare")));
    }
    let installed = facts.packages(host)?.iter().filter(|(_, package)| package.installed);
    let value = |held: bool, version: &str| if held { format!("{version} (held)") } else { version.to_owned() };
    Ok(installed.map(|(name, package)| (name.clone(), plain(value(package.held, &package.version)))).collect())
}

fn pip(facts: &Facts, host: &HostName, places: &Places) -> Result<Things, FactError> {
    Ok(facts.python(host, &places.site)?.modules.iter().map(|(name, version)| (name.clone(), plain(version))).collect())
}

fn odoo_conf(facts: &Facts, host: &HostName, places: &Places) -> Result<Things, FactError> {
    let Some(text) = facts.secret_content(host, &places.odoo_conf)? else { return Ok(Things::new()) };
    let path = places.odoo_conf.display();
    let ini =
        Ini::parse(text.expose()).map_err(|error| FactError::Refused(format!("{host}: {path} is not a file Odoo can read: {error}")))?;
    let key = |key: &str| {
        let value = ini.get("options", key)?;
        // A URL may hold a password, whatever its key is called.
        let hide = is_secret_key(key) || holds_password(value);
        Some((key.to_owned(), if hide { Text::Sensitive(Secret::new(value)) } else { plain(value) }))
    };
    Ok(ini.keys("options").filter_map(key).collect())
}

fn addons(facts: &Facts, host: &HostName, places: &Places) -> Result<Things, FactError> {
    let mut things = Things::new();
    for root in &places.addons {
        let Some(tree) = facts.addons(host, root)? else { continue };
        let name = |place: &str| root.join(place).display().to_string().trim_end_matches('/').to_owned();
        for (place, entry) in &tree.entries {
            // A checkout is compared by its commit: git writes there whenever somebody looks.
            if !Path::new(place).ancestors().any(|part| part.to_str().is_some_and(|part| tree.heads.contains_key(part))) {
                let what = match tree.sums.get(place) {
                    Some(sum) => format!("{} bytes, SHA-1 {}…", entry.size, sum.get(..8).unwrap_or(sum)),
                    None => entry.to_string(),
                };
                things.insert(name(place), plain(format!("{}:{} {}, {what}", entry.owner, entry.group, entry.mode)));
            }
        }
        things.extend(tree.heads.iter().map(|(git, head)| (name(git), plain(head))));
    }
    Ok(things)
}

/// Directories of add-ons that odoo.conf names and no package brings.
pub fn addons_named(conf: &str) -> BTreeSet<PathBuf> {
    let Ok(ini) = Ini::parse(conf) else { return BTreeSet::new() };
    let paths = ini.get("options", "addons_path").unwrap_or_default().split(',').map(|path| PathBuf::from(path.trim()));
    paths.filter(|path| path.is_absolute() && !path.to_string_lossy().starts_with("/usr/lib/python3")).collect()
}

fn files(facts: &Facts, host: &HostName, places: &Places) -> Result<Things, FactError> {
    let mut things = Things::new();
    for path in &places.files {
        if let Some(digest) = facts.digest(host, path)? {
            things.insert(path.display().to_string(), Text::Sensitive(Secret::new(digest.as_str())));
        }
    }
    for root in &places.trees {
        for (place, piece) in facts.folder(host, root)?.iter().flatten() {
            let attributes = format!("{}:{} {}", piece.owner, piece.group, piece.mode);
            let value = match &piece.what {
                What::File(bytes) => Text::Sensitive(Secret::new(format!("{attributes} {}", bytes.expose()))),
                What::Link(target) => plain(format!("a link to {target}")),
                What::Directory => plain(format!("a directory, {attributes}")),
                What::Other => plain(format!("a device, socket or pipe, {attributes}")),
            };
            things.insert(root.join(place).display().to_string().trim_end_matches('/').to_owned(), value);
        }
    }
    Ok(things)
}

fn users(facts: &Facts, host: &HostName, _: &Places) -> Result<Things, FactError> {
    Ok(facts.accounts(host)?.users.iter().map(|(name, home)| (name.clone(), plain(home))).collect())
}

fn groups(facts: &Facts, host: &HostName, _: &Places) -> Result<Things, FactError> {
    Ok(facts.accounts(host)?.groups.iter().map(|name| (name.clone(), plain("there"))).collect())
}
