//! Who may link: lists, secrets and namespaces; and how many connections there may be.

use std::collections::BTreeSet;

use connectome::port::Transport;
use connectome::transport::libp2p::{
    Admission, ClusterSecret, Libp2pOptions, Libp2pTransport, PeerStreamError,
};

use super::support::{LISTEN, key, linked, open, open_with, pair, until};

/// They are connected, or were, and no link came of it.
async fn not_linked(ada: &Libp2pTransport, bob: &Libp2pTransport) {
    until(async || ada.counts().not_met + ada.counts().denied > 0).await;
    assert!(!ada.reaches(bob.node_id()) && !bob.reaches(ada.node_id()));
    assert_eq!((ada.counts().met, bob.counts().met), (0, 0));
}

fn secret(text: &str) -> Admission {
    let secret = ClusterSecret::new(text.repeat(32).as_bytes());
    Admission { secret: Some(secret.unwrap()), ..Admission::default() }
}

/// Only who is on the list of those that may come is linked with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allow_list_lets_in_who_is_on_it() {
    let allow = Some(BTreeSet::from([key("bob").node_id()]));
    let ada = open("ada", Vec::new(), Admission { allow, ..Admission::default() }).await;
    let bob = open("bob", ada.addresses(), Admission::default()).await;
    linked(&ada, &bob).await;
    let eve = open("eve", ada.addresses(), Admission::default()).await;
    until(async || ada.counts().denied > 0).await;
    assert!(!ada.reaches(eve.node_id()) && !eve.reaches(ada.node_id()));
}

/// Who is on the list of those that may not come is turned away, even where all others may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deny_list_turns_away_who_is_on_it() {
    let deny = BTreeSet::from([key("eve").node_id()]);
    let ada = open("ada", Vec::new(), Admission { deny, ..Admission::default() }).await;
    let eve = open("eve", ada.addresses(), Admission::default()).await;
    not_linked(&ada, &eve).await;
    let bob = open("bob", ada.addresses(), Admission::default()).await;
    linked(&ada, &bob).await;
}

/// A cluster with a secret links with those who know it; neither another secret nor none at all is enough, on either side.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_known_on_both_sides() {
    let ada = open("ada", Vec::new(), secret("s")).await;
    let bob = open("bob", ada.addresses(), secret("s")).await;
    linked(&ada, &bob).await;
    for (name, admission) in [("eve", secret("t")), ("carl", Admission::default())] {
        let before = ada.counts().not_met;
        let stranger = open(name, ada.addresses(), admission).await;
        // One that has no secret to ask for is content with the hello of the other, until it is told.
        until(async || ada.counts().not_met > before && !stranger.reaches(ada.node_id())).await;
        assert!(!ada.reaches(stranger.node_id()), "{name}");
        let _echo = ada.register("/echo/1", connectome::transport::libp2p::IDLE_DEFAULT).unwrap();
        let opened = stranger.open_stream(ada.node_id(), "/echo/1").await;
        let reads = match opened {
            Ok(mut stream) => stream.read(&mut [0; 8]).await.unwrap_or(0),
            Err(_) => 0,
        };
        assert_eq!(reads, 0, "{name} has no stream either");
    }
    assert!(ada.reaches(bob.node_id()));
}

/// Nodes of different namespaces do not link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespaces_do_not_mix() {
    let ada = open("ada", Vec::new(), Admission::default()).await;
    let options = Libp2pOptions { peers: ada.addresses(), ..Libp2pOptions::default() };
    let bob = Libp2pTransport::open(key("bob"), "other", &options).await.unwrap();
    until(async || ada.counts().not_met + bob.counts().not_met > 0).await;
    assert!(!ada.reaches(bob.node_id()) && !bob.reaches(ada.node_id()));
}

/// One address has so many connections and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_from_one_address_are_bounded() {
    let mut options = Libp2pOptions { listen: vec![LISTEN.to_owned()], ..Libp2pOptions::default() };
    options.limits.per_address = 2;
    let ada = open_with("ada", options).await;
    let mut peers = Vec::new();
    for name in ["one", "two", "three", "four"] {
        peers.push(open(name, ada.addresses(), Admission::default()).await);
    }
    until(async || ada.counts().denied > 0 && ada.peers().len() == 2).await;
    assert_eq!(peers.iter().filter(|peer| peer.reaches(ada.node_id())).count(), 2);
}

/// No more connections are taken while too much memory is used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_bounds_connections() {
    let mut options = Libp2pOptions { listen: vec![LISTEN.to_owned()], ..Libp2pOptions::default() };
    options.limits.memory = Some(1);
    let ada = open_with("ada", options).await;
    let bob = open("bob", ada.addresses(), Admission::default()).await;
    not_linked(&ada, &bob).await;
}

/// Streams with one peer are bounded at both ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_with_one_peer_are_bounded() {
    let (ada, bob) = pair().await;
    let mut came = ada.register("/many/1", connectome::transport::libp2p::IDLE_DEFAULT).unwrap();
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut stream = bob.open_stream(ada.node_id(), "/many/1").await.unwrap();
        stream.write(b"x").await.unwrap();
        held.push((stream, came.next().await.unwrap()));
    }
    let refused = bob.open_stream(ada.node_id(), "/many/1").await.unwrap_err();
    assert_eq!(refused, PeerStreamError::TooMany { of: "streams with one peer", max: 64 });
    drop(held.pop());
    bob.open_stream(ada.node_id(), "/many/1").await.unwrap();
}
