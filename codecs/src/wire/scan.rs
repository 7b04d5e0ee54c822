//! One look at MessagePack bytes before anything is made of them: linear, without recursion, without trust.
//!
//! It does not build a value. It answers whether there is exactly one, how large it is, and whether any map has a key
//! twice (`keys`).

mod keys;

use super::error::DecodeError;
use super::token::Token;
use crate::limits::{DEPTH_MAX, VALUES_MAX};
use keys::Keys;

/// What a scan found, and what it cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    /// Scalars, arrays and maps, all counted alike.
    pub values: usize,
    /// The deepest nesting; a scalar alone has 0.
    pub depth: usize,
    /// Keys that were compared byte by byte: beside one step for each value, the only work.
    pub comparisons: usize,
}

/// Checks that `bytes` are one MessagePack value within the bounds, and nothing else.
///
/// # Errors
/// Names the first byte that is wrong.
pub fn scan(bytes: &[u8]) -> Result<Shape, DecodeError> {
    super::check_length("value", bytes.len())?;
    let mut scanner = Scanner::new(bytes, 0);
    let end = scanner.value()?;
    match bytes.len() - end {
        0 => Ok(scanner.shape),
        extra => Err(DecodeError::Trailing { at: end, extra }),
    }
}

/// The position after the one value that begins at `start`, checked like a whole one.
pub(crate) fn skip_value(bytes: &[u8], start: usize) -> Result<usize, DecodeError> {
    Scanner::new(bytes, start).value()
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Values promised by open arrays and maps and not seen yet. Each takes a byte, so they never exceed what is left.
    owed: u64,
    open: Vec<Container>,
    shape: Shape,
}

struct Container {
    map: bool,
    /// Values still to come; in a map, keys count too.
    left: u64,
    /// What the keys are, in a map that could have one twice.
    keys: Option<Keys>,
}

impl Container {
    fn awaits_key(&self) -> bool {
        self.map && self.left.is_multiple_of(2)
    }
}

impl<'a> Scanner<'a> {
    fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, owed: 1, open: Vec::new(), shape: Shape::default() }
    }

    fn value(&mut self) -> Result<usize, DecodeError> {
        while self.owed > 0 {
            self.step()?;
            self.close_finished()?;
        }
        Ok(self.at)
    }

    fn step(&mut self) -> Result<(), DecodeError> {
        let start = self.at;
        self.shape.values += 1;
        if self.shape.values > VALUES_MAX {
            return Err(DecodeError::TooManyValues { at: start, max: VALUES_MAX });
        }
        self.owed -= 1;
        let (token, next) = Token::read(self.bytes, start)?;
        self.at = next;
        match token {
            Token::Array(items) => self.open(start, false, items.into()),
            Token::Map(entries) => self.open(start, true, u64::from(entries) * 2),
            scalar => self.settle(start, scalar),
        }
    }

    /// Counts a scalar in the container that it belongs to.
    fn settle(&mut self, start: usize, scalar: Token<'a>) -> Result<(), DecodeError> {
        if let Some(parent) = self.open.last_mut() {
            if parent.awaits_key()
                && let Some(keys) = &mut parent.keys
            {
                keys.add(start, scalar);
            }
            parent.left -= 1;
        }
        self.check_owed(start)
    }

    /// Opens a container once its promise is believable. The sum of all promises is bounded by the bytes left, so the
    /// room for keys is too.
    fn open(&mut self, start: usize, map: bool, left: u64) -> Result<(), DecodeError> {
        if let Some(parent) = self.open.last_mut() {
            if parent.awaits_key() {
                return Err(DecodeError::KeyNotScalar { at: start });
            }
            parent.left -= 1;
        }
        self.owed = self.owed.saturating_add(left);
        self.check_owed(start)?;
        if self.open.len() == DEPTH_MAX {
            return Err(DecodeError::TooDeep { at: start, max: DEPTH_MAX });
        }
        let keys = (map && left > 2).then(|| Keys::with_capacity((left / 2) as usize));
        self.open.push(Container { map, left, keys });
        self.shape.depth = self.shape.depth.max(self.open.len());
        Ok(())
    }

    fn close_finished(&mut self) -> Result<(), DecodeError> {
        while let Some(container) = self.open.pop_if(|container| container.left == 0) {
            if let Some(keys) = container.keys {
                keys.refuse_duplicates(self.bytes, &mut self.shape.comparisons)?;
            }
        }
        Ok(())
    }

    /// Makes sure that what is owed still fits into what is left.
    fn check_owed(&self, start: usize) -> Result<(), DecodeError> {
        let left = self.bytes.len() - self.at;
        if self.owed > left as u64 {
            return Err(DecodeError::Truncated { at: start, needed: self.owed, left });
        }
        Ok(())
    }
}
