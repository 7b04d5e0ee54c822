//! Typed values as MessagePack: structs as maps with named fields, enums by the name of their variant.
//!
//! [`decode`] looks at the bytes before serde does, in one pass without recursion ([`Shape`]): a length that lies, a
//! nesting deeper than [`DEPTH_MAX`], more than [`VALUES_MAX`] values, a key that comes twice or a byte after the end
//! is refused before anything is allocated for the value. [`encode`] refuses to make what `decode` would not take.
//!
//! # What this holds for, and what it leaves to the type
//!
//! The check takes time linear in the bytes (and `n log n` in the keys of a map, whoever chose them): under a
//! millisecond for the largest value. It takes at most four bytes of memory for each byte, and keeps none. What the
//! *value* takes is up to its type, because a small value on the wire can be a large one in memory: an empty string is
//! one byte there and 24 here, so a `Vec<String>` of empty strings grows 24 times, up to 24 x `VALUES_MAX` = 768 KiB.
//! Texts, [`Bytes`] and byte vectors stay at their size. The lists in the types of this crate are bounded
//! by count, and grow as items come, not as they are promised.
//!
//! A type for the wire must not use serde's `untagged`, `flatten` or internally tagged forms (they buffer everything:
//! 500 times the memory), must not rely on `Some(None)`, and its maps have scalar keys.
//!
//! The check is in `wire/scan`, the reading in `wire/decode`; `wire/canonical` is for the envelope's header.

mod bounded;
mod canonical;
mod decode;
mod error;
mod scan;
mod token;

use bytes::Bytes;
use rmp_serde::config::BytesMode;
use serde::de::{Deserialize, DeserializeOwned};
use serde::ser::Serialize;

pub use error::{DecodeError, EncodeError};
pub use scan::{Shape, scan};

pub(crate) use bounded::vec as bounded_vec;
pub(crate) use canonical::{Reader, Writer};
pub(crate) use scan::skip_value;

use crate::limits::FRAME_MAX;
#[cfg(doc)]
use crate::limits::{DEPTH_MAX, VALUES_MAX};

/// Writes a value as MessagePack.
///
/// ```
/// #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
/// struct Greet { name: String }
///
/// let greet = Greet { name: "Ada".into() };
/// let bytes = connectome_codecs::wire::encode(&greet)?;
/// assert_eq!(&bytes[..], b"\x81\xa4name\xa3Ada");
/// assert_eq!(connectome_codecs::wire::decode::<Greet>(&bytes)?, greet);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the value has no MessagePack form, or one that [`decode`] would refuse.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, EncodeError> {
    let mut bytes = Vec::new();
    let serializer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
    value
        .serialize(&mut serializer.with_bytes(BytesMode::ForceIterables))
        .map_err(|e| EncodeError::Value { problem: e.to_string() })?;
    scan(&bytes).map_err(|refusal| EncodeError::Refused { refusal })?;
    Ok(bytes.into())
}

/// Reads a value from MessagePack that anyone may have written.
///
/// # Errors
/// When the bytes are not one whole MessagePack value within the bounds, or not a `T`; then the error names the field.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    decode_borrowed(bytes)
}

/// Like [`decode`], for types that keep slices of the bytes.
pub(crate) fn decode_borrowed<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, DecodeError> {
    scan(bytes)?;
    decode::value(bytes)
}

/// Refuses a frame that is longer than any may be.
pub(crate) fn check_length(what: &'static str, length: usize) -> Result<(), DecodeError> {
    if length > FRAME_MAX { Err(DecodeError::TooLong { what, length, max: FRAME_MAX }) } else { Ok(()) }
}
