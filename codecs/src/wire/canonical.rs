//! MessagePack in its one form, for the envelope's header and for whatever is signed.
//!
//! [`Writer`] writes the shortest form of each token; [`Reader`] refuses any other. So two headers are equal when
//! their bytes are, and bytes that were read are written again as they were.

use std::convert::Infallible;

use rmp::Marker;
use rmp::encode::{self, ByteBuf, ValueWriteError};

use super::error::DecodeError;

/// Appends tokens to a buffer.
pub(crate) struct Writer(ByteBuf);

impl Writer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(ByteBuf::with_capacity(capacity))
    }

    pub(crate) fn uint(&mut self, number: u64) {
        written(encode::write_uint(&mut self.0, number));
    }

    pub(crate) fn text(&mut self, text: &str) {
        written(encode::write_str(&mut self.0, text));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        written(encode::write_bin(&mut self.0, bytes));
    }

    pub(crate) fn array(&mut self, items: usize) {
        written(encode::write_array_len(&mut self.0, items as u32));
    }

    pub(crate) fn map(&mut self, entries: usize) {
        written(encode::write_map_len(&mut self.0, entries as u32));
    }

    pub(crate) fn nil(&mut self) {
        written(encode::write_nil(&mut self.0).map_err(ValueWriteError::InvalidMarkerWrite));
    }

    /// Appends bytes that are tokens already.
    pub(crate) fn raw(&mut self, tokens: &[u8]) {
        self.0.as_mut_vec().extend_from_slice(tokens);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_slice().len()
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0.into_vec()
    }
}

fn written<T>(result: Result<T, ValueWriteError<Infallible>>) {
    result.map(drop).expect("a growing buffer takes every byte");
}

/// Takes tokens from bytes; every method names the field it reads for, so that the error does.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn rest(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Moves on to a position that was found by other means.
    pub(crate) fn jump(&mut self, at: usize) {
        self.at = at;
    }

    pub(crate) fn peek(&self, field: &'static str) -> Result<Marker, DecodeError> {
        let byte = self.bytes.get(self.at).ok_or_else(|| self.cut(field))?;
        Ok(Marker::from_u8(*byte))
    }

    pub(crate) fn uint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        match self.marker(field)? {
            Marker::FixPos(number) => Ok(number.into()),
            Marker::U8 => self.number(field, 1, 0x80),
            Marker::U16 => self.number(field, 2, 0x100),
            Marker::U32 => self.number(field, 4, 0x1_0000),
            Marker::U64 => self.number(field, 8, 0x1_0000_0000),
            other => Err(unexpected(field, "an unsigned integer", other)),
        }
    }

    pub(crate) fn text(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let length = match self.marker(field)? {
            Marker::FixStr(length) => length.into(),
            Marker::Str8 => self.number(field, 1, 32)?,
            Marker::Str16 => self.number(field, 2, 0x100)?,
            Marker::Str32 => self.number(field, 4, 0x1_0000)?,
            other => return Err(unexpected(field, "text", other)),
        };
        std::str::from_utf8(self.take(field, length)?)
            .map_err(|e| DecodeError::field(field, format!("not UTF-8 ({e}); send text as UTF-8")))
    }

    pub(crate) fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let length = match self.marker(field)? {
            Marker::Bin8 => self.number(field, 1, 0)?,
            Marker::Bin16 => self.number(field, 2, 0x100)?,
            Marker::Bin32 => self.number(field, 4, 0x1_0000)?,
            other => return Err(unexpected(field, "bytes", other)),
        };
        self.take(field, length)
    }

    pub(crate) fn array(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        match self.marker(field)? {
            Marker::FixArray(items) => Ok(items.into()),
            Marker::Array16 => self.number(field, 2, 16),
            Marker::Array32 => self.number(field, 4, 0x1_0000),
            other => Err(unexpected(field, "an array", other)),
        }
    }

    pub(crate) fn map(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        match self.marker(field)? {
            Marker::FixMap(entries) => Ok(entries.into()),
            Marker::Map16 => self.number(field, 2, 16),
            Marker::Map32 => self.number(field, 4, 0x1_0000),
            other => Err(unexpected(field, "a map", other)),
        }
    }

    /// Takes a nil, if there is one.
    pub(crate) fn nil(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        let is_nil = self.peek(field)? == Marker::Null;
        self.at += usize::from(is_nil);
        Ok(is_nil)
    }

    /// Exactly `N` bytes.
    pub(crate) fn exactly<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let bytes = self.bytes(field)?;
        let wrong = || DecodeError::field(field, format!("{} bytes; send {N}", bytes.len()));
        bytes.try_into().map_err(|_| wrong())
    }

    /// The items of an array of which there are at most `max`.
    pub(crate) fn items(&mut self, field: &'static str, max: usize) -> Result<usize, DecodeError> {
        let items = self.array(field)?;
        let wrong = || DecodeError::field(field, format!("{items} items; send at most {max}"));
        usize::try_from(items).ok().filter(|items| *items <= max).ok_or_else(wrong)
    }

    /// An array of exactly so many items.
    pub(crate) fn list(&mut self, field: &'static str, length: usize) -> Result<(), DecodeError> {
        match self.array(field)? {
            items if items == length as u64 => Ok(()),
            items => Err(DecodeError::field(field, format!("{items} items; send {length}"))),
        }
    }

    /// Opens a list of fields: the first `known` must be there, and those of later versions are left for
    /// [`close`](Self::close).
    pub(crate) fn open(&mut self, field: &'static str, known: usize) -> Result<usize, DecodeError> {
        let items = self.items(field, crate::limits::HEADER_FIELDS_MAX)?;
        let wrong = || DecodeError::field(field, format!("{items} fields; send at least {known}"));
        items.checked_sub(known).ok_or_else(wrong)
    }

    /// Skips the fields of later versions, after which nothing may follow.
    pub(crate) fn close(&mut self, later: usize) -> Result<(), DecodeError> {
        for _ in 0..later {
            self.at = super::skip_value(self.bytes, self.at)?;
        }
        self.end()
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        match self.rest() {
            0 => Ok(()),
            extra => Err(DecodeError::Trailing { at: self.at, extra }),
        }
    }

    fn marker(&mut self, field: &'static str) -> Result<Marker, DecodeError> {
        let marker = self.peek(field)?;
        self.at += 1;
        Ok(marker)
    }

    /// A number of `length` bytes, at least `least`: a smaller one has a shorter form.
    fn number(&mut self, field: &'static str, length: u64, least: u64) -> Result<u64, DecodeError> {
        let digits = self.take(field, length)?;
        let number = digits.iter().fold(0, |number, &digit| (number << 8) | u64::from(digit));
        if number < least {
            return Err(DecodeError::field(
                field,
                format!("{number} in a longer form than it needs; send the shortest"),
            ));
        }
        Ok(number)
    }

    fn take(&mut self, field: &'static str, length: u64) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(length).map_err(|_| self.cut(field))?;
        let taken = self.bytes[self.at..].get(..length).ok_or_else(|| self.cut(field))?;
        self.at += length;
        Ok(taken)
    }

    fn cut(&self, field: &'static str) -> DecodeError {
        DecodeError::field(
            field,
            format!("the bytes end inside it, {} bytes before its end; send all of it", self.rest()),
        )
    }
}

#[cold]
fn unexpected(field: &'static str, expected: &str, found: Marker) -> DecodeError {
    DecodeError::field(field, format!("expected {expected}, found {found:?}"))
}
