//! What a command found, said once: printed for people by `plain.rs`, and as JSON by the `Serialize` here.

use connectome::Bytes;
use connectome::codecs::UnixMillis;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

use crate::time;

/// Something to show.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Doc {
    /// There is none.
    Nothing,
    /// Yes or no.
    Truth(bool),
    /// How many, or which.
    Number(u64),
    /// Words.
    Text(String),
    /// A moment.
    Moment(UnixMillis),
    /// Bytes that mean nothing to us.
    Octets(Bytes),
    /// What somebody else has structured.
    Tree(Value),
    /// Named parts, in an order.
    Record(Vec<(&'static str, Doc)>),
    /// Rows of the same parts.
    Table(Table),
    /// A sentence for people, which for scripts is a record.
    Said(String, Vec<(&'static str, Doc)>),
}

/// Rows of the same parts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    /// The names of the parts; those after `shown` are only for scripts.
    pub(crate) columns: &'static [&'static str],
    /// How many columns people see.
    pub(crate) shown: usize,
    /// One part for each column.
    pub(crate) rows: Vec<Vec<Doc>>,
    /// What people read where there is no row.
    pub(crate) empty: &'static str,
}

impl Doc {
    pub(crate) fn text(value: impl ToString) -> Doc {
        Doc::Text(value.to_string())
    }

    pub(crate) fn maybe(value: Option<impl ToString>) -> Doc {
        value.map_or(Doc::Nothing, Doc::text)
    }

    pub(crate) fn moment(value: Option<UnixMillis>) -> Doc {
        value.map_or(Doc::Nothing, Doc::Moment)
    }

    /// Words in a row, as a list.
    pub(crate) fn list(words: impl IntoIterator<Item = impl ToString>) -> Doc {
        Doc::Tree(words.into_iter().map(|word| Value::from(word.to_string())).collect())
    }

    /// The JSON form of one of our own types.
    pub(crate) fn tree(value: &impl Serialize) -> Doc {
        // Only a map with odd keys has no JSON form, and none of our types has one.
        serde_json::to_value(value).map_or(Doc::Nothing, Doc::Tree)
    }
}

impl Serialize for Doc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Doc::Nothing => serializer.serialize_none(),
            Doc::Truth(truth) => serializer.serialize_bool(*truth),
            Doc::Number(number) => serializer.serialize_u64(*number),
            Doc::Text(text) => serializer.serialize_str(text),
            Doc::Moment(moment) => serializer.serialize_str(&time::show(*moment)),
            Doc::Octets(bytes) => record(
                serializer,
                &[("hex", Doc::Text(hex(bytes))), ("bytes", Doc::Number(bytes.len() as u64))],
            ),
            Doc::Tree(value) => value.serialize(serializer),
            Doc::Record(parts) | Doc::Said(_, parts) => record(serializer, parts),
            Doc::Table(table) => {
                let mut rows = serializer.serialize_seq(Some(table.rows.len()))?;
                for row in &table.rows {
                    rows.serialize_element(&Row { columns: table.columns, row })?;
                }
                rows.end()
            }
        }
    }
}

struct Row<'a> {
    columns: &'a [&'static str],
    row: &'a [Doc],
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.row.len()))?;
        for (column, part) in self.columns.iter().zip(self.row) {
            map.serialize_entry(column, part)?;
        }
        map.end()
    }
}

fn record<S: Serializer>(serializer: S, parts: &[(&'static str, Doc)]) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(parts.len()))?;
    for (name, part) in parts {
        map.serialize_entry(name, part)?;
    }
    map.end()
}

/// Two lower-case digits for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).expect("a nibble is a digit");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
