//! A typed body is refused, or settles on one form; and the check costs no more than its bytes.
#![no_main]

use std::collections::BTreeMap;

use connectome_codecs::wire;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// Everything serde knows that a wire type may have. Floats are left out, because NaN equals nothing.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Everything {
    truth: bool,
    signed: i64,
    wide: u128,
    letter: char,
    text: String,
    bytes: Vec<u8>,
    list: Vec<Option<i32>>,
    map: BTreeMap<String, (u8, i8)>,
    numbered: BTreeMap<i64, String>,
    variant: Variant,
    nested: Option<Box<Everything>>,
}

#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
enum Variant {
    #[default]
    Unit,
    Newtype(String),
    Tuple(u8, i16),
    Struct {
        x: u32,
    },
}

fuzz_target!(|data: &[u8]| {
    let shape = wire::scan(data);
    if let Ok(shape) = shape {
        assert!(shape.values <= data.len() && shape.comparisons <= data.len());
    }
    assert_eq!(wire::decode::<IgnoredAny>(data).is_ok(), shape.is_ok());
    if let Ok(value) = wire::decode::<Everything>(data) {
        let bytes = wire::encode(&value).expect("what was decoded can be encoded");
        assert_eq!(wire::decode::<Everything>(&bytes).expect("what was encoded decodes"), value);
    }
});
