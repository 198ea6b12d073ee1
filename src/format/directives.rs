//! redis.conf: one directive per line, name and value, comments with `#`.

use std::collections::BTreeMap;

/// The last value of a directive; Redis takes the last line that names it.
pub fn get(text: &str, name: &str) -> Option<String> {
    text.lines().filter_map(directive).filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| unquoted(value)).next_back()
}

/// The text with directives set (`Some`) or removed (`None`); the rest stays to the byte.
pub fn edited(text: &str, changes: &BTreeMap<String, Option<String>>) -> String {
    let mut left: BTreeMap<&str, &Option<String>> = changes.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let mut out = String::with_capacity(text.len());
    let mut push = |line: &str| {
        out.push_str(line);
        out.push('\n');
    };
    for line in text.lines() {
        let name = directive(line).map(|(name, _)| name.to_ascii_lowercase());
        match name.and_then(|name| changes.get_key_value(&name)) {
            None => push(line),
            // The first line that names it takes the value; others would be read after it and win.
            Some((name, value)) => {
                if left.remove(name.as_str()).is_some()
                    && let Some(value) = value
                {
                    push(&format!("{name} {}", quoted(value)));
                }
            }
        }
    }
    for (name, value) in left {
        if let Some(value) = value {
            push(&format!("{name} {}", quoted(value)));
        }
    }
    out
}

fn directive(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    Some(line.split_once(char::is_whitespace).map_or((line, ""), |(name, value)| (name, value.trim())))
}

/// Values of several words are several arguments to Redis; only what would break a line is quoted.
fn quoted(value: &str) -> String {
    match value.is_empty() || value.contains(['"', '\\', '\'', '#']) {
        true => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
        false => value.to_owned(),
    }
}

fn unquoted(value: &str) -> String {
    match value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directive_is_set_once_and_the_rest_stays() {
        let text = "# comment\nmaxmemory 1mb\nsave 900 1\nmaxmemory 2mb\n";
        assert_eq!(get(text, "maxmemory").as_deref(), Some("2mb"));
        let set = |name: &str, value: Option<&str>| BTreeMap::from([(name.to_owned(), value.map(str::to_owned))]);
        assert_eq!(edited(text, &set("maxmemory", Some("3mb"))), "# comment\nmaxmemory 3mb\nsave 900 1\n");
        assert_eq!(edited(text, &set("maxmemory", None)), "# comment\nsave 900 1\n");
        let new = edited(text, &set("requirepass", Some("a\"b#")));
        assert_eq!(get(&new, "requirepass").as_deref(), Some("a\"b#"));
        assert_eq!(edited(text, &BTreeMap::new()), text);
    }
}
