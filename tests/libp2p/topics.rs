//! What is said to everybody: it reaches all who listen, once, with its author beside it; who floods is throttled and left.

use std::time::{Duration, Instant};

use connectome::port::Transport;
use connectome::transport::libp2p::{
    AUTHOR_BURST_MAX, AUTHOR_EXCESS_MAX, Admission, Libp2pTransport, Listening, PUBLISHED_BYTES_MAX,
    TOPICS_MAX, TopicError,
};
use tokio::time::timeout;

use super::support::{open, pair, soon, until};

/// Publishes as soon as somebody is known to listen.
async fn publish(from: &Libp2pTransport, topic: &str, message: &[u8]) {
    until(async || match from.publish(topic, message.to_vec().into()).await {
        Ok(()) => true,
        Err(TopicError::NobodyListens { .. }) => false,
        Err(other) => panic!("{other}"),
    })
    .await;
}

/// A message reaches who listens to its topic, and nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_reaches_who_listens() {
    let (ada, bob) = pair().await;
    let (mut news, mut other) = (ada.listen("news").await.unwrap(), ada.listen("other").await.unwrap());
    publish(&bob, "news", b"hello").await;
    let heard = soon(news.next()).await.unwrap();
    assert_eq!((heard.author, &heard.message[..]), (bob.node_id(), &b"hello"[..]));
    publish(&bob, "other", b"second").await;
    assert_eq!(&soon(other.next()).await.unwrap().message[..], b"second");
    drop(news);
    until(async || matches!(bob.publish("news", "x".into()).await, Err(TopicError::NobodyListens { .. })))
        .await;
}

/// Names, sizes and the number of topics are bounded, each with an error that says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_bounded() {
    let (ada, _bob) = pair().await;
    assert!(matches!(ada.listen("").await, Err(TopicError::Name { .. })));
    let large = vec![0; PUBLISHED_BYTES_MAX + 1];
    assert!(matches!(ada.publish("news", large.into()).await, Err(TopicError::TooLarge { .. })));
    let mut held = Vec::new();
    for at in 0..TOPICS_MAX {
        held.push(ada.listen(&format!("topic-{at}")).await.unwrap());
    }
    assert_eq!(ada.listen("one more").await.unwrap_err(), TopicError::TooMany);
    held.pop();
    ada.listen("one more").await.unwrap();
}

/// How long a message may travel before another one is sent after it: several heartbeats of a mesh that is still forming.
const TRAVEL: Duration = Duration::from_secs(10);

/// A message of one of fifty nodes reaches all the others, once they know of each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_nodes_hear_a_message() {
    const NODES: usize = 50;
    let mut nodes: Vec<Libp2pTransport> = Vec::new();
    let mut listening: Vec<Listening> = Vec::new();
    for at in 0..NODES {
        let peers = nodes.first().map(Libp2pTransport::addresses).unwrap_or_default();
        let node = open(&format!("node-{at}"), peers, Admission::default()).await;
        listening.push(node.listen("news").await.unwrap());
        nodes.push(node);
    }
    for node in &nodes[1..] {
        soon(node.linked(nodes[0].node_id())).await;
    }
    let copies = |nodes: &[Libp2pTransport]| nodes.iter().map(|node| node.counts().copies).sum::<u64>();
    let author = nodes[7].node_id();
    let (mut before, mut begun) = (copies(&nodes), Instant::now());
    let mut try_once = async |message: Vec<u8>| {
        (before, begun) = (copies(&nodes), Instant::now());
        publish(&nodes[7], "news", &message).await;
        let everybody = async {
            for heard in listening.iter_mut().enumerate().filter(|(at, _)| *at != 7).map(|(_, heard)| heard) {
                while heard
                    .next()
                    .await
                    .is_none_or(|heard| heard.author != author || heard.message != message)
                {}
            }
        };
        timeout(TRAVEL, everybody).await.is_ok()
    };
    let mut number = 0u8;
    until(async || {
        number += 1;
        try_once(vec![number]).await
    })
    .await;
    println!("{NODES} nodes heard it after {:?}, with {} copies", begun.elapsed(), copies(&nodes) - before);
}

/// A node that floods is throttled, then left and turned away; the others go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_floods_is_left() {
    let (ada, bob) = pair().await;
    let eve = open("eve", ada.addresses(), Admission::default()).await;
    soon(eve.linked(ada.node_id())).await;
    let mut news = ada.listen("news").await.unwrap();
    publish(&eve, "news", b"first").await;
    soon(news.next()).await.unwrap();
    let flooding = async {
        let mut sent = 0;
        while ada.counts().denied == 0 {
            match eve.publish("news", format!("{sent}").into()).await {
                Ok(()) => sent += 1,
                // It reads more slowly than we write, or we are disconnected and come again.
                Err(TopicError::Full | TopicError::NobodyListens { .. }) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
            while let Ok(Some(_)) = timeout(Duration::ZERO, news.next()).await {}
            // Who has not read that a link has ended begins no other one.
            while let Ok(Some(_)) = timeout(Duration::ZERO, eve.receive()).await {}
        }
        sent
    };
    let sent: u32 = soon(flooding).await;
    assert!(sent >= AUTHOR_BURST_MAX + AUTHOR_EXCESS_MAX, "{sent}");
    assert!(!ada.peers().contains(&eve.node_id()));
    publish(&bob, "news", b"still").await;
    while &soon(news.next()).await.unwrap().message[..] != b"still" {}
}
