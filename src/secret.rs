//! Secrets: where they come from, and a type they never leave.
//!
//! A [`Secret`] has no `Display`, its `Debug` and `Serialize` say `(sensitive)`, and its
//! memory is wiped when it goes. Only [`Secret::expose`] gives the text, and only the code
//! that hands it to a host calls that.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What stands where a secret would be shown.
pub const REDACTED: &str = "(sensitive)";

/// A value that must not be seen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Takes text into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The text itself. For the last step before a host only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(Secret)
    }
}

/// Text that may hold a secret: a file's content, an SQL statement, an option's value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(untagged)]
pub enum Text {
    /// May be shown.
    Plain(String),
    /// May not.
    Sensitive(Secret),
}

impl Text {
    /// The text, secret or not.
    pub fn expose(&self) -> &str {
        match self {
            Text::Plain(text) => text,
            Text::Sensitive(secret) => secret.expose(),
        }
    }
    /// Whether it may not be shown.
    pub fn is_sensitive(&self) -> bool {
        matches!(self, Text::Sensitive(_))
    }
    /// The text as it may be shown.
    pub fn shown(&self) -> &str {
        match self {
            Text::Plain(text) => text,
            Text::Sensitive(_) => REDACTED,
        }
    }
    /// The same kind of text with other words: what is made from a secret is one.
    pub fn map(&self, change: impl FnOnce(&str) -> String) -> Text {
        match self {
            Text::Plain(text) => Text::Plain(change(text)),
            Text::Sensitive(secret) => Text::Sensitive(Secret::new(change(secret.expose()))),
        }
    }
}
impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text::Plain(text.to_owned())
    }
}
impl From<String> for Text {
    fn from(text: String) -> Self {
        Text::Plain(text)
    }
}

/// Where a secret is kept. In the spec: `{secret: "file:/etc/otr/admin_passwd"}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretSource {
    /// `env:NAME`: otr's own environment.
    Env(String),
    /// `file:PATH`: one trailing newline is dropped.
    File(PathBuf),
    /// `command: ARGV…`: split at blanks, no shell; its standard output.
    Command(Vec<String>),
    /// `credential:NAME`: a file of `$CREDENTIALS_DIRECTORY` (systemd.exec(5)).
    Credential(String),
}

impl TryFrom<String> for SecretSource {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is not a secret's source: write \"env:NAME\", \"file:PATH\", \"command: ARGV\" or \"credential:NAME\"");
        let (scheme, rest) = text.split_once(':').ok_or_else(wrong)?;
        let rest = rest.trim();
        if rest.is_empty() {
            return Err(wrong());
        }
        match scheme {
            "env" => Ok(Self::Env(rest.to_owned())),
            "file" => Ok(Self::File(rest.into())),
            "command" => Ok(Self::Command(rest.split_whitespace().map(str::to_owned).collect())),
            "credential" if !rest.contains('/') => Ok(Self::Credential(rest.to_owned())),
            _ => Err(wrong()),
        }
    }
}
impl From<SecretSource> for String {
    fn from(source: SecretSource) -> String {
        source.to_string()
    }
}
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Command(argv) => write!(f, "command: {}", argv.join(" ")),
            Self::Credential(name) => write!(f, "credential:{name}"),
        }
    }
}

/// `{secret: …}`: a reference that stands where a value can stand.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// Where the secret is kept.
    pub secret: SecretSource,
}

impl JsonSchema for SecretRef {
    fn schema_name() -> Cow<'static, str> {
        "SecretRef".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "A reference to a secret that is kept elsewhere.",
            "properties": { "secret": {
                "type": "string",
                "pattern": "^((env|file|command): *[^ ]|credential: *[^/ ][^/]*$)",
                "description": "env:NAME, file:PATH, command: ARGV or credential:NAME.",
                "x-rule": "a secret's source: env:NAME, file:PATH, command: ARGV or credential:NAME"
            } },
            "required": ["secret"],
            "additionalProperties": false
        })
    }
}

/// A secret that could not be read, and why. Never holds the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret {origin} cannot be read: {why}")]
pub struct SecretError {
    /// Where it should have come from, as written in the spec.
    pub origin: String,
    /// The cause.
    pub why: String,
}

/// Every secret of a spec, read once; each stands or fails alone.
#[derive(Debug, Clone, Default)]
pub struct Secrets(BTreeMap<SecretSource, Result<Secret, SecretError>>);

impl Secrets {
    /// Reads them all. Runs `command:` sources.
    pub fn read<'a>(sources: impl IntoIterator<Item = &'a SecretSource>) -> Self {
        Self::with(sources, read)
    }
    /// The same, but those given are taken as they are.
    pub fn given<'a>(sources: impl IntoIterator<Item = &'a SecretSource>, given: &BTreeMap<SecretSource, Secret>) -> Self {
        Self::with(sources, |source| match given.get(source) {
            Some(secret) => Ok(secret.expose().to_owned()),
            None => read(source),
        })
    }
    /// The same with another reader, for a simulated pair.
    pub fn with<'a>(sources: impl IntoIterator<Item = &'a SecretSource>, read: impl Fn(&SecretSource) -> Result<String, String>) -> Self {
        Self(
            sources
                .into_iter()
                .map(|source| {
                    let value = read(source).map(Secret::new).map_err(|why| SecretError { origin: source.to_string(), why });
                    (source.clone(), value)
                })
                .collect(),
        )
    }
    /// One of them.
    ///
    /// # Errors
    /// It could not be read.
    pub fn get(&self, source: &SecretSource) -> Result<&Secret, SecretError> {
        match self.0.get(source) {
            Some(value) => value.as_ref().map_err(Clone::clone),
            None => Err(SecretError { origin: source.to_string(), why: "it was not asked for".into() }),
        }
    }
    /// One of them, if it was read.
    pub fn find(&self, source: &SecretSource) -> Option<&Secret> {
        self.0.get(source)?.as_ref().ok()
    }
}

fn read(source: &SecretSource) -> Result<String, String> {
    let mut text = match source {
        SecretSource::Env(name) => std::env::var(name).map_err(|e| match e {
            std::env::VarError::NotPresent => format!("the environment variable {name} is not set"),
            std::env::VarError::NotUnicode(_) => format!("the environment variable {name} is not UTF-8"),
        })?,
        SecretSource::File(path) => std::fs::read_to_string(path).map_err(|e| e.to_string())?,
        SecretSource::Credential(name) => {
            let directory = std::env::var_os("CREDENTIALS_DIRECTORY")
                .ok_or("CREDENTIALS_DIRECTORY is not set: run otr from a unit with LoadCredential=")?;
            std::fs::read_to_string(PathBuf::from(directory).join(name)).map_err(|e| e.to_string())?
        }
        SecretSource::Command(argv) => {
            let (program, arguments) = argv.split_first().ok_or("the command is empty")?;
            let output =
                Command::new(program).args(arguments).stdin(std::process::Stdio::null()).output().map_err(|e| format!("{program}: {e}"))?;
            if !output.status.success() {
                // Its standard error may quote what it was asked for, so it is not repeated.
                return Err(format!("{program} ended with {}", output.status));
            }
            String::from_utf8(output.stdout).map_err(|_| format!("{program} printed bytes that are not UTF-8"))?
        }
    };
    if text.ends_with('\n') {
        text.pop();
    }
    match text.is_empty() {
        true => Err("it is empty".into()),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_expose_gives_the_text() {
        let secret = Secret::new("hunter2");
        let text = Text::Sensitive(secret.clone());
        for shown in [format!("{secret:?}"), format!("{text:?}"), serde_json::to_string(&text).unwrap(), text.shown().into()] {
            assert!(!shown.contains("hunter2") && shown.contains(REDACTED), "{shown}");
        }
        assert_eq!(text.map(|t| format!("x{t}")).shown(), REDACTED);
    }

    #[test]
    fn sources_are_read_and_fail_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pw");
        std::fs::write(&path, "s3cret\n").unwrap();
        let good = SecretSource::File(path);
        let bad = SecretSource::File("/nonexistent/otr".into());
        let command = SecretSource::try_from("command: printf a%sb x".to_owned()).unwrap();
        let failing = SecretSource::try_from("command: false".to_owned()).unwrap();
        let secrets = Secrets::read([&good, &bad, &command, &failing]);
        assert_eq!(secrets.get(&good).unwrap().expose(), "s3cret");
        assert_eq!(secrets.get(&command).unwrap().expose(), "axb");
        assert!(secrets.get(&bad).unwrap_err().to_string().contains("/nonexistent/otr"));
        assert!(secrets.get(&failing).unwrap_err().why.contains("false ended with"));
    }

    #[test]
    fn a_secret_that_is_given_is_not_read() {
        let [given, other] = ["env:OTR_NO_SUCH", "env:OTR_NOR_SUCH"].map(|text| SecretSource::try_from(text.to_owned()).unwrap());
        let secrets = Secrets::given([&given, &other], &[(given.clone(), Secret::new("hunter2"))].into());
        assert_eq!(secrets.get(&given).unwrap().expose(), "hunter2");
        assert!(secrets.get(&other).unwrap_err().why.contains("is not set"));
    }

    #[test]
    fn a_source_needs_a_known_scheme() {
        for bad in ["hunter2", "env:", "vault:x", "credential:../x"] {
            assert!(SecretSource::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
