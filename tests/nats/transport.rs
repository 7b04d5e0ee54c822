//! Frames over a NATS server that fails: what was lost is told, nothing comes twice, and it goes on.

use std::sync::Arc;
use std::time::Duration;

use connectome::Bytes;
use connectome::codecs::NodeId;
use connectome::codecs::limits::FRAME_MAX;
use connectome::keystore::{MemoryKeys, NodeIdentity};
use connectome::port::{Inbound, Transport, TransportError};
use connectome::transport::nats::{NatsConnection, NatsError, NatsOptions, NatsTransport};
use tokio::sync::watch;
use tokio::time::{interval, timeout};

use crate::support::nats::NatsServer;

/// How long something that must happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a sender does in one second, about: it keeps pace, so that an outage lasts for many frames.
const PACE: Duration = Duration::from_millis(2);

async fn open(url: &str, name: &str) -> Result<NatsTransport, NatsError> {
    let connection = NatsConnection::open(&NatsOptions::new(url)?).await?;
    let keys = MemoryKeys::from_seed([7; 32], name);
    NatsTransport::open(connection, "main", Arc::new(NodeIdentity::new(Arc::new(keys)))).await
}

async fn pair(server: &NatsServer) -> (NatsTransport, NatsTransport) {
    let url = server.url();
    let (ada, bob) = tokio::join!(open(&url, "ada"), open(&url, "bob"));
    let (ada, bob) = (ada.unwrap(), bob.unwrap());
    meet(&ada, &bob).await;
    (ada, bob)
}

async fn meet(ada: &NatsTransport, bob: &NatsTransport) {
    let both = async { tokio::join!(ada.met(bob.node_id()), bob.met(ada.node_id())) };
    timeout(PATIENCE, both).await.expect("they meet in time");
}

async fn next(at: &NatsTransport) -> Inbound {
    timeout(PATIENCE, at.receive()).await.expect("something comes in time").expect("it is open")
}

fn numbered(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// Sends a frame as soon as that is possible.
async fn deliver(from: &NatsTransport, to: NodeId, frame: Bytes) {
    let mut pace = interval(PACE);
    let sending = async {
        while from.send(to, frame.clone()).is_err() {
            pace.tick().await;
        }
    };
    timeout(PATIENCE, sending).await.expect("it can be sent in time");
}

/// A peer whose process is gone is missed because NATS says that nobody listens, long before its silence would tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_gone_is_missed_before_its_silence_tells() {
    let server = NatsServer::start();
    let (ada, bob) = pair(&server).await;
    let gone = bob.node_id();
    drop(bob);
    let told =
        timeout(Duration::from_secs(2), ada.receive()).await.expect("silence would take three seconds");
    assert_eq!(told, Some(Inbound::Disconnected { peer: gone }));
    assert_eq!(ada.counts().disconnected.nobody_listens, 1);
    assert!(!ada.reaches(gone));
}

/// A node that begins anew under the same key is met anew, once, and heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_begins_anew_is_met_anew() {
    let server = NatsServer::start();
    let (ada, bob) = pair(&server).await;
    drop(bob);
    let bob = open(&server.url(), "bob").await.unwrap();
    let peer = bob.node_id();
    assert_eq!(next(&ada).await, Inbound::Disconnected { peer });
    meet(&ada, &bob).await;
    deliver(&bob, ada.node_id(), numbered(1)).await;
    assert_eq!(next(&ada).await, Inbound::Frame { from: peer, frame: numbered(1) });
}

/// A server that is killed and started again: frames go on, each that was taken is received or told as missing, none twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_loses_nothing_silently() {
    let mut server = NatsServer::start();
    let (ada, bob) = pair(&server).await;
    let (from, to) = (ada.node_id(), bob.node_id());
    let (stop, mut stopped) = watch::channel(false);
    let sending = tokio::spawn(async move {
        let (mut pace, mut taken) = (interval(PACE), 0);
        while !*stopped.borrow_and_update() {
            pace.tick().await;
            taken += u64::from(ada.send(to, numbered(taken)).is_ok());
        }
        deliver(&ada, to, numbered(u64::MAX)).await;
        taken
    });
    let (progress, mut frames) = watch::channel(0);
    let reading = tokio::spawn(async move { (read_to_the_end(&bob, from, progress).await, bob.counts()) });
    for restarts in 1..=4 {
        let due = 100 * restarts;
        let coming = frames.wait_for(|frames| *frames >= due);
        timeout(PATIENCE, coming).await.expect("frames come in time").expect("it reads");
        server = restarted(server, restarts < 4).await;
    }
    stop.send_replace(true);
    let taken = sending.await.unwrap();
    let (read, counts) = timeout(PATIENCE, reading).await.expect("the last frame comes").unwrap();
    assert!(read.frames + read.missing <= taken, "{read:?}, {taken}");
    assert!(read.frames + read.missing == taken || read.ends > 0, "{read:?}, {taken}");
    assert_eq!((counts.duplicates, counts.overruns), (0, 0));
}

/// The server, killed and started again, if so.
async fn restarted(mut server: NatsServer, restarts: bool) -> NatsServer {
    let restart = move || {
        if restarts {
            server.restart();
        }
        server
    };
    tokio::task::spawn_blocking(restart).await.expect("it starts again")
}

#[derive(Debug, Default)]
struct Read {
    frames: u64,
    missing: u64,
    ends: u64,
}

/// Reads until the frame with the largest number.
async fn read_to_the_end(at: &NatsTransport, peer: NodeId, progress: watch::Sender<u64>) -> Read {
    let (mut read, mut last) = (Read::default(), None);
    loop {
        match next(at).await {
            Inbound::Frame { from, frame } => {
                let number = u64::from_be_bytes(frame[..].try_into().unwrap());
                assert!(from == peer && last < Some(number), "once, and in order");
                if number == u64::MAX {
                    return read;
                }
                last = Some(number);
                read.frames += 1;
                progress.send_replace(read.frames);
            }
            Inbound::Gap { frames, .. } => read.missing += frames.expect("it is known here"),
            Inbound::Disconnected { .. } => read.ends += 1,
            other => panic!("{other:?}"),
        }
    }
}

/// A server that hangs ends the links, on both sides, and nothing can be sent meanwhile; when it goes on, they are made anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_an_end_and_a_new_beginning() {
    let server = NatsServer::start();
    let (ada, bob) = pair(&server).await;
    server.stop_signal();
    for (at, peer) in [(&ada, bob.node_id()), (&bob, ada.node_id())] {
        assert_eq!(next(at).await, Inbound::Disconnected { peer });
        assert_eq!(at.send(peer, numbered(1)), Err(TransportError::Unreachable { to: peer }));
    }
    server.cont();
    meet(&ada, &bob).await;
    deliver(&ada, bob.node_id(), numbered(2)).await;
    loop {
        match next(&bob).await {
            Inbound::Frame { from, frame } => {
                assert_eq!((from, frame), (ada.node_id(), numbered(2)));
                return;
            }
            other => assert_eq!(other, Inbound::Disconnected { peer: ada.node_id() }),
        }
    }
}

/// A connection that is made anew, while frames flow, costs what was under way at most, and that is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_made_anew_loses_nothing_silently() {
    let server = NatsServer::start();
    let connection = NatsConnection::open(&NatsOptions::new(&server.url()).unwrap()).await.unwrap();
    let keys = Arc::new(MemoryKeys::from_seed([7; 32], "ada"));
    let ada =
        NatsTransport::open(connection.clone(), "main", Arc::new(NodeIdentity::new(keys))).await.unwrap();
    let bob = open(&server.url(), "bob").await.unwrap();
    meet(&ada, &bob).await;
    let (from, to) = (ada.node_id(), bob.node_id());
    let reading = tokio::spawn(async move { read_to_the_end(&bob, from, watch::Sender::new(0)).await });
    let (mut pace, mut taken) = (interval(PACE), 0);
    for round in 0..500 {
        if round % 100 == 50 {
            connection.reconnect().await;
        }
        pace.tick().await;
        taken += u64::from(ada.send(to, numbered(taken)).is_ok());
    }
    deliver(&ada, to, numbered(u64::MAX)).await;
    let read = timeout(PATIENCE, reading).await.expect("the last frame comes").unwrap();
    assert!(read.frames + read.missing == taken || read.ends > 0, "{read:?}, {taken}");
    assert!(connection.counts().connected > 1);
}

/// The largest frame passes a server that carries 4 KiB in one message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_carries_little_carries_the_largest_frame() {
    let server = NatsServer::start_with("max_payload: 4096");
    let (ada, bob) = pair(&server).await;
    for size in [4_000, 4_096, 100_000, FRAME_MAX] {
        let frame: Bytes = (0..size).map(|at| (at * 31 + at / 251) as u8).collect();
        deliver(&ada, bob.node_id(), frame.clone()).await;
        assert!(next(&bob).await == Inbound::Frame { from: ada.node_id(), frame }, "{size}");
    }
    assert_eq!((bob.counts().torn, bob.counts().gaps), (0, 0));
}

/// A user who may not use the subjects is told so, with their names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subjects_that_are_denied_are_named() {
    let user = "{ user: ada, password: one, permissions: { publish: \"other.>\", subscribe: \"other.>\" } }";
    let server = NatsServer::start_with(&format!("authorization {{ users: [ {user} ] }}"));
    let error = open(&server.url().replace("//", "//ada:one@"), "ada").await.unwrap_err().to_string();
    assert!(error.contains("main.nodes") && error.contains("main.node.node:z6Mk"), "{error}");
    assert!(!error.contains("one@"), "{error}");
}
