//! What the core asks to be written down: one value for each row of the store's tables.
//!
//! How a row becomes bytes is not known here: see `disk/codec.rs`.

use std::sync::Arc;

use bytes::Bytes;
use connectome_actors::port::{BucketConfig, ConsumerConfig, StreamConfig};
use connectome_codecs::{MessageId, UnixMillis};

/// A stream or a bucket, by the number it was given when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place(pub(crate) u32);

/// A consumer, by its number within its stream. Numbers are not used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConsumerNumber(pub(crate) u32);

/// One change of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Write {
    /// Writes a record over whatever has its key.
    Put(Record),
    /// Removes a record, if it is there.
    Remove(Key),
    /// Writes a message's body or a key's value.
    PutBody(Place, u64, Bytes),
    /// Removes one.
    RemoveBody(Place, u64),
}

impl Write {
    /// Roughly what it takes in memory while it waits for the disk, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let body = match self {
            Self::PutBody(_, _, body) => body.len(),
            Self::Put(_) | Self::Remove(_) | Self::RemoveBody(..) => 0,
        };
        body + size_of::<Self>()
    }
}

/// Names a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// A stream's configuration.
    Stream(Place),
    /// A bucket's configuration.
    Bucket(Place),
    /// The highest sequence or revision that was ever given.
    Last(Place),
    /// A message, by its sequence.
    Message(Place, u64),
    /// An id that outlives its message.
    Remembered(Place, MessageId),
    /// A consumer's configuration.
    Consumer(Place, ConsumerNumber),
    /// How far a consumer has looked.
    Cursor(Place, ConsumerNumber),
    /// A delivery that is not settled, by its sequence.
    Pending(Place, ConsumerNumber, u64),
    /// An entry of a bucket.
    Entry(Place, Arc<str>),
}

/// A record, its key included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// A stream's configuration.
    Stream(Place, StreamConfig),
    /// A bucket's configuration.
    Bucket(Place, BucketConfig),
    /// The highest number that was ever given; written when the row that shows it is removed.
    Last(Place, u64),
    /// A message without its body.
    Message(Place, u64, MessageHead),
    /// An id, the sequence it was given, and when.
    Remembered(Place, MessageId, u64, UnixMillis),
    /// A consumer's configuration.
    Consumer(Place, ConsumerNumber, ConsumerConfig),
    /// The next sequence a consumer has not looked at.
    Cursor(Place, ConsumerNumber, u64),
    /// A delivery that is not settled.
    Pending(Place, ConsumerNumber, u64, PendingRecord),
    /// An entry without its value.
    Entry(Place, Arc<str>, EntryHead),
}

/// What is known of a message without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessageHead {
    pub(crate) subject: Arc<str>,
    pub(crate) id: Option<MessageId>,
    pub(crate) at: UnixMillis,
    /// Bytes of the body.
    pub(crate) size: u32,
}

/// What is known of an entry without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryHead {
    pub(crate) revision: u64,
    pub(crate) at: UnixMillis,
    pub(crate) expires: Option<UnixMillis>,
}

/// A delivery that is not settled, as it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PendingRecord {
    /// How often it has been delivered.
    pub(crate) attempt: u32,
    pub(crate) state: PendingState,
}

/// What an unsettled delivery waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PendingState {
    /// Its worker. After a restart there is none, so it is due at once.
    InHand,
    /// This moment.
    Waiting(UnixMillis),
    /// Someone to remove it: it ran out of deliveries.
    Exhausted,
}
