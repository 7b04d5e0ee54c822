//! What a store has done, counted: a snapshot for whoever shows figures.

use std::sync::atomic::{AtomicU64, Ordering};

/// What has happened since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct JetStreamCounts {
    /// Messages and entries that the server has acknowledged.
    pub publishes: u64,
    /// Of these, how many the server had already.
    pub duplicates: u64,
    /// Requests that were made again: no answer came, or nobody led the stream.
    pub retries: u64,
    /// Messages that came to consumers here.
    pub deliveries: u64,
    /// Of these, how many had been delivered before.
    pub redeliveries: u64,
    /// Times that a pull request or a watch was lost with its connection or its server, and was made again.
    pub resumed: u64,
    /// Streams and buckets that the server had lost, and that were made again, empty.
    pub remade: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) publishes: Counter,
    pub(super) duplicates: Counter,
    pub(super) retries: Counter,
    pub(super) deliveries: Counter,
    pub(super) redeliveries: Counter,
    pub(super) resumed: Counter,
    pub(super) remade: Counter,
}

impl Counters {
    pub(super) fn snapshot(&self) -> JetStreamCounts {
        JetStreamCounts {
            publishes: self.publishes.get(),
            duplicates: self.duplicates.get(),
            retries: self.retries.get(),
            deliveries: self.deliveries.get(),
            redeliveries: self.redeliveries.get(),
            resumed: self.resumed.get(),
            remade: self.remade.get(),
        }
    }
}

/// A number that only rises.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
