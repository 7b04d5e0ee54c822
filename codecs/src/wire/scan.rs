//! One look at MessagePack bytes before anything is made of them: linear, without recursion, without trust.
//!
//! It does not build a value. It answers whether there is exactly one, how large it is, and whether any map has a key
//! twice. Text and byte keys are compared by content and integers by value, whatever length their form has, because
//! that is how serde will see them.

use rmp::Marker;

use super::error::DecodeError;
use crate::limits::{DEPTH_MAX, VALUES_MAX};

/// What a scan found, and what it cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    /// Scalars, arrays and maps, all counted alike.
    pub values: usize,
    /// The deepest nesting; a scalar alone has 0.
    pub depth: usize,
    /// Comparisons of keys, the only work that is not one step for each value.
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
    /// Where the keys begin, for the maps that could have one twice.
    keys: Vec<u32>,
}

impl Container {
    fn awaits_key(&self) -> bool {
        self.map && self.left.is_multiple_of(2)
    }
}

/// What the first bytes of a value say about the rest.
enum Head {
    /// A scalar whose remaining bytes have this length.
    Scalar(u64),
    Array(u64),
    Map(u64),
}

impl<'a> Scanner<'a> {
    fn new(bytes: &'a [u8], at: usize) -> Self {
        Self {
            bytes,
            at,
            owed: 1,
            open: Vec::new(),
            shape: Shape::default(),
        }
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
        let head = self.head()?;
        self.count(start, &head)?;
        match head {
            Head::Scalar(length) => self.advance(start, length),
            Head::Array(items) => self.open(start, false, items),
            Head::Map(entries) => self.open(start, true, entries * 2),
        }
    }

    fn count(&mut self, start: usize, head: &Head) -> Result<(), DecodeError> {
        self.owed -= 1;
        self.shape.values += 1;
        if self.shape.values > VALUES_MAX {
            return Err(DecodeError::TooManyValues {
                at: start,
                max: VALUES_MAX,
            });
        }
        let Some(parent) = self.open.last_mut() else {
            return Ok(());
        };
        if parent.awaits_key() {
            if !matches!(head, Head::Scalar(_)) {
                return Err(DecodeError::KeyNotScalar { at: start });
            }
            if parent.left > 2 || !parent.keys.is_empty() {
                parent.keys.push(start as u32);
            }
        }
        parent.left -= 1;
        Ok(())
    }

    /// Opens a container once its promise is believable. The sum of all promises is bounded by the bytes left, so the
    /// room for keys is too.
    fn open(&mut self, start: usize, map: bool, left: u64) -> Result<(), DecodeError> {
        self.owed = self.owed.saturating_add(left);
        if self.owed > self.left() as u64 {
            return Err(DecodeError::Truncated {
                at: start,
                needed: self.owed,
                left: self.left(),
            });
        }
        if left == 0 {
            return Ok(());
        }
        if self.open.len() == DEPTH_MAX {
            return Err(DecodeError::TooDeep {
                at: start,
                max: DEPTH_MAX,
            });
        }
        let keys = if map && left > 2 {
            Vec::with_capacity((left / 2) as usize)
        } else {
            Vec::new()
        };
        self.open.push(Container { map, left, keys });
        self.shape.depth = self.shape.depth.max(self.open.len());
        Ok(())
    }

    fn close_finished(&mut self) -> Result<(), DecodeError> {
        while let Some(container) = self.open.pop_if(|container| container.left == 0) {
            refuse_duplicates(self.bytes, container.keys, &mut self.shape.comparisons)?;
        }
        Ok(())
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Passes `length` bytes and makes sure that what is owed still fits behind them.
    fn advance(&mut self, start: usize, length: u64) -> Result<(), DecodeError> {
        let needed = length.saturating_add(self.owed);
        if needed > self.left() as u64 {
            return Err(DecodeError::Truncated {
                at: start,
                needed,
                left: self.left(),
            });
        }
        self.at += length as usize;
        Ok(())
    }

    fn head(&mut self) -> Result<Head, DecodeError> {
        let start = self.at;
        let marker = Marker::from_u8(self.number(start, 1)? as u8);
        Ok(match marker {
            Marker::Null | Marker::True | Marker::False | Marker::FixPos(_) | Marker::FixNeg(_) => {
                Head::Scalar(0)
            }
            Marker::U8 | Marker::I8 => Head::Scalar(1),
            Marker::U16 | Marker::I16 => Head::Scalar(2),
            Marker::U32 | Marker::I32 | Marker::F32 => Head::Scalar(4),
            Marker::U64 | Marker::I64 | Marker::F64 => Head::Scalar(8),
            Marker::FixStr(length) => Head::Scalar(length.into()),
            Marker::Str8 | Marker::Bin8 => Head::Scalar(self.number(start, 1)?),
            Marker::Str16 | Marker::Bin16 => Head::Scalar(self.number(start, 2)?),
            Marker::Str32 | Marker::Bin32 => Head::Scalar(self.number(start, 4)?),
            Marker::FixExt1 => Head::Scalar(2),
            Marker::FixExt2 => Head::Scalar(3),
            Marker::FixExt4 => Head::Scalar(5),
            Marker::FixExt8 => Head::Scalar(9),
            Marker::FixExt16 => Head::Scalar(17),
            Marker::Ext8 => Head::Scalar(self.number(start, 1)? + 1),
            Marker::Ext16 => Head::Scalar(self.number(start, 2)? + 1),
            Marker::Ext32 => Head::Scalar(self.number(start, 4)? + 1),
            Marker::FixArray(items) => Head::Array(items.into()),
            Marker::Array16 => Head::Array(self.number(start, 2)?),
            Marker::Array32 => Head::Array(self.number(start, 4)?),
            Marker::FixMap(entries) => Head::Map(entries.into()),
            Marker::Map16 => Head::Map(self.number(start, 2)?),
            Marker::Map32 => Head::Map(self.number(start, 4)?),
            Marker::Reserved => return Err(DecodeError::Reserved { at: start }),
        })
    }

    /// A big-endian number of `length` bytes.
    fn number(&mut self, start: usize, length: usize) -> Result<u64, DecodeError> {
        let Some(digits) = self.bytes[self.at..].get(..length) else {
            return Err(DecodeError::Truncated {
                at: start,
                needed: length as u64,
                left: self.left(),
            });
        };
        self.at += length;
        Ok(big_endian(digits))
    }
}

fn refuse_duplicates(bytes: &[u8], mut keys: Vec<u32>, comparisons: &mut usize) -> Result<(), DecodeError> {
    let rising = keys.is_sorted_by(|&a, &b| {
        *comparisons += 1;
        Key::read(bytes, a) < Key::read(bytes, b)
    });
    if rising {
        return Ok(());
    }
    keys.sort_unstable_by(|&a, &b| {
        *comparisons += 1;
        Key::read(bytes, a).cmp(&Key::read(bytes, b))
    });
    *comparisons += keys.len();
    match keys
        .windows(2)
        .find(|pair| Key::read(bytes, pair[0]) == Key::read(bytes, pair[1]))
    {
        Some(pair) => Err(DecodeError::DuplicateKey {
            at: pair[0].max(pair[1]) as usize,
        }),
        None => Ok(()),
    }
}

/// A key as serde will see it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Integer(i128),
    Text(&'a [u8]),
    Other(&'a [u8]),
}

impl<'a> Key<'a> {
    /// Reads the scalar at `start`, which the scan has already passed.
    fn read(bytes: &'a [u8], start: u32) -> Self {
        let rest = &bytes[start as usize..];
        let number = |length: usize| big_endian(&rest[1..=length]);
        let text = |skip: usize, length: u64| Self::Text(&rest[skip..skip + length as usize]);
        match Marker::from_u8(rest[0]) {
            Marker::FixPos(n) => Self::Integer(n.into()),
            Marker::FixNeg(n) => Self::Integer(n.into()),
            Marker::U8 => Self::Integer(number(1).into()),
            Marker::U16 => Self::Integer(number(2).into()),
            Marker::U32 => Self::Integer(number(4).into()),
            Marker::U64 => Self::Integer(number(8).into()),
            Marker::I8 => Self::Integer((number(1) as i8).into()),
            Marker::I16 => Self::Integer((number(2) as i16).into()),
            Marker::I32 => Self::Integer((number(4) as i32).into()),
            Marker::I64 => Self::Integer((number(8) as i64).into()),
            Marker::FixStr(length) => text(1, length.into()),
            Marker::Str8 | Marker::Bin8 => text(2, number(1)),
            Marker::Str16 | Marker::Bin16 => text(3, number(2)),
            Marker::Str32 | Marker::Bin32 => text(5, number(4)),
            _ => {
                Self::Other(&rest[..skip_value(bytes, start as usize).map_or(1, |end| end - start as usize)])
            }
        }
    }
}

fn big_endian(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |number, &digit| (number << 8) | u64::from(digit))
}
