//! Registration over a real server: the cases of `tests/registration`, a program that speaks NATS and nothing of ours, a
//! killed process, and what ten thousand registered agents cost.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use connectome::prelude::*;
use connectome_codecs::registration::Signed;
use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::registration;
use crate::registration::support::{
    Idler, Stranger, all_met, keys_of, name, until, until_keys, until_within,
};
use crate::support::nats::NatsServer;

/// What a process is told by its environment.
const PLACE: &str = "CONNECTOME_REGISTRATION_PLACE";
const URL: &str = "CONNECTOME_REGISTRATION_URL";

/// Agents of the process that is killed, unless `REGISTRATION_AGENTS` says otherwise.
const AGENTS: usize = 300;

/// Agents whose cost is measured, and for how long: all are written again within it.
const MANY: usize = 10_000;
const MEASURED: Duration = Duration::from_secs(330);

async fn nodes(server: &NatsServer) -> Vec<Node> {
    let start = ["one", "two", "three"].map(|name| Node::start(config(name, &server.url())));
    let nodes: Vec<_> = join_all(start).await.into_iter().map(Result::unwrap).collect();
    all_met(&nodes).await;
    nodes
}

fn config(name: &str, url: &str) -> Config {
    let mut config = Config::in_memory();
    config.name = name.to_owned();
    config.nats.url = Some(url.to_owned());
    config
}

async fn stop(nodes: Vec<Node>) {
    join_all(nodes.iter().map(Node::stop)).await;
}

/// A registered agent is known everywhere; agents that live some milliseconds leave nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_known_everywhere() {
    let server = NatsServer::start();
    let nodes = nodes(&server).await;
    registration::registered(&nodes).await;
    nodes[0].stop_agent("painter").await.unwrap();
    registration::short_lives(&nodes).await;
    stop(nodes).await;
}

/// What is not right is refused, counted and never shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_right_is_refused() {
    let server = NatsServer::start();
    let nodes = nodes(&server).await;
    registration::forged(&nodes).await;
    stop(nodes).await;
}

/// A name that is taken is refused, with who has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_name_is_refused() {
    let server = NatsServer::start();
    let nodes = nodes(&server).await;
    registration::taken(&nodes).await;
    stop(nodes).await;
}

/// A stopped agent, and those of a stopped node, are gone at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_stop_removes_at_once() {
    let server = NatsServer::start();
    let nodes = nodes(&server).await;
    registration::stopped(&nodes).await;
    stop(nodes).await;
}

/// A program with a NATS client registers an agent with two headers and a body, reads the confirmation from the bucket's
/// subject, and ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_no_node_registers() {
    let server = NatsServer::start();
    let nodes = nodes(&server).await;
    registration::foreign(&nodes).await;

    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client.clone());
    let mut entries = client.subscribe("$KV.connectome-agents.guest").await.unwrap();
    let mut refused = client.subscribe("connectome.discovery.refused.guest").await.unwrap();
    let stranger = Stranger::new("connectome");
    let record = stranger.record("guest", nodes[0].router().now());
    let publish = async |what: &str, id: &str, body: Vec<u8>| {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        let subject = format!("connectome.discovery.{what}.guest");
        let stored = jetstream.publish_with_headers(subject, headers, body.into()).await.unwrap();
        assert_eq!(stored.await.unwrap().stream, "connectome_AGENT_DISCOVERY");
    };
    publish("registered", "01JX0000000000000000000001", stranger.signed(&record)).await;
    let entry = timeout(Duration::from_secs(10), entries.next()).await.unwrap().unwrap();
    assert_eq!(Signed::decode(&entry.payload).unwrap().record, record.encode().unwrap());
    assert_eq!(nodes[2].registered(&name("guest")).await.map(|stands| stands.node), Ok(stranger.id()));

    publish("unregistered", "01JX0000000000000000000002", b"\x80".to_vec()).await;
    let no = timeout(Duration::from_secs(10), refused.next()).await.unwrap().unwrap();
    assert!(connectome_codecs::registration::Refusal::decode(&no.payload).is_ok());
    publish("unregistered", "01JX0000000000000000000003", stranger.signed_end(&record)).await;
    until(|| nodes.iter().all(|node| node.registrations().is_empty())).await;
    stop(nodes).await;
}

/// The agents of a process that is killed (SIGKILL) are gone within three seconds, from lookups and from the bucket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_nothing() {
    let server = NatsServer::start();
    let nodes = nodes(&server).await;
    for (n, node) in nodes.iter().enumerate() {
        node.spawn(&format!("here-{n}"), || Idler).await.unwrap();
    }
    let mut process = Process::start("there", &server.url());
    let all = agents() + nodes.len();
    until(|| nodes.iter().all(|node| node.registrations().len() == all)).await;
    let store = nodes[0].ports().streams.clone();
    assert_eq!(keys_of(&*store).await.len(), all);
    process.child.kill().unwrap();
    let killed = Instant::now();
    until(|| nodes.iter().all(|node| node.registrations().len() == nodes.len())).await;
    until(|| nodes.iter().all(|node| node.router().remote_agents().len() == nodes.len() - 1)).await;
    let hidden = killed.elapsed();
    until_keys(&*store, |keys| keys.len() <= nodes.len()).await;
    let swept = killed.elapsed();
    println!("{} agents of a killed process: hidden after {hidden:?}, swept after {swept:?}", agents());
    assert!(swept < Duration::from_secs(3), "hidden {hidden:?}, swept {swept:?}");
    stop(nodes).await;
}

/// A process with agents, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other tests start it in a process of its own"]
async fn clerk() {
    let (place, url) = (std::env::var(PLACE).unwrap(), std::env::var(URL).unwrap());
    let node = Node::start(config(&place, &url)).await.unwrap();
    for n in 0..agents() {
        node.spawn(&format!("{place}-{n}"), || Idler).await.unwrap();
    }
    println!("spawned");
    std::future::pending::<()>().await;
}

fn agents() -> usize {
    std::env::var("REGISTRATION_AGENTS").ok().and_then(|agents| agents.parse().ok()).unwrap_or(AGENTS)
}

struct Process {
    child: Child,
}

impl Process {
    fn start(place: &str, url: &str) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "nats::registration::clerk", "--ignored", "--nocapture"]);
        command.env(PLACE, place).env(URL, url).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line.ends_with("spawned"))), "{place} starts");
        std::thread::spawn(move || lines.for_each(drop));
        Process { child }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended needs neither.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What ten thousand registered agents of three nodes cost, from their first second through a whole round of refreshing.
///
/// `cargo test -p connectome-tests nats::registration::ten_thousand -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures for six minutes"]
async fn ten_thousand() {
    let server = NatsServer::start();
    let nodes = nodes(&server).await;
    let empty = (Used::of(server.id()), Used::of(std::process::id()));
    let began = Instant::now();
    for n in 0..MANY {
        nodes[n % 3].spawn(&format!("agent-{n}"), || Idler).await.unwrap();
    }
    let spawned = began.elapsed();
    let all_stand = || nodes.iter().all(|node| node.registrations().len() == MANY);
    until_within(Duration::from_secs(300), all_stand).await;
    println!("{MANY} agents spawned in {spawned:?}, registered on all 3 nodes after {:?}", began.elapsed());
    let published: u64 = nodes.iter().map(|node| node.registration_counts().published).sum();
    let spent = |now: Used, before: &Used| now.processor - before.processor;
    let server_spent = spent(Used::of(server.id()), &empty.0);
    let nodes_spent = spent(Used::of(std::process::id()), &empty.1);
    println!(
        "  {published} registrations published; processor time: nodes {nodes_spent:.1} s, server {server_spent:.1} s"
    );
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut entries = client.subscribe("$KV.connectome-agents.>").await.unwrap();
    let full = (Used::of(server.id()), Used::of(std::process::id()));
    let (measured, mut seconds, mut bytes) =
        (Instant::now(), vec![0_u64; MEASURED.as_secs() as usize + 1], 0);
    while let Ok(Some(entry)) = timeout(MEASURED.saturating_sub(measured.elapsed()), entries.next()).await {
        bytes += entry.length;
        seconds[measured.elapsed().as_secs() as usize] += 1;
    }
    let spent = measured.elapsed().as_secs_f64();
    let (server_now, process_now) = (Used::of(server.id()), Used::of(std::process::id()));
    let writes: u64 = seconds.iter().sum();
    let busiest = seconds.iter().max().unwrap();
    println!(
        "over {spent:.0} s: {writes} entries written, {:.1} each second, {busiest} in the busiest",
        writes as f64 / spent
    );
    println!(
        "{:.1} KB each second, {:.0} bytes an entry",
        bytes as f64 / spent / 1e3,
        bytes as f64 / writes as f64
    );
    println!("server: {}", server_now.since(&full.0, spent));
    println!("  of it since it was empty: {:.1} MB", (server_now.memory - empty.0.memory) / 1e6);
    println!("three nodes in one process: {}", process_now.since(&full.1, spent));
    println!("  of it since they were empty: {:.1} MB", (process_now.memory - empty.1.memory) / 1e6);
    assert!(writes >= MANY as u64 && writes <= 2 * MANY as u64, "{writes}");
    assert_eq!(keys_of(&*nodes[0].ports().streams).await.len(), MANY);
    stop(nodes).await;
}

/// What a process has used.
struct Used {
    /// Seconds of processor time.
    processor: f64,
    /// Bytes resident.
    memory: f64,
}

impl Used {
    /// Linux tells it in hundredths of a second and pages of 4 KiB (proc(5)).
    fn of(process: u32) -> Used {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        let fields: Vec<f64> = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .map(|field| field.parse().unwrap_or(0.0))
            .collect();
        Used { processor: (fields[11] + fields[12]) / 100.0, memory: fields[21] * 4_096.0 }
    }

    fn since(&self, before: &Used, seconds: f64) -> String {
        let share = (self.processor - before.processor) / seconds * 100.0;
        format!("{share:.1} % of a processor, {:.0} MB resident", self.memory / 1e6)
    }
}
