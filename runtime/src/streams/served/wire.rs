//! Units as bytes: how long, how much of it is the head, and the bodies behind it. Pure.
//!
//! | at | what |
//! |---|---|
//! | 0 | the length of the rest (4, big-endian) |
//! | 4 | the length of the head (4) |
//! | 8 | the head: one MessagePack value (`said`) |
//! | … | the bodies of what the head names, one after the other, as long as it says |
//!
//! Bodies are not part of the head, so that a large one is neither copied nor looked through.

use bytes::{Buf, Bytes};
use connectome_codecs::limits::{FRAME_BEFORE_AUTHENTICATION_MAX, FRAME_MAX};
use connectome_codecs::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest head: a stream with 256 subjects, or 256 messages with the longest names.
pub(super) const HEAD_MAX: usize = 128 * 1024;

/// The bodies of a unit, together: one of the largest, or several smaller ones.
pub(super) const BODIES_MAX: usize = FRAME_MAX;

/// The longest unit behind its length.
pub(super) const UNIT_MAX: usize = HEAD_BYTES + HEAD_MAX + BODIES_MAX;

/// The longest unit from whoever has not said hello.
pub(super) const FIRST_UNIT_MAX: usize = FRAME_BEFORE_AUTHENTICATION_MAX;

/// What stands before everything.
pub(super) const LENGTH_BYTES: usize = 4;

/// What stands before the head.
const HEAD_BYTES: usize = 4;

/// Why bytes are no unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("a unit of {length} bytes; at most {max}")]
    TooLong { length: usize, max: usize },
    #[error("a unit of {length} bytes with a head of {head}")]
    Head { length: usize, head: usize },
    #[error("a head that says nothing known: {0}")]
    Unreadable(String),
    #[error("{there} bytes of bodies where the head names {named}")]
    Bodies { there: usize, named: usize },
}

/// A unit on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) head: Bytes,
    pub(super) bodies: Vec<Bytes>,
}

impl Unit {
    /// Encodes a head; the bodies stay what they are.
    ///
    /// # Errors
    /// When it is larger than a unit may be.
    pub(super) fn new(head: &impl Serialize, bodies: Vec<Bytes>) -> Result<Unit, Malformed> {
        let head = wire::encode(head).map_err(|error| Malformed::Unreadable(error.to_string()))?;
        let unit = Unit { head, bodies };
        let named = unit.bodies.iter().map(Bytes::len).sum::<usize>();
        match unit.head.len() > HEAD_MAX || named > BODIES_MAX {
            true => Err(Malformed::TooLong { length: unit.length(), max: UNIT_MAX }),
            false => Ok(unit),
        }
    }

    /// Without bodies.
    pub(super) fn bare(head: &impl Serialize) -> Result<Unit, Malformed> {
        Unit::new(head, Vec::new())
    }

    /// What comes behind its length.
    pub(super) fn length(&self) -> usize {
        HEAD_BYTES + self.head.len() + self.bodies.iter().map(Bytes::len).sum::<usize>()
    }

    /// What stands before the head.
    pub(super) fn prefix(&self) -> [u8; LENGTH_BYTES + HEAD_BYTES] {
        let ([a, b, c, d], [e, f, g, h]) =
            ((self.length() as u32).to_be_bytes(), (self.head.len() as u32).to_be_bytes());
        [a, b, c, d, e, f, g, h]
    }
}

/// How long the rest of a unit is.
///
/// # Errors
/// When that is more than `max`.
pub(super) fn length(prefix: [u8; LENGTH_BYTES], max: usize) -> Result<usize, Malformed> {
    let length = u32::from_be_bytes(prefix) as usize;
    if length > max { Err(Malformed::TooLong { length, max }) } else { Ok(length) }
}

/// Reads what comes behind the length: the head, and the bodies as one.
pub(super) fn read<T: DeserializeOwned>(mut rest: Bytes) -> Result<(T, Bytes), Malformed> {
    let length = rest.len();
    let head = if length < HEAD_BYTES { usize::MAX } else { rest.get_u32() as usize };
    if head > HEAD_MAX || head > rest.len() {
        return Err(Malformed::Head { length, head });
    }
    let said =
        wire::decode(&rest.split_to(head)).map_err(|error| Malformed::Unreadable(error.to_string()))?;
    Ok((said, rest))
}

/// Takes bodies from the front, as long as heads say they are.
#[derive(Debug)]
pub(super) struct Bodies(Bytes);

impl Bodies {
    pub(super) fn new(bodies: Bytes) -> Bodies {
        Bodies(bodies)
    }

    /// The next one.
    pub(super) fn take(&mut self, length: u32) -> Result<Bytes, Malformed> {
        let named = length as usize;
        match named <= self.0.len() {
            true => Ok(self.0.split_to(named)),
            false => Err(Malformed::Bodies { there: self.0.len(), named }),
        }
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed::Bodies { there: self.0.len(), named: 0 }) }
    }
}

#[cfg(test)]
mod tests;
