//! Values as YAML, as short as they may be.

/// Text that YAML reads as this very text.
pub fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./-@+".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let word = matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n");
    if starts && !word && text.chars().all(plain) { text.to_owned() } else { quoted(text) }
}

/// A value of odoo.conf: a number or a boolean where it is one.
pub fn value(text: &str) -> String {
    match text {
        "True" => "true".into(),
        "False" => "false".into(),
        // Only what is written back the same.
        _ if text.parse::<i64>().is_ok_and(|number| number.to_string() == text) => text.to_owned(),
        _ => scalar(text),
    }
}

/// A list on one line.
pub fn list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    format!("[{}]", items.into_iter().map(|item| scalar(item.as_ref())).collect::<Vec<_>>().join(", "))
}

/// JSON's strings are YAML's.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            "acme",
            "/srv/x",
            "no",
            "Off",
            "1.5",
            "0x10",
            "a: b",
            "a #b",
            "nas:/odoo",
            "",
            "~",
            "a,b",
            "x\ty",
            "'",
            "\"",
            "{x}",
            "1_000",
            "-",
        ] {
            let read: String = serde_yaml::from_str(&scalar(text)).unwrap();
            assert_eq!(read, text, "{}", scalar(text));
        }
        assert_eq!([value("True"), value("4"), value("007"), value("1.0")], ["true", "4", "\"007\"", "\"1.0\""]);
        assert_eq!(list(["linux-*", "less"]), "[\"linux-*\", less]");
    }
}
