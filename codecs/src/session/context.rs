//! What is said in the open around a sealed message: the envelope's header, to which the seal is bound.

use bytes::Bytes;

use crate::envelope::Envelope;
use crate::id::Attempt;
use crate::key::derive::digest;
use crate::key::{Digest, Label};
use crate::wire::EncodeError;

/// The header of the envelope around a sealed message. If any of it changes on the way, the message does not open.
///
/// ```
/// use bytes::Bytes;
/// use connectome_codecs::session::Context;
/// use connectome_codecs::{Attempt, Envelope, Kind, MessageId, UnixMillis};
///
/// let now = UnixMillis(1_700_000_000_000);
/// let envelope = Envelope::new(MessageId::from_parts(now, 7), Kind::Text, "greeter".parse()?, now, Bytes::new());
/// let context = Context::of(&envelope)?;
/// assert_eq!(Context::of(&envelope.clone().attempt(Attempt(2)))?, context);
/// assert_ne!(Context::of(&envelope.expires_at(now))?, context);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    bytes: Bytes,
    digest: Digest,
}

impl Context {
    /// The context of an envelope's body: the envelope with an empty body, and without what changes on the way (attempt,
    /// trace and trace state).
    ///
    /// # Errors
    /// When the header can't be written.
    pub fn of(envelope: &Envelope) -> Result<Self, EncodeError> {
        let mut lasting = envelope.clone().attempt(Attempt::FIRST);
        lasting.body = Bytes::new();
        lasting.trace = None;
        lasting.encode().map(Self::from_bytes)
    }

    /// Any other bytes that both sides know.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self { digest: digest(Label::Context, &[&bytes]), bytes }
    }

    /// What it was made from.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// SHA-256 of the label `context` and the bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}
