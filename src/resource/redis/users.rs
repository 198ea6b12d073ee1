//! The users of a Redis server: the file it reads them from (ACL). The passwords stand there as
//! SHA-256, as Redis itself writes them.

use sha2::{Digest, Sha256};
use std::path::PathBuf;

use crate::action::Attributes;
use crate::facts::{FactError, Facts};
use crate::look::Look;
use crate::name::{HostName, PackageName};
use crate::resource::{Decision, Kind, Resource, ResourceId, file};
use crate::secret::{Secret, SecretError, Text};

/// One user.
#[derive(Debug)]
pub struct User {
    /// The login.
    pub name: String,
    /// Its password; none lets everybody in.
    pub password: Option<Result<Text, SecretError>>,
    /// Key patterns.
    pub keys: Vec<String>,
    /// ACL rules of commands.
    pub commands: Vec<String>,
}

/// The file of users on one host.
#[derive(Debug)]
pub struct Users {
    /// Where.
    pub host: HostName,
    /// The file.
    pub path: PathBuf,
    /// Owner, group, mode.
    pub attributes: Attributes,
    /// The package of the server, whose version decides how channels are written.
    pub package: Option<PackageName>,
    /// Everybody, `default` first.
    pub users: Vec<User>,
}

impl Resource for Users {
    fn id(&self) -> ResourceId {
        ResourceId::new(&self.host, Kind::Redis, "users")
    }

    fn looks(&self) -> Vec<(HostName, Look)> {
        let mut looks = file::looks(&self.host, &self.path, true);
        looks.push((self.host.clone(), Look::Packages));
        looks
    }

    fn decide(&self, facts: &Facts) -> Result<Decision, FactError> {
        if let Some(waits) = file::account_missing(&self.host, &self.attributes, facts)? {
            return Ok(waits);
        }
        let packages = facts.packages(&self.host)?;
        let installed = self.package.as_ref().and_then(|name| packages.get(name.as_str())).filter(|package| package.installed);
        let Some(installed) = installed else { return Ok(Decision::waits("the package of the Redis server")) };
        let text = Text::Sensitive(Secret::new(self.text(knows_channels(&installed.version))?));
        let is = file::current(&self.host, &self.path, true, facts)?;
        let differences = file::content_differences(is.as_ref().map(Text::expose), &text);
        file::settle(&self.host, &self.path, differences, &text, &self.attributes, None, facts)
    }
}

impl Users {
    fn text(&self, channels: bool) -> Result<String, FactError> {
        let mut text = String::new();
        for user in &self.users {
            let password = match &user.password {
                Some(password) => {
                    let password = password.as_ref().map_err(Clone::clone)?;
                    hashed(password.expose())
                }
                None => "nopass".into(),
            };
            let keys: Vec<String> = user.keys.iter().map(|key| format!("~{key}")).collect();
            // Since 6.2 channels have rights of their own, and 6.0 does not know the word.
            let channels = if channels { " &*" } else { "" };
            text += &format!("user {} on {password} {}{channels} -@all {}\n", user.name, keys.join(" "), user.commands.join(" "));
        }
        Ok(text)
    }
}

/// A password as Redis writes it.
pub(super) fn hashed(password: &str) -> String {
    format!("#{}", Sha256::digest(password.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Redis 6.2 and later, and every Valkey, by a Debian version such as `5:6.0.16-1+deb11u8`.
fn knows_channels(version: &str) -> bool {
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    let mut numbers = upstream.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_digests_and_old_servers_get_old_words() {
        let attributes = Attributes { owner: "redis".parse().unwrap(), group: "redis".parse().unwrap(), mode: crate::name::Mode(0o640) };
        let user = User {
            name: "odoo".into(),
            password: Some(Ok(Text::Sensitive(Secret::new("hunter2")))),
            keys: vec!["session:*".into()],
            commands: vec!["+@all".into()],
        };
        let users = Users { host: "erp1".parse().unwrap(), path: "/x".into(), attributes, package: None, users: vec![user] };
        let digest = "f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";
        assert_eq!(users.text(false).unwrap(), format!("user odoo on #{digest} ~session:* -@all +@all\n"));
        assert!(users.text(true).unwrap().contains(" ~session:* &* -@all"));
        assert!(knows_channels("5:7.0.15-1~deb12u5") && knows_channels("8.1.1+dfsg") && !knows_channels("5:6.0.16-1+deb11u8"));
    }
}
