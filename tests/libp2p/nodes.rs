//! Clusters without a broker: what a user sees is what any cluster does.

use std::time::Duration;

use connectome::BranchState;
use connectome::prelude::*;
use connectome::transport::libp2p::LinkEnd;

use super::support::{Add, Adder, addresses, next_end, node, soon, until};

/// Two nodes that know nothing but an address find each other's agents, and call and cast go both ways.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_are_found_and_called_without_a_broker() {
    let ada = node("ada", None).await;
    let bob = node("bob", Some(addresses(&ada))).await;
    ada.spawn("here", Adder::default).await.unwrap();
    bob.spawn("there", Adder::default).await.unwrap();
    for (from, name) in [(&ada, "there"), (&bob, "here")] {
        let adder = soon(from.wait_for(name)).await.unwrap();
        adder.cast(Add(1)).await.unwrap();
        assert_eq!(adder.call(Add(2)).await.unwrap(), 3, "FIFO from one sender");
    }
    ada.stop().await;
    bob.stop().await;
}

/// A configured address need not say who is there, and nodes that know only the first one come to know each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_makes_a_whole_cluster() {
    let first = node("first", None).await;
    let bare = addresses(&first).split("/p2p/").next().unwrap().to_owned();
    let second = node("second", Some(bare.clone())).await;
    let third = node("third", Some(bare)).await;
    second.spawn("adder", Adder::default).await.unwrap();
    let adder = soon(third.wait_for("adder")).await.unwrap();
    let (second_p2p, third_p2p) = (second.libp2p().unwrap(), third.libp2p().unwrap());
    soon(third_p2p.linked(second_p2p.node_id())).await;
    first.stop().await;
    assert_eq!(adder.call(Add(1)).await.unwrap(), 1, "the first one is not between them");
    second.stop().await;
    third.stop().await;
}

/// Each connection is an actor of the node's tree: killed, it comes back, its watchers were told, and calls go through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_connection_comes_back() {
    let ada = node("ada", None).await;
    let bob = node("bob", Some(addresses(&ada))).await;
    bob.spawn("adder", Adder::default).await.unwrap();
    let adder = soon(ada.wait_for("adder")).await.unwrap();
    assert_eq!(adder.call(Add(1)).await.unwrap(), 1);
    let mut watcher = ada.libp2p().unwrap().watch();
    let part = format!("ports/peers/peer {}", bob.libp2p().unwrap().peer_id());
    assert!(ada.tree().await.unwrap().find(&part).is_some(), "{:?}", ada.tree().await.unwrap());
    ada.kill_part(&part).await.unwrap();
    assert_eq!(next_end(&mut watcher).await, LinkEnd::Crashed);
    until(async || adder.call_within(Duration::from_secs(1), Add(0)).await.is_ok()).await;
    until(async || {
        ada.tree().await.unwrap().find(&part).is_some_and(|part| part.state == BranchState::Running)
    })
    .await;
    ada.stop().await;
    bob.stop().await;
}

/// The swarm itself may be killed: its sockets and links stand, and it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_swarm_goes_on() {
    let ada = node("ada", None).await;
    let bob = node("bob", Some(addresses(&ada))).await;
    bob.spawn("adder", Adder::default).await.unwrap();
    let adder = soon(ada.wait_for("adder")).await.unwrap();
    ada.kill_part("ports/libp2p-swarm").await.unwrap();
    until(async || adder.call_within(Duration::from_secs(1), Add(1)).await.is_ok()).await;
    let carl = node("carl", Some(addresses(&ada))).await;
    soon(carl.libp2p().unwrap().linked(ada.id())).await;
    for node in [ada, bob, carl] {
        node.stop().await;
    }
}

/// A node that stops says farewell; one that starts again at its address is linked again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_again_is_linked_again() {
    let directory = tempfile::tempdir().unwrap();
    let port = crate::support::nats::free_port();
    let start = async || {
        let mut config = Config { name: "bob".to_owned(), ..Config::default() };
        config.data_dir = directory.path().join("bob");
        config.libp2p.listen = Some(format!("/ip4/127.0.0.1/tcp/{port}"));
        Node::start(config).await.unwrap()
    };
    let bob = start().await;
    let ada = node("ada", Some(addresses(&bob))).await;
    let mut watcher = ada.libp2p().unwrap().watch();
    soon(ada.libp2p().unwrap().linked(bob.id())).await;
    bob.stop().await;
    let end = next_end(&mut watcher).await;
    assert!(matches!(end, LinkEnd::Farewell(_)), "{end}");
    drop(bob);
    let bob = start().await;
    soon(ada.libp2p().unwrap().linked(bob.id())).await;
    bob.stop().await;
    ada.stop().await;
}
