//! What is said in heads of units: by a client, and by the node that serves the store. Pure.
//!
//! Durations are nanoseconds, moments milliseconds since 1970, `length` says how long a body behind the head is.

use connectome_actors::port::{DeliveryTag, Expect, Start};
use connectome_codecs::{MessageId, Revision, Sequence};
use serde::{Deserialize, Serialize};

use super::mirror::{BucketHead, ConsumerHead, ConsumerRow, StreamHead, StreamRow};
use super::refusal::Refusal;

/// By a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    /// First, and only then: the cluster that it belongs to.
    Hello { namespace: String },
    /// Asks; the answer bears the number, which is not used again.
    Ask { id: u64, ask: Ask },
    /// Nobody waits for the answer any more. It comes all the same, and soon.
    Cancel { id: u64 },
    /// Has no use for what it opened any more. Nothing is answered.
    Close { handle: u32 },
    /// Deliveries that reached nobody, as if they had not been taken. Nothing is answered.
    TakeBack { handle: u32, tags: Vec<Tag> },
    /// Exhausted messages that nobody heard of: tell them again. Nothing is answered.
    Untell { handle: u32, sequences: Vec<u64> },
    /// Are you there?
    Ping,
}

/// By who serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Told {
    /// The answer to a hello: which store this is.
    Welcome { store: String },
    /// The other answer to a hello; nothing follows.
    Refused { why: String },
    /// A part of an answer; more follows.
    Part { id: u64, items: Items },
    /// The end of an answer.
    Done { id: u64, answer: Answer },
    /// Yes.
    Pong,
}

/// What can be asked. A `handle` is a number of the client's choice for what it has opened on this stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    CreateStream { config: StreamHead },
    Publish { stream: String, subject: String, id: Option<MessageId>, length: u32 },
    DeleteConsumer { stream: String, name: String },
    Read { stream: String, filter: String, from: u64, max: u32 },
    Delete { stream: String, sequence: u64 },
    StreamInfo { stream: String },
    Count { stream: String, subject: String },
    StreamNames,
    OpenConsumer { handle: u32, stream: String, config: ConsumerHead },
    OpenTail { handle: u32, stream: String, filter: String, start: Begin },
    OpenArrivals { handle: u32, stream: String },
    OpenBucket { handle: u32, config: BucketHead },
    OpenWatch { handle: u32, config: BucketHead, prefix: String },
    Fetch { handle: u32, max: u32, wait: u64 },
    Settle { handle: u32, tag: Tag, how: How },
    Exhausted { handle: u32 },
    ConsumerInfo { handle: u32 },
    Listen { handle: u32, filter: String },
    Next { handle: u32 },
    Get { handle: u32, key: String },
    Put { handle: u32, key: String, length: u32, expect: On, ttl: Option<u64> },
    Remove { handle: u32, key: String, expect: On },
    Keys { handle: u32, prefix: String },
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
    Ack,
    Nak { delay: u64 },
    InProgress,
    Terminate,
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Begin {
    First,
    New,
    At { sequence: u64 },
}

impl From<Start> for Begin {
    fn from(start: Start) -> Begin {
        match start {
            Start::First => Begin::First,
            Start::New => Begin::New,
            Start::At(Sequence(sequence)) => Begin::At { sequence },
        }
    }
}

impl From<Begin> for Start {
    fn from(begin: Begin) -> Start {
        match begin {
            Begin::First => Start::First,
            Begin::New => Start::New,
            Begin::At { sequence } => Start::At(Sequence(sequence)),
        }
    }
}

/// The condition of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum On {
    Any,
    Absent,
    Revision { revision: u64 },
}

impl From<Expect> for On {
    fn from(expect: Expect) -> On {
        match expect {
            Expect::Any => On::Any,
            Expect::Absent => On::Absent,
            Expect::Revision(Revision(revision)) => On::Revision { revision },
        }
    }
}

impl From<On> for Expect {
    fn from(on: On) -> Expect {
        match on {
            On::Any => Expect::Any,
            On::Absent => Expect::Absent,
            On::Revision { revision } => Expect::Revision(Revision(revision)),
        }
    }
}

/// Names a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tag {
    pub(super) sequence: u64,
    pub(super) attempt: u32,
}

impl From<DeliveryTag> for Tag {
    fn from(tag: DeliveryTag) -> Tag {
        Tag { sequence: tag.sequence.0, attempt: tag.attempt }
    }
}

impl From<Tag> for DeliveryTag {
    fn from(tag: Tag) -> DeliveryTag {
        DeliveryTag { sequence: Sequence(tag.sequence), attempt: tag.attempt }
    }
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Items {
    Messages(Vec<MessageHead>),
    Deliveries(Vec<DeliveryHead>),
    Entries(Vec<EntryHead>),
    Arrivals(Vec<ArrivalHead>),
    Consumers(Vec<ConsumerRow>),
    Names(Vec<String>),
}

/// A stored message; its body follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MessageHead {
    pub(super) sequence: u64,
    pub(super) subject: String,
    pub(super) id: Option<MessageId>,
    pub(super) at: u64,
    pub(super) length: u32,
}

/// A delivery; the body of its message follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DeliveryHead {
    pub(super) message: MessageHead,
    pub(super) attempt: u32,
}

/// An entry; its value follows, where it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EntryHead {
    pub(super) key: String,
    pub(super) revision: u64,
    pub(super) at: u64,
    /// `None`: the key was removed or expired.
    pub(super) length: Option<u32>,
}

/// That something is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ArrivalHead {
    Stored { subject: String, sequence: u64 },
    Missed { from: u64 },
    Anew,
}

/// How an answer ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// It is done, and there is nothing to say about it but what parts have said.
    Done,
    /// As much as fits; ask again for more.
    More,
    /// The asker no longer waited: it was not done.
    Cancelled,
    Published {
        sequence: u64,
        duplicate: bool,
    },
    /// A count; or where what was opened begins.
    Number(u64),
    Stream(Box<StreamRow>),
    Consumer(ConsumerRow),
    Refused(Refusal),
    /// Nothing is open under that handle.
    NotOpen,
}
