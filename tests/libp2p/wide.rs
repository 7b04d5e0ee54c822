//! A wide network: nodes find each other and each other's agents by the distributed table, where all that they share is one
//! address of somebody who is not of their cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use connectome::port::Transport;
use connectome::prelude::*;
use connectome::transport::libp2p::{
    AUTHOR_BURST_MAX, Admission, ClusterSecret, DhtOptions, FindError, Found, Libp2pOptions, Libp2pTransport,
    Subject,
};

use super::announcer::{Announcer, key_of_capability, now};
use super::support::{Add, Adder, LISTEN, addresses, key, linked, soon, until};

/// Takes part in the table.
fn options(peers: Vec<String>, announced_for: Duration) -> Libp2pOptions {
    let mut dht = DhtOptions::default();
    dht.announced_for = announced_for;
    let listen = vec![LISTEN.to_owned()];
    Libp2pOptions { listen, peers, dht: Some(dht), ..Libp2pOptions::default() }
}

const LONG: Duration = Duration::from_secs(300);

async fn open(name: &str, namespace: &str, options: &Libp2pOptions) -> Libp2pTransport {
    Libp2pTransport::open(key(name), namespace, options).await.unwrap()
}

fn capability(name: &str) -> Subject {
    Subject::Capability(name.parse().unwrap())
}

/// Who has announced it, once somebody has.
async fn found(by: &Libp2pTransport, subject: &Subject) -> Vec<Found> {
    let mut found = Vec::new();
    until(async || {
        found = by.find(subject).await.unwrap_or_default();
        !found.is_empty()
    })
    .await;
    found
}

/// Two nodes of a cluster that know only a node of another one find each other, and link; with the other one they don't.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_find_each_other_over_a_stranger() {
    let stranger = open("stranger", "public", &options(Vec::new(), LONG)).await;
    let ada = open("ada", "main", &options(stranger.addresses(), LONG)).await;
    let bob = open("bob", "main", &options(stranger.addresses(), LONG)).await;
    linked(&ada, &bob).await;
    assert!(!ada.reaches(stranger.node_id()) && !stranger.reaches(bob.node_id()));
}

/// Members of a cluster with a secret find each other; who has none, or another one, finds nobody and links with nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_hides_its_cluster() {
    let with = |secret: u8, peers: &Libp2pTransport| {
        let secret = ClusterSecret::new(&[secret; 32]);
        Libp2pOptions {
            admission: Admission { secret, ..Admission::default() },
            ..options(peers.addresses(), LONG)
        }
    };
    let stranger = open("stranger", "public", &options(Vec::new(), LONG)).await;
    let ada = open("ada", "main", &with(1, &stranger)).await;
    ada.announce(|| BTreeSet::from([capability("summarise")]));
    let bob = open("bob", "main", &with(1, &stranger)).await;
    linked(&ada, &bob).await;
    assert_eq!(found(&bob, &capability("summarise")).await[0].node, ada.node_id());
    let eve = open("eve", "main", &with(2, &stranger)).await;
    let carl = open("carl", "main", &options(stranger.addresses(), LONG)).await;
    for other in [&eve, &carl] {
        until(async || other.find(&Subject::Cluster).await.is_ok_and(|found| !found.is_empty())).await;
        assert_eq!(other.find(&capability("summarise")).await, Ok(Vec::new()));
        assert!(!other.reaches(ada.node_id()));
    }
}

/// What is announced by several nodes is found with all of them; what is taken back is found no more, and nor is a node that
/// has closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_back_is_found_no_more() {
    let table = open("table", "public", &options(Vec::new(), LONG)).await;
    let ada = open("ada", "main", &options(table.addresses(), LONG)).await;
    let bob = open("bob", "main", &options(table.addresses(), LONG)).await;
    let looker = open("looker", "main", &options(table.addresses(), LONG)).await;
    let subject = capability("summarise");
    ada.announce(|| BTreeSet::from([capability("summarise")]));
    bob.announce(|| BTreeSet::from([capability("summarise")]));
    let nodes = async || -> BTreeSet<_> {
        let found = looker.find(&subject).await.unwrap_or_default();
        found.into_iter().map(|found| found.node).collect()
    };
    until(async || nodes().await == BTreeSet::from([ada.node_id(), bob.node_id()])).await;
    ada.announce(BTreeSet::new);
    until(async || nodes().await == BTreeSet::from([bob.node_id()])).await;
    bob.close().await;
    until(async || nodes().await.is_empty()).await;
}

/// A node that dies without a word is found no more once what it announced is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dead_are_forgotten() {
    let brief = Duration::from_secs(3);
    let table = open("table", "public", &options(Vec::new(), brief)).await;
    let ada = open("ada", "main", &options(table.addresses(), brief)).await;
    let looker = open("looker", "main", &options(table.addresses(), brief)).await;
    ada.announce(|| BTreeSet::from([capability("summarise")]));
    let before = found(&looker, &capability("summarise")).await.remove(0);
    assert_eq!((before.node, before.addresses), (ada.node_id(), ada.addresses()));
    drop(ada);
    until(async || looker.find(&capability("summarise")).await == Ok(Vec::new())).await;
}

/// Twenty nodes that were told of one another's neighbour alone find what the last of them can do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_strangers_is_searched() {
    const NODES: usize = 20;
    let mut nodes: Vec<Libp2pTransport> = Vec::new();
    for at in 0..NODES {
        let peers = nodes.last().map(Libp2pTransport::addresses).unwrap_or_default();
        nodes.push(open(&format!("node-{at}"), &format!("cluster-{at}"), &options(peers, LONG)).await);
    }
    let (first, last) = (&nodes[0], &nodes[NODES - 1]);
    last.announce(|| BTreeSet::from([capability("summarise")]));
    assert_eq!(found(last, &capability("summarise")).await[0].node, last.node_id());
    // Another namespace is another key: whoever looks for what is not of its cluster finds nothing.
    until(async || first.find(&capability("summarise")).await == Ok(Vec::new())).await;
    let member = open("member", &format!("cluster-{}", NODES - 1), &options(first.addresses(), LONG)).await;
    assert_eq!(found(&member, &capability("summarise")).await[0].node, last.node_id());
    linked(&member, last).await;
}

/// Whoever takes no part, or knows nobody, is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_can_not_look_is_told() {
    let off = super::support::open("off", Vec::new(), Admission::default()).await;
    assert_eq!(off.find(&Subject::Cluster).await, Err(FindError::Off));
    let alone = open("alone", "main", &options(Vec::new(), LONG)).await;
    assert_eq!(alone.find(&Subject::Cluster).await, Err(FindError::Alone));
    alone.close().await;
    assert_eq!(alone.find(&Subject::Cluster).await, Err(FindError::Closed));
}

/// A node's agents are announced by name and by what they can do; who looks for them meets their node and calls them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_are_found_by_name_and_by_what_they_can_do() {
    let start = async |name: &str, namespace: &str, peers: Option<String>| {
        let mut config = Config::in_memory();
        (config.name, config.namespace) = (name.to_owned(), namespace.to_owned());
        config.libp2p.listen = Some(LISTEN.to_owned());
        (config.libp2p.peers, config.libp2p.dht) = (peers, true);
        Node::start(config).await.unwrap()
    };
    let stranger = start("stranger", "public", None).await;
    let ada = start("ada", "main", Some(addresses(&stranger))).await;
    ada.spawn_with(AgentSpec::new("adder", Adder::default).capability("add")).await.unwrap();
    let bob = start("bob", "main", Some(addresses(&stranger))).await;
    for address in ["adder", "can:add"] {
        let mut nodes = Vec::new();
        until(async || {
            nodes = bob.find(address).await.unwrap_or_default();
            !nodes.is_empty()
        })
        .await;
        assert_eq!(nodes[0].node, ada.id(), "{address}");
    }
    let adder = soon(bob.wait_for("adder")).await.unwrap();
    assert_eq!(adder.call(Add(2)).await.unwrap(), 2);
    assert!(matches!(bob.find("no name").await, Err(FindError::Address { .. })));
    assert_eq!(stranger.find("adder").await, Ok(Vec::new()));
    for node in [ada, bob, stranger] {
        node.stop().await;
    }
}

/// What another implementation announces is found, by what the description says; what is forged, over, not yet, for another key,
/// too long or no announcement at all is refused and counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_true_is_refused() {
    let table = open("table", "public", &options(Vec::new(), LONG)).await;
    let looker = open("looker", "main", &options(table.addresses(), LONG)).await;
    let subject = capability("summarise");
    let (at, other) = (key_of_capability("main", "summarise"), key_of_capability("main", "translate"));
    let mut announcer = Announcer::connect(&table.addresses()[0]);
    let (now, minute) = (now(), 60_000);
    let mut forged = announcer.announcement(&at, now, now + minute);
    *forged.last_mut().unwrap() ^= 1;
    let untrue = [
        forged,
        announcer.announcement(&other, now, now + minute),
        announcer.announcement(&at, now - 2 * minute, now - minute),
        announcer.announcement(&at, now + 5 * minute, now + 6 * minute),
        announcer.announcement(&at, now, now + 70 * minute),
        vec![0; 20_000],
        b"rubbish".to_vec(),
    ];
    for (count, record) in untrue.into_iter().enumerate() {
        soon(announcer.put(&at, record)).await;
        until(async || table.counts().announcements_refused == count as u64 + 1).await;
    }
    soon(announcer.put(b"no key", announcer.announcement(&at, now, now + minute))).await;
    until(async || table.counts().announcements_refused == 8).await;
    until(async || looker.find(&subject).await == Ok(Vec::new())).await;
    soon(announcer.put(&at, announcer.announcement(&at, now, now + minute))).await;
    let found = found(&looker, &subject).await.remove(0);
    assert_eq!((found.node, found.until.0), (announcer.node(), now + minute));
    assert!(found.addresses[0].starts_with("/ip4/127.0.0.1/tcp/9/p2p/"));
}

/// Whoever announces more than any node needs to is not listened to; others are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_floods_the_table_is_not_listened_to() {
    let table = open("table", "public", &options(Vec::new(), LONG)).await;
    let looker = open("looker", "main", &options(table.addresses(), LONG)).await;
    let mut announcer = Announcer::connect(&table.addresses()[0]);
    let at = key_of_capability("main", "summarise");
    let mut sent = 0_u64;
    while table.counts().announcements_refused == 0 {
        let signed_at = now();
        soon(announcer.put(&at, announcer.announcement(&at, signed_at, signed_at + 60_000))).await;
        sent += 1;
    }
    assert!(sent > u64::from(AUTHOR_BURST_MAX), "{sent}");
    let ada = open("ada", "main", &options(table.addresses(), LONG)).await;
    ada.announce(|| BTreeSet::from([capability("translate")]));
    assert_eq!(found(&looker, &capability("translate")).await[0].node, ada.node_id());
}
