//! Header fields from later versions: not understood, not lost.

use bytes::Bytes;

use crate::wire::{Reader, skip_value};

/// The header fields that this version does not know, as they came and in their order.
///
/// An envelope that is passed on carries them unchanged; nothing else can be done with them, and nothing can make new ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnknownFields {
    fields: usize,
    /// Key, value, key, value: all of them checked, keys rising.
    raw: Bytes,
}

impl UnknownFields {
    pub(super) fn new(fields: usize, raw: Bytes) -> Self {
        Self { fields, raw }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.fields
    }

    /// Whether this version knew every field.
    pub fn is_empty(&self) -> bool {
        self.fields == 0
    }

    /// Their bytes in the header.
    pub fn as_bytes(&self) -> &[u8] {
        &self.raw
    }

    /// Each key with the MessagePack bytes of its value.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut reader = Reader::new(&self.raw);
        std::iter::from_fn(move || {
            let key = reader.uint("unknown").ok()?;
            let start = reader.at();
            let end = skip_value(&self.raw, start).ok()?;
            reader.jump(end);
            Some((key, &self.raw[start..end]))
        })
    }
}
