//! Fields to bytes, one after the other.

use std::time::Duration;

/// Collects fields.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// The beginning of a key.
    pub(super) fn key(kind: u8, place: u32) -> Self {
        Self(Vec::with_capacity(24)).byte(kind).raw(&place.to_be_bytes())
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn byte(self, byte: u8) -> Self {
        self.raw(&[byte])
    }

    /// A number in a key: bytes that sort like it.
    pub(super) fn ordered(self, number: u64) -> Self {
        self.raw(&number.to_be_bytes())
    }

    /// A number in a value.
    pub(super) fn number(self, number: u64) -> Self {
        self.raw(&number.to_le_bytes())
    }

    /// A duration, in seconds and nanoseconds: none is rounded.
    pub(super) fn duration(self, duration: Duration) -> Self {
        self.number(duration.as_secs()).number(u64::from(duration.subsec_nanos()))
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.number(text.len() as u64).raw(text.as_bytes())
    }

    pub(super) fn option<T>(self, value: Option<T>, write: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            Some(value) => write(self.byte(1), value),
            None => self.byte(0),
        }
    }

    pub(super) fn list<T>(self, items: &[T], write: impl FnMut(Self, &T) -> Self) -> Self {
        items.iter().fold(self.number(items.len() as u64), write)
    }
}
