//! While no server is there: nothing waits without a bound, everybody hears what is wrong, and what waited goes on after it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::net::TcpListener;
use std::time::{Duration, Instant};

use bytes::Bytes;
use connectome::port::{Publish, StreamError, Streams};
use connectome::prelude::*;
use connectome::streams::{JetStream, JetStreamOptions};
use connectome::transport::nats::{NatsConnection, NatsOptions};
use tokio::task::JoinSet;

use super::trade::{Ledger, Note, Notes, config, notes, until, until_ok};
use crate::support::nats::NatsServer;

/// What one node lets wait for the server, as `streams/jetstream/room` says it.
const WAITING_MAX: usize = 64 << 20;
const BODY: usize = 64 << 10;

/// Publishes beyond the bound are refused at once, by its name; those within it when their deadline has passed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_the_server_is_bounded() {
    let mut server = NatsServer::start();
    let connection = NatsConnection::open(&NatsOptions::new(&server.url()).unwrap()).await.unwrap();
    let options = JetStreamOptions {
        request_timeout: Duration::from_millis(500),
        deadline: Duration::from_secs(4),
        ..JetStreamOptions::default()
    };
    let store = JetStream::open(&connection, options).await.unwrap();
    server.kill();
    until("the client knows", async || !connection.is_up()).await;
    let (mut publishes, began) = (JoinSet::new(), Instant::now());
    for _ in 0..2 * WAITING_MAX / BODY {
        let store = store.clone();
        publishes.spawn(async move {
            let message = Publish { subject: "s".into(), id: None, body: Bytes::from(vec![7; BODY]) };
            (store.publish("S", message).await, began.elapsed())
        });
    }
    let (mut at_once, mut later, mut said) = (0, 0, (String::new(), String::new()));
    for (published, after) in publishes.join_all().await {
        let Err(StreamError::Unavailable(error)) = published else { panic!("{published:?}") };
        if error.contains("WAITING_MAX_KIB") {
            (at_once, said.0) = (at_once + 1, error);
            assert!(after < Duration::from_secs(3), "{after:?}");
        } else {
            (later, said.1) = (later + 1, error);
        }
    }
    println!("{at_once} refused at once: {}; {later} after their deadline: {}", said.0, said.1);
    assert!(later * BODY <= WAITING_MAX && at_once > 0 && later > 0);
    assert!(said.1.contains("no NATS server is connected") && said.1.contains("NATS_URL"), "{}", said.1);
}

/// A client that has lost its server tries again ever more rarely, never all of them at the same moments, and not for ever less.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconnection_backs_off_with_jitter() {
    let mut server = NatsServer::start();
    let options = NatsOptions::new(&server.url()).unwrap();
    let connections =
        [NatsConnection::open(&options).await.unwrap(), NatsConnection::open(&options).await.unwrap()];
    let address = server.url().trim_start_matches("nats://").to_owned();
    server.kill();
    let listener = until_ok("the port is free", async || TcpListener::bind(&address)).await;
    let attempts = tokio::task::spawn_blocking(move || {
        let (began, mut attempts) = (Instant::now(), Vec::new());
        // The attempt that ends the loop is the first after that.
        while began.elapsed() < Duration::from_secs(8) {
            drop(listener.accept().unwrap());
            attempts.push(began.elapsed());
        }
        attempts
    });
    let attempts = attempts.await.unwrap();
    let first = attempts.iter().filter(|at| **at < Duration::from_secs(2)).count();
    let last = attempts.iter().filter(|at| **at > Duration::from_secs(6)).count();
    println!(
        "two clients tried {} times in 8 s, {first} in the first two, {last} in the last two: {attempts:.1?}",
        attempts.len()
    );
    assert!((2..=6).contains(&last) && attempts.len() <= 40, "{attempts:?}");
    server.restart();
    until("both are back", async || connections.iter().all(NatsConnection::is_up)).await;
}

/// A `send` and a `call` while the server is away fail by name and in time; a `send` that is still waiting when it is back
/// succeeds, and what nobody had acknowledged before is applied once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_acknowledged_is_not_forgotten() {
    let (mut server, keys) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let (one, two) = tokio::join!(
        Node::start(config("one", keys.path(), &server.url())),
        Node::start(config("two", keys.path(), &server.url())),
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    one.spawn("ledger", Ledger::default).await.unwrap();
    let ledger = two.wait_for("ledger").await.unwrap();
    for n in 0..10 {
        ledger.send(Note(n)).await.unwrap();
    }
    server.kill();
    let began = Instant::now();
    let (called, sent) =
        tokio::join!(async { (ledger.call(Notes).await.unwrap_err().to_string(), began.elapsed()) }, async {
            (ledger.send(Note(1_000)).await.unwrap_err().to_string(), began.elapsed())
        },);
    println!("call failed after {:.1?}: {}", called.1, called.0);
    println!("send failed after {:.1?}: {}", sent.1, sent.0);
    assert!(sent.0.contains("no NATS server is connected"), "{}", sent.0);
    assert!(sent.1 < Duration::from_secs(12) && called.1 < Duration::from_secs(12));
    let waits = async { ledger.send(Note(10)).await };
    let (waited, ()) = tokio::join!(waits, async { tokio::task::block_in_place(|| server.restart()) });
    waited.unwrap();
    let kept = notes(&ledger, 11).await;
    println!("back: {kept:?}");
    assert_eq!(
        kept.iter().filter(|n| **n != 1_000).copied().collect::<Vec<_>>(),
        (0..=10).collect::<Vec<_>>()
    );
    one.stop().await;
    two.stop().await;
}
