//! The store as the node uses it, measured, and held to its rate: each publish, delivery and write of an entry is counted
//! and timed on its way.
//!
//! It changes nothing about what the store promises. What others do with the same store is not in the figures.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connectome_actors::AGENT_MESSAGES;
use connectome_actors::port::{
    Arrivals, Bucket, BucketConfig, ConnectionFigures, Consumer, ConsumerConfig, ConsumerInfo, Delivery,
    DeliveryTag, Entry, Expect, Part, Publish, Published, Start, Stored, StreamConfig, StreamError,
    StreamInfo, Streams, Tail, Watch, World,
};
use connectome_codecs::{Revision, Sequence};
use parking_lot::RwLock;
use tokio::time::Instant;

use super::histogram::Latencies;
use crate::streams::limited::Limited;

/// Streams and buckets that have figures of their own: a node uses about ten.
const GAUGES_MAX: usize = 64;

/// A store and its figures.
pub(crate) struct Measured {
    store: Arc<dyn Streams>,
    world: Arc<dyn World>,
    /// How many messages each consumer may take in a second.
    rate: Option<u64>,
    gauges: Arc<Gauges>,
}

/// All figures of a store.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(super) streams: Table<StreamGauge>,
    pub(super) buckets: Table<BucketGauge>,
}

/// Figures by name, at most [`GAUGES_MAX`].
#[derive(Debug)]
pub(super) struct Table<T>(RwLock<BTreeMap<String, Arc<T>>>);

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table(RwLock::default())
    }
}

impl<T: Default> Table<T> {
    /// The figures of this name. Those beyond the bound are counted where nobody looks.
    fn of(&self, name: &str) -> Arc<T> {
        if let Some(gauge) = self.0.read().get(name) {
            return Arc::clone(gauge);
        }
        let mut table = self.0.write();
        if table.len() >= GAUGES_MAX {
            return Arc::default();
        }
        Arc::clone(table.entry(name.to_owned()).or_default())
    }

    pub(super) fn all(&self) -> Vec<(String, Arc<T>)> {
        self.0.read().iter().map(|(name, gauge)| (name.clone(), Arc::clone(gauge))).collect()
    }
}

/// What the node does with one stream.
#[derive(Debug, Default)]
pub(super) struct StreamGauge {
    pub(super) published: AtomicU64,
    pub(super) published_bytes: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) redelivered: AtomicU64,
    pub(super) acknowledged: AtomicU64,
    pub(super) publish: Latencies,
    pub(super) delivery: Latencies,
}

/// What the node does with one bucket.
#[derive(Debug, Default)]
pub(super) struct BucketGauge {
    pub(super) written: AtomicU64,
    pub(super) overtaken: AtomicU64,
    pub(super) write: Latencies,
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl Gauges {
    /// Begins a new turn of all latencies.
    pub(super) fn turn(&self) {
        for (_, gauge) in self.streams.all() {
            gauge.publish.turn();
            gauge.delivery.turn();
        }
        self.buckets.all().iter().for_each(|(_, gauge)| gauge.write.turn());
    }
}

impl Measured {
    pub(crate) fn new(store: Arc<dyn Streams>, world: Arc<dyn World>, rate: Option<u64>) -> Measured {
        Measured { store, world, rate, gauges: Arc::default() }
    }

    pub(crate) fn gauges(&self) -> Arc<Gauges> {
        Arc::clone(&self.gauges)
    }
}

#[async_trait]
impl Streams for Measured {
    async fn create_stream(&self, config: StreamConfig) -> Result<(), StreamError> {
        // One that nobody has used yet has figures too: zeros.
        self.gauges.streams.of(&config.name);
        self.store.create_stream(config).await
    }

    async fn publish(&self, stream: &str, message: Publish) -> Result<Published, StreamError> {
        let (began, bytes) = (Instant::now(), message.body.len() as u64);
        let published = self.store.publish(stream, message).await;
        let gauge = self.gauges.streams.of(stream);
        match &published {
            Ok(_) => {
                gauge.publish.record(began.elapsed());
                add(&gauge.published, 1);
                add(&gauge.published_bytes, bytes);
            }
            Err(_) => add(&gauge.failed, 1),
        }
        published
    }

    async fn consumer(&self, stream: &str, config: ConsumerConfig) -> Result<Box<dyn Consumer>, StreamError> {
        let mut consumer = self.store.consumer(stream, config).await?;
        if let Some(rate) = self.rate {
            consumer = Box::new(Limited::new(consumer, rate));
        }
        let (gauge, world) = (self.gauges.streams.of(stream), Arc::clone(&self.world));
        Ok(Box::new(MeasuredConsumer { consumer, gauge, world }))
    }

    async fn arrivals(&self, stream: &str) -> Result<Box<dyn Arrivals>, StreamError> {
        self.store.arrivals(stream).await
    }

    async fn delete_consumer(&self, stream: &str, name: &str) -> Result<(), StreamError> {
        self.store.delete_consumer(stream, name).await
    }

    async fn read(
        &self,
        stream: &str,
        filter: &str,
        from: Sequence,
        max: usize,
    ) -> Result<Vec<Stored>, StreamError> {
        let read = self.store.read(stream, filter, from, max).await?;
        // Agents read their mail by subject, once each; whoever reads with a wildcard only looks.
        if stream == AGENT_MESSAGES && !filter.ends_with(['*', '>']) {
            let (gauge, now) = (self.gauges.streams.of(stream), self.world.now());
            read.iter().for_each(|stored| gauge.delivery.record(now.since(stored.at)));
            add(&gauge.delivered, read.len() as u64);
        }
        Ok(read)
    }

    async fn tail(&self, stream: &str, filter: &str, start: Start) -> Result<Box<dyn Tail>, StreamError> {
        self.store.tail(stream, filter, start).await
    }

    async fn delete(&self, stream: &str, sequence: Sequence) -> Result<(), StreamError> {
        self.store.delete(stream, sequence).await?;
        add(&self.gauges.streams.of(stream).acknowledged, 1);
        Ok(())
    }

    async fn stream_info(&self, stream: &str) -> Result<StreamInfo, StreamError> {
        self.store.stream_info(stream).await
    }

    async fn count(&self, stream: &str, subject: &str) -> Result<u64, StreamError> {
        self.store.count(stream, subject).await
    }

    async fn stream_names(&self) -> Result<Vec<String>, StreamError> {
        self.store.stream_names().await
    }

    async fn bucket(&self, config: BucketConfig) -> Result<Box<dyn Bucket>, StreamError> {
        let gauge = self.gauges.buckets.of(&config.name);
        Ok(Box::new(MeasuredBucket { bucket: self.store.bucket(config).await?, gauge }))
    }

    fn parts(&self) -> Vec<Arc<dyn Part>> {
        self.store.parts()
    }

    fn connection(&self) -> Option<ConnectionFigures> {
        self.store.connection()
    }
}

struct MeasuredConsumer {
    consumer: Box<dyn Consumer>,
    gauge: Arc<StreamGauge>,
    world: Arc<dyn World>,
}

#[async_trait]
impl Consumer for MeasuredConsumer {
    async fn fetch(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, StreamError> {
        let taken = self.consumer.fetch(max, wait).await?;
        let now = self.world.now();
        let first = taken.iter().filter(|delivery| delivery.attempt == 1);
        first.for_each(|delivery| self.gauge.delivery.record(now.since(delivery.message.at)));
        let again = taken.iter().filter(|delivery| delivery.attempt > 1).count();
        add(&self.gauge.delivered, taken.len() as u64);
        add(&self.gauge.redelivered, again as u64);
        Ok(taken)
    }

    async fn ack(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.consumer.ack(tag).await?;
        add(&self.gauge.acknowledged, 1);
        Ok(())
    }

    async fn nak(&self, tag: DeliveryTag, delay: Duration) -> Result<(), StreamError> {
        self.consumer.nak(tag, delay).await
    }

    async fn in_progress(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.consumer.in_progress(tag).await
    }

    async fn terminate(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.consumer.terminate(tag).await
    }

    async fn exhausted(&self) -> Result<Vec<Stored>, StreamError> {
        self.consumer.exhausted().await
    }

    async fn info(&self) -> Result<ConsumerInfo, StreamError> {
        self.consumer.info().await
    }
}

struct MeasuredBucket {
    bucket: Box<dyn Bucket>,
    gauge: Arc<BucketGauge>,
}

impl MeasuredBucket {
    fn note<T>(&self, began: Instant, written: &Result<T, StreamError>) {
        match written {
            Ok(_) => {
                self.gauge.write.record(began.elapsed());
                add(&self.gauge.written, 1);
            }
            Err(StreamError::WrongRevision { .. }) => add(&self.gauge.overtaken, 1),
            Err(_) => {}
        }
    }
}

#[async_trait]
impl Bucket for MeasuredBucket {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StreamError> {
        self.bucket.get(key).await
    }

    async fn put(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
        ttl: Option<Duration>,
    ) -> Result<Revision, StreamError> {
        let began = Instant::now();
        let written = self.bucket.put(key, value, expect, ttl).await;
        self.note(began, &written);
        written
    }

    async fn delete(&self, key: &str, expect: Expect) -> Result<(), StreamError> {
        let began = Instant::now();
        let written = self.bucket.delete(key, expect).await;
        self.note(began, &written);
        written
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>, StreamError> {
        self.bucket.keys(prefix).await
    }

    async fn watch(&self, prefix: &str) -> Result<Box<dyn Watch>, StreamError> {
        self.bucket.watch(prefix).await
    }
}
