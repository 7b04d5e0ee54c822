//! The distributed store: streams and buckets in NATS JetStream, shared by every node of a cluster.
//!
//! It keeps nothing itself but what its callers hold. It sees no plaintext: bodies are bytes. It does not choose streams or
//! subjects: whoever uses the port does.
//!
//! | file | what |
//! |---|---|
//! | `requests`, `attempts`, `api` | asking the server: once, until it answers, in its JSON |
//! | `names`, `config` | our words and bounds in the server's |
//! | `stream`, `publish`, `read` | streams: made, written, read |
//! | `remake`, `room` | what the server has lost is made again; how much may wait for it |
//! | `consumer`, `pull`, `acknowledge`, `leaving`, `exhausted` | consumers: opened, taken from, told, done, given up |
//! | `tail`, `arrivals` | live readers, and those who only hear that there is something |
//! | `bucket`, `watch` | buckets, and who follows them |
//! | `counts` | what was done |
//!
//! # What is kept
//!
//! | what | over `kill -9` of the server | over loss of power |
//! |---|---|---|
//! | a message, an entry, a stream, a consumer, whose call has returned `Ok` | yes | only under `sync_interval: always` |
//! | that a message was delivered, how often, and acknowledged (in a work queue an acknowledged one is gone at once) | all but the last 0.1 s | the newest may be forgotten |
//! | ids within the duplicate window | while their messages are kept | as their messages |
//!
//! # Where JetStream differs
//!
//! * A time to live is in whole seconds: it is rounded up.
//! * An id is remembered for the duplicate window, or for `max_age` if that is shorter; over a restart of the server, only
//!   while its message is kept.
//! * What ran out of deliveries is told to every process that has the consumer open.
//! * A tail with a filter hears of messages that were removed before it began; of those removed later only when it follows
//!   everything that its stream takes.
//! * A body with its headers must fit the server's `max_payload`; its default of 1 MB has no room for headers beside the
//!   largest body: set 2 MB.

mod acknowledge;
mod api;
mod arrivals;
mod attempts;
mod bucket;
mod config;
mod consumer;
mod counts;
mod exhausted;
mod leaving;
mod names;
mod publish;
mod pull;
mod read;
mod remake;
mod requests;
mod room;
mod stream;
mod tail;
mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use connectome_actors::port::{
    Arrivals, Bucket, BucketConfig, ConnectionFigures, Consumer, ConsumerConfig, Part, Publish, Published,
    Start, Stored, StreamConfig, StreamError, StreamInfo, Streams, Tail,
};
use connectome_codecs::Sequence;
use connectome_codecs::limits::FRAME_MAX;
use parking_lot::Mutex;

use self::consumer::Hub;
use self::counts::Counters;
pub use self::counts::JetStreamCounts;
use self::leaving::AllLeaving;
use self::names::Names;
pub(crate) use self::remake::Losses;
use self::remake::Made;
use self::requests::Requests;
use self::room::Room;
use crate::transport::nats::NatsConnection;

/// Bytes of the headers beside a body, at the most: names and ids of bounded length.
const HEADERS_MAX: usize = 512;

/// How streams and buckets are kept in JetStream.
///
/// ```
/// use connectome::streams::JetStreamOptions;
///
/// let options = JetStreamOptions { replicas: 3, ..JetStreamOptions::default() };
/// assert_eq!(options.namespace, "connectome");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JetStreamOptions {
    /// Begins the names of all streams and buckets, so that clusters share a server: `[A-Za-z0-9_-]`, at most 32 bytes.
    pub namespace: String,
    /// A first part of all subjects, for clusters whose own subjects would overlap. `None`: subjects are as they are given.
    pub subject_prefix: Option<String>,
    /// Servers that keep each stream: 1, or 3 or 5 in a cluster of at least so many.
    pub replicas: usize,
    /// How long one request waits for its answer.
    pub request_timeout: Duration,
    /// How long an operation is tried again in all: it should outlive an election of 5 to 9 s.
    pub deadline: Duration,
    /// Whether streams and buckets that the server has lost are made again, empty, and consumers with them. The sequences of
    /// what is made then begin with the moment of it, so that no place in what is gone is taken for one in what follows. Nodes
    /// do so; a store that is only looked into does not.
    pub remake: bool,
}

impl Default for JetStreamOptions {
    fn default() -> JetStreamOptions {
        JetStreamOptions {
            namespace: "connectome".to_owned(),
            subject_prefix: None,
            replicas: 1,
            request_timeout: Duration::from_secs(2),
            deadline: Duration::from_secs(10),
            remake: false,
        }
    }
}

/// The store in NATS JetStream. Cloning gives another handle to the same store.
///
/// ```no_run
/// # use connectome::streams::{JetStream, JetStreamOptions};
/// # use connectome::transport::nats::{NatsConnection, NatsOptions};
/// # use connectome_actors::port::Streams;
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let connection = NatsConnection::open(&NatsOptions::new("nats://127.0.0.1:4222")?).await?;
/// let store = JetStream::open(&connection, JetStreamOptions::default()).await?;
/// println!("{:?}", store.stream_names().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct JetStream {
    store: Arc<Store>,
}

/// What all handles share.
#[derive(Debug)]
struct Store {
    options: JetStreamOptions,
    names: Names,
    requests: Requests,
    counters: Counters,
    /// The consumers that somebody here has open, by stream and name.
    hubs: Mutex<BTreeMap<(String, String), Weak<Hub>>>,
    leaving: AllLeaving,
    made: Made,
    room: Room,
}

impl JetStream {
    /// Opens the store over a connection, which others may use as well.
    ///
    /// # Errors
    /// [`StreamError::Invalid`] when an option does not fit; [`StreamError::Unavailable`] when the connection was closed.
    pub async fn open(
        connection: &NatsConnection,
        options: JetStreamOptions,
    ) -> Result<JetStream, StreamError> {
        config::check_options(&options)?;
        let requests = Requests::open(connection.clone()).await?;
        check_payload(connection);
        let names = Names::new(options.namespace.clone(), options.subject_prefix.clone());
        let store = Store {
            options,
            names,
            requests,
            counters: Counters::default(),
            hubs: Mutex::default(),
            leaving: AllLeaving::default(),
            made: Made::default(),
            room: Room::default(),
        };
        Ok(JetStream { store: Arc::new(store) })
    }

    /// What was done since it was opened.
    pub fn counts(&self) -> JetStreamCounts {
        self.store.counters.snapshot()
    }

    /// Follows what the server has lost, and this store has made again.
    pub(crate) fn losses(&self) -> tokio::sync::watch::Receiver<Losses> {
        self.store.losses()
    }
}

/// Says so when the largest bodies have no room on the server.
fn check_payload(connection: &NatsConnection) {
    let max_payload = connection.client().max_payload();
    if max_payload < FRAME_MAX + HEADERS_MAX {
        let largest = max_payload.saturating_sub(HEADERS_MAX);
        tracing::warn!(
            max_payload,
            "bodies past {largest} bytes are refused: set the NATS server's max_payload to 2MB"
        );
    }
}

#[async_trait]
impl Streams for JetStream {
    async fn create_stream(&self, config: StreamConfig) -> Result<(), StreamError> {
        self.store.create_stream(config).await
    }

    async fn publish(&self, stream: &str, message: Publish) -> Result<Published, StreamError> {
        self.store.publish(stream, message).await
    }

    async fn consumer(&self, stream: &str, config: ConsumerConfig) -> Result<Box<dyn Consumer>, StreamError> {
        Ok(Box::new(consumer::open(&self.store, stream, config).await?))
    }

    async fn delete_consumer(&self, stream: &str, name: &str) -> Result<(), StreamError> {
        consumer::delete(&self.store, stream, name).await
    }

    async fn read(
        &self,
        stream: &str,
        filter: &str,
        from: Sequence,
        max: usize,
    ) -> Result<Vec<Stored>, StreamError> {
        self.store.read(stream, filter, from.0, max).await
    }

    async fn tail(&self, stream: &str, filter: &str, start: Start) -> Result<Box<dyn Tail>, StreamError> {
        Ok(Box::new(tail::open(&self.store, stream, filter, start).await?))
    }

    async fn arrivals(&self, stream: &str) -> Result<Box<dyn Arrivals>, StreamError> {
        Ok(Box::new(arrivals::open(&self.store, stream).await?))
    }

    async fn delete(&self, stream: &str, sequence: Sequence) -> Result<(), StreamError> {
        self.store.delete(stream, sequence.0).await
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
        Ok(Box::new(bucket::open(&self.store, config).await?))
    }

    fn parts(&self) -> Vec<Arc<dyn Part>> {
        vec![self.store.requests.connection().part(), self.store.requests.part()]
    }

    fn connection(&self) -> Option<ConnectionFigures> {
        Some(self.store.requests.connection().figures())
    }
}
