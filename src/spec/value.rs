//! The values of a spec that YAML has no type for.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::secret::SecretRef;

/// A value of odoo.conf, postgresql.conf or a template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OptionValue {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A reference to a secret.
    Secret(SecretRef),
    /// Several texts.
    List(Vec<String>),
    /// Text.
    Text(String),
}

/// A text, or a reference to a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Setting {
    /// A reference to a secret.
    Secret(SecretRef),
    /// Text, readable by whoever reads the spec.
    Plain(String),
}

macro_rules! text_value {
    ($name:ident, $pattern:literal, $rule:literal) => {
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
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
                json_schema!({ "type": "string", "pattern": $pattern, "x-rule": $rule })
            }
        }
    };
}

/// An amount of bytes, written `512mb` (powers of 1024, as PostgreSQL and Redis read it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub u64);
text_value!(Size, "^[0-9]{1,15}([kKmMgGtT][bB])$", "a size such as 512mb or 10gb");

const UNITS: [(&str, u32); 4] = [("tb", 40), ("gb", 30), ("mb", 20), ("kb", 10)];

impl TryFrom<String> for Size {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        UNITS
            .iter()
            .find_map(|(unit, shift)| {
                let number: u64 = lower.strip_suffix(unit)?.parse().ok()?;
                number.checked_mul(1 << shift)
            })
            .map(Size)
            .ok_or_else(|| format!("{text:?} is not a size such as 512mb or 10gb"))
    }
}
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in UNITS {
            if self.0 >= 1 << shift && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}kb", self.0 / 1024)
    }
}

/// A time span, written `5s`, `2h 30m`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);
text_value!(Span, "^([0-9]+ ?(ms|s|m|min|h|d|w)[a-z]* ?)+$", "a time span such as 5s, 1h or 7d");

impl TryFrom<String> for Span {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        humantime::parse_duration(&text).map(Span).map_err(|_| format!("{text:?} is not a time span such as 5s, 1h or 7d"))
    }
}
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A share, written `5%`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(pub f64);
text_value!(Percent, "^[0-9]{1,3}(\\.[0-9]+)?%$", "a share such as 5%");

impl TryFrom<String> for Percent {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.strip_suffix('%')
            .and_then(|number| number.parse().ok())
            .filter(|share| (0.0..=100.0).contains(share))
            .map(Percent)
            .ok_or_else(|| format!("{text:?} is not a share such as 5%"))
    }
}
impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// An amount of memory: bytes, or a share of the machine's.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Memory {
    /// Bytes.
    Bytes(Size),
    /// A share of what the machine has.
    Share(Percent),
}
text_value!(Memory, "^([0-9]{1,15}[kKmMgGtT][bB]|[0-9]{1,3}(\\.[0-9]+)?%)$", "a size such as 512mb, or a share of the machine such as 25%");

impl Memory {
    /// Bytes on a machine that has `total` of them.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "no machine has 2^52 bytes")]
    pub fn bytes(self, total: u64) -> u64 {
        match self {
            Memory::Bytes(size) => size.0,
            // Whole MiB: people compare it with what Redis shows.
            Memory::Share(share) => ((total as f64 * share.0 / 100.0) as u64) >> 20 << 20,
        }
    }
}
impl TryFrom<String> for Memory {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.ends_with('%') {
            true => Percent::try_from(text).map(Memory::Share),
            false => Size::try_from(text).map(Memory::Bytes),
        }
    }
}
impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Memory::Bytes(size) => size.fmt(f),
            Memory::Share(share) => share.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_round_trip() {
        for text in ["512mb", "10gb", "1kb", "3tb"] {
            assert_eq!(Size::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        let memory = |text: &str| Memory::try_from(text.to_owned());
        assert_eq!(memory("25%").unwrap().bytes(8 << 30), 2 << 30);
        assert_eq!(memory("10mb").unwrap().bytes(1), 10 << 20);
        assert!(memory("101%").is_err() && memory("10").is_err());
        assert!(Size::try_from("99999999999tb".to_owned()).is_err());
        assert!(Size::try_from("12".to_owned()).is_err());
        assert_eq!(Span::try_from("7d".to_owned()).unwrap().0.as_secs(), 604_800);
        assert!(Percent::try_from("101%".to_owned()).is_err());
        assert_eq!(Percent::try_from("5%".to_owned()).unwrap().to_string(), "5%");
    }
}
