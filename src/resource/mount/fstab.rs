//! /etc/fstab: one line for each mount of the spec; every other line stays to the byte.

use std::path::{Path, PathBuf};

use crate::action::{Action, Attributes};
use crate::facts::{FactError, Facts};
use crate::look::Look;
use crate::name::HostName;
use crate::resource::{Change, Decision, Difference, Kind, Resource, ResourceId, file};
use crate::storage::field;

/// The lines of one host.
#[derive(Debug)]
pub struct Fstab {
    /// Where.
    pub host: HostName,
    /// Owner, group, mode.
    pub attributes: Attributes,
    /// Mount point → its line; `None`: a unit mounts it, and no line may.
    pub lines: Vec<(PathBuf, Option<String>)>,
}

/// The file.
pub const PATH: &str = "/etc/fstab";

/// A line, fields escaped.
pub fn line(from: &str, at: &Path, kind: &str, options: &[String]) -> String {
    format!("{} {} {kind} {} 0 0", field(from), field(&at.to_string_lossy()), field(&options.join(",")))
}

impl Resource for Fstab {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::File, PATH)
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        file::looks(&self.host, Path::new(PATH), false)
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        let is = facts.content(&self.host, Path::new(PATH))?.as_ref().map_or("", |content| content.text.as_str());
        let mut text = is.to_owned();
        let mut differences = Vec::new();
        for (at, wanted) in &self.lines {
            let (edited, found) = edited(&text, at, wanted.as_deref());
            if edited != text {
                differences.push(Difference::new(at.display().to_string(), found, wanted.clone()));
                text = edited;
            }
        }
        let settled = file::settle(&self.host, Path::new(PATH), differences, &text.into(), &self.attributes, None, facts)?;
        // systemd makes a unit of each line, and only when it is told to read the file.
        Ok(match settled {
            Decision::Change(mut change) => {
                change.actions.push(Action::DaemonReload);
                Decision::Change(Change { ..change })
            }
            other => other,
        })
    }
}

/// The text with a mount point's line set or removed, and the line that was there.
fn edited(text: &str, at: &Path, wanted: Option<&str>) -> (String, Option<String>) {
    let place = field(&at.to_string_lossy());
    let fields = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let is_ours = |line: &str| {
        let fields = fields(line);
        !line.trim_start().starts_with('#') && fields.get(1).is_some_and(|at| at.trim_end_matches('/') == place)
    };
    let found: Vec<&str> = text.lines().filter(|line| is_ours(line)).collect();
    let first = found.first().map(|line| (*line).to_owned());
    if let ([one], Some(wanted)) = (found.as_slice(), wanted)
        && fields(one) == fields(wanted)
    {
        return (text.to_owned(), first);
    }
    let mut left = wanted;
    let mut out = String::new();
    for line in text.lines() {
        let kept = if is_ours(line) { left.take() } else { Some(line) };
        if let Some(line) = kept {
            out.push_str(line);
            out.push('\n');
        }
    }
    if let Some(line) = left {
        out.push_str(line);
        out.push('\n');
    }
    if found.is_empty() && wanted.is_none() { (text.to_owned(), None) } else { (out, first) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_for_each_place_and_the_rest_stays() {
        let text = "# a\n/dev/sda1 / ext4 defaults 0 1\nold:/x  /srv/files/\tnfs4 soft 0 0\nother:/x /srv/files nfs4 soft 0 0\n";
        let wanted = line("nas:/o doo", Path::new("/srv/files"), "nfs4", &["hard".into(), "nofail".into()]);
        assert_eq!(wanted, "nas:/o\\040doo /srv/files nfs4 hard,nofail 0 0");
        let (new, found) = edited(text, Path::new("/srv/files"), Some(&wanted));
        assert_eq!(new, format!("# a\n/dev/sda1 / ext4 defaults 0 1\n{wanted}\n"));
        assert!(found.unwrap().starts_with("old:/x"));
        let spaced = new.replace(" nfs4 ", "\tnfs4   ");
        assert_eq!(edited(&spaced, Path::new("/srv/files"), Some(&wanted)).0, spaced, "blanks are no drift");
        assert_eq!(edited(&new, Path::new("/srv/files"), None).0, "# a\n/dev/sda1 / ext4 defaults 0 1\n");
        assert_eq!(edited("x", Path::new("/srv/files"), None).0, "x");
    }
}
