//! YAML as a tree in which every node knows its line and column.
//!
//! Here text becomes nodes and nodes become types. What a spec may contain is [`super::schema`]'s.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::Spanned;
use serde_yaml::options::DuplicateKeyPolicy;

mod path;
mod typed;

pub use path::{join, parent};
pub use typed::TypeError;

use path::{Step, steps};

/// A place in the text: line and column, both from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// A node.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
    /// It is text in quotes, so `"no"` is meant as text.
    pub quoted: bool,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names are YAML's own")]
pub enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(Key, Tree)>),
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub text: String,
    /// Where it begins.
    pub place: Place,
}

/// A text that is not YAML, or more YAML than a spec can need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// The text asks for more work than a spec can need.
    pub bomb: bool,
}

/// What a node found by its path is, and where.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The node.
    pub tree: &'a Tree,
    /// The key that leads to it, unless it is the root or an item of a list.
    pub key: Option<&'a Key>,
    /// The whole path was found, not only the beginning of it.
    pub exact: bool,
}

impl Tree {
    /// Reads YAML.
    ///
    /// # Errors
    /// The first error of syntax.
    pub fn parse(text: &str) -> Result<Tree, SyntaxError> {
        let options = serde_yaml::options! {
            strict_booleans: true,
            // A file mode is text, and so is a telephone number.
            leading_zero_numbers_as_strings: true,
            with_snippet: false,
            // Found again by the schema, which reports them together with the other errors.
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            // Far above any real spec (a few thousand nodes), far below what hurts.
            budget: serde_yaml::budget! {
                max_nodes: 20_000,
                max_events: 200_000,
                max_depth: 64,
                max_aliases: 1_000,
                max_total_scalar_bytes: 4 << 20,
                max_documents: 2,
            },
            alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: 20_000 },
        };
        match serde_yaml::from_str_with_options::<Tree>(text, options) {
            Ok(mut tree) => {
                let lines: Vec<&str> = text.lines().collect();
                tree.note_quotes(&lines);
                Ok(tree)
            }
            Err(error) => Err(syntax_error(&error)),
        }
    }

    fn note_quotes(&mut self, lines: &[&str]) {
        match &mut self.value {
            Value::Text(_) => {
                let first = lines.get(self.place.line.wrapping_sub(1)).and_then(|l| l.chars().nth(self.place.column.wrapping_sub(1)));
                self.quoted = matches!(first, Some('"' | '\'' | '|' | '>' | '!' | '&'));
            }
            Value::List(items) => items.iter_mut().for_each(|item| item.note_quotes(lines)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, item)| item.note_quotes(lines)),
            _ => {}
        }
    }

    /// The value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<(&Key, &Tree)> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(k, v)| (k, v)),
            _ => None,
        }
    }

    /// The node at a path such as `hosts.erp1.port` or `files[2].path`, or the nearest above it.
    pub fn at(&self, path: &str) -> Found<'_> {
        let mut found = Found { tree: self, key: None, exact: true };
        for step in steps(path) {
            let next = match (&found.tree.value, step) {
                (Value::List(items), Step::Item(number)) => items.get(number).map(|tree| (None, tree)),
                (Value::Map(_), Step::Key(key)) => found.tree.get(&key).map(|(key, tree)| (Some(key), tree)),
                _ => None,
            };
            match next {
                Some((key, tree)) => found = Found { tree, key, exact: true },
                None => return Found { exact: false, ..found },
            }
        }
        found
    }

    /// The path of the first node at a place.
    pub fn path_of(&self, place: Place) -> Option<String> {
        if self.place == place && !matches!(self.value, Value::Map(_)) {
            return Some(String::new());
        }
        let below = match &self.value {
            Value::List(items) => items.iter().enumerate().find_map(|(n, item)| item.path_of(place).map(|path| (format!("[{n}]"), path))),
            Value::Map(entries) => entries.iter().find_map(|(key, item)| item.path_of(place).map(|path| (join("", &key.text), path))),
            _ => None,
        };
        match below {
            Some((step, path)) if path.is_empty() || path.starts_with('[') => Some(step + &path),
            Some((step, path)) => Some(format!("{step}.{path}")),
            None => (self.place == place).then(String::new),
        }
    }

    /// Takes away the node at a path. Says whether it was there.
    pub fn remove(&mut self, path: &str) -> bool {
        let mut steps = steps(path);
        let Some(last) = steps.pop() else { return false };
        let mut node = self;
        for step in steps {
            let next = match (&mut node.value, step) {
                (Value::List(items), Step::Item(number)) => items.get_mut(number),
                (Value::Map(entries), Step::Key(key)) => entries.iter_mut().find(|(k, _)| k.text == key).map(|(_, v)| v),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => return false,
            }
        }
        match (&mut node.value, last) {
            (Value::List(items), Step::Item(number)) if number < items.len() => {
                items.remove(number);
                true
            }
            (Value::Map(entries), Step::Key(key)) => {
                let before = entries.len();
                entries.retain(|(k, _)| k.text != key);
                entries.len() < before
            }
            _ => false,
        }
    }
}

fn place(location: serde_yaml::Location) -> Place {
    Place { line: location.line() as usize, column: location.column() as usize }
}

fn syntax_error(error: &serde_yaml::Error) -> SyntaxError {
    let error = error.without_snippet();
    let mut message = error.render_with_options(serde_yaml::RenderOptions::new(&serde_yaml::UserMessageFormatter));
    // The place is printed before the message already.
    if let Some(at) = message.find(" at line ") {
        message.truncate(at);
    }
    let bomb = matches!(
        error,
        serde_yaml::Error::Budget { .. }
            | serde_yaml::Error::AliasReplayLimitExceeded { .. }
            | serde_yaml::Error::AliasReplayStackDepthExceeded { .. }
            | serde_yaml::Error::AliasReplayCounterOverflow { .. }
            | serde_yaml::Error::AliasExpansionLimitExceeded { .. }
    ) || message.contains("too large or too complex");
    SyntaxError { place: error.location().map(place).unwrap_or_default(), message, bomb }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Tree { place: place(referenced), value, quoted: false })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Nodes)
    }
}

struct Nodes;

impl<'de> Visitor<'de> for Nodes {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            map.push((Key { place: place(key.referenced), text: key.value }, entries.next_value()?));
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a: 1\nb:\n  c: [x, 'y', no]\n  \"d.e\": {f: true}\n";

    #[test]
    fn every_node_knows_its_place() {
        let tree = Tree::parse(TEXT).unwrap();
        for (path, line, column) in [("a", 1, 4), ("b.c", 3, 6), ("b.c[1]", 3, 10), ("b.\"d.e\".f", 4, 14)] {
            let found = tree.at(path);
            assert!(found.exact, "{path}");
            assert_eq!(found.tree.place, Place { line, column }, "{path}");
        }
        assert_eq!(tree.at("b.c").key.map(|k| k.place), Some(Place { line: 3, column: 3 }));
        assert!(tree.at("b.c[1]").tree.quoted && !tree.at("b.c[2]").tree.quoted);
        let above = tree.at("b.x.y");
        assert!(!above.exact && above.key.is_some_and(|k| k.text == "b"));
    }

    #[test]
    fn a_node_is_removed() {
        let mut tree = Tree::parse(TEXT).unwrap();
        assert!(tree.remove("b.c[0]") && tree.remove("a") && !tree.remove("z"));
        assert!(!tree.at("a").exact);
        assert_eq!(tree.at("b.c[0]").tree.value, Value::Text("y".into()));
    }
}
