//! Configurations and figures of the port, as they travel. Pure.

use std::time::Duration;

use connectome_actors::port::{
    BucketConfig, ConsumerConfig, ConsumerInfo, Discard, Retention, Storage, StreamConfig, StreamInfo,
};
use connectome_codecs::Sequence;
use serde::{Deserialize, Serialize};

use super::said::Begin;

/// A duration in nanoseconds; one past 584 years is that.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// [`StreamConfig`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StreamHead {
    pub(super) name: String,
    pub(super) subjects: Vec<String>,
    /// Whether acknowledging removes; otherwise bounds alone do.
    pub(super) work_queue: bool,
    /// Whether it is kept in memory only.
    pub(super) memory: bool,
    pub(super) max_age: Option<u64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) max_messages: Option<u64>,
    /// Whether a full stream refuses; otherwise the oldest make room.
    pub(super) refuses: bool,
    pub(super) duplicate_window: u64,
}

/// [`ConsumerConfig`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ConsumerHead {
    pub(super) name: String,
    pub(super) filter: String,
    pub(super) start: Begin,
    pub(super) ack_wait: u64,
    pub(super) max_deliver: Option<u32>,
    pub(super) max_ack_pending: u64,
    pub(super) backoff: Vec<u64>,
}

/// [`BucketConfig`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct BucketHead {
    pub(super) name: String,
    pub(super) ttl: Option<u64>,
    pub(super) memory: bool,
}

/// [`StreamInfo`]; its consumers come in parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StreamRow {
    pub(super) config: StreamHead,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) first: u64,
    pub(super) last: u64,
}

/// [`ConsumerInfo`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ConsumerRow {
    pub(super) name: String,
    pub(super) waiting: u64,
    pub(super) in_flight: u64,
    pub(super) redelivered: u64,
    pub(super) exhausted: u64,
}

fn storage(memory: bool) -> Storage {
    if memory { Storage::Memory } else { Storage::File }
}

impl From<StreamConfig> for StreamHead {
    fn from(config: StreamConfig) -> StreamHead {
        StreamHead {
            name: config.name,
            subjects: config.subjects,
            work_queue: config.retention == Retention::WorkQueue,
            memory: config.storage == Storage::Memory,
            max_age: config.max_age.map(nanos),
            max_bytes: config.max_bytes,
            max_messages: config.max_messages,
            refuses: config.discard == Discard::New,
            duplicate_window: nanos(config.duplicate_window),
        }
    }
}

impl From<StreamHead> for StreamConfig {
    fn from(head: StreamHead) -> StreamConfig {
        StreamConfig {
            name: head.name,
            subjects: head.subjects,
            retention: if head.work_queue { Retention::WorkQueue } else { Retention::Limits },
            storage: storage(head.memory),
            max_age: head.max_age.map(Duration::from_nanos),
            max_bytes: head.max_bytes,
            max_messages: head.max_messages,
            discard: if head.refuses { Discard::New } else { Discard::Old },
            duplicate_window: Duration::from_nanos(head.duplicate_window),
        }
    }
}

impl From<ConsumerConfig> for ConsumerHead {
    fn from(config: ConsumerConfig) -> ConsumerHead {
        ConsumerHead {
            name: config.name,
            filter: config.filter,
            start: config.start.into(),
            ack_wait: nanos(config.ack_wait),
            max_deliver: config.max_deliver,
            max_ack_pending: config.max_ack_pending as u64,
            backoff: config.backoff.into_iter().map(nanos).collect(),
        }
    }
}

impl From<ConsumerHead> for ConsumerConfig {
    fn from(head: ConsumerHead) -> ConsumerConfig {
        ConsumerConfig {
            name: head.name,
            filter: head.filter,
            start: head.start.into(),
            ack_wait: Duration::from_nanos(head.ack_wait),
            max_deliver: head.max_deliver,
            max_ack_pending: usize::try_from(head.max_ack_pending).unwrap_or(usize::MAX),
            backoff: head.backoff.into_iter().map(Duration::from_nanos).collect(),
        }
    }
}

impl From<BucketConfig> for BucketHead {
    fn from(config: BucketConfig) -> BucketHead {
        let BucketConfig { name, ttl, storage } = config;
        BucketHead { name, ttl: ttl.map(nanos), memory: storage == Storage::Memory }
    }
}

impl From<BucketHead> for BucketConfig {
    fn from(head: BucketHead) -> BucketConfig {
        let BucketHead { name, ttl, memory } = head;
        BucketConfig { name, ttl: ttl.map(Duration::from_nanos), storage: storage(memory) }
    }
}

impl StreamRow {
    /// The row, and the consumers that come beside it.
    pub(super) fn of(info: StreamInfo) -> (StreamRow, Vec<ConsumerInfo>) {
        let StreamInfo { config, messages, bytes, first, last, consumers } = info;
        (StreamRow { config: config.into(), messages, bytes, first: first.0, last: last.0 }, consumers)
    }

    /// The whole again.
    pub(super) fn with(self, consumers: Vec<ConsumerInfo>) -> StreamInfo {
        StreamInfo {
            config: self.config.into(),
            messages: self.messages,
            bytes: self.bytes,
            first: Sequence(self.first),
            last: Sequence(self.last),
            consumers,
        }
    }
}

impl From<ConsumerInfo> for ConsumerRow {
    fn from(info: ConsumerInfo) -> ConsumerRow {
        let ConsumerInfo { name, waiting, in_flight, redelivered, exhausted } = info;
        ConsumerRow { name, waiting, in_flight, redelivered, exhausted }
    }
}

impl From<ConsumerRow> for ConsumerInfo {
    fn from(row: ConsumerRow) -> ConsumerInfo {
        let ConsumerRow { name, waiting, in_flight, redelivered, exhausted } = row;
        ConsumerInfo { name, waiting, in_flight, redelivered, exhausted }
    }
}
