//! Durable streams, named consumers and key-value buckets: the part of the world that remembers.
//!
//! The words and the semantics are JetStream's, so that one suite can hold the embedded store, the distributed
//! engine and the simulator's model to the same promises. Two traps of JetStream are kept on purpose, because what
//! is built on this port must live with them: an acknowledgement does not fence (a late one is accepted), and a
//! message that ran out of deliveries stays in its stream until someone removes it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connectome_codecs::{MessageId, Revision, Sequence, UnixMillis};

use super::arrivals::{Arrivals, by_tail};
use super::part::{ConnectionFigures, Part};

/// A store of streams and buckets. Cheap to share; every method may be called from many tasks at once.
#[async_trait]
pub trait Streams: Send + Sync + 'static {
    /// Makes a stream, or brings an existing one to this configuration. A subject belongs to one stream: subjects that
    /// overlap those of another stream are refused.
    ///
    /// # Errors
    /// [`StreamError::Conflict`] when the existing stream can't be changed in place (its retention, say).
    async fn create_stream(&self, config: StreamConfig) -> Result<(), StreamError>;

    /// Appends one message. `Ok` means stored: it survives `kill -9` of this process from now on.
    ///
    /// The same id again within the stream's duplicate window is answered with the first one's sequence and
    /// `duplicate: true`, and stored once.
    async fn publish(&self, stream: &str, message: Publish) -> Result<Published, StreamError>;

    /// Opens a durable consumer, making it if it is new. Everyone who opens the same name shares its work; opened
    /// with other waits and bounds, it takes them from now on.
    ///
    /// # Errors
    /// [`StreamError::Conflict`] when it exists with another filter; [`StreamError::Invalid`] when, on a work queue, its
    /// filter overlaps another consumer's or it does not start at [`Start::First`].
    async fn consumer(&self, stream: &str, config: ConsumerConfig) -> Result<Box<dyn Consumer>, StreamError>;

    /// Removes a consumer and what it remembers.
    async fn delete_consumer(&self, stream: &str, name: &str) -> Result<(), StreamError>;

    /// Reads up to `max` stored messages whose subject matches `filter`, from sequence `from` on, without consuming.
    async fn read(
        &self,
        stream: &str,
        filter: &str,
        from: Sequence,
        max: usize,
    ) -> Result<Vec<Stored>, StreamError>;

    /// Follows a stream live: everything that matches `filter`, from `start` on, in order, without acknowledgements.
    async fn tail(&self, stream: &str, filter: &str, start: Start) -> Result<Box<dyn Tail>, StreamError>;

    /// Hears which messages arrive, without their bodies: for whoever reads a stream by subject, and has to know when to
    /// read on. Say of which with [`Arrivals::listen`].
    async fn arrivals(&self, stream: &str) -> Result<Box<dyn Arrivals>, StreamError> {
        Ok(by_tail(self.tail(stream, ">", Start::New).await?))
    }

    /// Removes one message. Removing one that is not there is not an error.
    async fn delete(&self, stream: &str, sequence: Sequence) -> Result<(), StreamError>;

    /// Size, bounds and consumers of a stream.
    async fn stream_info(&self, stream: &str) -> Result<StreamInfo, StreamError>;

    /// How many messages with exactly this subject the stream holds.
    async fn count(&self, stream: &str, subject: &str) -> Result<u64, StreamError>;

    /// The names of all streams, sorted.
    async fn stream_names(&self) -> Result<Vec<String>, StreamError>;

    /// Opens a bucket, making it if it is new.
    async fn bucket(&self, config: BucketConfig) -> Result<Box<dyn Bucket>, StreamError>;

    /// What must go on for it to work, for a supervisor to run. Nothing, unless it says so.
    fn parts(&self) -> Vec<Arc<dyn Part>> {
        Vec::new()
    }

    /// Where its connection to a broker stands. `None`: it needs none.
    fn connection(&self) -> Option<ConnectionFigures> {
        None
    }
}

/// A named place in a stream, shared by everyone who opened it.
#[async_trait]
pub trait Consumer: Send + Sync {
    /// Waits up to `wait` for messages, and takes between none and `max` of them. Each is this caller's until
    /// its acknowledgement, or until `ack_wait` has passed since it was taken or last extended. Those that are due
    /// again come first; dropping the future loses nothing. May come back early with none, when one of its messages
    /// ran out of deliveries: see [`Consumer::exhausted`].
    async fn fetch(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, StreamError>;

    /// Done with it: never delivered again by this consumer; removed from a work queue.
    async fn ack(&self, tag: DeliveryTag) -> Result<(), StreamError>;

    /// Not done: deliver it again, after `delay`. The last allowed delivery, refused, is exhausted at once.
    async fn nak(&self, tag: DeliveryTag, delay: Duration) -> Result<(), StreamError>;

    /// Still at work: `ack_wait` begins anew; also when it had passed, if nobody else has the message yet.
    async fn in_progress(&self, tag: DeliveryTag) -> Result<(), StreamError>;

    /// Never deliver it again, though it was not done. In a work queue it is removed.
    async fn terminate(&self, tag: DeliveryTag) -> Result<(), StreamError>;

    /// Messages that ran out of deliveries (`max_deliver`) since the last call, oldest first. They are still in the
    /// stream: copy, then [`Streams::delete`]. A store that was restarted tells those that are left again.
    async fn exhausted(&self) -> Result<Vec<Stored>, StreamError>;

    /// Where the consumer stands.
    async fn info(&self) -> Result<ConsumerInfo, StreamError>;
}

/// A live reader of a stream.
#[async_trait]
pub trait Tail: Send {
    /// The next message; waits for it. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`StreamError::Gap`] once, when messages were removed before this reader came to them; reading may go on. A
    /// reader that starts [`Start::At`] a sequence which is gone is told so, whatever its filter.
    async fn next(&mut self) -> Result<Stored, StreamError>;
}

/// A table of keys with revisions. A revision is unique in the bucket and rises with each write: it can be a term.
#[async_trait]
pub trait Bucket: Send + Sync {
    /// The entry, if the key has one that has not expired.
    async fn get(&self, key: &str) -> Result<Option<Entry>, StreamError>;

    /// Writes a value when `expect` holds. `ttl` overrides the bucket's.
    ///
    /// # Errors
    /// [`StreamError::WrongRevision`] when it does not.
    async fn put(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
        ttl: Option<Duration>,
    ) -> Result<Revision, StreamError>;

    /// Removes a key when `expect` holds. Removing a key that is not there is not an error under [`Expect::Any`].
    async fn delete(&self, key: &str, expect: Expect) -> Result<(), StreamError>;

    /// All keys that begin with `prefix`, sorted.
    async fn keys(&self, prefix: &str) -> Result<Vec<String>, StreamError>;

    /// First the present entries whose keys begin with `prefix`, in order of revision, then the changes. A watch that
    /// is behind may find several changes of one key as the newest of them.
    async fn watch(&self, prefix: &str) -> Result<Box<dyn Watch>, StreamError>;
}

/// Follows the changes of a bucket.
#[async_trait]
pub trait Watch: Send {
    /// The next change; waits for it. A removed or expired key comes as an entry without a value. Dropping the future
    /// loses nothing.
    ///
    /// # Errors
    /// [`StreamError::Gap`] once, when so many keys were removed meanwhile that some removals were forgotten.
    async fn next(&mut self) -> Result<Entry, StreamError>;
}

/// What a message is, on its way into a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The subject: tokens of `[A-Za-z0-9_/:-]`, joined by dots; at most 256 bytes.
    pub subject: String,
    /// Names the message for de-duplication.
    pub id: Option<MessageId>,
    /// The bytes; at most `connectome_codecs::limits::FRAME_MAX`.
    pub body: Bytes,
}

/// The store's answer to a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Where it stands in the stream.
    pub sequence: Sequence,
    /// Whether the store had it already.
    pub duplicate: bool,
}

/// A message as a stream keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where it stands; rises by one or more with each message.
    pub sequence: Sequence,
    /// Its subject.
    pub subject: String,
    /// Its id, if it was published with one.
    pub id: Option<MessageId>,
    /// When the store took it.
    pub at: UnixMillis,
    /// The bytes.
    pub body: Bytes,
}

/// A message in the hands of one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What was stored.
    pub message: Stored,
    /// How often it has been delivered, this time included: 1 at first.
    pub attempt: u32,
    /// What to acknowledge it with.
    pub tag: DeliveryTag,
}

/// Names one delivery of one message. Like JetStream's, it does not fence: a late one is honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryTag {
    /// The message.
    pub sequence: Sequence,
    /// The attempt it was delivered in.
    pub attempt: u32,
}

/// How a stream is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamConfig {
    /// Its name: `[A-Z0-9_]`, at most 64 bytes.
    pub name: String,
    /// The subjects it takes. `*` matches one token, a last `>` one or more.
    pub subjects: Vec<String>,
    /// What makes a message leave.
    pub retention: Retention,
    /// Where it is kept.
    pub storage: Storage,
    /// Older messages leave. `None`: no bound by age.
    pub max_age: Option<Duration>,
    /// Bodies and subjects together, in bytes. `None`: no bound by size.
    pub max_bytes: Option<u64>,
    /// `None`: no bound by number.
    pub max_messages: Option<u64>,
    /// What happens when a bound by size or number is met.
    pub discard: Discard,
    /// For how long an id is remembered, to store it once.
    pub duplicate_window: Duration,
}

/// What makes a message leave a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Age, bytes and number.
    Limits,
    /// The acknowledgement of its one consumer; filters of consumers may not overlap.
    WorkQueue,
}

/// Where a stream is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// On disk: survives the process.
    File,
    /// In memory: gone with the process.
    Memory,
}

/// What a full stream does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// The oldest messages make room.
    Old,
    /// The new message is refused with [`StreamError::Full`].
    New,
}

/// Where a tail or a new consumer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest message that is kept.
    First,
    /// With the next one to be published.
    New,
    /// At this sequence.
    At(Sequence),
}

/// How a consumer delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// Its name: `[A-Za-z0-9_-]` and `/`, at most 200 bytes.
    pub name: String,
    /// Only subjects that match this.
    pub filter: String,
    /// Where a new consumer begins.
    pub start: Start,
    /// A delivery that is neither acknowledged nor extended for this long is made again.
    pub ack_wait: Duration,
    /// Deliveries of one message at the most; then it is exhausted. `None`: no bound.
    pub max_deliver: Option<u32>,
    /// Messages at the most that were delivered and neither acknowledged nor exhausted, over everyone who shares the
    /// consumer; those that wait to be delivered again count. With 1, the order of the stream is kept.
    pub max_ack_pending: usize,
    /// In place of `ack_wait`, for the first, second, … delivery; the last one repeats. Fewer steps than
    /// `max_deliver`. Empty: `ack_wait` each time. A refused message comes back after the delay it was refused with.
    pub backoff: Vec<Duration>,
}

/// Where a stream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// How it is kept.
    pub config: StreamConfig,
    /// Messages kept now.
    pub messages: u64,
    /// Bytes kept now.
    pub bytes: u64,
    /// The oldest sequence that is kept; one past `last` when the stream is empty.
    pub first: Sequence,
    /// The newest sequence ever given.
    pub last: Sequence,
    /// Its consumers, sorted by name.
    pub consumers: Vec<ConsumerInfo>,
}

/// Where a consumer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerInfo {
    /// Its name.
    pub name: String,
    /// Messages that match and were never delivered.
    pub waiting: u64,
    /// Messages delivered and neither acknowledged nor exhausted: in hand, or to be delivered again.
    pub in_flight: u64,
    /// Deliveries beyond the first, since the consumer was made or the store was opened.
    pub redelivered: u64,
    /// Messages that ran out of deliveries and are still kept.
    pub exhausted: u64,
}

/// A table's name and bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketConfig {
    /// Its name: `[A-Za-z0-9_-]`, at most 64 bytes.
    pub name: String,
    /// Entries expire this long after their last write. `None`: they stay.
    pub ttl: Option<Duration>,
    /// Where it is kept.
    pub storage: Storage,
}

/// One key's value at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key: `[A-Za-z0-9_/=.:-]`, at most 256 bytes.
    pub key: String,
    /// The value; `None` when the key was removed or expired.
    pub value: Option<Bytes>,
    /// Rises with each write to the bucket.
    pub revision: Revision,
    /// When it was written.
    pub at: UnixMillis,
}

/// The condition of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// None: the last write wins.
    Any,
    /// The key has no value.
    Absent,
    /// The key's value has this revision.
    Revision(Revision),
}

/// Why the store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The caller named something that is not there.
    #[error("there is no {what} named {name}")]
    NotFound {
        /// "stream" or "consumer".
        what: &'static str,
        /// The name that was given.
        name: String,
    },
    /// The caller's words do not fit: the text says what would.
    #[error("{0}")]
    Invalid(String),
    /// What exists under this name differs in something that can't be changed in place.
    #[error(
        "{name} exists with another {field}: it is {is}, {wanted} was asked for, and it can't be changed in place; \
         configure {is}, or remove {name} once nothing in it is needed"
    )]
    Conflict {
        /// The stream or consumer.
        name: String,
        /// What differs.
        field: &'static str,
        /// What it is.
        is: String,
        /// What was asked for.
        wanted: String,
    },
    /// The stream is full and keeps what it has.
    #[error("stream {stream} is full ({bound}): acknowledge or remove messages, or raise the bound")]
    Full {
        /// The stream.
        stream: String,
        /// The bound that was met, in words.
        bound: String,
    },
    /// Somebody wrote first: read again, then decide again.
    #[error("{key} is not at the expected revision: it is at {current:?}")]
    WrongRevision {
        /// The key.
        key: String,
        /// Its present revision, `None` when it has no value.
        current: Option<Revision>,
    },
    /// Messages were removed before this reader came to them.
    #[error("messages {from} to {to} were removed before they were read")]
    Gap {
        /// The first one missing.
        from: Sequence,
        /// The last one missing.
        to: Sequence,
    },
    /// The store can't be reached or can't write now. Certainly had no effect.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// No answer came. It may or may not have happened: try again with the same id.
    #[error("the store did not answer: {0}; it may have happened")]
    Unknown(String),
}
