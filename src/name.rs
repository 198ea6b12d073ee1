//! Names that were checked once and are then trusted: hosts, units, databases, users.
//!
//! A name that reaches a shell, an SQL statement or a path passes through here first, so
//! nothing else needs to wonder what it may contain.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A name that breaks its rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not {what}: {rule}")]
pub struct NameError {
    value: String,
    what: &'static str,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $pattern:literal, $ok:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(value: String) -> Result<Self, NameError> {
                let ok: fn(&str) -> bool = $ok;
                if ok(&value) {
                    Ok(Self(value))
                } else {
                    Err(NameError { value, what: $what, rule: $rule })
                }
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(value: &str) -> Result<Self, NameError> {
                value.to_owned().try_into()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "x-rule": concat!($what, ": ", $rule) })
            }
        }
    };
}

fn word(value: &str, first: fn(char) -> bool, rest: fn(char) -> bool, most: usize) -> bool {
    let mut chars = value.chars();
    value.len() <= most && chars.next().is_some_and(first) && chars.all(rest)
}

name!(
    /// A machine of the spec (`erp1`). Also used in slot and application names.
    HostName, "a host name", "letters, digits, '-' and '_', starting with a letter, at most 40 characters",
    "^[A-Za-z][A-Za-z0-9_-]{0,39}$",
    |v| word(v, |c| c.is_ascii_alphabetic(), |c| c.is_ascii_alphanumeric() || "-_".contains(c), 40)
);

name!(
    /// A systemd unit with its suffix (`odoo.service`, systemd.unit(5)).
    UnitName, "a systemd unit", "a name with a suffix such as .service or .timer",
    "^[A-Za-z0-9:_.@\\\\-]{1,200}\\.(service|timer|socket|mount|automount|target|path)$",
    |v| v.rsplit_once('.').is_some_and(|(stem, suffix)| {
        word(stem, |c| c.is_ascii_alphanumeric(), |c| c.is_ascii_alphanumeric() || ":_.@\\-".contains(c), 200)
            && ["service", "timer", "socket", "mount", "automount", "target", "path"].contains(&suffix)
    })
);

name!(
    /// A PostgreSQL database, kept to names that need no quoting anywhere Odoo puts them.
    DatabaseName, "a database name", "letters, digits, '_', '-' and '.', at most 63 characters",
    "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$",
    |v| word(v, |c| c.is_ascii_alphanumeric(), |c| c.is_ascii_alphanumeric() || "_.-".contains(c), 63)
);

name!(
    /// A lower-case word: the installation's name, a PostgreSQL role, a Unix user.
    Word, "a simple name", "lower-case letters, digits, '_' and '-', starting with a letter or '_', at most 32 characters",
    "^[a-z_][a-z0-9_-]{0,31}$",
    |v| word(v, |c| c.is_ascii_lowercase() || c == '_', |c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c), 32)
);

name!(
    /// A Debian package, perhaps with an architecture (`libc6:amd64`; Debian policy 5.6.7).
    PackageName, "a package name", "lower-case letters, digits, '+', '-', '.', perhaps with ':arch'",
    "^[a-z0-9][a-z0-9+.-]*(:[a-z0-9]+)?$",
    |v| word(v, |c| c.is_ascii_lowercase() || c.is_ascii_digit(), |c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+.-:".contains(c), 120)
);

/// Permission bits of a file, written in octal and quoted in YAML (`"0640"`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mode(pub u32);

impl TryFrom<String> for Mode {
    type Error = NameError;
    fn try_from(value: String) -> Result<Self, NameError> {
        let digits = (3..=4).contains(&value.len()) && value.chars().all(|c| c.is_digit(8));
        match u32::from_str_radix(&value, 8) {
            Ok(bits) if digits => Ok(Self(bits)),
            _ => Err(NameError { value, what: "a file mode", rule: "three or four octal digits in quotes, such as \"0640\"" }),
        }
    }
}
impl From<Mode> for String {
    fn from(mode: Mode) -> String {
        mode.to_string()
    }
}
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}
impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
impl JsonSchema for Mode {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Mode".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-7]{3,4}$", "x-rule": "a file mode: octal digits in quotes, such as \"0640\"" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_its_quotes_is_refused() {
        for bad in ["", "a b", "a'b", "../x", "-a", "a;b", "a\n"] {
            assert!(bad.parse::<HostName>().is_err(), "{bad:?}");
            assert!(bad.parse::<DatabaseName>().is_err(), "{bad:?}");
            assert!(bad.parse::<Word>().is_err(), "{bad:?}");
            assert!(format!("{bad}.service").parse::<UnitName>().is_err() || bad == "../x", "{bad:?}");
        }
        assert!("postgresql@13-main.service".parse::<UnitName>().is_ok());
        assert!("odoo".parse::<UnitName>().is_err());
    }

    #[test]
    fn a_mode_is_octal() {
        assert_eq!(Mode::try_from("0640".to_owned()).map(|m| m.0), Ok(0o640));
        assert!(Mode::try_from("0648".to_owned()).is_err());
        assert!(Mode::try_from("rw".to_owned()).is_err());
    }
}
