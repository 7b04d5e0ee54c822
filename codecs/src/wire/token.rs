//! One MessagePack token: a scalar with its content, or the head of an array or a map.
//!
//! Lengths are checked against the bytes, nothing else is; `scan` looks at how tokens fit together, `decode` at what
//! they mean.

use rmp::Marker;

use super::error::DecodeError;

/// A scalar, or the head of a container. A number says nothing about the length of its form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'a> {
    Nil,
    Truth(bool),
    Natural(u64),
    Negative(i64),
    Single(f32),
    Double(f64),
    /// Meant to be UTF-8, and not checked.
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Extension(i8, &'a [u8]),
    /// So many items follow.
    Array(u32),
    /// So many keys, each with its value, follow.
    Map(u32),
}

impl<'a> Token<'a> {
    /// Reads the token at `at`, and says where the next one begins.
    #[inline]
    pub(super) fn read(bytes: &'a [u8], at: usize) -> Result<(Self, usize), DecodeError> {
        if let Some(&number @ 0..0x80) = bytes.get(at) {
            return Ok((Self::Natural(number.into()), at + 1));
        }
        let mut cursor = Cursor { bytes, start: at, at };
        let token = cursor.token()?;
        Ok((token, cursor.at))
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    start: usize,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn token(&mut self) -> Result<Token<'a>, DecodeError> {
        Ok(match Marker::from_u8(self.array::<1>()?[0]) {
            Marker::Null => Token::Nil,
            Marker::True => Token::Truth(true),
            Marker::False => Token::Truth(false),
            Marker::FixPos(number) => Token::Natural(number.into()),
            Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => Token::Natural(self.unsigned()?),
            Marker::FixNeg(number) => Token::Negative(number.into()),
            Marker::I8 => integer(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => integer(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => integer(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => integer(i64::from_be_bytes(self.array()?)),
            Marker::F32 => Token::Single(f32::from_be_bytes(self.array()?)),
            Marker::F64 => Token::Double(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(length) => Token::Text(self.take(length.into())?),
            Marker::Str8 | Marker::Str16 | Marker::Str32 => Token::Text(self.counted()?),
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => Token::Bytes(self.counted()?),
            Marker::FixExt1 => self.extension(1)?,
            Marker::FixExt2 => self.extension(2)?,
            Marker::FixExt4 => self.extension(4)?,
            Marker::FixExt8 => self.extension(8)?,
            Marker::FixExt16 => self.extension(16)?,
            Marker::Ext8 | Marker::Ext16 | Marker::Ext32 => {
                let length = self.length()?;
                self.extension(length.into())?
            }
            Marker::FixArray(items) => Token::Array(items.into()),
            Marker::Array16 | Marker::Array32 => Token::Array(self.length()?),
            Marker::FixMap(entries) => Token::Map(entries.into()),
            Marker::Map16 | Marker::Map32 => Token::Map(self.length()?),
            Marker::Reserved => return Err(DecodeError::Reserved { at: self.start }),
        })
    }

    fn unsigned(&mut self) -> Result<u64, DecodeError> {
        Ok(match self.bytes[self.start] {
            0xcc => u8::from_be_bytes(self.array()?).into(),
            0xcd => u16::from_be_bytes(self.array()?).into(),
            0xce => u32::from_be_bytes(self.array()?).into(),
            _ => u64::from_be_bytes(self.array()?),
        })
    }

    /// The number of bytes, items or entries, in as many bytes as the marker says.
    fn length(&mut self) -> Result<u32, DecodeError> {
        Ok(match Marker::from_u8(self.bytes[self.start]) {
            Marker::Str8 | Marker::Bin8 | Marker::Ext8 => u8::from_be_bytes(self.array()?).into(),
            Marker::Str32 | Marker::Bin32 | Marker::Ext32 | Marker::Array32 | Marker::Map32 => {
                u32::from_be_bytes(self.array()?)
            }
            _ => u16::from_be_bytes(self.array()?).into(),
        })
    }

    fn counted(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.length()?;
        self.take(length.into())
    }

    fn extension(&mut self, length: u64) -> Result<Token<'a>, DecodeError> {
        let [kind] = self.array()?;
        Ok(Token::Extension(kind as i8, self.take(length)?))
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.bytes[self.at..].first_chunk() {
            Some(chunk) => {
                self.at += N;
                Ok(*chunk)
            }
            None => Err(self.truncated(N as u64)),
        }
    }

    #[inline]
    fn take(&mut self, length: u64) -> Result<&'a [u8], DecodeError> {
        if length > (self.bytes.len() - self.at) as u64 {
            return Err(self.truncated(length));
        }
        let start = self.at;
        self.at += length as usize;
        Ok(&self.bytes[start..self.at])
    }

    #[cold]
    fn truncated(&self, needed: u64) -> DecodeError {
        DecodeError::Truncated { at: self.start, needed, left: self.bytes.len() - self.at }
    }
}

/// A signed form may hold a natural number.
fn integer(number: i64) -> Token<'static> {
    u64::try_from(number).map_or(Token::Negative(number), Token::Natural)
}
