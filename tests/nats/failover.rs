//! How long an agent that three processes offer is away when its owner's process is killed, hangs, or leaves.
//!
//! Real processes over a real server. The times are printed, not asserted: a machine may be busy. `FAILOVER_RUNS=30` gives
//! figures to quote; without it each way is tried a few times.
//!
//! `FAILOVER_RUNS=30 cargo test --release -p connectome-tests nats::failover -- --nocapture --test-threads 1`

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use connectome::prelude::*;
use tokio::time::timeout;

use crate::support::nats::NatsServer;

/// What a process is told by its environment.
const PLACE: &str = "CONNECTOME_FAILOVER_PLACE";
const URL: &str = "CONNECTOME_FAILOVER_URL";
const KEY: &str = "CONNECTOME_FAILOVER_KEY";

const PLACES: [&str; 3] = ["one", "two", "three"];
const DESK: &str = "desk";

/// Longer than any way out takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one try of a caller waits: short, so that the next answer is seen when it comes.
const TRY: Duration = Duration::from_millis(500);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "where", reply = (String, u64))]
struct Where;

struct Desk {
    place: String,
}

impl Agent for Desk {
    fn handles(table: &mut Table<Self>) {
        table.on::<Where>();
    }
}

impl Handle<Where> for Desk {
    async fn handle(&mut self, _: Where, ctx: &mut Context<'_>) -> Result<(String, u64), HandlerError> {
        Ok((self.place.clone(), ctx.term().map_or(0, |term| term.0)))
    }
}

/// Killed with SIGKILL: the next owner answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed() {
    let mut office = Office::open().await;
    let mut away = Vec::new();
    for _ in 0..runs() {
        let owner = office.owner().await;
        let began = Instant::now();
        office.process(&owner).kill();
        office.another_than(&owner).await;
        away.push(began.elapsed());
        office.hire(&owner).await;
    }
    print("killed (SIGKILL)", away);
}

/// Stopped with SIGSTOP: the next owner answers; the one that was stopped does not when it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hung() {
    let mut office = Office::open().await;
    let mut away = Vec::new();
    for _ in 0..runs() {
        let owner = office.owner().await;
        let began = Instant::now();
        office.process(&owner).signal("-STOP");
        let (next, term) = office.another_than(&owner).await;
        away.push(began.elapsed());
        office.process(&owner).signal("-CONT");
        let (now, later) = office.ask().await;
        assert!(
            later >= term && (later > term || now == next),
            "{now} under {later} after {next} under {term}"
        );
    }
    print("hung (SIGSTOP)", away);
}

/// Left gracefully, with callers at it all the time: no call fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn left() {
    let mut office = Office::open().await;
    let mut away = Vec::new();
    for _ in 0..runs() {
        let owner = office.owner().await;
        let calls = Calls::begin(&office.desk);
        calls.until_more(20).await;
        let process = office.processes.remove(office.at(&owner));
        let gone = tokio::task::spawn_blocking(move || process.leave());
        office.another_than(&owner).await;
        calls.until_more(20).await;
        away.push(calls.end().await);
        gone.await.unwrap();
        office.hire(&owner).await;
    }
    print("left (graceful stop): longest call", away);
}

/// The life of a process that offers the desk, until its input ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other tests start it in a process of its own"]
async fn clerk() {
    let [place, url, key] = [PLACE, URL, KEY].map(|name| std::env::var(name).unwrap());
    let node = Node::start(config(&place, &url, Path::new(&key))).await.unwrap();
    let name = place.clone();
    node.offer(DESK, move || Desk { place: name.clone() }).await.unwrap();
    node.spawn(&format!("clerk-{place}"), move || Desk { place: place.clone() }).await.unwrap();
    println!("offered");
    let input = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    tokio::task::spawn_blocking(input).await.unwrap().unwrap();
    node.stop().await;
}

fn config(name: &str, url: &str, key: &Path) -> Config {
    let mut config = Config::in_memory();
    config.key_file = Some(key.to_owned());
    config.name = name.to_owned();
    config.nats.url = Some(url.to_owned());
    config
}

/// The root key that all processes share.
fn root_in(keys: &tempfile::TempDir) -> PathBuf {
    keys.path().join("root.key")
}

fn runs() -> usize {
    std::env::var("FAILOVER_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(3)
}

/// A server, three processes that offer the desk, and somebody who calls it.
struct Office {
    processes: Vec<Process>,
    desk: AgentRef,
    node: Node,
    server: NatsServer,
    keys: tempfile::TempDir,
}

impl Office {
    async fn open() -> Office {
        let server = NatsServer::start();
        let keys = tempfile::tempdir().unwrap();
        let node = Node::start(config("street", &server.url(), &root_in(&keys))).await.unwrap();
        let desk = node.agent(DESK).unwrap();
        let mut office = Office { processes: Vec::new(), desk, node, server, keys };
        for place in PLACES {
            office.hire(place).await;
        }
        office
    }

    /// Starts the process of this place again, and waits until others know of it.
    async fn hire(&mut self, place: &str) {
        self.processes.retain(|process| process.place != place);
        self.processes.push(Process::start(place, &self.server.url(), &root_in(&self.keys)));
        let clerk = format!("clerk-{place}");
        timeout(PATIENCE, async {
            while self.node.agent(&clerk).unwrap().call_within(TRY, Where).await.is_err() {}
        })
        .await
        .expect("a process that starts is known");
    }

    fn at(&self, place: &str) -> usize {
        self.processes.iter().position(|process| process.place == place).expect("it was hired")
    }

    fn process(&mut self, place: &str) -> &mut Process {
        let at = self.at(place);
        &mut self.processes[at]
    }

    async fn owner(&self) -> String {
        self.ask().await.0
    }

    /// Who answers, under which term.
    async fn ask(&self) -> (String, u64) {
        self.until(|_| true).await
    }

    async fn another_than(&self, owner: &str) -> (String, u64) {
        self.until(|place| place != owner).await
    }

    async fn until(&self, is_it: impl Fn(&str) -> bool) -> (String, u64) {
        let asking = async {
            loop {
                match self.desk.call_within(TRY, Where).await {
                    Ok((place, term)) if is_it(&place) => return (place, term),
                    // What fails is counted by the time it takes until one does not.
                    Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            }
        };
        timeout(PATIENCE, asking).await.expect("somebody answers in the end")
    }
}

/// A process that offers the desk.
struct Process {
    place: String,
    child: Child,
}

impl Process {
    fn start(place: &str, url: &str, key: &Path) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "nats::failover::clerk", "--ignored", "--nocapture"]);
        command.env(PLACE, place).env(URL, url).env(KEY, key).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line.ends_with("offered"))), "{place} starts");
        // Nobody reads on, and a process that can't write must not end.
        std::thread::spawn(move || lines.for_each(drop));
        Process { place: place.to_owned(), child }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success(), "kill {signal}");
    }

    /// Asks it to leave, and waits until it has.
    fn leave(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended needs neither.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody who calls all the time with a patient deadline, and remembers how long the longest call took.
struct Calls {
    answered: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    caller: tokio::task::JoinHandle<Duration>,
}

impl Calls {
    fn begin(desk: &AgentRef) -> Calls {
        let (desk, answered, over) =
            (desk.clone(), Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (count, is_over) = (answered.clone(), over.clone());
        let caller = tokio::spawn(async move {
            let mut longest = Duration::ZERO;
            while !is_over.load(Ordering::Relaxed) {
                let began = Instant::now();
                desk.call_within(PATIENCE, Where).await.expect("no call fails while an owner leaves");
                longest = longest.max(began.elapsed());
                count.fetch_add(1, Ordering::Relaxed);
            }
            longest
        });
        Calls { answered, over, caller }
    }

    async fn until_more(&self, more: u64) {
        let end = self.answered.load(Ordering::Relaxed) + more;
        while self.answered.load(Ordering::Relaxed) < end && !self.caller.is_finished() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn end(self) -> Duration {
        self.over.store(true, Ordering::Relaxed);
        self.caller.await.expect("no call fails while an owner leaves")
    }
}

fn print(what: &str, mut away: Vec<Duration>) {
    away.sort();
    let at = |share: usize| away[(away.len() * share).div_ceil(100).saturating_sub(1)];
    println!(
        "{what}, {} runs: min {:?}, p50 {:?}, p90 {:?}, p99 {:?}, max {:?}",
        away.len(),
        away[0],
        at(50),
        at(90),
        at(99),
        away[away.len() - 1]
    );
}
