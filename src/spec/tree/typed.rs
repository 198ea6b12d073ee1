//! Types read from a tree: an error knows the place of the node it is about.

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::{Key, Place, Tree, Value};

/// A node that is not what its type wants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TypeError {
    /// Where the innermost node begins.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
}

impl Error for TypeError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        TypeError { place: None, message: message.to_string() }
    }
}

impl Tree {
    /// The tree as a type.
    ///
    /// # Errors
    /// The first node that does not fit.
    pub fn typed<T: DeserializeOwned>(&self) -> Result<T, TypeError> {
        T::deserialize(self)
    }
}

impl<'de, 'a: 'de> Deserializer<'de> for &'a Tree {
    type Error = TypeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_i64(value),
                (_, Ok(value)) => visitor.visit_u64(value),
                _ => visitor.visit_i128(*value),
            },
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_borrowed_str(value),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(entries) => visitor.visit_map(Entries { left: entries.iter(), value: None }),
        }
        .map_err(|error| TypeError { place: error.place.or(Some(self.place)), ..error })
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, TypeError> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, TypeError> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TypeError> {
        match &self.value {
            // Every enum of the spec is a set of words.
            Value::Text(word) => {
                let word: serde::de::value::StrDeserializer<'_, TypeError> = word.as_str().into_deserializer();
                word.deserialize_enum(name, words, visitor)
            }
            _ => Err(TypeError::custom("not a word")),
        }
        .map_err(|error| TypeError { place: error.place.or(Some(self.place)), ..error })
    }
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A type may refuse a value after it was read, so the place is added where the value is asked for.
fn placed<'de, S: DeserializeSeed<'de>>(seed: S, tree: &'de Tree) -> Result<S::Value, TypeError> {
    seed.deserialize(tree).map_err(|error| TypeError { place: error.place.or(Some(tree.place)), ..error })
}

struct Items<'a>(std::slice::Iter<'a, Tree>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = TypeError;
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, TypeError> {
        self.0.next().map(|tree| placed(seed, tree)).transpose()
    }
}

struct Entries<'a> {
    left: std::slice::Iter<'a, (Key, Tree)>,
    value: Option<&'a Tree>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = TypeError;
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, TypeError> {
        let Some((key, value)) = self.left.next() else { return Ok(None) };
        self.value = Some(value);
        let text: serde::de::value::StrDeserializer<'_, TypeError> = key.text.as_str().into_deserializer();
        seed.deserialize(text).map(Some).map_err(|error| TypeError { place: Some(key.place), ..error })
    }
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, TypeError> {
        placed(seed, self.value.take().ok_or_else(|| TypeError::custom("a value without a key"))?)
    }
}
