//! Who and which: every id, key and count that could be mistaken for another has a type of its own.
//!
//! Nothing here makes an id: time and randomness are arguments.
//!
//! | file | what |
//! |---|---|
//! | `ordered` | ids that sort by the time they were made: messages, tasks, events, correlations |
//! | `key` | ids that are public keys: nodes and agents |
//! | `count` | moments, terms, revisions, sequence numbers, attempts |

mod count;
mod key;
mod ordered;

pub use count::{Attempt, Revision, Sequence, Term, UnixMillis};
pub use key::{AgentId, NodeId};
pub use ordered::{CorrelationId, EventId, MessageId, TaskId};

/// Reads exactly `N` bytes from a binary serde format.
pub(crate) fn deserialize_bytes<'de, D, const N: usize>(deserializer: D) -> Result<[u8; N], D::Error>
where
    D: serde::Deserializer<'de>,
{
    deserializer.deserialize_bytes(ArrayVisitor)
}

struct ArrayVisitor<const N: usize>;

impl<const N: usize> serde::de::Visitor<'_> for ArrayVisitor<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<[u8; N], E> {
        bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
    }
}
