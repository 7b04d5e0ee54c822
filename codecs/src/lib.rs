//! What agents say to each other, as types and as bytes.
//!
//! This crate is pure. It does not wait, open a socket or a file, look at a clock or roll dice: time and randomness are
//! arguments. It holds no key and proves nothing about a sender. What it promises is about bytes:
//!
//! - Arbitrary bytes never panic a decoder, and cost little time and memory before they are refused ([`wire`] and
//!   [`compression`] say exactly how much).
//! - `decode(encode(x)) == x`, and an envelope has one form: what was decoded is encoded again byte for byte.
//! - An old node passes on what a newer one says: unknown header fields, versions, kinds, event types and codes are kept.
//! - An error names the field, says what is wrong and what would be right.
//!
//! # Where to look
//!
//! Read in this order:
//!
//! 1. [`id`] and [`address`]: who and which. An id that could be mistaken for another has a type of its own.
//! 2. [`envelope`]: a message with its header, and its bytes one by one.
//! 3. [`message`]: what the body can be, one file for each kind.
//! 4. [`event`] and [`task`]: what is kept of what happened.
//! 5. [`wire`]: how any serde type becomes MessagePack, and how bytes are looked at before they are believed.
//! 6. [`compression`], and [`limits`] for every number.
//!
//! The golden vectors in `tests/vectors` pin the bytes; `tests/vectors/check.py` reads them with nothing but the
//! documentation of [`envelope`].

pub mod address;
pub mod compression;
pub mod envelope;
pub mod event;
pub mod group;
pub mod id;
pub mod identity;
pub mod key;
pub mod limits;
pub mod message;
pub mod refusal;
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
pub use task::{TaskRecord, TaskState, TaskStep};
pub use text::ParseError;
pub use wire::{DecodeError, EncodeError};
