//! Malformed, slow, oversized and endless input costs a stranger its connection, and us a bounded amount; others go on.

use connectome::port::{Inbound, Transport};
use connectome::transport::libp2p::{Admission, Libp2pTransport, WINDOW_FRAMES_MAX};
use futures_util::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::stranger::{Stranger, hello, unit};
use super::support::{open, pair, soon, until};

async fn ada() -> Libp2pTransport {
    open("ada", Vec::new(), Admission::default()).await
}

fn port_of(transport: &Libp2pTransport) -> u16 {
    let address = transport.addresses().remove(0);
    address.split('/').nth(4).unwrap().parse().unwrap()
}

/// What is no handshake at all ends the connection: rubbish at once, silence within the time that a handshake has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_handshake_ends_the_connection() {
    let (ada, bob) = pair().await;
    for said in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 100_000],
        b"\x13/multistream/1.0.0\n\x07/noise\n\xff\xff",
        b"",
    ] {
        let mut socket = TcpStream::connect(("127.0.0.1", port_of(&ada))).await.unwrap();
        // It may be closed in our face.
        drop(socket.write_all(said).await);
        drop(soon(socket.read_to_end(&mut Vec::new())).await);
    }
    until(async || ada.counts().failed_inbound >= 4).await;
    bob.send(ada.node_id(), "still".into()).unwrap();
    let heard = Inbound::Frame { from: bob.node_id(), frame: "still".into() };
    assert_eq!(soon(ada.receive()).await, Some(heard));
}

/// Handshakes that are begun and never ended have a bound, and others still come in when they are over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_handshakes_have_a_bound() {
    let ada = ada().await;
    let mut sockets = Vec::new();
    for _ in 0..100 {
        let mut socket = TcpStream::connect(("127.0.0.1", port_of(&ada))).await.unwrap();
        socket.write_all(b"\x13").await.unwrap();
        sockets.push(socket);
    }
    until(async || ada.counts().denied >= 36).await;
    let bob = open("bob", ada.addresses(), Admission::default()).await;
    soon(bob.linked(ada.node_id())).await;
}

/// A stranger that breaks the protocol of links, in any of these ways, is told why where it can be, and loses its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_breaks_the_protocol_is_told_and_left() {
    let greeted = |rest: &[u8]| [&hello("main", 100), rest].concat();
    let ways: Vec<(&str, Vec<u8>, &str)> = vec![
        ("rubbish", vec![0xff; 5_000], "before the hello"),
        ("a frame before the hello", unit(2, b"x"), "before the hello"),
        ("an endless hello", unit(1, &[0; 5_000]), "4996|at most"),
        ("a hello that is none", unit(1, b"x"), "its hello is none"),
        ("another namespace", hello("other", 100), "namespaces"),
        ("no window", hello("main", 0), "nothing"),
        ("a second hello", greeted(&hello("main", 100)), ""),
        ("a frame that is too large", greeted(&[0, 0x10, 0, 1, 2]), ""),
        ("a credit that is too long", greeted(&unit(3, &[0; 9])), ""),
        ("addresses that are none", greeted(&unit(5, &[7; 40])), ""),
    ];
    let ada = ada().await;
    for (way, said, told) in ways {
        let mut stranger = Stranger::connect(&ada.addresses()[0]);
        let before = ada.counts();
        println!("{way}");
        let answer = soon(stranger.say(&said)).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(told.split('|').any(|told| answer.contains(told)), "{way}: {answer:?}");
        until(async || ada.counts().ended + ada.counts().not_met > before.ended + before.not_met).await;
    }
    assert_eq!(ada.peers(), []);
}

/// A stranger that says nothing after it has opened a stream is left after the time that a meeting has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_is_left() {
    let ada = ada().await;
    let mut stranger = Stranger::connect(&ada.addresses()[0]);
    let mut stream = stranger.open().await.unwrap();
    let mut answer = Vec::new();
    drop(soon(stream.read_to_end(&mut answer)).await);
    assert!(String::from_utf8_lossy(&answer).contains("too long"));
}

/// A peer that never stops sending, while nobody reads, is left as soon as it has sent more than its window; what it sent
/// until then is what it costs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_stops_is_left() {
    let ada = ada().await;
    let mut stranger = Stranger::connect(&ada.addresses()[0]);
    let mut stream = stranger.open().await.unwrap();
    stream.write_all(&hello("main", 100)).await.unwrap();
    let frame = unit(2, &[7; 100]).repeat(100);
    let endless = async { while stream.write_all(&frame).await.is_ok() && stream.flush().await.is_ok() {} };
    soon(endless).await;
    until(async || ada.counts().broken == 1).await;
    let mut frames = 0;
    while let Some(Inbound::Frame { .. }) = soon(ada.receive()).await {
        frames += 1;
    }
    assert!((1..=2 * WINDOW_FRAMES_MAX).contains(&frames), "{frames}");
}

/// A foreign peer that is no node of ours connects, pings, and reads identify; nothing else comes of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_peer_pings_and_identifies() {
    let ada = ada().await;
    let mut stranger = Stranger::connect(&ada.addresses()[0]);
    let seen =
        soon(stranger.seen.wait_for(|seen| seen.pinged && seen.agent.is_some())).await.unwrap().clone();
    assert!(seen.agent.unwrap().starts_with("connectome/"));
    for protocol in ["/connectome/link/1", "/ipfs/ping/1.0.0", "/ipfs/id/1.0.0"] {
        assert!(seen.protocols.iter().any(|spoken| spoken == protocol), "{:?}", seen.protocols);
    }
    assert_eq!(ada.peers(), []);
}
