//! Typed values from bytes that `scan` has already found to be one whole value.
//!
//! Two things are unlike a general MessagePack reader, and are why there is one here. An error knows the way to the
//! field, which is put together only when there is an error. And an error is short, whatever it is about: a message of
//! one megabyte in the wrong place is not quoted.

mod access;
mod problem;

use std::str;

use serde::Deserialize;
use serde::de::value::SeqDeserializer;
use serde::de::{self, Error as _, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::error::DecodeError;
use super::token::Token;
use access::{Entries, Items, OneEntry, UnitVariant};
use problem::Problem;

/// Reads the value that fills `bytes`.
pub(super) fn value<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, DecodeError> {
    T::deserialize(&mut Decoder { bytes, at: 0 }).map_err(DecodeError::from)
}

struct Decoder<'de> {
    bytes: &'de [u8],
    at: usize,
}

impl<'de> Decoder<'de> {
    fn next(&mut self) -> Result<Token<'de>, Problem> {
        let (token, next) = Token::read(self.bytes, self.at)?;
        self.at = next;
        Ok(token)
    }

    fn peek(&self) -> Result<Token<'de>, Problem> {
        Ok(Token::read(self.bytes, self.at)?.0)
    }

    fn skip(&mut self) -> Result<(), Problem> {
        self.at = super::skip_value(self.bytes, self.at)?;
        Ok(())
    }

    fn visit<V: Visitor<'de>>(&mut self, token: Token<'de>, visitor: V) -> Result<V::Value, Problem> {
        match token {
            Token::Nil => visitor.visit_unit(),
            Token::Truth(truth) => visitor.visit_bool(truth),
            Token::Natural(number) => visitor.visit_u64(number),
            Token::Negative(number) => visitor.visit_i64(number),
            Token::Single(real) => visitor.visit_f32(real),
            Token::Double(real) => visitor.visit_f64(real),
            Token::Text(text) => visitor.visit_borrowed_str(utf8(text)?),
            Token::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Token::Extension(..) => {
                Err(Problem::invalid_type(Unexpected::Other("a MessagePack extension"), &visitor))
            }
            Token::Array(items) => Items::new(self, items).visit(visitor),
            Token::Map(entries) => Entries::new(self, entries).visit(visitor),
        }
    }
}

fn utf8(text: &[u8]) -> Result<&str, Problem> {
    str::from_utf8(text).map_err(|e| Problem::custom(format_args!("not UTF-8 ({e}); send text as UTF-8")))
}

impl<'de> de::Deserializer<'de> for &mut Decoder<'de> {
    type Error = Problem;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let token = self.next()?;
        self.visit(token, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.peek()? {
            Token::Nil => {
                self.next()?;
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    /// A list of bytes travels as bytes.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.next()? {
            Token::Bytes(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied())),
            token => self.visit(token, visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match self.next()? {
            Token::Array(0) => visitor.visit_unit(),
            token => self.visit(token, visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    /// A variant without content is its name; one with content is a map from its name to the content.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match self.peek()? {
            Token::Map(1) => {
                self.next()?;
                visitor.visit_enum(OneEntry(self))
            }
            Token::Map(_) => Err(Problem::invalid_type(Unexpected::Map, &"a map of one entry: the variant")),
            _ => visitor.visit_enum(UnitVariant(self)),
        }
    }

    /// Numbers of 128 bits travel as 16 bytes.
    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.next()? {
            Token::Bytes(bytes) => visitor.visit_i128(i128::from_be_bytes(sixteen(bytes)?)),
            token => self.visit(token, visitor),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.next()? {
            Token::Bytes(bytes) => visitor.visit_u128(u128::from_be_bytes(sixteen(bytes)?)),
            token => self.visit(token, visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit tuple_struct map struct identifier
    }
}

fn sixteen(bytes: &[u8]) -> Result<[u8; 16], Problem> {
    bytes.try_into().map_err(|_| Problem::invalid_length(bytes.len(), &"16 bytes"))
}
