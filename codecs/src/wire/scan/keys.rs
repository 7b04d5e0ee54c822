//! Whether a map has a key twice, found in `n log n` steps whoever chose the keys.
//!
//! Keys are compared as serde will see them: text and bytes by content, integers by value, whatever length their form
//! has. Each key becomes one number: 44 bits of its hash, then the 20 bits of its position. Sorted, equal keys stand
//! side by side, and only keys of equal hash are compared byte by byte. A sender who searches for keys of equal hash
//! gets a few together, not enough to cost anything.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::limits::FRAME_MAX;
use crate::wire::error::DecodeError;
use crate::wire::token::Token;

/// The keys of one map.
pub(super) struct Keys(Vec<u64>);

/// The low bits of each number are the key's position, which is below [`FRAME_MAX`].
const POSITION_BITS: u32 = 20;
const POSITION: u64 = (1 << POSITION_BITS) - 1;
const _: () = assert!(FRAME_MAX <= 1 << POSITION_BITS, "every position in a frame fits");

impl Keys {
    pub(super) fn with_capacity(keys: usize) -> Self {
        Self(Vec::with_capacity(keys))
    }

    pub(super) fn add(&mut self, start: usize, key: Token<'_>) {
        let mut hasher = DefaultHasher::new();
        Key::from(key).hash(&mut hasher);
        self.0.push(hasher.finish() & !POSITION | start as u64);
    }

    pub(super) fn refuse_duplicates(
        mut self,
        bytes: &[u8],
        comparisons: &mut usize,
    ) -> Result<(), DecodeError> {
        self.0.sort_unstable();
        for same_hash in self.0.chunk_by(|a, b| a & !POSITION == b & !POSITION) {
            refuse_pair(bytes, same_hash, comparisons)?;
        }
        Ok(())
    }
}

/// Compares all pairs: more than two keys of equal hash hardly ever meet.
fn refuse_pair(bytes: &[u8], same_hash: &[u64], comparisons: &mut usize) -> Result<(), DecodeError> {
    for (later, second) in same_hash.iter().enumerate() {
        for first in &same_hash[..later] {
            *comparisons += 1;
            if key_at(bytes, *first) == key_at(bytes, *second) {
                return Err(DecodeError::DuplicateKey { at: (second & POSITION) as usize });
            }
        }
    }
    Ok(())
}

fn key_at(bytes: &[u8], number: u64) -> Option<Key<'_>> {
    let (token, _) = Token::read(bytes, (number & POSITION) as usize).ok()?;
    Some(Key::from(token))
}

/// A key as serde will see it.
#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    Natural(u64),
    Negative(i64),
    Text(&'a [u8]),
    Extension(i8, &'a [u8]),
    Nil,
    Truth(bool),
    Real(u64),
}

impl<'a> From<Token<'a>> for Key<'a> {
    fn from(token: Token<'a>) -> Self {
        match token {
            Token::Natural(number) => Self::Natural(number),
            Token::Negative(number) => Self::Negative(number),
            Token::Text(text) | Token::Bytes(text) => Self::Text(text),
            Token::Extension(kind, content) => Self::Extension(kind, content),
            Token::Truth(truth) => Self::Truth(truth),
            Token::Single(real) => Self::Real(f64::from(real).to_bits()),
            Token::Double(real) => Self::Real(real.to_bits()),
            Token::Nil | Token::Array(_) | Token::Map(_) => Self::Nil,
        }
    }
}
