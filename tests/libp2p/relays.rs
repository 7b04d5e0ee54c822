//! Nodes that can't dial each other: over a relay, and past it once they can.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome::port::{Inbound, Transport};
use connectome::transport::libp2p::{
    Admission, ClusterSecret, Libp2pOptions, Libp2pTransport, LinkEvent, RelayLimits,
};

use tokio::sync::mpsc;
use tokio::time::interval;

use super::support::{LISTEN, key, linked, next_end, open_with, soon, until};

/// Enough that some are under way while the link moves.
const FRAMES: u32 = 20_000;

/// Between two attempts to be heard.
const PACE: Duration = Duration::from_millis(20);

async fn relay(limits: RelayLimits, admission: Admission) -> Libp2pTransport {
    let listen = vec![LISTEN.to_owned()];
    open_with("relay", Libp2pOptions { listen, relay: Some(limits), admission, ..Libp2pOptions::default() })
        .await
}

/// A node that nobody can dial: it listens nowhere.
async fn hidden(name: &str, relays: &[&Libp2pTransport]) -> Libp2pTransport {
    let relays = relays.iter().flat_map(|relay| relay.addresses()).collect();
    open_with(name, Libp2pOptions { relays, ..Libp2pOptions::default() }).await
}

async fn echoed(from: &Libp2pTransport, to: &Libp2pTransport) {
    let frame = Bytes::from_static(b"hello");
    until(async || from.send(to.node_id(), frame.clone()).is_ok()).await;
    let received = async {
        loop {
            if let Some(Inbound::Frame { frame, .. }) = to.receive().await {
                return frame;
            }
        }
    };
    assert_eq!(soon(received).await, frame);
}

/// Reads all that comes, so that links that end are followed by others; gives the frames.
fn reading(transport: Arc<Libp2pTransport>) -> mpsc::Receiver<Bytes> {
    let (told, frames) = mpsc::channel(FRAMES as usize);
    tokio::spawn(async move {
        while let Some(inbound) = transport.receive().await {
            if let Inbound::Frame { frame, .. } = inbound
                && told.send(frame).await.is_err()
            {
                return;
            }
        }
    });
    frames
}

/// Two nodes that listen nowhere and know nothing but a relay come to know each other, and frames go both ways.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hidden_nodes_meet_over_a_relay() {
    let relay = relay(RelayLimits::default(), Admission::default()).await;
    let (ada, bob) = (hidden("ada", &[&relay]).await, hidden("bob", &[&relay]).await);
    linked(&ada, &bob).await;
    echoed(&ada, &bob).await;
    echoed(&bob, &ada).await;
    assert!(ada.is_relayed(bob.node_id()) && !ada.is_relayed(relay.node_id()));
    assert!(
        ada.addresses().iter().any(|address| address.contains("/p2p-circuit/p2p/")),
        "{:?}",
        ada.addresses()
    );
    assert!(relay.counts().circuits > 0 && ada.counts().reserved == 1, "{:?}", ada.counts());
}

/// A connection that a limit has cut is made again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_limit_cuts_comes_back() {
    let mut limits = RelayLimits::default();
    limits.circuit_duration = Duration::from_secs(2);
    let relay = relay(limits, Admission::default()).await;
    let (ada, bob) = (hidden("ada", &[&relay]).await, hidden("bob", &[&relay]).await);
    linked(&ada, &bob).await;
    let (ada, bob) = (Arc::new(ada), Arc::new(bob));
    let (mut watcher, mut heard, _ends) = (ada.watch(), reading(bob.clone()), reading(ada.clone()));
    for round in 0..2u8 {
        println!("cut: {}", next_end(&mut watcher).await);
        let frame = Bytes::from(vec![round]);
        let mut pace = interval(PACE);
        // What is sent while the link is cut once more is lost.
        until(async || {
            pace.tick().await;
            drop(ada.send(bob.node_id(), frame.clone()));
            std::iter::from_fn(|| heard.try_recv().ok()).any(|heard| heard == frame)
        })
        .await;
    }
}

/// A link that began over a relay goes on directly; what is sent meanwhile arrives, each once and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_moves_past_the_relay_and_loses_nothing() {
    // Not of their cluster: so nobody tells them of each other.
    let relay = Libp2pTransport::open(
        key("relay"),
        "elsewhere",
        &Libp2pOptions {
            listen: vec![LISTEN.to_owned()],
            relay: Some(RelayLimits::default()),
            ..Libp2pOptions::default()
        },
    )
    .await
    .unwrap();
    let listen = vec![LISTEN.to_owned()];
    let options = Libp2pOptions { listen, relays: relay.addresses(), ..Libp2pOptions::default() };
    let ada = open_with("ada", options.clone()).await;
    let circuit = || ada.addresses().into_iter().find(|address| address.contains("/p2p-circuit"));
    until(async || circuit().is_some()).await;
    let peers = circuit().into_iter().collect();
    let bob = open_with("bob", Libp2pOptions { relays: Vec::new(), peers, ..options }).await;
    let mut watcher = bob.watch();
    linked(&ada, &bob).await;
    for (from, to) in [(&ada, &bob), (&bob, &ada)] {
        let sending = async {
            for number in 0..FRAMES {
                let frame = Bytes::copy_from_slice(&number.to_be_bytes());
                while from.send(to.node_id(), frame.clone()).is_err() {
                    from.ready(to.node_id()).await;
                }
            }
        };
        let receiving = async {
            for number in 0..FRAMES {
                let frame = Bytes::copy_from_slice(&number.to_be_bytes());
                assert_eq!(to.receive().await, Some(Inbound::Frame { from: from.node_id(), frame }));
            }
        };
        soon(async { tokio::join!(sending, receiving) }).await;
    }
    let moved = async {
        loop {
            match watcher.next().await.expect("the transport is there") {
                LinkEvent::Moved { peer } => return peer,
                LinkEvent::Down { end, .. } => panic!("{end}"),
                _ => {}
            }
        }
    };
    assert_eq!(soon(moved).await, ada.node_id());
    until(async || !ada.is_relayed(bob.node_id()) && !bob.is_relayed(ada.node_id())).await;
    echoed(&ada, &bob).await;
    echoed(&bob, &ada).await;
    assert!(bob.counts().moved == 1 && bob.counts().ended == 0, "{:?}", bob.counts());
}

/// A relay of a cluster with a secret carries for its members alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_carries_for_members_alone() {
    let secret = ClusterSecret::new(b"a secret of thirty-two characters");
    let admission = Admission { secret, ..Admission::default() };
    let relay = relay(RelayLimits::default(), admission.clone()).await;
    let stranger = hidden("stranger", &[&relay]).await;
    until(async || relay.counts().circuits_refused > 0).await;
    assert_eq!(stranger.counts().reserved, 0);
    let relays = relay.addresses();
    let member = open_with("member", Libp2pOptions { relays, admission, ..Libp2pOptions::default() }).await;
    until(async || member.counts().reserved == 1).await;
    assert_eq!(stranger.counts().reserved, 0);
}
