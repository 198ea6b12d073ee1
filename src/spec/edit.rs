//! The one change otr makes to a spec: which host is production. Nothing else in the file moves.

use std::io::Write;
use std::path::Path;

use super::load;
use super::tree::{Tree, Value};
use crate::name::HostName;

/// A spec that could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The line is written in a way that cannot be replaced safely.
    #[error("{path}: the line `production:` cannot be changed safely; write `production: {host}` there by hand")]
    Unclear {
        /// The file.
        path: String,
        /// The host.
        host: HostName,
    },
    /// The file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
}

/// The text with another host as production; `None` if that cannot be done safely.
pub fn with_production(text: &str, host: &HostName) -> Option<String> {
    let (before, tree) = load::parse(text).ok()?;
    let (_, node): (_, &Tree) = tree.get("production")?;
    let Value::Text(old) = &node.value else { return None };
    let line: usize = text.split_inclusive('\n').take(node.place.line.checked_sub(1)?).map(str::len).sum();
    let column: usize = text.get(line..)?.chars().take(node.place.column.checked_sub(1)?).map(char::len_utf8).sum();
    let rest = text.get(line + column..)?;
    let token = [format!("\"{old}\""), format!("'{old}'"), old.clone()].into_iter().find(|token| rest.starts_with(token.as_str()))?;
    let new = match token.chars().next()? {
        quote @ ('"' | '\'') => format!("{quote}{host}{quote}"),
        _ => host.to_string(),
    };
    let changed = format!("{}{new}{}", &text[..line + column], &rest[token.len()..]);
    // Read again: it must be the same spec but for this.
    let (after, _) = load::parse(&changed).ok()?;
    (after == before.with_production(host)).then_some(changed)
}

/// Names another host production in the file of a spec.
///
/// # Errors
/// The file cannot be changed safely, read or written; it is then as it was.
pub fn write_production(path: &Path, host: &HostName) -> Result<(), EditError> {
    let failed = |source: std::io::Error| EditError::File { path: path.display().to_string(), source };
    // A link keeps pointing where it did.
    let path = path.canonicalize().map_err(failed)?;
    let text = std::fs::read_to_string(&path).map_err(failed)?;
    let changed =
        with_production(&text, host).ok_or_else(|| EditError::Unclear { path: path.display().to_string(), host: host.clone() })?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let metadata = std::fs::metadata(&path).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    file.write_all(changed.as_bytes()).map_err(failed)?;
    file.as_file().set_permissions(metadata.permissions()).map_err(failed)?;
    {
        use std::os::unix::fs::MetadataExt;
        // Without the right to give files away the new one stays ours.
        let _ = std::os::unix::fs::fchown(file.as_file(), Some(metadata.uid()), Some(metadata.gid()));
    }
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    std::fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> HostName {
        name.parse().unwrap()
    }

    #[test]
    fn one_word_changes() {
        let rest = "  # é the one line\r\nhosts: {erp1: {address: a}, erp2: {address: b}}\nname: erp1\nversion: 1\n";
        for (old, new) in [
            ("production: erp1", "production: erp2"),
            ("production:   'erp1'", "production:   'erp2'"),
            ("\"production\": \"erp1\"", "\"production\": \"erp2\""),
        ] {
            assert_eq!(with_production(&format!("{old}{rest}"), &host("erp2")).as_deref(), Some(format!("{new}{rest}").as_str()));
        }
        let flow = "{version: 1, name: é, production: erp1, hosts: {erp1: {address: a}, erp2: {address: b}}}";
        assert_eq!(with_production(flow, &host("erp2")), None, "it was not right before");
        assert_eq!(with_production(&flow.replace('é', "x"), &host("erp2")), Some(flow.replace('é', "x").replace("on: erp1", "on: erp2")));
        assert_eq!(with_production(&format!("production: erp1{rest}"), &host("erp3")), None);
        let anchored = "version: 1\nname: &n erp1\nproduction: *n\nhosts: {erp1: {address: a}, erp2: {address: b}}\n";
        assert_eq!(with_production(anchored, &host("erp2")), None);
    }

    #[test]
    fn the_file_keeps_its_mode_and_its_link() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("spec.yaml"), dir.path().join("link.yaml"));
        let text = "version: 1\nname: x\nproduction: a # here\nhosts: {a: {address: a}, b: {address: b}}\n";
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_production(&link, &host("b")).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text.replace("production: a", "production: b"));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(link.is_symlink());
        assert!(matches!(write_production(&link, &host("c")), Err(EditError::Unclear { .. })));
        assert!(matches!(write_production(&dir.path().join("no"), &host("b")), Err(EditError::File { .. })));
    }
}
