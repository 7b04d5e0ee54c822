//! What an envelope's body can be: one typed message for each kind of the protocol.
//!
//! | kind | code | body | says |
//! |---|---|---|---|
//! | [`Kind::Text`] | 1 | [`Text`] | something for a person or a model to read |
//! | [`Kind::Task`] | 2 | [`Task`] | do this |
//! | [`Kind::Response`] | 3 | [`Response`] | the answer to a call, or a part of one |
//! | [`Kind::Status`] | 4 | [`Status`] | how an agent is |
//! | [`Kind::Error`] | 5 | [`Error`] | why there is no answer |
//! | [`Kind::Discovery`] | 6 | [`Discovery`] | who lives on a node |
//! | [`Kind::Heartbeat`] | 7 | [`Heartbeat`] | a node is alive |
//! | [`Kind::Typed`] | 8 | a user's own type | what the envelope's `name` names |
//! | [`Kind::Control`] | 9 | [`Control`] | what calls, streams and monitors need |
//!
//! A body is a MessagePack map with the names of the fields. Fields that this version does not know are passed over,
//! and codes that it does not know are kept as `Unknown`, so that a newer node can talk to an older one.

mod control;
mod discovery;
mod error;
mod heartbeat;
mod invalid;
mod kind;
mod response;
mod status;
mod task;
mod text;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use control::{Control, DownReason};
pub use discovery::{AgentRecord, Discovery, DiscoveryAction};
pub use error::{Blame, Effect, Error, ErrorCode};
pub use heartbeat::Heartbeat;
pub use invalid::Invalid;
pub use kind::Kind;
pub use response::Response;
pub use status::{AgentStatus, LOAD_MAX, Status};
pub use task::Task;
pub use text::Text;

pub(crate) use invalid::{at_most, ensure, label};
pub(crate) use status::check_load;
pub(crate) use task::check_attempts_max;

use crate::wire::{self, DecodeError, EncodeError};

/// A message of the protocol. Encoding and decoding both validate, so an invalid one is neither sent nor received.
///
/// ```
/// use connectome_codecs::message::{Body, Text};
///
/// let text = Text { text: "hello".into(), language: Some("en".into()) };
/// assert_eq!(Text::decode(&text.encode()?)?, text);
///
/// let wrong = Text { text: String::new(), language: None };
/// assert_eq!(wrong.encode().unwrap_err().to_string(), "text: it is empty; say something");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Body: Serialize + DeserializeOwned {
    /// The kind that the envelope must have.
    const KIND: Kind;

    /// Checks what the types of the fields cannot.
    ///
    /// # Errors
    /// Says which field is wrong, why, and what would be right.
    fn validate(&self) -> Result<(), Invalid>;

    /// Writes the message, if it is valid.
    ///
    /// # Errors
    /// When it is not valid, or too large for a frame.
    fn encode(&self) -> Result<Bytes, EncodeError> {
        self.validate()?;
        wire::encode(self)
    }

    /// Reads a message that anyone may have written.
    ///
    /// # Errors
    /// When the bytes are not such a message, or it is not valid.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message: Self = wire::decode(bytes)?;
        message.validate()?;
        Ok(message)
    }
}
