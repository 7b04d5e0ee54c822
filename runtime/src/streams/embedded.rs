//! The embedded store: streams and buckets in this process, in one directory or in memory only.
//!
//! It needs no server and one process owns it. It does not replicate, and it sees no plaintext: bodies are bytes.
//!
//! Read `core.rs` first: it decides everything and touches nothing. Then the shell around it:
//!
//! | file | what |
//! |---|---|
//! | `core` | the whole store as a pure machine |
//! | `store` | one lock around it, one clock, who is to be woken |
//! | `commit` | how many operations share one wait for the disk |
//! | `disk` | the tables, the rows as bytes, what is said of a directory that is not ours |
//! | `consumer`, `tail`, `bucket`, `watch` | the handles that callers hold |
//! | `sleeper` | waiting without asking again and again |
//!
//! # What is kept
//!
//! | what | over `kill -9` | over loss of power |
//! |---|---|---|
//! | a message, an entry, a stream, a consumer, whose call has returned `Ok` | yes | yes (`fdatasync`) |
//! | that a message was delivered, and how often: before the worker has it | yes | the newest may be forgotten |
//! | acknowledgements | all but the newest few | the newest may be forgotten |
//! | ids within the duplicate window | yes | yes |
//!
//! A forgotten acknowledgement is a delivery more, never a message less. Since an attempt is written before the worker
//! has the message, a message that kills its process again and again runs out of deliveries like any other.
//!
//! # Bounds
//!
//! A message costs under 300 bytes of memory beside its body, a key about as much, a consumer half a kilobyte. Bodies
//! on disk are held in memory while they are among the newest 32 MiB.

mod bucket;
mod commit;
pub(in crate::streams) mod consumer;
mod core;
mod disk;
#[cfg(test)]
mod failing;
pub(crate) mod sleeper;
mod store;
mod tail;
mod watch;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use connectome_actors::port::{
    Bucket, BucketConfig, Consumer, ConsumerConfig, Publish, Published, Start, Stored, StreamConfig,
    StreamError, StreamInfo, Streams, Tail, World,
};
use connectome_codecs::Sequence;

use self::commit::{Ticket, Urgency};
use self::core::effects::Effects;
use self::core::reading::Seen;
use self::core::{Core, Now};
pub use self::disk::OpenError;
use self::store::Store;
use super::subject::Filter;

/// Messages that one [`Streams::read`] gives, whatever it asked for: read on from the last one for more.
const READ_MAX: usize = 4_096;

/// The embedded store. Cloning gives another handle to the same store; the last one to go closes it.
///
/// ```
/// # use std::{sync::Arc, time::Duration};
/// # use connectome::streams::Embedded;
/// # use connectome_actors::port::*;
/// # use connectome_codecs::{MessageId, Sequence, UnixMillis};
/// # struct Here;
/// # impl World for Here {
/// #     fn now(&self) -> UnixMillis { UnixMillis(1) }
/// #     fn random(&self) -> u128 { 4 }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), StreamError> {
/// let store = Embedded::in_memory(Arc::new(Here));
/// store.create_stream(StreamConfig {
///     name: "TASKS".into(),
///     subjects: vec!["task.>".into()],
///     retention: Retention::WorkQueue,
///     storage: Storage::Memory,
///     max_age: None,
///     max_bytes: None,
///     max_messages: None,
///     discard: Discard::New,
///     duplicate_window: Duration::from_secs(120),
/// }).await?;
///
/// let work = Publish { subject: "task.sum".into(), id: None, body: "1 + 1".into() };
/// store.publish("TASKS", work).await?;
///
/// let worker = store.consumer("TASKS", ConsumerConfig {
///     name: "adders".into(),
///     filter: "task.sum".into(),
///     start: Start::First,
///     ack_wait: Duration::from_secs(30),
///     max_deliver: Some(5),
///     max_ack_pending: 100,
///     backoff: vec![],
/// }).await?;
/// let [delivery] = &worker.fetch(1, Duration::from_secs(1)).await?[..] else { panic!("one was published") };
/// assert_eq!(delivery.message.body, "1 + 1");
/// worker.ack(delivery.tag).await?;
/// assert_eq!(store.stream_info("TASKS").await?.messages, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Embedded {
    store: Arc<Store>,
}

impl Embedded {
    /// A store in memory: no thread, no file, gone with the last handle. Under a paused clock it is deterministic.
    #[must_use]
    pub fn in_memory(world: Arc<dyn World>) -> Self {
        Self { store: Arc::new(Store::in_memory(world)) }
    }

    /// Opens the store in the directory `path`, making it if it is not there.
    ///
    /// Blocks while it reads what is kept, about five seconds for a million messages. The store stays open, and the
    /// directory locked, until the last handle is gone: every clone, consumer, tail, bucket and watch.
    ///
    /// # Errors
    /// [`OpenError`], which names the path and says what to do.
    pub fn open(path: impl AsRef<Path>, world: Arc<dyn World>) -> Result<Self, OpenError> {
        disk::open(path.as_ref(), world).map(|store| Self { store: Arc::new(store) })
    }

    /// Whether there is a store in the directory `path`, open or not. Changes nothing, where [`open`](Embedded::open)
    /// would make one.
    pub fn is_in(path: impl AsRef<Path>) -> bool {
        disk::is_store(path.as_ref())
    }

    /// A consumer, with more than the port has: for whoever hands its deliveries on.
    pub(in crate::streams) async fn open_consumer(
        &self,
        stream: &str,
        config: ConsumerConfig,
    ) -> Result<consumer::Handle, StreamError> {
        let name = config.name.clone();
        let opened = self.durably(|core, _, effects| {
            let bell = core.new_bell();
            let (place, stream) = core.stream(stream)?;
            stream.open_consumer(config, bell, effects).map(|(number, bell)| (place, number, bell))
        });
        let (place, number, bell) = opened.await?;
        Ok(consumer::Handle::new(Arc::clone(&self.store), place, number, bell, name))
    }

    /// Changes the core, and waits until the disk has it.
    async fn durably<T: Send>(
        &self,
        operation: impl FnOnce(&mut Core, Now, &mut Effects) -> Result<T, StreamError> + Send,
    ) -> Result<T, StreamError> {
        self.store.room().await?;
        let (answer, ticket): (T, Ticket) = self.store.apply(Urgency::Durable, operation)?;
        self.store.settled(ticket).await?;
        Ok(answer)
    }

    fn look<T>(
        &self,
        operation: impl FnOnce(&mut Core, Now, &mut Effects) -> Result<T, StreamError>,
    ) -> Result<T, StreamError> {
        self.store.apply(Urgency::Written, operation).map(|(answer, _)| answer)
    }
}

#[async_trait]
impl Streams for Embedded {
    async fn create_stream(&self, config: StreamConfig) -> Result<(), StreamError> {
        self.durably(|core, now, effects| core.create_stream(config, now, effects)).await
    }

    async fn publish(&self, stream: &str, message: Publish) -> Result<Published, StreamError> {
        self.durably(|core, now, effects| core.stream(stream)?.1.publish(message, now, effects)).await
    }

    async fn consumer(&self, stream: &str, config: ConsumerConfig) -> Result<Box<dyn Consumer>, StreamError> {
        Ok(Box::new(self.open_consumer(stream, config).await?))
    }

    async fn delete_consumer(&self, stream: &str, name: &str) -> Result<(), StreamError> {
        let deleted = self.durably(|core, _, effects| core.stream(stream)?.1.delete_consumer(name, effects));
        let bell = deleted.await?;
        self.store.forget_sleeper(bell);
        Ok(())
    }

    async fn read(
        &self,
        stream: &str,
        filter: &str,
        from: Sequence,
        max: usize,
    ) -> Result<Vec<Stored>, StreamError> {
        let filter = Filter::parse(filter)?;
        let seen = self.look(|core, now, effects| {
            let (_, stream) = core.stream(stream)?;
            stream.expire(now, effects);
            Ok(stream.read(&filter, from.0, max.min(READ_MAX)))
        })?;
        seen.into_iter().filter_map(|seen| stored(&self.store, seen).transpose()).collect()
    }

    async fn tail(&self, stream: &str, filter: &str, start: Start) -> Result<Box<dyn Tail>, StreamError> {
        let filter = Filter::parse(filter)?;
        let (place, bell) = self.look(|core, now, effects| {
            let bell = core.new_bell();
            let (place, stream) = core.stream(stream)?;
            stream.expire(now, effects);
            stream.follow(filter, start, bell);
            Ok((place, bell))
        })?;
        Ok(Box::new(tail::Handle::new(Arc::clone(&self.store), place, bell)))
    }

    async fn delete(&self, stream: &str, sequence: Sequence) -> Result<(), StreamError> {
        self.durably(|core, _, effects| {
            core.stream(stream)?.1.remove(sequence.0, effects);
            Ok(())
        })
        .await
    }

    async fn stream_info(&self, stream: &str) -> Result<StreamInfo, StreamError> {
        self.look(|core, now, effects| {
            let (_, stream) = core.stream(stream)?;
            stream.expire(now, effects);
            Ok(stream.info(now, effects))
        })
    }

    async fn count(&self, stream: &str, subject: &str) -> Result<u64, StreamError> {
        self.look(|core, now, effects| {
            let (_, stream) = core.stream(stream)?;
            stream.expire(now, effects);
            Ok(stream.count(subject))
        })
    }

    async fn stream_names(&self) -> Result<Vec<String>, StreamError> {
        self.look(|core, _, _| Ok(core.stream_names()))
    }

    async fn bucket(&self, config: BucketConfig) -> Result<Box<dyn Bucket>, StreamError> {
        let place = self.durably(|core, _, effects| core.open_bucket(config, effects)).await?;
        Ok(Box::new(bucket::Handle::new(Arc::clone(&self.store), place)))
    }
}

/// A message with its body; `None` when it was removed meanwhile.
fn stored(store: &Store, seen: Seen) -> Result<Option<Stored>, StreamError> {
    let body = store.body(&seen)?;
    Ok(body.map(|body| seen.with_body(body)))
}
