//! What `otr init` writes: the spec, and production's secrets as files of their owner alone.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::secret::Secret;

/// Writes a spec where none is.
pub fn spec(file: &Path, text: &str) -> Result<()> {
    create(file, text, 0o644)
}

/// Writes each secret to a file of its name. One that is there already must be the same.
pub fn secrets(folder: &Path, secrets: &BTreeMap<String, Secret>) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| folder.display().to_string())?;
    for (name, secret) in secrets {
        let file = folder.join(name);
        let text = format!("{}\n", secret.expose());
        match std::fs::read_to_string(&file) {
            Ok(there) => ensure!(there == text, "{} is there already and says something else: move it away", file.display()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(&file, &text, 0o600)?,
            Err(error) => return Err(error).with_context(|| file.display().to_string()),
        }
    }
    Ok(())
}

fn create(file: &Path, text: &str, mode: u32) -> Result<()> {
    let open = OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    open.and_then(|mut out| out.write_all(text.as_bytes()).and_then(|()| out.sync_all())).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_their_owner_reads_secrets_and_nothing_is_overwritten() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("secrets");
        let one = |text: &str| BTreeMap::from([("admin_passwd".to_owned(), Secret::new(text))]);
        secrets(&place, &one("hunter2")).unwrap();
        secrets(&place, &one("hunter2")).unwrap();
        let error = secrets(&place, &one("hunter3")).unwrap_err().to_string();
        assert!(error.contains("admin_passwd") && !error.contains("hunter"), "{error}");
        assert_eq!(std::fs::read_to_string(place.join("admin_passwd")).unwrap(), "hunter2\n");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&place), mode(&place.join("admin_passwd"))), (0o700, 0o600));
        let file = folder.path().join("otr.yaml");
        spec(&file, "version: 1\n").unwrap();
        assert!(spec(&file, "version: 2\n").is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "version: 1\n");
    }
}
