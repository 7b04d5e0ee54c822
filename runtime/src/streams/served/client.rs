//! Using the store that another node serves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connectome_actors::port::{
    Arrivals, Bucket, BucketConfig, ConnectionFigures, Consumer, ConsumerConfig, Part, Publish, Published,
    Start, Stored, StreamConfig, StreamError, StreamInfo, Streams, Tail,
};
use connectome_codecs::{NodeId, Sequence};
use futures_util::FutureExt;
use parking_lot::Mutex;

use self::asking::{Client, Question, Repeat};
use self::place::Place;
use super::lasting;
use super::mirror::BucketHead;
use super::said::{Answer, Ask};
use crate::streams::checks;
use crate::transport::libp2p::Libp2pTransport;
use crate::transport::looped::Attended;

mod arrivals;
mod asking;
mod bucket;
mod consumer;
mod follower;
mod keeper;
mod place;
mod session;
mod tail;
mod watch;

/// Messages that one [`Streams::read`] gives, whatever it asked for, and the bytes that are enough: as the embedded store.
const READ_MAX: usize = 4_096;
const READ_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Buckets that are kept open for the next one who opens them: a node uses about ten.
const BUCKETS_MAX: usize = 64;

/// The store that another node serves with a [`StoreServer`](super::StoreServer).
///
/// ```
/// # use std::sync::Arc;
/// # use connectome::keystore::MemoryKeys;
/// # use connectome::port::{BucketConfig, Expect, Storage, Streams, Transport};
/// # use connectome::streams::{Embedded, Served, StoreServer};
/// # use connectome::transport::libp2p::{Libp2pOptions, Libp2pTransport};
/// # use connectome::world::SystemWorld;
/// # tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(async {
/// # let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
/// # let options = Libp2pOptions { listen, ..Libp2pOptions::default() };
/// # let ada = Libp2pTransport::open(MemoryKeys::random("ada")?.peer_key(), "main", &options).await?;
/// # let options = Libp2pOptions { peers: ada.addresses(), ..Libp2pOptions::default() };
/// # let bob = Libp2pTransport::open(MemoryKeys::random("bob")?.peer_key(), "main", &options).await?;
/// let world = Arc::new(SystemWorld::new()?);
/// let store = Embedded::in_memory(world.clone());
/// let _server = StoreServer::start(store, &*world, &ada, "main").await?;
///
/// let served = Served::new(Arc::new(bob), ada.node_id(), "main");
/// let config = BucketConfig { name: "notes".into(), ttl: None, storage: Storage::Memory };
/// let notes = served.bucket(config).await?;
/// notes.put("today", "rain".into(), Expect::Absent, None).await?;
/// assert_eq!(notes.keys("").await?, ["today"]);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Served {
    client: Arc<Client>,
    looped: Attended,
    buckets: Mutex<BTreeMap<BucketHead, Arc<Place>>>,
}

impl Served {
    /// Uses the store that the node `at` serves to the cluster of this namespace, from the moment that it is reached.
    pub fn new(transport: Arc<Libp2pTransport>, at: NodeId, namespace: &str) -> Served {
        let client = Arc::new(Client::new(transport, at, namespace.to_owned()));
        let kept = client.clone();
        let looped = lasting::start("store-client", move |says| keeper::keep(kept.clone(), says).boxed());
        Served { client, looped, buckets: Mutex::default() }
    }

    /// Waits until the store is reached.
    ///
    /// # Errors
    /// [`StreamError::Unavailable`] when it is not within that time; the text says why.
    pub async fn reached(&self, within: Duration) -> Result<(), StreamError> {
        match tokio::time::timeout(within, self.client.session()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(StreamError::Unavailable(self.client.away())),
        }
    }

    /// Asks something that needs nothing open.
    async fn ask(&self, repeat: Repeat, ask: Ask) -> Result<asking::Answered, StreamError> {
        self.client.ask(Question::plain(repeat, &|_| ask.clone())).await
    }

    /// The place of a bucket; one that was opened before is used again.
    async fn place_of(&self, config: BucketConfig) -> Result<Arc<Place>, StreamError> {
        let head = BucketHead::from(config);
        if let Some(place) = self.buckets.lock().get(&head) {
            return Ok(place.clone());
        }
        let opening = head.clone();
        let place = Arc::new(Place::new(&self.client, move |handle| Ask::OpenBucket {
            handle,
            config: opening.clone(),
        }));
        place.open().await?;
        let mut buckets = self.buckets.lock();
        if buckets.len() < BUCKETS_MAX {
            buckets.insert(head, place.clone());
        }
        Ok(place)
    }
}

#[async_trait]
impl Streams for Served {
    async fn create_stream(&self, config: StreamConfig) -> Result<(), StreamError> {
        checks::check_stream(&config)?;
        self.ask(Repeat::Same, Ask::CreateStream { config: config.into() }).await.map(drop)
    }

    async fn publish(&self, stream: &str, message: Publish) -> Result<Published, StreamError> {
        checks::check_message(&message)?;
        let Publish { subject, id, body } = message;
        let (stream, length) = (stream.to_owned(), body.len() as u32);
        let ask = Ask::Publish { stream, subject, id, length };
        let repeat = if id.is_some() { Repeat::Same } else { Repeat::Twice };
        let asked = |_| ask.clone();
        let question = Question { body: Some(body), ..Question::plain(repeat, &asked) };
        match self.client.ask(question).await?.answer {
            Answer::Published { sequence, duplicate } => {
                Ok(Published { sequence: Sequence(sequence), duplicate })
            }
            other => Err(asking::nonsense(&other)),
        }
    }

    async fn consumer(&self, stream: &str, config: ConsumerConfig) -> Result<Box<dyn Consumer>, StreamError> {
        checks::check_consumer(&config)?;
        Ok(Box::new(consumer::open(&self.client, stream, config).await?))
    }

    async fn delete_consumer(&self, stream: &str, name: &str) -> Result<(), StreamError> {
        let (stream, name) = (stream.to_owned(), name.to_owned());
        self.ask(Repeat::Twice, Ask::DeleteConsumer { stream, name }).await.map(drop)
    }

    async fn read(
        &self,
        stream: &str,
        filter: &str,
        mut from: Sequence,
        max: usize,
    ) -> Result<Vec<Stored>, StreamError> {
        let mut read: Vec<Stored> = Vec::new();
        let max = max.min(READ_MAX);
        loop {
            let (stream, filter, max) = (stream.to_owned(), filter.to_owned(), (max - read.len()) as u32);
            let answered = self.ask(Repeat::Reads, Ask::Read { stream, filter, from: from.0, max }).await?;
            let is_whole = answered.answer != Answer::More;
            read.extend(answered.messages());
            let is_end =
                is_whole || read.iter().map(|stored| stored.body.len()).sum::<usize>() >= READ_BYTES_MAX;
            match read.last() {
                Some(last) if !is_end && max > 0 => from = last.sequence.next(),
                Some(_) | None => return Ok(read),
            }
        }
    }

    async fn tail(&self, stream: &str, filter: &str, start: Start) -> Result<Box<dyn Tail>, StreamError> {
        Ok(Box::new(tail::open(&self.client, stream, filter, start).await?))
    }

    async fn arrivals(&self, stream: &str) -> Result<Box<dyn Arrivals>, StreamError> {
        Ok(Box::new(arrivals::open(&self.client, stream).await?))
    }

    async fn delete(&self, stream: &str, sequence: Sequence) -> Result<(), StreamError> {
        let ask = Ask::Delete { stream: stream.to_owned(), sequence: sequence.0 };
        self.ask(Repeat::Same, ask).await.map(drop)
    }

    async fn stream_info(&self, stream: &str) -> Result<StreamInfo, StreamError> {
        let answered = self.ask(Repeat::Reads, Ask::StreamInfo { stream: stream.to_owned() }).await?;
        match answered.answer.clone() {
            Answer::Stream(row) => Ok(row.with(answered.consumers())),
            other => Err(asking::nonsense(&other)),
        }
    }

    async fn count(&self, stream: &str, subject: &str) -> Result<u64, StreamError> {
        let (stream, subject) = (stream.to_owned(), subject.to_owned());
        self.ask(Repeat::Reads, Ask::Count { stream, subject }).await?.number()
    }

    async fn stream_names(&self) -> Result<Vec<String>, StreamError> {
        Ok(self.ask(Repeat::Reads, Ask::StreamNames).await?.names())
    }

    async fn bucket(&self, config: BucketConfig) -> Result<Box<dyn Bucket>, StreamError> {
        let place = self.place_of(config.clone()).await?;
        Ok(Box::new(bucket::Handle::new(place, config)))
    }

    fn parts(&self) -> Vec<Arc<dyn Part>> {
        vec![self.looped.part()]
    }

    fn connection(&self) -> Option<ConnectionFigures> {
        Some(self.client.figures())
    }
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served").field("at", &self.client.at).finish_non_exhaustive()
    }
}
