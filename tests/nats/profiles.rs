//! What an acknowledged write costs in each profile of `deploy/`: `fast`, one server, against `durable`, three that force
//! each write to the disk. The figures are printed, not asserted: a machine may be busy.
//!
//! `cargo test --release -p connectome-tests nats::profiles -- --nocapture`

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use connectome::port::{Discard, Publish, Retention, Storage, StreamConfig, Streams};
use connectome::streams::{JetStream, JetStreamOptions};
use connectome::transport::nats::{NatsConnection, NatsOptions};
use connectome_codecs::{MessageId, UnixMillis};
use tokio::task::JoinSet;

use crate::support::nats::Deployed;

/// How long each measurement lasts.
const LASTS: Duration = Duration::from_secs(3);

/// A small message.
const BODY: usize = 256;

/// Both profiles take writes, and print what they cost: one writer that waits each time, and 64 of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_acknowledgement_costs() {
    let fast = Deployed::start("single", &["server"]);
    measure("fast", &fast.urls(), 1).await;
    drop(fast);
    let durable = Deployed::start("cluster", &["a", "b", "c"]);
    measure("durable", &durable.urls(), 3).await;
}

async fn measure(profile: &str, urls: &str, replicas: usize) {
    let connection = NatsConnection::open(&NatsOptions::new(urls).unwrap()).await.unwrap();
    let deadline = Duration::from_secs(30);
    let options = JetStreamOptions { replicas, deadline, ..JetStreamOptions::default() };
    let store = JetStream::open(&connection, options).await.unwrap();
    store.create_stream(ledger()).await.unwrap();
    for writers in [1, 64] {
        // The first writes make files, and choose who leads.
        write(&store, writers, LASTS / 3).await;
        let began = Instant::now();
        let mut took = write(&store, writers, LASTS).await;
        let rate = took.len() as f64 / began.elapsed().as_secs_f64();
        took.sort_unstable();
        let at = |share: usize| took[(took.len() * share).div_ceil(100).saturating_sub(1)];
        println!(
            "{profile}, {writers} writers: {rate:.0} messages/s, p50 {:.2?}, p99 {:.2?}",
            at(50),
            at(99)
        );
    }
}

fn ledger() -> StreamConfig {
    StreamConfig {
        name: "LEDGER".into(),
        subjects: vec!["ledger.>".into()],
        retention: Retention::Limits,
        storage: Storage::File,
        max_age: None,
        max_bytes: None,
        max_messages: Some(100_000),
        discard: Discard::Old,
        duplicate_window: Duration::from_secs(120),
    }
}

/// What each write took.
async fn write(store: &JetStream, writers: usize, lasts: Duration) -> Vec<Duration> {
    let (mut all, end) = (JoinSet::new(), Instant::now() + lasts);
    for _ in 0..writers {
        let store = store.clone();
        all.spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < end {
                let id = Some(MessageId::from_parts(UnixMillis(1), rand::random()));
                let body = Bytes::from_static(&[7; BODY]);
                let began = Instant::now();
                store.publish("LEDGER", Publish { subject: "ledger.line".into(), id, body }).await.unwrap();
                took.push(began.elapsed());
            }
            took
        });
    }
    all.join_all().await.into_iter().flatten().collect()
}
