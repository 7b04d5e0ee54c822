//! Arrays, maps and variants, as serde walks through them. Each adds its step to the path of an error that passes.

use serde::de::{self, DeserializeSeed, Error as _, Unexpected, Visitor};

use super::{Decoder, Problem, Token};

/// The items of an array.
pub(super) struct Items<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    count: u32,
    next: u32,
}

impl<'a, 'de> Items<'a, 'de> {
    pub(super) fn new(decoder: &'a mut Decoder<'de>, count: u32) -> Self {
        Self { decoder, count, next: 0 }
    }

    pub(super) fn visit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Problem> {
        let value = visitor.visit_seq(&mut self)?;
        match self.count - self.next {
            0 => Ok(value),
            _ => Err(Problem::custom(format_args!("{} items, {} were expected", self.count, self.next))),
        }
    }
}

impl<'de> de::SeqAccess<'de> for Items<'_, 'de> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        if self.next == self.count {
            return Ok(None);
        }
        let index = self.next;
        self.next += 1;
        seed.deserialize(&mut *self.decoder).map(Some).map_err(|e| e.in_item(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some((self.count - self.next) as usize)
    }
}

/// The entries of a map.
pub(super) struct Entries<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: u32,
    /// The key whose value comes next.
    key: Token<'de>,
}

impl<'a, 'de> Entries<'a, 'de> {
    pub(super) fn new(decoder: &'a mut Decoder<'de>, left: u32) -> Self {
        Self { decoder, left, key: Token::Nil }
    }

    pub(super) fn visit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Problem> {
        let value = visitor.visit_map(&mut self)?;
        match self.left {
            0 => Ok(value),
            left => Err(Problem::custom(format_args!("{left} entries more than were expected"))),
        }
    }
}

impl<'de> de::MapAccess<'de> for Entries<'_, 'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.key = self.decoder.peek()?;
        seed.deserialize(&mut *self.decoder).map(Some).map_err(|e| e.in_field(self.key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        seed.deserialize(&mut *self.decoder).map_err(|e| e.in_field(self.key))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left as usize)
    }
}

/// A variant with content, after the head of its map.
pub(super) struct OneEntry<'a, 'de>(pub(super) &'a mut Decoder<'de>);

impl<'a, 'de> de::EnumAccess<'de> for OneEntry<'a, 'de> {
    type Error = Problem;
    type Variant = Content<'a, 'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), Problem> {
        let name = self.0.peek()?;
        let variant = seed.deserialize(&mut *self.0)?;
        Ok((variant, Content { decoder: self.0, name }))
    }
}

/// The content of a variant.
pub(super) struct Content<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    name: Token<'de>,
}

impl<'de> de::VariantAccess<'de> for Content<'_, 'de> {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        de::Deserialize::deserialize(self.decoder).map_err(|e: Problem| e.in_field(self.name))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Problem> {
        seed.deserialize(self.decoder).map_err(|e| e.in_field(self.name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Problem> {
        de::Deserializer::deserialize_tuple(self.decoder, length, visitor).map_err(|e| e.in_field(self.name))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        de::Deserializer::deserialize_any(self.decoder, visitor).map_err(|e| e.in_field(self.name))
    }
}

/// A variant that is only its name.
pub(super) struct UnitVariant<'a, 'de>(pub(super) &'a mut Decoder<'de>);

impl<'de> de::EnumAccess<'de> for UnitVariant<'_, 'de> {
    type Error = Problem;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Problem> {
        Ok((seed.deserialize(&mut *self.0)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for UnitVariant<'_, 'de> {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _seed: T) -> Result<T::Value, Problem> {
        Err(without_content())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, _visitor: V) -> Result<V::Value, Problem> {
        Err(without_content())
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Problem> {
        Err(without_content())
    }
}

fn without_content() -> Problem {
    Problem::invalid_type(Unexpected::UnitVariant, &"a variant with content: a map from its name to it")
}
