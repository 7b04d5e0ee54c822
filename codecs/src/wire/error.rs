//! What can be wrong with bytes (their sender must act) and with a value (its author must act).

use crate::message::Invalid;

/// Why bytes were refused. Whoever made the bytes must act; the receiver drops them and counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// More bytes than any such thing may have.
    #[error("{what}: {length} bytes, at most {max} are allowed")]
    TooLong {
        /// What was being read.
        what: &'static str,
        /// Its bytes.
        length: usize,
        /// The bound.
        max: usize,
    },
    /// The bytes end before what they promise: cut off, or a length that lies.
    #[error(
        "byte {at}: {needed} more bytes are promised, {left} are left; send the whole value with its true lengths"
    )]
    Truncated {
        /// Where the promise was made.
        at: usize,
        /// The fewest bytes that would keep it.
        needed: u64,
        /// The bytes that there are.
        left: usize,
    },
    /// Bytes after the end of the value.
    #[error("byte {at}: {extra} bytes after the end of the value; send one value and nothing else")]
    Trailing {
        /// Where the value ended.
        at: usize,
        /// The bytes after it.
        extra: usize,
    },
    /// Arrays or maps nested too deeply.
    #[error("byte {at}: nested deeper than {max}; flatten the value")]
    TooDeep {
        /// Where the level too many begins.
        at: usize,
        /// The bound.
        max: usize,
    },
    /// More values than a body may have.
    #[error("byte {at}: more than {max} values; send bulk data as bytes, or in parts")]
    TooManyValues {
        /// Where the value too many begins.
        at: usize,
        /// The bound.
        max: usize,
    },
    /// The same key twice in one map.
    #[error("byte {at}: a key that the same map already has; send each key once")]
    DuplicateKey {
        /// Where the second one begins.
        at: usize,
    },
    /// A map key that is an array or a map.
    #[error("byte {at}: an array or map as a key; use text, a number or bytes as keys")]
    KeyNotScalar {
        /// Where the key begins.
        at: usize,
    },
    /// The byte 0xc1, which MessagePack never uses.
    #[error("byte {at}: 0xc1 begins no MessagePack value")]
    Reserved {
        /// Where it is.
        at: usize,
    },
    /// The bytes are MessagePack, but not the type that was expected.
    #[error("{}{path}: {problem}", if path.is_empty() { "value" } else { "field " })]
    Value {
        /// The way to the field, such as `added[3].name`; empty for the value itself.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A field of an envelope is missing or wrong.
    #[error("envelope field {field}: {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// A message has the right type and breaks its rules.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A compressed body cannot be unpacked.
    #[error("{encoding} body: {problem}")]
    Compression {
        /// How the body says it is compressed.
        encoding: crate::compression::Encoding,
        /// What is wrong with it.
        problem: String,
    },
}

impl DecodeError {
    pub(crate) fn field(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Field { field, problem: problem.into() }
    }
}

/// Why a value was not encoded. Whoever made the value must act; nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The value has no MessagePack form.
    #[error("no MessagePack form: {problem}")]
    Value {
        /// What stands in the way.
        problem: String,
    },
    /// The value has a form that every receiver would refuse.
    #[error("every receiver would refuse it: {refusal}")]
    Refused {
        /// What the receiver would say.
        refusal: DecodeError,
    },
    /// A message breaks the rules of its type.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}
