//! A server that comes back with an empty disk under running nodes: what is gone is told, and everything else goes on.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::Path;
use std::time::{Duration, Instant};

use connectome::port::{Expect, Start, StreamError};
use connectome::prelude::*;
use connectome::{EventFilter, EventListener, Heard, TaskError};
use tokio::time::timeout;

use super::trade::{
    Add, Adder, Ledger, Note, PATIENCE, UnderTerm, config, notes, notes_that, until, until_ok,
};
use crate::support::nats::NatsServer;

async fn node(name: &str, keys: &Path, server: &NatsServer) -> Node {
    let node = Node::start(config(name, keys, &server.url())).await.unwrap();
    node.offer("ledger", Ledger::default).await.unwrap();
    let spec = AgentSpec::new(&format!("adder-{name}"), Adder::default).capability("add");
    node.spawn_with(spec).await.unwrap();
    node.spawn(&format!("book-{name}"), Ledger::default).await.unwrap();
    node
}

/// Streams, buckets, consumers, leases, tails and watches are there again without a restart of a node; terms rise; the loss
/// stands in the events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_emptied_is_furnished_again() {
    let (mut server, keys) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let (one, two) = (node("one", keys.path(), &server).await, node("two", keys.path(), &server).await);
    let (ledger, book) = (two.agent("ledger").unwrap(), two.agent("book-one").unwrap());
    for n in 0..20 {
        ledger.send(Note(n)).await.unwrap();
        book.send(Note(n)).await.unwrap();
    }
    assert_eq!((notes(&ledger, 20).await.len(), notes(&book, 20).await.len()), (20, 20));
    assert_eq!(one.submit(Submit::new("add", Add(1, 2))).await.unwrap().result().await.unwrap(), 3);
    let orphan = one.submit(Submit::new("nobody-can", Add(1, 2))).await.unwrap();
    let seen = two.task::<Add>(orphan.id());
    until("everybody knows of a task without a worker", async || seen.record().await.unwrap().is_some())
        .await;
    let term = ledger.call(UnderTerm).await.unwrap();
    let lost = EventFilter::default().of(EventType::ErrorOccurred);
    let mut heard = one.listen(lost, Start::New).await.unwrap();

    server.kill_and_empty();
    server.restart();
    let began = Instant::now();
    // What these ledgers kept was on that disk; they begin anew, and take what is sent from now on.
    for n in 100..110 {
        until_ok("send", async || ledger.send(Note(n)).await).await;
        until_ok("send", async || book.send(Note(n)).await).await;
    }
    let sent = began.elapsed();
    for to in [&ledger, &book] {
        let wanted: Vec<u64> = (100..110).collect();
        notes_that(to, "what is sent then is applied, in order and once", |notes| notes.ends_with(&wanted))
            .await;
    }
    let task = until_ok("submit", async || one.submit(Submit::new("add", Add(2, 3))).await).await;
    assert_eq!(timeout(PATIENCE, task.result()).await.unwrap().unwrap(), 5);
    let lost =
        timeout(PATIENCE, orphan.result()).await.expect("whoever waits for a lost task is told").unwrap_err();
    assert!(matches!(lost, TaskError::Lost(_)), "{lost}");
    let leases = two.ports().streams.bucket(leases()).await.unwrap();
    until("the lease is there again", async || leases.get("ledger").await.unwrap().is_some()).await;
    let mut again = term;
    until("the term has risen", async || {
        again = until_ok("call", async || ledger.call(UnderTerm).await).await;
        again > term
    })
    .await;
    let told = timeout(PATIENCE, told_of_loss(&mut heard)).await.expect("the loss is told");
    assert!(told.contains("store_dir"), "{told}");
    println!(
        "emptied: 20 sends after {sent:.1?}, all verbs after {:.1?}; term {term}, then {again}; told: {told}",
        began.elapsed()
    );
    one.stop().await;
    two.stop().await;
}

/// The event that tells of the loss; the connection that was away is told too.
async fn told_of_loss(heard: &mut EventListener) -> String {
    loop {
        let told = format!("{:?}", next_of(heard).await.event.fact);
        if told.contains("has lost") {
            return told;
        }
    }
}

/// A place that was kept in memory is not trusted in what follows: a tail, a watch and a revision from before the loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_from_before_mean_nothing() {
    let (mut server, keys) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let node = Node::start(config("one", keys.path(), &server.url())).await.unwrap();
    let store = node.ports().streams.clone();
    let bucket = store.bucket(leases()).await.unwrap();
    let (stale, gone) = (
        bucket.put("stays", "1".into(), Expect::Absent, None).await.unwrap(),
        bucket.put("gone", "1".into(), Expect::Absent, None).await.unwrap(),
    );
    let mut watch = bucket.watch("").await.unwrap();
    assert_eq!([watch.next().await.unwrap().revision, watch.next().await.unwrap().revision], [stale, gone]);
    let mut tail = node.listen(EventFilter::default(), Start::New).await.unwrap();

    server.kill_and_empty();
    server.restart();
    let refused =
        until_answered(async || bucket.put("stays", "2".into(), Expect::Revision(stale), None).await).await;
    assert!(matches!(refused, Err(StreamError::WrongRevision { current: None, .. })), "{refused:?}");
    let written = bucket.put("stays", "3".into(), Expect::Absent, None).await.unwrap();
    assert!(written > gone, "revisions rise: {written} after {gone}");
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let entry = timeout(PATIENCE, watch.next()).await.unwrap().unwrap();
        seen.push((entry.key, entry.value.is_some(), entry.revision));
    }
    seen.sort();
    assert!(seen[0].0 == "gone" && !seen[0].1 && seen[0].2 > gone, "{seen:?}");
    assert_eq!(seen[1], ("stays".to_owned(), true, written));

    let event = Fact::ResourceLow(connectome::codecs::event::ResourceLow {
        resource: "ink".into(),
        used: 1,
        limit: 1,
    });
    let emitted = until_answered(async || node.emit(event.clone()).await).await.unwrap();
    let heard = async { while next_of(&mut tail).await.sequence != emitted {} };
    timeout(PATIENCE, heard).await.expect("a tail goes on in the stream that follows");
    println!("revision {gone} before, {written} after; the watch told of the key that is gone: {seen:?}");
    node.stop().await;
}

/// A server that comes back empty and has no place for what it had: everybody is told that, and what would be right, again and
/// again; no node falls; with room for it, work goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_made_again_is_told() {
    let (mut server, keys) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let node = node("one", keys.path(), &server).await;
    let book = node.agent("book-one").unwrap();
    book.send(Note(1)).await.unwrap();
    notes(&book, 1).await;
    server.kill_and_empty();
    server.restart_to_keep("max_file_store: 1MB");
    for round in 0..3 {
        let began = Instant::now();
        let error = book.send(Note(2)).await.unwrap_err().to_string();
        println!("refused after {:.1?}: {error}", began.elapsed());
        // The first one may have been on its way when the connection was lost.
        assert!(round == 0 || error.starts_with("not sent"), "it certainly was not: {error}");
        assert!(
            error.contains("has lost AGENT_MESSAGES") && error.contains("raise the server's max_file"),
            "{error}"
        );
        assert!(began.elapsed() < Duration::from_secs(14));
    }
    assert!(timeout(Duration::ZERO, node.ended()).await.is_err(), "the node goes on");
    server.restart_to_keep("");
    until_ok("send", async || book.send(Note(3)).await).await;
    notes_that(&book, "what is sent then is applied", |notes| notes.ends_with(&[3])).await;
    node.stop().await;
}

fn leases() -> connectome::port::BucketConfig {
    let storage = connectome::port::Storage::File;
    connectome::port::BucketConfig { name: "leases".into(), ttl: None, storage }
}

/// What the store says once it is there.
async fn until_answered<T>(mut act: impl AsyncFnMut() -> Result<T, StreamError>) -> Result<T, StreamError> {
    until_ok("the store answers", async || match act().await {
        Err(error @ (StreamError::Unavailable(_) | StreamError::Unknown(_))) => Err(error),
        answer => Ok(answer),
    })
    .await
}

/// The next event; what was lost between is passed over.
async fn next_of(listener: &mut EventListener) -> Heard {
    loop {
        match listener.next().await {
            Ok(heard) => return heard,
            Err(StreamError::Gap { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
