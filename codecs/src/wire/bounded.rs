//! Lists with a bound, for `#[serde(deserialize_with)]`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// Reads at most `MAX` items, and believes in a length only as far as items have come.
pub(crate) fn vec<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(Bounded::<T, MAX>(PhantomData))
}

struct Bounded<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Bounded<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let promised = items.size_hint().unwrap_or(0);
        if promised > MAX {
            return Err(A::Error::invalid_length(promised, &self));
        }
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            if list.len() == MAX {
                return Err(A::Error::invalid_length(MAX + 1, &self));
            }
            grow(&mut list, promised);
            list.push(item);
        }
        Ok(list)
    }
}

/// Doubles, but never beyond what was promised.
fn grow<T>(list: &mut Vec<T>, promised: usize) {
    if list.len() == list.capacity() {
        let room = promised.saturating_sub(list.len()).min(list.len().max(1));
        list.reserve_exact(room);
    }
}
