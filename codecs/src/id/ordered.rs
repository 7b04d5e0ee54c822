//! Ids that sort by time: 48 bits of milliseconds, then 80 bits of randomness (a ULID).
//!
//! As text an id has 26 characters of Crockford's base 32; on the wire it has 16 bytes. Both sort like the id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

use super::UnixMillis;
use crate::text::ParseError;

macro_rules! ordered_id {
    ($(#[$meta:meta])* $name:ident, $what:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            /// Makes an id from the moment and from randomness, of which the low 80 bits count.
            pub const fn from_parts(at: UnixMillis, random: u128) -> Self {
                Self(Ulid::from_parts(at.0, random))
            }

            /// Takes the 16 bytes of the wire form.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Ulid::from_bytes(bytes))
            }

            /// The 16 bytes of the wire form.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_bytes()
            }

            /// When the id was made, by its maker's clock.
            pub const fn made_at(self) -> UnixMillis {
                UnixMillis(self.0.timestamp_ms())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut buffer = [0; ulid::ULID_LEN];
                f.pad(self.0.array_to_str(&mut buffer))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = ParseError;
            fn from_str(text: &str) -> Result<Self, ParseError> {
                parse($what, text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(&self.to_bytes())
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    crate::text::deserialize(deserializer)
                } else {
                    super::deserialize_bytes(deserializer).map(Self::from_bytes)
                }
            }
        }
    };
}

ordered_id! {
    /// Names one message; a receiver de-duplicates by it.
    ///
    /// ```
    /// use connectome_codecs::{MessageId, UnixMillis};
    ///
    /// let id = MessageId::from_parts(UnixMillis(1_700_000_000_000), 42);
    /// assert_eq!(id.to_string().parse(), Ok(id));
    /// assert!(id < MessageId::from_parts(UnixMillis(1_700_000_000_001), 0));
    /// ```
    MessageId, "message id"
}

ordered_id! {
    /// Names one task, over all its attempts.
    TaskId, "task id"
}

ordered_id! {
    /// Names one event.
    EventId, "event id"
}

ordered_id! {
    /// Joins what belongs together: a call and its answers, or all messages of one piece of work.
    CorrelationId, "correlation id"
}

impl From<MessageId> for CorrelationId {
    /// An answer is correlated with the message that it answers.
    fn from(id: MessageId) -> Self {
        Self(id.0)
    }
}

impl From<TaskId> for CorrelationId {
    /// The messages and events of a task are correlated by it.
    fn from(id: TaskId) -> Self {
        Self(id.0)
    }
}

const RIGHT: &str = "write 26 of 0-9 A-Z without I L O U, the first at most 7";

fn parse(what: &'static str, text: &str) -> Result<Ulid, ParseError> {
    let error = |problem: String| ParseError::new(what, text, problem, RIGHT);
    if text.len() != ulid::ULID_LEN {
        return Err(error(format!("it has {} characters", text.chars().count())));
    }
    if let Some((at, wrong)) = text.char_indices().find(|&(at, c)| !fits(at, c)) {
        return Err(error(format!("{wrong:?}")).at(at));
    }
    Ulid::from_string(text).map_err(|e| error(e.to_string()))
}

/// 26 characters of 5 bits are two more bits than an id has, so the first character stops at 7.
fn fits(at: usize, c: char) -> bool {
    let letter = c.is_ascii_alphanumeric() && !matches!(c.to_ascii_uppercase(), 'I' | 'L' | 'O' | 'U');
    letter && (at > 0 || matches!(c, '0'..='7'))
}
