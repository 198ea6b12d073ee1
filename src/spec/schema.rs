//! The JSON Schema of the spec, derived from its types, and the check of a tree against it.
//!
//! Only what a schema can say is checked here; meaning is [`super::check`]'s.

use std::collections::HashMap;
use std::sync::OnceLock;

use regex_lite::Regex;
use schemars::JsonSchema;
use serde_json::{Map, Value as Json};

use super::problem::{Problem, is_secret_key, nearest};
use super::tree::{Key, Place, Tree, Value, join};
use crate::name::HostName;

mod words;

use words::{a_list, accepts, bad_word, boolean_word, found_words, quoted, wanted_words};

/// The schema, as `otr schema` prints it.
pub fn schema() -> Json {
    let mut schema = schemars::schema_for!(super::Spec).to_value();
    let mut generator = schemars::SchemaGenerator::default();
    if let Some(hosts) = schema.pointer_mut("/properties/hosts").and_then(Json::as_object_mut) {
        hosts.insert("propertyNames".into(), HostName::json_schema(&mut generator).to_value());
    }
    schema
}

/// All that a schema finds wrong in a tree.
pub fn validate(tree: &Tree, schema: &Json) -> Vec<Problem> {
    let mut check = Check { root: schema, patterns: HashMap::new(), problems: Vec::new() };
    check.node(tree, schema, &At { path: String::new(), key: None, secret: false });
    check.problems
}

/// Where in the tree the check is.
struct At<'a> {
    path: String,
    key: Option<&'a Key>,
    /// Below a key whose value must not be repeated.
    secret: bool,
}

impl At<'_> {
    fn place(&self, tree: &Tree) -> Place {
        self.key.map_or(tree.place, |key| key.place)
    }
    fn name(&self) -> String {
        match self.path.is_empty() {
            true => "the spec".into(),
            false => format!("`{}`", self.path),
        }
    }
}

struct Check<'a> {
    root: &'a Json,
    patterns: HashMap<&'a str, Option<Regex>>,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    fn resolve(&self, mut schema: &'a Json) -> &'a Json {
        while let Some(target) = schema.get("$ref").and_then(Json::as_str).and_then(|r| r.strip_prefix('#')) {
            match self.root.pointer(target) {
                Some(next) => schema = next,
                None => break,
            }
        }
        schema
    }

    fn report(&mut self, place: Place, at: &At<'_>, message: String, hint: Option<String>) {
        self.problems.push(Problem { hint, ..Problem::at(place, at.path.clone(), message) });
    }

    fn node(&mut self, tree: &Tree, schema: &'a Json, at: &At<'_>) {
        let schema = self.resolve(schema);
        if let Some(branches) = schema.get("anyOf").and_then(Json::as_array) {
            return self.any_of(tree, branches, at);
        }
        if let Some(words) = words::of_enum(schema) {
            return self.word(tree, &words, at);
        }
        if !accepts(schema, &tree.value) {
            return self.wrong_type(tree, &[schema], at);
        }
        match &tree.value {
            Value::Map(entries) => self.map(tree, entries, schema, at),
            Value::List(items) => {
                for (number, item) in items.iter().enumerate() {
                    if let Some(each) = schema.get("items") {
                        self.node(item, each, &At { path: format!("{}[{number}]", at.path), key: None, secret: at.secret });
                    }
                }
            }
            Value::Text(text) => self.text(tree, text, schema, at),
            Value::Int(number) => self.range(tree, *number, schema, at),
            _ => {}
        }
    }

    fn any_of(&mut self, tree: &Tree, branches: &'a [Json], at: &At<'_>) {
        let branches: Vec<&Json> = branches.iter().map(|branch| self.resolve(branch)).collect();
        let boolean = branches.iter().any(|branch| branch.get("type").and_then(Json::as_str) == Some("boolean"));
        if let (true, false, Value::Text(text)) = (boolean, tree.quoted, &tree.value)
            && let Some(meant) = boolean_word(text)
        {
            let message = format!("{} is the text {text:?} here, not a boolean", at.name());
            return self.report(tree.place, at, message, Some(format!("write `{meant}`, or {text:?} in quotes if the text is meant")));
        }
        match branches.iter().find(|branch| accepts(branch, &tree.value)) {
            Some(branch) => self.node(tree, branch, at),
            None => self.wrong_type(tree, &branches, at),
        }
    }

    fn wrong_type(&mut self, tree: &Tree, wanted: &[&Json], at: &At<'_>) {
        let message = format!("{} must be {}, not {}", at.name(), wanted_words(wanted), found_words(&tree.value));
        let takes = |kind: &Value| wanted.iter().any(|schema| accepts(schema, kind));
        let rule = wanted.iter().find_map(|schema| schema.get("x-rule")).and_then(Json::as_str);
        let hint = match &tree.value {
            Value::Text(text) if takes(&Value::Bool(true)) && boolean_word(text).is_some() => {
                boolean_word(text).map(|meant| format!("write `{meant}`: YAML's other words for it are read as text"))
            }
            Value::Text(_) if takes(&Value::Int(0)) && tree.quoted => Some("write it without quotes".into()),
            Value::Text(_) if takes(&Value::List(Vec::new())) => Some("write it in brackets: [a, b]".into()),
            Value::Int(number) if words::fits_quoted(wanted, &number.to_string()) => Some("write it in quotes".into()),
            _ => rule.map(|rule| format!("write {rule}")),
        };
        self.report(tree.place, at, message, hint);
    }

    fn word(&mut self, tree: &Tree, words: &[&str], at: &At<'_>) {
        match &tree.value {
            Value::Text(text) if words.contains(&text.as_str()) => {}
            Value::Text(text) => {
                let (message, hint) = bad_word(&at.name(), text, words, at.secret);
                self.report(tree.place, at, message, Some(hint));
            }
            other => {
                let message = format!("{} must be {}, not {}", at.name(), a_list(words, "or"), found_words(other));
                self.report(tree.place, at, message, None);
            }
        }
    }

    fn map(&mut self, tree: &Tree, entries: &[(Key, Tree)], schema: &'a Json, at: &At<'_>) {
        static NONE: OnceLock<Map<String, Json>> = OnceLock::new();
        let properties = schema.get("properties").and_then(Json::as_object).unwrap_or_else(|| NONE.get_or_init(Map::new));
        let mut seen: HashMap<&str, Place> = HashMap::new();
        for (key, value) in entries {
            let inner = At { path: join(&at.path, &key.text), key: Some(key), secret: at.secret || is_secret_key(&key.text) };
            match seen.get(key.text.as_str()) {
                Some(first) => {
                    let name = if at.secret { format!("a key of {}", at.name()) } else { inner.name() };
                    let hint = format!("keep one; the first is on line {}", first.line);
                    self.report(key.place, &inner, format!("{name} is written twice"), Some(hint));
                }
                None => drop(seen.insert(&key.text, key.place)),
            }
            match self.schema_of(schema, properties, &key.text) {
                Some(schema) => self.node(value, schema, &inner),
                None => self.unknown(key, schema, properties, at, &inner),
            }
        }
        for missing in schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
            if !entries.iter().any(|(key, _)| key.text == missing) {
                let hint = properties.get(missing).and_then(|p| p.get("description")).and_then(Json::as_str);
                let message = format!("`{missing}` is missing in {}", at.name());
                self.report(at.place(tree), at, message, hint.map(|text| format!("{missing}: {}", text.replace('\n', " "))));
            }
        }
    }

    fn schema_of(&mut self, schema: &'a Json, properties: &'a Map<String, Json>, key: &str) -> Option<&'a Json> {
        if let Some(known) = properties.get(key) {
            return Some(known);
        }
        for (pattern, inner) in schema.get("patternProperties").and_then(Json::as_object).into_iter().flatten() {
            if self.fits(pattern, key) {
                return Some(inner);
            }
        }
        schema.get("additionalProperties").filter(|more| more.is_object())
    }

    fn unknown(&mut self, key: &Key, schema: &Json, properties: &Map<String, Json>, at: &At<'_>, inner: &At<'_>) {
        if let Some(rule) = schema.pointer("/propertyNames/x-rule").and_then(Json::as_str) {
            return self.report(key.place, inner, format!("{} is not {rule}", quoted(&key.text, at.secret)), None);
        }
        let known = properties.keys().map(String::as_str);
        let hint = match nearest(&key.text, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("{} knows {}", at.name(), a_list(&known.collect::<Vec<_>>(), "and")),
        };
        let name = if at.secret { "this".to_owned() } else { format!("`{}`", key.text) };
        self.report(key.place, inner, format!("{name} is no key of {}", at.name()), Some(hint));
    }

    fn text(&mut self, tree: &Tree, text: &str, schema: &'a Json, at: &At<'_>) {
        if schema.get("minLength").and_then(Json::as_u64).is_some_and(|least| (text.chars().count() as u64) < least) {
            return self.report(tree.place, at, format!("{} is empty", at.name()), None);
        }
        let Some(pattern) = schema.get("pattern").and_then(Json::as_str) else { return };
        if !self.fits(pattern, text) {
            let rule = schema.get("x-rule").and_then(Json::as_str).unwrap_or("what is wanted here");
            self.report(tree.place, at, format!("{}: {} is not {rule}", at.name(), quoted(text, at.secret)), None);
        }
    }

    fn fits(&mut self, pattern: &'a str, text: &str) -> bool {
        let regex = self.patterns.entry(pattern).or_insert_with(|| Regex::new(pattern).ok());
        regex.as_ref().is_none_or(|regex| regex.is_match(text))
    }

    fn range(&mut self, tree: &Tree, number: i128, schema: &Json, at: &At<'_>) {
        let limit = |name| schema.get(name).and_then(Json::as_f64).map(|limit| limit as i128);
        let (least, most) = (limit("minimum"), limit("maximum"));
        if least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most) {
            return;
        }
        let range = match (least, most) {
            (Some(least), Some(most)) if least == most => format!("{least}"),
            (Some(least), Some(most)) => format!("between {least} and {most}"),
            (Some(least), None) => format!("at least {least}"),
            (_, most) => format!("at most {}", most.unwrap_or_default()),
        };
        self.report(
            tree.place,
            at,
            format!("{} must be {range}, not {}", at.name(), if at.secret { "this".into() } else { number.to_string() }),
            None,
        );
    }
}
