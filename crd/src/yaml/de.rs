//! Reads serde types out of a tree; an error knows its node, so that it can be passed over.
//!
//! serde stops at the first error. To find all, the caller notes the error, puts its node into
//! [`Skip`] and reads again: the node is then as if it had not been written.

use std::collections::HashSet;
use std::fmt::Display;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Error as _, Expected, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::{Entry, Mark, Node, Typed, Value};

/// Ids of the nodes that are passed over.
pub(crate) type Skip = HashSet<usize>;

/// Why a node could not be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Why {
    /// A key that the type does not have, and those that it has.
    UnknownField { name: String, known: &'static [&'static str] },
    /// A word that is not among those known.
    UnknownWord { known: &'static [&'static str] },
    /// A node of the wrong type; what was wanted.
    WrongType { wanted: String },
    /// `why; what to do`, from the type itself.
    Other(String),
}

/// A node that could not be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub(crate) why: Why,
    /// Node, its place, and how a problem quotes it; set by the innermost node that saw the fault.
    pub(crate) node: Option<(usize, Mark, String)>,
    /// Steps to the node, the innermost first.
    steps: Vec<String>,
}

impl Fault {
    fn new(why: Why) -> Fault {
        Fault { why, node: None, steps: Vec::new() }
    }

    fn at(mut self, node: &Node) -> Fault {
        if self.node.is_none() {
            self.node = Some((node.id, node.mark, node.quote()));
        }
        self
    }

    fn within(mut self, step: String) -> Fault {
        self.steps.push(step);
        self
    }

    /// The field path, such as `spec.source.files.include[0]`.
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            if !path.is_empty() && !step.starts_with('[') {
                path.push('.');
            }
            path.push_str(step);
        }
        path
    }
}

impl std::error::Error for Fault {}

impl Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:?}", self.path(), self.why)
    }
}

impl de::Error for Fault {
    fn custom<T: Display>(message: T) -> Fault {
        Fault::new(Why::Other(message.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, wanted: &dyn Expected) -> Fault {
        Fault::new(Why::WrongType { wanted: wanted.to_string() })
    }

    fn invalid_value(_: Unexpected<'_>, wanted: &dyn Expected) -> Fault {
        Fault::new(Why::WrongType { wanted: wanted.to_string() })
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Fault {
        Fault::new(Why::UnknownWord { known })
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Fault {
        Fault::new(Why::UnknownField { name: name.to_owned(), known })
    }
}

/// Reads a `T` out of `node`, passing over the nodes of `skip`.
pub(crate) fn deserialize<'de, T: Deserialize<'de>>(
    node: &'de Node,
    skip: &'de Skip,
) -> Result<T, Box<Fault>> {
    T::deserialize(Reader { node, skip }).map_err(Box::new)
}

#[derive(Clone, Copy)]
struct Reader<'de> {
    node: &'de Node,
    skip: &'de Skip,
}

impl<'de> Reader<'de> {
    fn visit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Scalar(scalar) => match scalar.typed() {
                Typed::Null => visitor.visit_unit(),
                Typed::Bool(value) => visitor.visit_bool(value),
                Typed::Unsigned(value) => visitor.visit_u64(value),
                Typed::Signed(value) => visitor.visit_i64(value),
                Typed::Float(value) => visitor.visit_f64(value),
                Typed::Text(value) => visitor.visit_borrowed_str(value),
            },
            Value::List(items) => {
                visitor.visit_seq(Items { items: items.iter(), index: 0, skip: self.skip })
            }
            Value::Map(entries) => visitor.visit_map(Entries {
                entries: entries.iter(),
                current: None,
                skip: self.skip,
            }),
        }
    }
}

impl<'de> de::Deserializer<'de> for Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit(visitor).map_err(|fault| fault.at(self.node))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let result = match self.node.text() {
            Some(text) => visitor.visit_enum(StrDeserializer::<Fault>::new(text)),
            None => Err(Fault::invalid_type(Unexpected::Other("node"), &"text")),
        };
        result.map_err(|fault| fault.at(self.node))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        // serde would read a list as the fields in their order.
        if matches!(self.node.value, Value::Map(_)) {
            return self.deserialize_any(visitor);
        }
        let wanted = format!("struct {name}");
        Err(Fault::new(Why::WrongType { wanted }).at(self.node))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'de> {
    items: std::slice::Iter<'de, Node>,
    index: usize,
    skip: &'de Skip,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        for node in self.items.by_ref() {
            let index = self.index;
            self.index += 1;
            if self.skip.contains(&node.id) {
                continue;
            }
            return seed
                .deserialize(Reader { node, skip: self.skip })
                .map(Some)
                .map_err(|fault| fault.within(format!("[{index}]")));
        }
        Ok(None)
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, Entry>,
    current: Option<&'de Entry>,
    skip: &'de Skip,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let skip = self.skip;
        self.current = self.entries.find(|entry| !skip.contains(&entry.node.id));
        let Some(entry) = self.current else { return Ok(None) };
        seed.deserialize(StrDeserializer::<Fault>::new(&entry.key)).map(Some).map_err(
            |mut fault| {
                fault.node = Some((entry.node.id, entry.key_mark, String::new()));
                fault
            },
        )
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let Some(entry) = self.current else {
            return Err(Fault::custom("a value without a key; write `key: value`"));
        };
        seed.deserialize(Reader { node: &entry.node, skip: self.skip })
            .map_err(|fault| fault.within(entry.key.clone()))
    }
}
