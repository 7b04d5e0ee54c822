//! A rolling restart of a three-server cluster under load: nothing is lost, nothing is done twice, and no verb fails.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use connectome::EventFilter;
use connectome::codecs::Sequence;
use connectome::codecs::event::ResourceLow;
use connectome::prelude::*;
use connectome::transport::nats::{NatsConnection, NatsOptions};
use tokio::task::JoinSet;
use tokio::time::interval;

use super::trade::{Add, Adder, Ledger, Note, config, notes, until};
use crate::support::nats::NatsCluster;

/// The shortest that a server takes for its clients to leave; they leave sooner when they are few.
const LAME_DUCK: &str = "lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"1s\"";

/// Between two of what one caller does: load, and not a benchmark.
const PACE: Duration = Duration::from_millis(20);

/// What the callers did.
#[derive(Default)]
struct Did {
    count: u64,
    failed: Vec<String>,
    longest: Duration,
}

/// Each server in turn is retired (lame duck), ends, starts again and catches up, while all verbs are used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_nothing() {
    let mut cluster = NatsCluster::start_with(3, LAME_DUCK);
    let (keys, adder) = (tempfile::tempdir().unwrap(), Adder::default());
    let mut nodes = Vec::new();
    for name in ["one", "two", "three"] {
        let mut config = config(name, keys.path(), &cluster.urls());
        config.nats.replicas = 3;
        let node = Node::start(config).await.unwrap();
        node.spawn(&format!("ledger-{name}"), Ledger::default).await.unwrap();
        let adder = adder.clone();
        let spec = AgentSpec::new(&format!("adder-{name}"), move || adder.clone()).capability("add");
        node.spawn_with(spec).await.unwrap();
        nodes.push(node);
    }
    let watcher = NatsConnection::open(&NatsOptions::new(&cluster.urls()).unwrap()).await.unwrap();
    let load = Load::begin(&nodes).await;
    let began = Instant::now();
    for server in &mut cluster.servers {
        tokio::task::block_in_place(|| server.retire());
        let retired = began.elapsed();
        tokio::task::block_in_place(|| server.restart());
        until("it has caught up", async || server.is_healthy()).await;
        let back = began.elapsed();
        println!("server {} ended at {retired:.1?}, and had caught up at {back:.1?}", server.url());
    }
    let (sent, emitted, submitted) = load.end().await;
    for (what, did) in [("send", &sent), ("emit", &emitted), ("submit", &submitted)] {
        println!(
            "{what}: {} in {:.0?}, longest {:.2?}, failed {}",
            did.count,
            began.elapsed(),
            did.longest,
            did.failed.len()
        );
    }
    println!("told of the end of a server: {:?}", watcher.counts());
    for did in [&sent, &emitted, &submitted] {
        assert!(did.failed.is_empty() && did.count > 0, "{:?}", did.failed);
    }
    assert!(watcher.counts().lame_duck >= 1, "{:?}", watcher.counts());
    nothing_is_missing(&nodes, &adder, &sent, &emitted, &submitted).await;
    for node in nodes {
        node.stop().await;
    }
}

async fn nothing_is_missing(nodes: &[Node], adder: &Adder, sent: &Did, emitted: &Did, submitted: &Did) {
    for name in ["one", "two", "three"] {
        let expected: Vec<u64> = (0..sent.count).filter(|n| n % 3 == at(name)).collect();
        let ledger = nodes[0].agent(&format!("ledger-{name}")).unwrap();
        assert_eq!(notes(&ledger, expected.len()).await, expected, "ledger-{name}");
    }
    let counts = || nodes.iter().map(Node::task_counts).reduce(|a, b| a + b).unwrap();
    until("all tasks are done", async || counts().completed >= submitted.count).await;
    println!("tasks: {:?}", counts());
    assert_eq!((counts().completed, adder.done().len() as u64), (submitted.count, submitted.count));
    let filter = EventFilter::default().of(EventType::ResourceLow);
    let events = nodes[0].event_history(&filter, Sequence(1), emitted.count as usize + 1).await.unwrap();
    assert_eq!(events.len() as u64, emitted.count, "each event is kept once");
}

fn at(name: &str) -> u64 {
    ["one", "two", "three"].iter().position(|known| *known == name).unwrap() as u64
}

/// Callers of all verbs, each with one call in flight.
struct Load {
    over: Arc<AtomicBool>,
    senders: JoinSet<(&'static str, Did)>,
}

impl Load {
    async fn begin(nodes: &[Node]) -> Load {
        let (over, mut senders) = (Arc::<AtomicBool>::default(), JoinSet::new());
        let (one, two, three) = (nodes[0].clone(), nodes[1].clone(), nodes[2].clone());
        let (first, second, third) = (over.clone(), over.clone(), over.clone());
        senders.spawn(async move {
            let ledgers = ["one", "two", "three"].map(|name| one.agent(&format!("ledger-{name}")).unwrap());
            let send = move |n| {
                let ledger = ledgers[n as usize % 3].clone();
                async move { ledger.send(Note(n)).await.map(drop) }
            };
            ("send", work(first, send).await)
        });
        senders.spawn(async move {
            let fact = |n| Fact::ResourceLow(ResourceLow { resource: "ink".into(), used: n, limit: n });
            let emit = move |n| {
                let node = two.clone();
                async move { node.emit(fact(n)).await.map(drop) }
            };
            ("emit", work(second, emit).await)
        });
        senders.spawn(async move {
            let submit = move |n| {
                let node = three.clone();
                async move { node.submit(Submit::new("add", Add(n, 1))).await.map(drop) }
            };
            ("submit", work(third, submit).await)
        });
        Load { over, senders }
    }

    async fn end(self) -> (Did, Did, Did) {
        self.over.store(true, Ordering::Relaxed);
        let mut did = self.senders.join_all().await;
        did.sort_by_key(|(what, _)| *what);
        let mut next = did.into_iter().map(|(_, did)| did);
        let (emitted, sent, submitted) = (next.next().unwrap(), next.next().unwrap(), next.next().unwrap());
        (sent, emitted, submitted)
    }
}

async fn work<E, F>(over: Arc<AtomicBool>, mut act: impl FnMut(u64) -> F) -> Did
where
    E: std::fmt::Display,
    F: Future<Output = Result<(), E>>,
{
    let (mut did, mut pace) = (Did::default(), interval(PACE));
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        match act(did.count).await {
            Ok(()) => did.count += 1,
            Err(error) => did.failed.push(format!("{}: {error}", did.count)),
        }
        did.longest = did.longest.max(began.elapsed());
        pace.tick().await;
    }
    did
}
