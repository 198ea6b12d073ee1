//! Schemas and values in words people know.

use serde_json::Value as Json;

use crate::spec::problem::nearest;
use crate::spec::tree::Value;

/// Whether the schema's type takes this kind of value.
pub(super) fn accepts(schema: &Json, value: &Value) -> bool {
    let is = |wanted: &str| match value {
        Value::Null => wanted == "null",
        Value::Bool(_) => wanted == "boolean",
        Value::Int(_) => wanted == "integer" || wanted == "number",
        Value::Float(_) => wanted == "number",
        Value::Text(_) => wanted == "string",
        Value::List(_) => wanted == "array",
        Value::Map(_) => wanted == "object",
    };
    match schema.get("type") {
        Some(Json::String(wanted)) => is(wanted),
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).any(is),
        // A set of words.
        _ if of_enum(schema).is_some() => matches!(value, Value::Text(_)),
        _ => true,
    }
}

/// Whether a number would do as text.
pub(super) fn fits_quoted(schemas: &[&Json], number: &str) -> bool {
    schemas.iter().filter(|schema| accepts(schema, &Value::Text(String::new())) && of_enum(schema).is_none()).any(|schema| {
        let pattern = schema.get("pattern").and_then(Json::as_str);
        pattern.is_none_or(|pattern| regex_lite::Regex::new(pattern).is_ok_and(|regex| regex.is_match(number)))
    })
}

/// The words of an enum.
pub(super) fn of_enum(schema: &Json) -> Option<Vec<&str>> {
    if let Some(words) = schema.get("enum").and_then(Json::as_array) {
        return words.iter().map(Json::as_str).collect();
    }
    schema
        .get("oneOf")?
        .as_array()?
        .iter()
        .map(|branch| match branch.get("const") {
            Some(word) => word.as_str().map(|word| vec![word]),
            None => of_enum(branch),
        })
        .collect::<Option<Vec<_>>>()
        .map(|words| words.concat())
}

/// What the schemas take.
pub(super) fn wanted_words(schemas: &[&Json]) -> String {
    let mut all: Vec<String> = Vec::new();
    let mut add = |word: String| {
        if !all.contains(&word) {
            all.push(word);
        }
    };
    for schema in schemas {
        if let Some(words) = of_enum(schema) {
            words.iter().for_each(|word| add(format!("`{word}`")));
            continue;
        }
        let secret = schema.pointer("/properties/secret").is_some();
        let kinds: Vec<&str> = match schema.get("type") {
            Some(Json::String(kind)) => vec![kind],
            Some(Json::Array(kinds)) => kinds.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        };
        for kind in kinds {
            match kind {
                "boolean" => add("`true` or `false`".into()),
                "integer" => add("a whole number".into()),
                "number" => add("a number".into()),
                "string" => add("text".into()),
                "array" => add("a list".into()),
                "object" if secret => add("{secret: …}".into()),
                "object" => add("a mapping (keys and values)".into()),
                // Leaving it out is said by leaving it out.
                _ => {}
            }
        }
    }
    match all.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "left out".into(),
    }
}

/// What a value is.
pub(super) fn found_words(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a boolean",
        Value::Int(_) => "a whole number",
        Value::Float(_) => "a number with a fraction",
        Value::Text(_) => "text",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

/// What a word that other YAML readers take for a boolean means.
pub(super) fn boolean_word(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" | "true" => Some(true),
        "no" | "off" | "n" | "false" => Some(false),
        _ => None,
    }
}

/// `a`, `b` or `c`.
pub(super) fn a_list(words: &[&str], and: &str) -> String {
    match words.split_last() {
        Some((last, [])) => format!("`{last}`"),
        Some((last, rest)) => {
            let rest: Vec<String> = rest.iter().map(|word| format!("`{word}`")).collect();
            format!("{} {and} `{last}`", rest.join(", "))
        }
        None => "nothing".into(),
    }
}

/// A text in quotes, unless it may be a secret.
pub(super) fn quoted(text: &str, secret: bool) -> String {
    match secret {
        true => "the value".into(),
        false if text.chars().count() > 80 => format!("{:?}…", text.chars().take(80).collect::<String>()),
        false => format!("{text:?}"),
    }
}

/// A word that is none of an enum's.
pub(super) fn bad_word(name: &str, text: &str, words: &[&str], secret: bool) -> (String, String) {
    let message = format!("{name}: {} is not one of its words", quoted(text, secret));
    let hint = match nearest(text, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write {}", a_list(words, "or")),
    };
    (message, hint)
}
