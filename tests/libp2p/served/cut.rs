//! What outlives a lost stream to the node that serves: the port's handles go on as if nothing had happened.

use std::sync::Arc;
use std::time::Duration;

use connectome::port::*;
use connectome::streams::{Embedded, Served, StoreServer};
use connectome::transport::libp2p::{Admission, Libp2pTransport};
use connectome::world::SystemWorld;
use connectome_codecs::{MessageId, Sequence, UnixMillis};

use super::super::support::{open, soon, until};

const PROTOCOL: &str = "/connectome/streams/1";
const LONG: Duration = Duration::from_secs(60);

/// A store on one node, and its user on another.
struct Pair {
    streams: Served,
    there: Libp2pTransport,
    store: Embedded,
    world: Arc<SystemWorld>,
    server: StoreServer,
}

impl Pair {
    async fn open() -> Pair {
        let there = open("there", Vec::new(), Admission::default()).await;
        let here = open("here", there.addresses(), Admission::default()).await;
        let world = Arc::new(SystemWorld::new().unwrap());
        let store = Embedded::in_memory(world.clone());
        let server = StoreServer::start(store.clone(), &*world, &there, "main").await.unwrap();
        let streams = Served::new(Arc::new(here), there.node_id(), "main");
        streams.reached(LONG).await.unwrap();
        streams.create_stream(stream()).await.unwrap();
        Pair { streams, there, store, world, server }
    }

    /// Cuts the streams of all sessions; gives how many there were.
    fn cut(&self) -> usize {
        let rows = self.there.streams().into_iter().filter(|row| row.protocol == PROTOCOL);
        rows.filter(|row| self.there.close_stream(row.id)).count()
    }

    async fn put(&self, subject: &str, n: u128) -> Published {
        let id = Some(MessageId::from_parts(UnixMillis(1_700_000_000_000), n));
        let message = Publish { subject: subject.to_owned(), id, body: n.to_string().into() };
        self.streams.publish("S", message).await.unwrap()
    }
}

/// Serves a store, as soon as whoever did before has gone.
async fn serve(store: &Embedded, world: &SystemWorld, there: &Libp2pTransport) -> StoreServer {
    let mut server = None;
    until(async || {
        server = StoreServer::start(store.clone(), world, there, "main").await.ok();
        server.is_some()
    })
    .await;
    server.expect("it is served")
}

fn stream() -> StreamConfig {
    StreamConfig {
        name: "S".to_owned(),
        subjects: vec!["s.>".to_owned()],
        retention: Retention::Limits,
        storage: Storage::File,
        max_age: None,
        max_bytes: None,
        max_messages: None,
        discard: Discard::Old,
        duplicate_window: Duration::from_secs(120),
    }
}

fn consumer() -> ConsumerConfig {
    ConsumerConfig {
        name: "c".to_owned(),
        filter: "s.>".to_owned(),
        start: Start::First,
        ack_wait: Duration::from_millis(500),
        max_deliver: None,
        max_ack_pending: 1_000,
        backoff: vec![],
    }
}

fn bucket() -> BucketConfig {
    BucketConfig { name: "b".to_owned(), ttl: None, storage: Storage::File }
}

/// Writers, a consumer, a tail and a watch while the stream is cut again and again: each message is stored once, consumed, and
/// told in order without a gap; each key's last value is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_on_while_the_stream_is_cut() {
    const MESSAGES: u64 = 400;
    let pair = Pair::open().await;
    let worker = pair.streams.consumer("S", consumer()).await.unwrap();
    let mut tail = pair.streams.tail("S", "s.a", Start::New).await.unwrap();
    let table = pair.streams.bucket(bucket()).await.unwrap();
    let mut watch = table.watch("k").await.unwrap();
    let writing = async {
        for n in 0..MESSAGES {
            pair.put("s.a", n.into()).await;
            while table.put("k", n.to_string().into(), Expect::Any, None).await.is_err() {}
        }
    };
    let consuming = async {
        let mut seen = std::collections::BTreeSet::new();
        while (seen.len() as u64) < MESSAGES {
            for delivery in worker.fetch(16, LONG).await.unwrap() {
                worker.ack(delivery.tag).await.unwrap();
                seen.insert(delivery.message.sequence);
            }
        }
    };
    let tailing = async {
        for n in 1..=MESSAGES {
            assert_eq!(tail.next().await.unwrap().sequence, Sequence(n), "in order, each once");
        }
    };
    let watching = async {
        let last = (MESSAGES - 1).to_string();
        while watch.next().await.unwrap().value.is_none_or(|value| value != last) {}
    };
    let cutting = async {
        let mut cuts = 0;
        while cuts < 8 {
            let before = pair.store.stream_info("S").await.unwrap().messages;
            cuts += pair.cut();
            until(async || {
                let now = pair.store.stream_info("S").await.unwrap().messages;
                now >= (before + 20).min(MESSAGES)
            })
            .await;
        }
    };
    soon(async { tokio::join!(writing, consuming, tailing, watching, cutting) }).await;
    assert_eq!(pair.streams.stream_info("S").await.unwrap().messages, MESSAGES, "none is stored twice");
    let figures = pair.streams.connection().unwrap();
    assert!(figures.up && figures.disconnected >= 8, "{figures:?}");
}

/// A watch that was cut hears of the keys that were removed meanwhile, a listener that it may have missed something, and a tail
/// of what came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_while_the_stream_was_cut_is_found() {
    let pair = Pair::open().await;
    let table = pair.streams.bucket(bucket()).await.unwrap();
    for key in ["a", "b"] {
        table.put(key, "1".into(), Expect::Absent, None).await.unwrap();
    }
    let mut watch = table.watch("").await.unwrap();
    assert_eq!((watch.next().await.unwrap().key, watch.next().await.unwrap().key), ("a".into(), "b".into()));
    let mut arrivals = pair.streams.arrivals("S").await.unwrap();
    arrivals.listen("s.a").await.unwrap();
    let mut tail = pair.streams.tail("S", ">", Start::New).await.unwrap();

    drop(pair.server);
    let there = pair.store.bucket(bucket()).await.unwrap();
    there.delete("a", Expect::Any).await.unwrap();
    there.put("c", "1".into(), Expect::Any, None).await.unwrap();
    let message = Publish { subject: "s.a".to_owned(), id: None, body: "1".into() };
    pair.store.publish("S", message).await.unwrap();
    let _server = serve(&pair.store, &pair.world, &pair.there).await;

    let removed = soon(watch.next()).await.unwrap();
    assert_eq!((removed.key.as_str(), removed.value), ("a", None));
    let made = soon(watch.next()).await.unwrap();
    assert_eq!(made.key, "c");
    assert!(removed.revision < made.revision);
    assert_eq!(soon(arrivals.next()).await.unwrap(), Arrival::Missed { from: Sequence(1) });
    assert_eq!(soon(tail.next()).await.unwrap().sequence, Sequence(1));
    let counted = there.get("a").await.unwrap();
    assert_eq!(counted, None);
}

/// What a client had in hand when it was lost comes again to another one, when its time is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_client_had_in_hand_comes_again() {
    let pair = Pair::open().await;
    pair.put("s.a", 1).await;
    let worker = pair.streams.consumer("S", consumer()).await.unwrap();
    assert_eq!(worker.fetch(1, LONG).await.unwrap()[0].attempt, 1);
    let there = pair.store.consumer("S", consumer()).await.unwrap();
    drop((worker, pair.streams));
    let again = soon(there.fetch(1, LONG)).await.unwrap();
    assert_eq!((again[0].attempt, again[0].message.sequence), (2, Sequence(1)));
}

/// While the node that serves is away whoever asks is told so in time, with what would be right; another store is not taken for
/// the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_store_is_not_taken_for_the_one_before() {
    let pair = Pair::open().await;
    pair.cut();
    drop(pair.server);
    let other = Embedded::in_memory(pair.world.clone());
    let _server = serve(&other, &pair.world, &pair.there).await;
    let refused = soon(pair.streams.stream_names()).await.unwrap_err();
    assert!(matches!(refused, StreamError::Unavailable(_)), "{refused:?}");
    assert!(refused.to_string().contains("another store than before"), "{refused}");
    assert!(!pair.streams.connection().unwrap().up);
}

/// A cluster of another namespace is told that this is not its store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_namespace_is_refused() {
    let pair = Pair::open().await;
    let stranger = open("stranger", pair.there.addresses(), Admission::default()).await;
    soon(stranger.linked(pair.there.node_id())).await;
    let served = Served::new(Arc::new(stranger), pair.there.node_id(), "other");
    let why = async || served.reached(Duration::from_millis(50)).await.unwrap_err().to_string();
    until(async || why().await.contains("the store of the namespace \"main\"")).await;
}
