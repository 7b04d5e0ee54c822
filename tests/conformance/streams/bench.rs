//! What cases are written with: a store, usual configurations, short words for usual steps.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(super) use bytes::Bytes;
pub(super) use connectome_actors::port::*;
pub(super) use connectome_codecs::{MessageId, Revision, Sequence, UnixMillis};

/// A wait that nobody sees the end of, unless something is broken.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// No wait.
pub(crate) const NOW: Duration = Duration::ZERO;

/// A store under test.
pub(crate) struct Bench {
    pub(crate) streams: Arc<dyn Streams>,
    /// A time that soon passes.
    pub(crate) short: Duration,
    /// Where the store is, when it is on disk.
    pub(crate) directory: Option<PathBuf>,
}

impl Bench {
    /// Makes the stream `S` of `s.>`, bounded by nothing.
    pub(crate) async fn limits(&self) {
        self.stream(|_| {}).await;
    }

    /// Makes the work queue `S` of `s.>`, bounded by nothing.
    pub(crate) async fn queue(&self) {
        self.stream(|config| config.retention = Retention::WorkQueue).await;
    }

    /// Makes the stream `S`, changed.
    pub(crate) async fn stream(&self, change: impl FnOnce(&mut StreamConfig)) {
        self.try_stream(change).await.unwrap();
    }

    pub(crate) async fn try_stream(&self, change: impl FnOnce(&mut StreamConfig)) -> Result<(), StreamError> {
        let mut config = stream_config("S", "s.>");
        change(&mut config);
        self.streams.create_stream(config).await
    }

    /// Opens the consumer `c` of everything in `S`, patient and unbounded.
    pub(crate) async fn consumer(&self) -> Box<dyn Consumer> {
        self.consumer_with(|_| {}).await
    }

    /// Opens the consumer `c` of `S`, changed.
    pub(crate) async fn consumer_with(&self, change: impl FnOnce(&mut ConsumerConfig)) -> Box<dyn Consumer> {
        self.try_consumer(change).await.unwrap()
    }

    pub(crate) async fn try_consumer(
        &self,
        change: impl FnOnce(&mut ConsumerConfig),
    ) -> Result<Box<dyn Consumer>, StreamError> {
        let mut config = consumer_config("c", "s.>");
        change(&mut config);
        self.streams.consumer("S", config).await
    }

    /// Publishes to `S`; gives the sequence.
    pub(crate) async fn put(&self, subject: &str, body: &str) -> u64 {
        self.try_put(subject, body).await.unwrap()
    }

    pub(crate) async fn try_put(&self, subject: &str, body: &str) -> Result<u64, StreamError> {
        let published = self.streams.publish("S", message(subject, None, body)).await?;
        Ok(published.sequence.0)
    }

    /// Publishes to `S` with an id.
    pub(crate) async fn put_id(&self, id: u128, body: &str) -> Published {
        self.streams.publish("S", message("s.a", Some(id), body)).await.unwrap()
    }

    /// Publishes bodies `1` to `n` to `s.a`.
    pub(crate) async fn put_many(&self, n: usize) {
        for i in 1..=n {
            self.put("s.a", &i.to_string()).await;
        }
    }

    pub(crate) async fn info(&self) -> StreamInfo {
        self.streams.stream_info("S").await.unwrap()
    }

    /// The bodies that `S` holds.
    pub(crate) async fn kept(&self) -> Vec<String> {
        let stored = self.streams.read("S", ">", Sequence(1), 1_000).await.unwrap();
        stored.iter().map(|message| text(&message.body)).collect()
    }

    pub(crate) async fn tail(&self, filter: &str, start: Start) -> Box<dyn Tail> {
        self.streams.tail("S", filter, start).await.unwrap()
    }

    /// Opens the bucket `b`, whose entries stay.
    pub(crate) async fn bucket(&self) -> Box<dyn Bucket> {
        self.bucket_with(None).await
    }

    pub(crate) async fn bucket_with(&self, ttl: Option<Duration>) -> Box<dyn Bucket> {
        self.streams.bucket(bucket_config("b", ttl)).await.unwrap()
    }

    /// Lets `duration` pass by the store's own clock: a message refused for that long has come again.
    pub(crate) async fn let_pass(&self, duration: Duration) {
        self.streams.create_stream(stream_config("CLOCK", "clock")).await.unwrap();
        self.streams.publish("CLOCK", message("clock", None, "")).await.unwrap();
        let clock = self.streams.consumer("CLOCK", consumer_config("clock", "clock")).await.unwrap();
        let tag = clock.fetch(1, LONG).await.unwrap()[0].tag;
        clock.nak(tag, duration).await.unwrap();
        let tag = clock.fetch(1, duration + LONG).await.unwrap()[0].tag;
        clock.ack(tag).await.unwrap();
    }
}

/// A stream in files, bounded by nothing.
pub(crate) fn stream_config(name: &str, subject: &str) -> StreamConfig {
    StreamConfig {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        retention: Retention::Limits,
        storage: Storage::File,
        max_age: None,
        max_bytes: None,
        max_messages: None,
        discard: Discard::Old,
        duplicate_window: Duration::from_secs(120),
    }
}

/// A consumer that is patient and unbounded.
pub(crate) fn consumer_config(name: &str, filter: &str) -> ConsumerConfig {
    ConsumerConfig {
        name: name.to_owned(),
        filter: filter.to_owned(),
        start: Start::First,
        ack_wait: LONG,
        max_deliver: None,
        max_ack_pending: 1_000,
        backoff: vec![],
    }
}

pub(crate) fn bucket_config(name: &str, ttl: Option<Duration>) -> BucketConfig {
    BucketConfig { name: name.to_owned(), ttl, storage: Storage::File }
}

pub(crate) fn message(subject: &str, id: Option<u128>, body: &str) -> Publish {
    let body = Bytes::copy_from_slice(body.as_bytes());
    Publish { subject: subject.to_owned(), id: id.map(message_id), body }
}

pub(crate) fn message_id(n: u128) -> MessageId {
    MessageId::from_parts(UnixMillis(1_700_000_000_000), n)
}

pub(crate) fn text(body: &Bytes) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}

/// The bodies of deliveries.
pub(crate) fn texts(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| text(&delivery.message.body)).collect()
}

/// Takes the one message that is there at once, or comes.
pub(crate) async fn take(consumer: &dyn Consumer) -> Delivery {
    let mut taken = consumer.fetch(1, LONG).await.unwrap();
    assert_eq!(taken.len(), 1, "one message was to come");
    taken.remove(0)
}

/// What there is to take now.
pub(crate) async fn take_all(consumer: &dyn Consumer) -> Vec<Delivery> {
    consumer.fetch(1_000, NOW).await.unwrap()
}

/// The body of a tail's next message.
pub(crate) async fn next(tail: &mut dyn Tail) -> String {
    text(&tail.next().await.unwrap().body)
}

#[track_caller]
pub(crate) fn assert_invalid<T>(result: Result<T, StreamError>) {
    match result {
        Err(StreamError::Invalid(_)) => {}
        Err(other) => panic!("refused, but as {other:?}"),
        Ok(_) => panic!("taken, though it should be refused"),
    }
}

#[track_caller]
pub(crate) fn assert_not_found<T>(result: Result<T, StreamError>) {
    assert!(matches!(result.err(), Some(StreamError::NotFound { .. })), "it should not be found");
}

#[track_caller]
pub(crate) fn assert_conflict<T>(result: Result<T, StreamError>, expected: &str) {
    match result.err() {
        Some(StreamError::Conflict { field, .. }) => assert_eq!(field, expected),
        other => panic!("a conflict was expected, not {other:?}"),
    }
}

#[track_caller]
pub(crate) fn assert_full<T>(result: Result<T, StreamError>) {
    assert!(matches!(result.err(), Some(StreamError::Full { .. })), "it should be full");
}
