//! `kill -9` of servers in the middle of acknowledged publishes loses none of them and doubles none: shown by doing it.
//!
//! Senders publish with ids and try again, with the same id, whatever was not acknowledged. `CONNECTOME_SEED` replays the
//! moments of a failing run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connectome::streams::{JetStream, JetStreamOptions};
use connectome::transport::nats::{NatsConnection, NatsOptions};
use connectome_actors::port::*;
use connectome_codecs::{MessageId, Sequence, UnixMillis};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::nats::{NatsCluster, NatsServer};

const STREAM: &str = "LEDGER";
const SENDERS: usize = 32;

/// A server alone is killed three times in 10,000 publishes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_publish_is_lost_or_doubled() {
    const PUBLISHES: usize = 10_000;
    let mut server = NatsServer::start();
    let ledger = Ledger::open(&server.url(), 1).await;
    let moments = moments(3, PUBLISHES);
    let kill = async |mut acknowledged: watch::Receiver<usize>| {
        for moment in moments {
            acknowledged.wait_for(|count| *count >= moment).await.unwrap();
            server.restart();
        }
    };
    ledger.run(PUBLISHES, kill).await;
    println!("{:?}", ledger.0.counts());
}

/// Of three servers each is killed once in 3,000 publishes; two go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_loses_a_server_loses_nothing() {
    const PUBLISHES: usize = 3_000;
    let mut cluster = NatsCluster::start(3);
    let ledger = Ledger::open(&cluster.urls(), 3).await;
    let moments = moments(3, PUBLISHES);
    let kill = async |mut acknowledged: watch::Receiver<usize>| {
        for (server, moment) in cluster.servers.iter_mut().zip(moments) {
            acknowledged.wait_for(|count| *count >= moment).await.unwrap();
            server.kill();
            // The other two take over before this one comes back.
            let moment = *acknowledged.borrow() + PUBLISHES / 10;
            acknowledged.wait_for(|count| *count >= moment.min(PUBLISHES)).await.unwrap();
            server.restart();
        }
    };
    ledger.run(PUBLISHES, kill).await;
    println!("{:?}", ledger.0.counts());
}

/// A stream in which each body stands once.
#[derive(Clone)]
struct Ledger(JetStream);

impl Ledger {
    async fn open(urls: &str, replicas: usize) -> Ledger {
        let connection = NatsConnection::open(&NatsOptions::new(urls).unwrap()).await.unwrap();
        let options = JetStreamOptions { replicas, ..JetStreamOptions::default() };
        let streams = JetStream::open(&connection, options).await.unwrap();
        let config = StreamConfig {
            name: STREAM.into(),
            subjects: vec!["ledger.>".into()],
            retention: Retention::Limits,
            storage: Storage::File,
            max_age: None,
            max_bytes: None,
            max_messages: None,
            discard: Discard::New,
            duplicate_window: Duration::from_secs(120),
        };
        streams.create_stream(config).await.unwrap();
        Ledger(streams)
    }

    /// Publishes, with somebody who kills meanwhile, and holds the stream to what was acknowledged.
    async fn run(&self, publishes: usize, kill: impl AsyncFnOnce(watch::Receiver<usize>)) {
        let (acknowledged, counted) = watch::channel(0);
        let (acknowledged, next) = (Arc::new(acknowledged), Arc::new(AtomicUsize::new(0)));
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            senders.spawn(self.clone().send(publishes, Arc::clone(&next), Arc::clone(&acknowledged)));
        }
        let (promised, ()) = tokio::join!(senders.join_all(), kill(counted));
        let promised: BTreeMap<u64, usize> = promised.into_iter().flatten().collect();
        assert_eq!(promised.len(), publishes, "each has a sequence of its own");
        assert_eq!(self.kept().await, promised);
    }

    /// Publishes until there is no more to publish; gives the sequences that were promised.
    async fn send(
        self,
        publishes: usize,
        next: Arc<AtomicUsize>,
        acknowledged: Arc<watch::Sender<usize>>,
    ) -> Vec<(u64, usize)> {
        let mut promised = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= publishes {
                return promised;
            }
            promised.push((self.publish(number).await, number));
            acknowledged.send_modify(|count| *count += 1);
        }
    }

    async fn publish(&self, number: usize) -> u64 {
        let id = MessageId::from_parts(UnixMillis(1_700_000_000_000), number as u128);
        let body = Bytes::from(number.to_string());
        loop {
            let message = Publish { subject: "ledger.line".into(), id: Some(id), body: body.clone() };
            match self.0.publish(STREAM, message).await {
                Ok(published) => return published.sequence.0,
                Err(StreamError::Unavailable(_) | StreamError::Unknown(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }

    /// What the stream holds.
    async fn kept(&self) -> BTreeMap<u64, usize> {
        let mut kept = BTreeMap::new();
        loop {
            let from = kept.last_key_value().map_or(1, |(last, _)| last + 1);
            let read = self.0.read(STREAM, ">", Sequence(from), 4_096).await.unwrap();
            if read.is_empty() {
                return kept;
            }
            let number = |message: &Stored| str::from_utf8(&message.body).unwrap().parse().unwrap();
            kept.extend(read.iter().map(|message| (message.sequence.0, number(message))));
        }
    }
}

/// Moments to kill at, in rising order, counted in acknowledgements.
fn moments(kills: usize, publishes: usize) -> Vec<usize> {
    let seed = std::env::var("CONNECTOME_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    println!("CONNECTOME_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    // The last tenth is left to whoever comes back.
    let mut moments: Vec<usize> = (0..kills).map(|_| rng.random_range(1..publishes * 9 / 10)).collect();
    moments.sort_unstable();
    moments
}
