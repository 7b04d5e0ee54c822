//! A message with its header, as it travels: the header says where, who, when and what kind; the body stays bytes.
//!
//! Decoding costs one pass over the header. The body is a slice of the frame, not a copy, and is not looked at.
//!
//! # The bytes
//!
//! One MessagePack array of three elements:
//!
//! ```text
//! 93            an array of 3
//! 01            the version of the header, an unsigned integer, 1 or more
//! 8n / de nnnn  the header: a map of at most 32 fields, at most 4 KiB, keys rising
//! c4 / c5 / c6  the body: bin
//! ```
//!
//! | key | field | form | left out when |
//! |---|---|---|---|
//! | 1 | `id` | bin, 16 bytes | never |
//! | 2 | `kind` | unsigned, see [`Kind`] | never |
//! | 3 | `name` | str | none |
//! | 4 | `from` | bin of 32 bytes: an agent's key; or str: an agent's name, or `can:` and a capability | none |
//! | 5 | `to` | as `from` | never |
//! | 6 | `correlation` | bin, 16 bytes | none |
//! | 7 | `reply_to` | bin, 32 bytes: a node's key | none |
//! | 8 | `sent` | unsigned, milliseconds since 1970 | never |
//! | 9 | `expires` | unsigned, milliseconds since 1970 | none |
//! | 10 | `trace` | bin, 25 bytes: trace id (16), parent id (8), flags (1) | none |
//! | 11 | `trace_state` | str: W3C `tracestate`; only with `trace` | empty |
//! | 12 | `attempt` | unsigned | 1 |
//! | 13 | `idempotency_key` | str | none |
//! | 14 | `content_type` | str | `application/msgpack` |
//! | 15 | `encoding` | unsigned, see [`Encoding`] | 0, identity |
//! | 16 | `call_chain` | array of at most 32 str | empty |
//! | 17... | fields of later versions | any | |
//!
//! Every token has its shortest form, keys rise, and what can be left out is left out; anything else is refused. So an
//! envelope has exactly one form, and what was decoded is encoded again byte for byte. That includes the fields and
//! the versions that this version does not know: a later version may add keys above 16, and changes nothing else.

mod content_type;
mod header;
mod trace;
mod unknown;

use bytes::Bytes;

use crate::address::{Address, AgentName, MessageName};
use crate::compression::{self, Encoding};
use crate::id::{Attempt, CorrelationId, MessageId, NodeId, UnixMillis};
use crate::limits;
use crate::message::Kind;
use crate::text::bounded_text;
use crate::wire::{self, DecodeError, EncodeError, Reader, Writer};

pub use content_type::ContentType;
pub use trace::{TraceContext, TraceState};
pub use unknown::UnknownFields;

bounded_text! {
    /// What makes the same work the same: a second message with an equal key is not done again. Visible ASCII, 1 to
    /// 128 bytes.
    IdempotencyKey, "idempotency key", limits::IDEMPOTENCY_KEY_MAX, Visible, "write 1 to 128 visible ASCII characters"
}

/// A message with its header, as it travels.
///
/// ```
/// use bytes::Bytes;
/// use connectome_codecs::{Envelope, Kind, MessageId, UnixMillis};
///
/// let now = UnixMillis(1_700_000_000_000);
/// let envelope = Envelope::new(MessageId::from_parts(now, 7), Kind::Text, "greeter".parse()?, now, Bytes::from("hi"))
///     .from("can:chat".parse()?)
///     .expires_at(UnixMillis(now.0 + 5_000));
/// let bytes = envelope.encode()?;
/// assert_eq!(Envelope::decode(bytes)?, envelope);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Envelope {
    /// The version of the header: 1, or higher in an envelope from a newer node, and then kept.
    pub version: u8,
    /// Names this message; the receiver de-duplicates by it.
    pub id: MessageId,
    /// What kind of message the body is.
    pub kind: Kind,
    /// The wire name of a typed message.
    pub name: Option<MessageName>,
    /// Who says it. Proof of that is the seal's business, not the header's.
    pub from: Option<Address>,
    /// Where it goes.
    pub to: Address,
    /// What it belongs to: for an answer, the message that it answers.
    pub correlation: Option<CorrelationId>,
    /// The node that waits for the answer.
    pub reply_to: Option<NodeId>,
    /// When it was sent, by the sender's clock.
    pub sent: UnixMillis,
    /// After this moment nobody waits for it any more, and it is dropped as a dead letter.
    pub expires: Option<UnixMillis>,
    /// The distributed trace that it is part of.
    pub trace: Option<TraceContext>,
    /// Which delivery this is, from 1.
    pub attempt: Attempt,
    /// What makes the same work the same.
    pub idempotency_key: Option<IdempotencyKey>,
    /// What the body is, once unpacked.
    pub content_type: ContentType,
    /// How the body is packed.
    pub encoding: Encoding,
    /// The agents that wait on this call, outermost first, at most 32: how a cycle is seen.
    pub call_chain: Vec<AgentName>,
    /// The body, packed as `encoding` says.
    pub body: Bytes,
    /// The header fields that this version does not know, as they came.
    pub unknown: UnknownFields,
}

impl Envelope {
    /// The version that this crate writes.
    pub const VERSION: u8 = 1;

    /// An envelope with what every message must have; the methods below add the rest.
    pub fn new(id: MessageId, kind: Kind, to: Address, sent: UnixMillis, body: Bytes) -> Self {
        Self {
            version: Self::VERSION,
            id,
            kind,
            name: None,
            from: None,
            to,
            correlation: None,
            reply_to: None,
            sent,
            expires: None,
            trace: None,
            attempt: Attempt::FIRST,
            idempotency_key: None,
            content_type: ContentType::default(),
            encoding: Encoding::Identity,
            call_chain: Vec::new(),
            body,
            unknown: UnknownFields::default(),
        }
    }

    /// Says which type of message the body is.
    #[must_use]
    pub fn named(mut self, name: MessageName) -> Self {
        self.name = Some(name);
        self
    }

    /// Says who sends it.
    #[must_use]
    pub fn from(mut self, from: Address) -> Self {
        self.from = Some(from);
        self
    }

    /// Says what it belongs to.
    #[must_use]
    pub fn correlated(mut self, with: impl Into<CorrelationId>) -> Self {
        self.correlation = Some(with.into());
        self
    }

    /// Says which node waits for the answer.
    #[must_use]
    pub fn reply_to(mut self, node: NodeId) -> Self {
        self.reply_to = Some(node);
        self
    }

    /// Says until when it matters.
    #[must_use]
    pub fn expires_at(mut self, moment: UnixMillis) -> Self {
        self.expires = Some(moment);
        self
    }

    /// Joins it to a distributed trace.
    #[must_use]
    pub fn traced(mut self, trace: TraceContext) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Says which delivery this is.
    #[must_use]
    pub fn attempt(mut self, attempt: Attempt) -> Self {
        self.attempt = attempt;
        self
    }

    /// Says what makes the same work the same.
    #[must_use]
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }

    /// Says what the body is.
    #[must_use]
    pub fn content_type(mut self, content_type: ContentType) -> Self {
        self.content_type = content_type;
        self
    }

    /// Says which agents wait on this call, outermost first.
    #[must_use]
    pub fn call_chain(mut self, agents: Vec<AgentName>) -> Self {
        self.call_chain = agents;
        self
    }

    /// Packs a body that is not packed yet, if it is at least `threshold` bytes and gets smaller.
    #[must_use]
    pub fn compress(mut self, encoding: Encoding, threshold: usize) -> Self {
        if self.encoding == Encoding::Identity {
            (self.encoding, self.body) = compression::compress(&self.body, encoding, threshold);
        }
        self
    }

    /// The body as it was before it was packed.
    ///
    /// # Errors
    /// When it is damaged, or longer than [`BODY_MAX`](limits::BODY_MAX).
    pub fn plain_body(&self) -> Result<Bytes, DecodeError> {
        compression::decompress(&self.body, self.encoding, limits::BODY_MAX)
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Writes the envelope: the header, then a copy of the body.
    ///
    /// # Errors
    /// When the header or the whole is too long, or a field could not be read back.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        header::check(self).map_err(refused)?;
        let mut writer = Writer::with_capacity(HEADER_USUAL + self.body.len());
        writer.array(PARTS);
        writer.uint(self.version.into());
        let start = writer.len();
        header::write(self, &mut writer);
        header::check_length(writer.len() - start).map_err(refused)?;
        writer.bytes(&self.body);
        wire::check_length("envelope", writer.len()).map_err(refused)?;
        Ok(writer.finish().into())
    }

    /// Reads an envelope that anyone may have written. The body is a slice of `bytes`, so it keeps all of them alive.
    ///
    /// # Errors
    /// Names the field that is missing, wrong, or not in its one form.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        wire::check_length("envelope", bytes.len())?;
        let mut reader = Reader::new(&bytes);
        let version = preamble(&mut reader)?;
        let start = reader.at();
        let mut envelope = header::read(&bytes, &mut reader, version)?;
        header::check_length(reader.at() - start)?;
        let body = reader.bytes("body")?;
        if reader.rest() > 0 {
            return Err(DecodeError::Trailing { at: reader.at(), extra: reader.rest() });
        }
        envelope.body = bytes.slice_ref(body);
        Ok(envelope)
    }
}

/// Version, header and body.
const PARTS: usize = 3;

/// The room that most headers fit in, so that encoding allocates once.
const HEADER_USUAL: usize = 256;

fn refused(refusal: DecodeError) -> EncodeError {
    EncodeError::Refused { refusal }
}

fn preamble(reader: &mut Reader<'_>) -> Result<u8, DecodeError> {
    let parts = reader.array("envelope")?;
    if parts != PARTS as u64 {
        return Err(DecodeError::field(
            "envelope",
            format!("an array of {parts}; send version, header and body"),
        ));
    }
    match u8::try_from(reader.uint("version")?) {
        Ok(version @ 1..) => Ok(version),
        Ok(0) | Err(_) => Err(DecodeError::field("version", "out of range; send 1 to 255")),
    }
}
