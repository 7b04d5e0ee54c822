//! Nodes that reach each other directly and over NATS: either way may fail, and callers see no more than latency.

use std::time::Duration;

use connectome::prelude::*;
use connectome::transport::routed::RouteCounts;

use super::support::{Add, Adder, soon, until};
use crate::support::nats::{Link, NatsServer, free_port};

/// One that is dialled through a link, and one that dials it.
struct Pair {
    ada: Node,
    bob: Node,
    link: Link,
}

impl Pair {
    async fn start(server: &NatsServer, namespace: &str) -> Pair {
        let [port, proxy] = [free_port(), free_port()];
        let link = Link::new(proxy, port);
        let at = |port: u16| Some(format!("/ip4/127.0.0.1/tcp/{port}"));
        let mut config = config(server, namespace, "ada");
        (config.libp2p.listen, config.libp2p.announce) = (at(port), at(proxy));
        let ada = Node::start(config).await.unwrap();
        let mut config = self::config(server, namespace, "bob");
        config.libp2p.peers = at(proxy);
        let bob = Node::start(config).await.unwrap();
        soon(bob.libp2p().unwrap().linked(ada.id())).await;
        ada.spawn("adder", Adder::default).await.unwrap();
        Pair { ada, bob, link }
    }

    fn counts(&self) -> RouteCounts {
        self.bob.route_counts().unwrap()
    }

    async fn is_linked(&self, linked: bool) {
        let (ada, bob) = (self.ada.id(), self.bob.libp2p().unwrap());
        until(async || bob.peers().contains(&ada) == linked).await;
    }

    /// So many calls, none of which fails: their sum, and how long the longest took.
    async fn calls(&self, calls: u64) -> (u64, Duration) {
        let adder = soon(self.bob.wait_for("adder")).await.unwrap();
        let (mut sum, mut longest) = (0, Duration::ZERO);
        for _ in 0..calls {
            let begun = std::time::Instant::now();
            sum = adder.call(Add(1)).await.unwrap();
            longest = longest.max(begun.elapsed());
        }
        (sum, longest)
    }

    async fn stop(self) {
        self.bob.stop().await;
        self.ada.stop().await;
    }
}

fn config(server: &NatsServer, namespace: &str, name: &str) -> Config {
    let mut config = Config::in_memory();
    (config.name, config.namespace) = (name.to_owned(), namespace.to_owned());
    config.nats.url = Some(server.url());
    config
}

/// Calls go directly; when the link is cut in their middle they go on over NATS, each with its answer and run once; when it is
/// healed they go directly again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_on_over_nats_while_the_link_is_cut() {
    let server = NatsServer::start();
    let pair = Pair::start(&server, "cut").await;
    pair.calls(1).await;
    let before = pair.counts();
    assert_eq!(pair.calls(50).await.0, 51);
    let direct = pair.counts();
    assert!(direct.direct >= before.direct + 50, "{before:?} {direct:?}");

    let cutting = async {
        until(async || pair.counts().direct > direct.direct + 100).await;
        pair.link.cut();
    };
    let ((sum, longest), ()) = tokio::join!(pair.calls(500), cutting);
    assert_eq!(sum, 551, "each call was handled once");
    pair.is_linked(false).await;
    let cut = pair.counts();
    assert_eq!(pair.calls(50).await.0, 601);
    assert!(pair.counts().broker >= cut.broker + 50, "{:?}", pair.counts());
    println!("the longest call over the cut took {longest:?}; {cut:?}");

    pair.link.heal();
    pair.is_linked(true).await;
    until(async || {
        pair.calls(1).await;
        let before = pair.counts();
        pair.calls(10).await;
        pair.counts().direct >= before.direct + 10
    })
    .await;
    assert_eq!(pair.counts().lost, 0);
    pair.stop().await;
}

/// A link on which nothing arrives any more is noticed by silence, and calls that were under way on it come by NATS within their
/// deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_outlive_a_link_that_falls_silent() {
    let server = NatsServer::start();
    let pair = Pair::start(&server, "silent").await;
    pair.calls(1).await;
    pair.link.stall();
    let (sum, longest) = pair.calls(20).await;
    assert_eq!(sum, 21, "each call was handled once");
    let counts = pair.counts();
    println!("the longest call over the silence took {longest:?}; {counts:?}");
    assert!(
        counts.again > 0 && counts.lost == 0 && longest < Duration::from_secs(5),
        "{longest:?} {counts:?}"
    );
    pair.link.heal();
    pair.is_linked(true).await;
    assert_eq!(pair.calls(10).await.0, 31);
    pair.stop().await;
}

/// Without its server a cluster's live links carry casts and calls; with it again, everything is as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_and_casts_go_on_while_the_server_is_away() {
    let mut server = NatsServer::start();
    let pair = Pair::start(&server, "away").await;
    pair.calls(1).await;
    server.kill();
    let adder = pair.bob.agent("adder").unwrap();
    let begun = std::time::Instant::now();
    let mut sum = 1;
    while begun.elapsed() < Duration::from_secs(8) {
        adder.cast(Add(1)).await.unwrap();
        sum = adder.call(Add(1)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.restart();
    assert_eq!(sum % 2, 1, "every cast and every call was handled once");
    assert_eq!(pair.calls(1).await.0, sum + 1);
    pair.stop().await;
}
