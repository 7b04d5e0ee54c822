//! MessagePack of any shape as JSON, for people and scripts to read. It is not for reading back.

use std::fmt;

use connectome::codecs::wire;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::doc::hex;

/// Reads one MessagePack value; bytes become `{"hex": …}`, keys become texts. Bounded as every body is.
///
/// # Errors
/// What is wrong with the bytes, and where.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, connectome::codecs::DecodeError> {
    wire::decode::<Tree>(bytes).map(|tree| tree.0)
}

struct Tree(Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Tree)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a MessagePack value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(truth.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        // JSON has no word for what is no number.
        Ok(Number::from_f64(number).map_or_else(|| Value::from(number.to_string()), Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Map::from_iter([("hex".to_owned(), Value::from(hex(bytes)))]).into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Tree(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((Tree(key), Tree(value))) = entries.next_entry()? {
            map.insert(key_of(&key), value);
        }
        Ok(map.into())
    }
}

/// JSON has texts for keys and nothing else.
fn key_of(key: &Value) -> String {
    match key {
        Value::String(text) => text.clone(),
        Value::Object(bytes) => bytes.get("hex").and_then(Value::as_str).unwrap_or_default().to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => key.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_shape_has_a_json_form() {
        let bytes = b"\x86\xa1a\xc0\xa1b\x93\x01\xff\xc3\x07\xc4\x02\x00\xff\xc4\x01\x10\xa1x\xa1d\xca\x7f\xc0\x00\x00\xa1e\xcb\x3f\xf8\0\0\0\0\0\0";
        let read = read(bytes).unwrap();
        assert_eq!(
            read,
            json!({"a": null, "b": [1, -1, true], "7": {"hex": "00ff"}, "10": "x", "d": "NaN", "e": 1.5})
        );
    }

    #[test]
    fn rubbish_is_refused_with_its_place() {
        assert!(read(b"\xc1").unwrap_err().to_string().contains("byte 0"));
        assert!(read(b"").is_err());
        assert!(read(b"\xd4\x01\x02").unwrap_err().to_string().contains("extension"));
    }
}
