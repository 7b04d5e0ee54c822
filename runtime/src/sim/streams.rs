//! A node's side of the way to the store: [`Streams`] over [`Wire`].
//!
//! Each call is a request that travels. A fetch whose future is dropped is not forgotten: what it brings is given to
//! the next one.

mod bucket;
mod consumer;
mod reader;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connectome_actors::port::{
    Bucket, BucketConfig, Consumer, ConsumerConfig, ConsumerInfo, Delivery, Entry, Publish, Published, Start,
    Stored, StreamConfig, StreamError, StreamInfo, Streams, Tail,
};
use connectome_codecs::{Revision, Sequence};
use parking_lot::Mutex;

use super::store::Wire;
use crate::streams::Embedded;

/// The store, as one life of a node reaches it.
pub(super) struct SimStreams {
    client: Client,
    store: Arc<Embedded>,
    /// Buckets that were opened before: opening one again asks nobody.
    buckets: Mutex<BTreeMap<String, Opened>>,
}

/// A bucket, and as what it was opened.
type Opened = (BucketConfig, Arc<Lent<dyn Bucket>>);

/// Who asks, and by which way.
#[derive(Clone)]
struct Client {
    wire: Arc<Wire>,
    node: Arc<str>,
}

impl SimStreams {
    pub(super) fn new(wire: Arc<Wire>, store: Arc<Embedded>, node: &str) -> SimStreams {
        SimStreams { client: Client { wire, node: node.into() }, store, buckets: Mutex::default() }
    }

    async fn ask<T: Told, F>(
        &self,
        what: String,
        run: impl FnOnce(Arc<Embedded>) -> F,
    ) -> Result<T, StreamError>
    where
        F: Future<Output = Result<T, StreamError>> + Send + 'static,
    {
        self.client.ask(what, run(self.store.clone())).await
    }
}

impl Client {
    async fn ask<T: Told>(
        &self,
        what: String,
        operation: impl Future<Output = Result<T, StreamError>> + Send + 'static,
    ) -> Result<T, StreamError> {
        self.wire.ask(&self.node, what, |_| Box::pin(operation)).await
    }
}

#[async_trait]
impl Streams for SimStreams {
    async fn create_stream(&self, config: StreamConfig) -> Result<(), StreamError> {
        let what = format!("create stream {}", config.name);
        self.ask(what, |store| async move { store.create_stream(config).await }).await
    }

    async fn publish(&self, stream: &str, message: Publish) -> Result<Published, StreamError> {
        let what = format!("publish {stream} {} ({} B)", message.subject, message.body.len());
        let (store, stream) = (self.store.clone(), stream.to_owned());
        let operation = |again_after: Option<Duration>| {
            Box::pin(async move {
                let published = store.publish(&stream, message.clone()).await;
                if let Some(after) = again_after.filter(|_| message.id.is_some()) {
                    tokio::spawn(async move {
                        tokio::time::sleep(after).await;
                        // Nobody hears the second answer.
                        drop(store.publish(&stream, message).await);
                    });
                }
                published
            })
        };
        self.client.wire.ask(&self.client.node, what, |fate| operation(fate.again_after)).await
    }

    async fn consumer(&self, stream: &str, config: ConsumerConfig) -> Result<Box<dyn Consumer>, StreamError> {
        let name = config.name.clone();
        let (stream, wire) = (stream.to_owned(), self.client.wire.clone());
        let open = |store: Arc<Embedded>| async move {
            let consumer: Arc<dyn Consumer> = store.consumer(&stream, config).await?.into();
            Ok(Lent { handle: consumer, wire })
        };
        let consumer = self.ask(format!("open consumer {name}"), open).await?;
        Ok(Box::new(consumer::SimConsumer::new(self.client.clone(), name, consumer)))
    }

    async fn delete_consumer(&self, stream: &str, name: &str) -> Result<(), StreamError> {
        let (stream, name) = (stream.to_owned(), name.to_owned());
        let what = format!("delete consumer {name}");
        self.ask(what, |store| async move { store.delete_consumer(&stream, &name).await }).await
    }

    async fn read(
        &self,
        stream: &str,
        filter: &str,
        from: Sequence,
        max: usize,
    ) -> Result<Vec<Stored>, StreamError> {
        let (stream, filter) = (stream.to_owned(), filter.to_owned());
        let what = format!("read {stream} {filter} from {from}");
        self.ask(what, |store| async move { store.read(&stream, &filter, from, max).await }).await
    }

    async fn tail(&self, stream: &str, filter: &str, start: Start) -> Result<Box<dyn Tail>, StreamError> {
        let (stream, filter, wire) = (stream.to_owned(), filter.to_owned(), self.client.wire.clone());
        let what = format!("follow {stream} {filter}");
        let open = |store: Arc<Embedded>| async move {
            let tail = store.tail(&stream, &filter, start).await?;
            Ok(Lent { handle: Arc::new(tokio::sync::Mutex::new(tail)), wire })
        };
        let tail = self.ask(what.clone(), open).await?;
        Ok(Box::new(reader::SimTail::new(self.client.clone(), what, tail)))
    }

    async fn delete(&self, stream: &str, sequence: Sequence) -> Result<(), StreamError> {
        let stream = stream.to_owned();
        let what = format!("delete {stream} {sequence}");
        self.ask(what, |store| async move { store.delete(&stream, sequence).await }).await
    }

    async fn stream_info(&self, stream: &str) -> Result<StreamInfo, StreamError> {
        let stream = stream.to_owned();
        let what = format!("look at {stream}");
        self.ask(what, |store| async move { store.stream_info(&stream).await }).await
    }

    async fn count(&self, stream: &str, subject: &str) -> Result<u64, StreamError> {
        let (stream, subject) = (stream.to_owned(), subject.to_owned());
        let what = format!("count {stream} {subject}");
        self.ask(what, |store| async move { store.count(&stream, &subject).await }).await
    }

    async fn stream_names(&self) -> Result<Vec<String>, StreamError> {
        self.ask("name the streams".to_owned(), |store| async move { store.stream_names().await }).await
    }

    async fn bucket(&self, config: BucketConfig) -> Result<Box<dyn Bucket>, StreamError> {
        let name = config.name.clone();
        let known =
            self.buckets.lock().get(&name).filter(|(known, _)| *known == config).map(|(_, b)| b.clone());
        let bucket = match known {
            Some(bucket) => bucket,
            None => {
                let (wire, wanted) = (self.client.wire.clone(), config.clone());
                let open = |store: Arc<Embedded>| async move {
                    let bucket: Arc<dyn Bucket> = store.bucket(wanted).await?.into();
                    Ok(Lent { handle: bucket, wire })
                };
                let opened = Arc::new(self.ask(format!("open bucket {name}"), open).await?);
                self.buckets.lock().insert(name.clone(), (config, opened.clone()));
                opened
            }
        };
        Ok(Box::new(bucket::SimBucket { client: self.client.clone(), name, bucket }))
    }
}

/// A handle that belongs to the store, in the hands of a client: it is dropped where the store's clock is.
pub(super) struct Lent<H: ?Sized + Send + Sync + 'static> {
    handle: Arc<H>,
    wire: Arc<Wire>,
}

impl<H: ?Sized + Send + Sync + 'static> Deref for Lent<H> {
    type Target = Arc<H>;

    fn deref(&self) -> &Arc<H> {
        &self.handle
    }
}

impl<H: ?Sized + Send + Sync + 'static> Drop for Lent<H> {
    fn drop(&mut self) {
        self.wire.let_go(Box::new(self.handle.clone()));
    }
}

/// An answer of the store, as the log tells it.
pub(super) trait Told: Send + 'static {
    fn told(&self) -> String;
}

impl Told for () {
    fn told(&self) -> String {
        "done".to_owned()
    }
}

impl Told for u64 {
    fn told(&self) -> String {
        self.to_string()
    }
}

impl Told for Published {
    fn told(&self) -> String {
        format!("{}{}", self.sequence, if self.duplicate { ", had it already" } else { "" })
    }
}

impl Told for Revision {
    fn told(&self) -> String {
        format!("revision {self}")
    }
}

impl Told for Option<Entry> {
    fn told(&self) -> String {
        self.as_ref().map_or_else(|| "nothing".to_owned(), Told::told)
    }
}

impl Told for Entry {
    fn told(&self) -> String {
        format!("{} at revision {}", self.key, self.revision)
    }
}

impl Told for Stored {
    fn told(&self) -> String {
        format!("{} {}", self.sequence, self.subject)
    }
}

impl Told for Vec<Stored> {
    fn told(&self) -> String {
        format!("{} messages", self.len())
    }
}

impl Told for Vec<String> {
    fn told(&self) -> String {
        format!("{} names", self.len())
    }
}

impl Told for Vec<Delivery> {
    fn told(&self) -> String {
        let each: Vec<_> = self.iter().map(|d| format!("{}/{}", d.message.sequence, d.attempt)).collect();
        format!("[{}]", each.join(" "))
    }
}

impl Told for StreamInfo {
    fn told(&self) -> String {
        format!("{} messages", self.messages)
    }
}

impl Told for ConsumerInfo {
    fn told(&self) -> String {
        format!("{} waiting, {} in flight", self.waiting, self.in_flight)
    }
}

impl<H: ?Sized + Send + Sync + 'static> Told for Lent<H> {
    fn told(&self) -> String {
        "open".to_owned()
    }
}
