//! Of three servers the one that leads is killed: agents keep their owners, `send` goes on, and nothing is lost.
//!
//! `FAILOVER_RUNS=30 cargo test -p connectome-tests chaos::leader -- --nocapture --test-threads 1`

use std::time::Instant;

use async_nats::jetstream;
use rand::RngExt;

use super::office::{Office, PLACES};
use super::senders::{self, Senders};
use super::{dice, in_the_end, print, runs, until};
use crate::support::nats::{NatsCluster, NatsServer};

const BOOKS: usize = 6;

/// Streams whose leaders are killed in turn: the messages, the leases, what agents keep.
const LED: [&str; 3] = ["connectome_AGENT_MESSAGES", "KV_connectome-leases", "KV_connectome-states"];

/// A sender that nobody else is.
const PROBE: u64 = 1_000;

/// The server that leads a stream is killed while entries come, and started again when `send` is acknowledged again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed() {
    let mut dice = dice();
    let mut cluster = NatsCluster::start(3);
    let office = Office::open(&cluster.urls(), 3, BOOKS).await;
    let owners = owners(&office).await;
    // A cluster that is still copying its first streams has nobody who could follow a leader.
    caught_up(&cluster).await;
    let sending = Senders::begin(&office.node, &mut dice, BOOKS as u64, BOOKS, 60);
    let probe = office.node.agent(&super::book::book(0)).unwrap();
    let (ids, mut number, mut resumed, mut failures) = (dice.random::<u32>(), 0, Vec::new(), 0);
    for run in 0..runs(3) {
        let led = LED[run % LED.len()];
        let leader = leader_of(&cluster, led).await;
        cluster.servers[leader].kill();
        let began = Instant::now();
        number += 1;
        failures += in_the_end("send goes on", senders::write(&probe, ids, PROBE, number)).await;
        resumed.push(began.elapsed());
        println!(
            "run {run}: member-{leader}, which led {led}, was killed; send took {:.2?}",
            began.elapsed()
        );
        assert_eq!(self::owners(&office).await, owners, "each book has the owner and the term that it had");
        cluster.servers[leader].restart();
        caught_up(&cluster).await;
        renewed(&office).await;
    }
    print("leader killed, to the next acknowledged send", &resumed);
    let mut sent = sending.end().await;
    sent.push(senders::Sent {
        sender: PROBE,
        book: super::book::book(0),
        last: number,
        failures,
        ..Default::default()
    });
    office.audit(&sent).await;
    let longest = sent.iter().map(|sent| sent.longest).max().unwrap_or_default();
    let failures: u64 = sent.iter().map(|sent| sent.failures).sum();
    println!("longest send of all {longest:.2?}; sends that failed and were sent again: {failures}");
}

/// Who has each book, and under which term.
async fn owners(office: &Office) -> Vec<(String, u64)> {
    let mut owners = Vec::new();
    for number in 0..BOOKS {
        let page = office.page(number, "is answered", |_| true).await;
        owners.push((page.place, page.term));
    }
    owners
}

/// The number of the server that leads this stream.
async fn leader_of(cluster: &NatsCluster, stream: &str) -> usize {
    let led = async || {
        let info = info(cluster, stream).await?;
        let leader = info.cluster.and_then(|cluster| cluster.leader).ok_or("nobody leads")?;
        leader.trim_start_matches("member-").parse::<usize>().map_err(|error| error.to_string())
    };
    until(&format!("somebody leads {stream}"), led).await
}

/// Waits until every owner has renewed its leases: one leader's loss is promised to be outlived, not two within a lease.
async fn renewed(office: &Office) {
    for place in PLACES {
        let before = office.report(place).await;
        until(&format!("{place} renews its leases"), async || {
            let report = office.report(place).await;
            let renewed = report.renewed - before.renewed;
            if renewed >= before.books.len() as u64 { Ok(()) } else { Err(format!("{renewed} are renewed")) }
        })
        .await;
    }
}

/// Waits until every stream has all its copies again.
async fn caught_up(cluster: &NatsCluster) {
    for stream in LED {
        until("the server has caught up", async || {
            let info = info(cluster, stream).await?;
            let replicas = info.cluster.map(|cluster| cluster.replicas).unwrap_or_default();
            let current = replicas.iter().filter(|replica| replica.current && !replica.offline).count();
            if current == 2 {
                Ok(())
            } else {
                Err(format!("{current} of 2 replicas of {stream} are current"))
            }
        })
        .await;
    }
}

async fn info(cluster: &NatsCluster, stream: &str) -> Result<jetstream::stream::Info, String> {
    let urls: Vec<String> = cluster.servers.iter().map(NatsServer::url).collect();
    let client = async_nats::connect(urls).await.map_err(|error| error.to_string())?;
    let info = jetstream::new(client).get_stream(stream).await.map_err(|error| error.to_string())?;
    info.get_info().await.map_err(|error| error.to_string())
}
