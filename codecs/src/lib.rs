//! What agents say to each other, as types and as bytes.
//!
//! This crate is pure. It does not wait, open a socket or a file, look at a clock or roll dice: time and randomness are
//! arguments. It keeps no key by itself: whoever calls it does. What it promises:
//!
//! - Arbitrary bytes never panic a decoder, and cost little time and memory before they are refused ([`wire`] and
//!   [`compression`] say exactly how much).
//! - `decode(encode(x)) == x`, and an envelope has one form: what was decoded is encoded again byte for byte.
//! - An old node passes on what a newer one says: unknown header fields, versions, kinds, event types and codes are kept.
//! - An error names the field, says what is wrong and what would be right.
//! - What is sealed says nothing to whoever carries it, is refused when a bit of it is changed, and opens once
//!   ([`session`] says exactly what that means).
//!
//! # Where to look
//!
//! Read in this order:
//!
//! 1. [`id`] and [`address`]: who and which. An id that could be mistaken for another has a type of its own.
//! 2. [`envelope`]: a message with its header, and its bytes one by one.
//! 3. [`message`]: what the body can be, one file for each kind.
//! 4. [`event`], [`task`] and [`registration`]: what is kept of what happened, and of who is there.
//! 5. [`wire`]: how any serde type becomes MessagePack, and how bytes are looked at before they are believed.
//! 6. [`compression`], and [`limits`] for every number of the wire.
//!
//! Sealed messages are `cxr/1`, which `docs/security-protocol.md` describes for other languages:
//!
//! 1. [`key`]: the primitives, and the registry of what they are used for.
//! 2. [`identity`]: whose key is whose.
//! 3. [`session`]: a conversation between two; [`group`]: one message for many; [`seal`]: without a conversation.
//! 4. [`signature`]: what a receiver can show to others.
//! 5. [`frame`]: what two nodes hand each other.
//! 6. [`refusal`]: why something was not believed, and what follows.
//!
//! The golden vectors in `tests/vectors` and `codecs/tests/vectors` pin the bytes; `check.py` and `open.py` beside them
//! read them with nothing but the documentation.

pub mod address;
pub mod compression;
pub mod envelope;
pub mod event;
pub mod frame;
pub mod group;
pub mod id;
pub mod identity;
pub mod key;
pub mod limits;
pub mod message;
pub mod refusal;
pub mod registration;
pub mod seal;
pub mod session;
pub mod signature;
pub mod task;
mod text;
pub mod wire;

pub use address::{Address, AgentName, Capability, MessageName};
pub use compression::Encoding;
pub use envelope::{ContentType, Envelope, IdempotencyKey, TraceContext};
pub use event::{Event, EventSource, EventType, Fact};
pub use id::{
    AgentId, Attempt, CorrelationId, EventId, MessageId, NodeId, Revision, Sequence, TaskId, Term, UnixMillis,
};
pub use message::Kind;
pub use refusal::Refusal;
pub use registration::{Presence, RefusalCode, Registration};
pub use task::{TaskRecord, TaskState, TaskStep};
pub use text::ParseError;
pub use wire::{DecodeError, EncodeError};
