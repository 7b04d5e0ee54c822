//! Ids that are Ed25519 public keys: who holds the private key is the node or the agent.
//!
//! The text is the key as multibase base58btc of the multicodec `0xed01` and the 32 bytes: `did:key:z6Mk...` for an
//! agent, `node:z6Mk...` for a node. Whether the bytes are a point of the curve is for whoever verifies with them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::ParseError;

macro_rules! key_id {
    ($(#[$meta:meta])* $name:ident, $what:literal, $prefix:literal, $right:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// What its text begins with.
            pub const PREFIX: &'static str = $prefix;

            /// The public key itself.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The last eight characters of the text: enough to tell keys apart in a log, not to trust one.
            pub fn short(&self) -> String {
                let text = base58(&self.0);
                text[text.len().saturating_sub(8)..].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}z{}", $prefix, base58(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseError;
            fn from_str(text: &str) -> Result<Self, ParseError> {
                parse($what, $prefix, $right, text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(&self.0)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    crate::text::deserialize(deserializer)
                } else {
                    super::deserialize_bytes(deserializer).map(Self)
                }
            }
        }
    };
}

key_id! {
    /// A node, named by its public key.
    ///
    /// ```
    /// use connectome_codecs::NodeId;
    ///
    /// let node = NodeId([7; 32]);
    /// assert!(node.to_string().starts_with("node:z6Mk"));
    /// assert_eq!(node.to_string().parse(), Ok(node));
    /// ```
    NodeId, "node id", "node:", "write node:z6Mk and the rest of the node's Ed25519 key in base 58"
}

key_id! {
    /// An agent, named by its public key: a `did:key`.
    ///
    /// ```
    /// use connectome_codecs::AgentId;
    ///
    /// let agent: AgentId = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK".parse()?;
    /// assert_eq!(agent.short(), "EGta2doK");
    /// # Ok::<(), connectome_codecs::ParseError>(())
    /// ```
    AgentId, "agent id", "did:key:", "write did:key:z6Mk and the rest of the agent's Ed25519 key in base 58"
}

/// The multicodec of an Ed25519 public key, as an unsigned varint.
const ED25519: [u8; 2] = [0xed, 0x01];

/// Base 58 makes at most 47 characters of 34 bytes; a longer text is refused before it is worked on.
const BASE58_MAX: usize = 47;

fn base58(key: &[u8; 32]) -> String {
    let mut bytes = [0; 34];
    bytes[..2].copy_from_slice(&ED25519);
    bytes[2..].copy_from_slice(key);
    bs58::encode(bytes).into_string()
}

fn parse(what: &'static str, prefix: &str, right: &'static str, text: &str) -> Result<[u8; 32], ParseError> {
    let error = |problem: String| ParseError::new(what, text, problem, right);
    let Some(key) = text.strip_prefix(prefix) else {
        return Err(error(format!("it does not begin with {prefix:?}")).at(0));
    };
    let Some(digits) = key.strip_prefix('z') else {
        return Err(error("no 'z' (base 58)".into()).at(prefix.len()));
    };
    if digits.len() > BASE58_MAX {
        return Err(error(format!("the key has {} characters, at most 47 are allowed", digits.len())));
    }
    let mut bytes = [0; 36];
    let length =
        bs58::decode(digits).onto(&mut bytes[..]).map_err(|e| located(error, e, prefix.len() + 1))?;
    match bytes[..length].strip_prefix(&ED25519).map(<[u8; 32]>::try_from) {
        Some(Ok(key)) => Ok(key),
        Some(Err(_)) => Err(error(format!("it holds {} bytes, not 32", length - 2))),
        None => Err(error("it is not an Ed25519 key".into())),
    }
}

fn located(error: impl Fn(String) -> ParseError, cause: bs58::decode::Error, start: usize) -> ParseError {
    use bs58::decode::Error;
    match cause {
        Error::InvalidCharacter { character, index } => error(format!("{character:?}")).at(start + index),
        Error::NonAsciiCharacter { index } => error("a character outside base 58".into()).at(start + index),
        other => error(other.to_string()),
    }
}
