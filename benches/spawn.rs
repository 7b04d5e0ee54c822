//! 100,000 agents: how long one start takes, and what memory one agent holds.
//!
//! Each turn is a process of its own: what one run has freed and the allocator kept would hide what the next one takes.

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use crate::harness::{Group, Unit};
use crate::peers::{Goal, Kameo, Ours, Peer, Ractor};
use crate::runtimes::{run, threads};

/// Agents of one turn.
const AGENTS: usize = 100_000;

/// Turns: starting so many takes a second or two.
const ROUNDS: usize = 3;

const TIME: &str = "\
One after the other, each awaited until it runs. Ours has a name that is registered and announced, a supervisor that
  starts it again, and an event that tells of it; the others have a reference.";

const MEMORY: &str = "\
Growth of the resident set over all agents. Ours: with its place in the registry, its supervisor's record, its entry in
  the bucket of agents and its AGENT_REGISTERED event in the store, all in memory here.";

pub(crate) fn groups() -> Vec<Group> {
    let time = group("spawn of 100,000, time", Unit::Nanoseconds, TIME, 0);
    // Without /proc there is no resident set to read.
    let memory = resident_bytes().map(|_| group("spawn of 100,000, memory", Unit::Bytes, MEMORY, 1));
    std::iter::once(time).chain(memory).collect()
}

fn group(name: &str, unit: Unit, note: &'static str, figure: usize) -> Group {
    [Ours::NAME, Ractor::NAME, Kameo::NAME]
        .into_iter()
        .fold(Group::new(name, unit, note), |group, peer| group.way(peer, move || in_child(peer)[figure]))
        .at_most(ROUNDS)
}

/// Runs this program again, to start the agents and say what they cost: nanoseconds and bytes for one.
fn in_child(peer: &str) -> [f64; 2] {
    let this = std::env::current_exe().expect("a running program has a path");
    let child = Command::new(this).args(["--child", peer]).output().expect("what runs can be run again");
    let text = String::from_utf8_lossy(&child.stdout);
    let mut figures = text.split_whitespace().map(|figure| figure.parse().unwrap_or(f64::NAN));
    [figures.next().unwrap_or(f64::NAN), figures.next().unwrap_or(f64::NAN)]
}

/// The child's part.
pub(crate) fn child(peer: &str) -> ExitCode {
    let [time, bytes] = match peer {
        Ours::NAME => run(&threads(), ours()),
        Ractor::NAME => run(&threads(), others::<Ractor>()),
        Kameo::NAME => run(&threads(), others::<Kameo>()),
        unknown => {
            eprintln!("there is no peer named {unknown:?}");
            return ExitCode::FAILURE;
        }
    };
    println!("{time} {bytes}");
    ExitCode::SUCCESS
}

async fn ours() -> [f64; 2] {
    let first = Ours::start(nobody_waits()).await;
    measure(move |number| first.clone().another(number, nobody_waits())).await
}

async fn others<P: Peer>() -> [f64; 2] {
    // The first one pays for what is made once in a process.
    P::start(nobody_waits()).await.call(1).await;
    measure(|_| P::start(nobody_waits())).await
}

async fn measure<P: Peer, F: Future<Output = P> + Send>(start: impl Fn(usize) -> F + Send) -> [f64; 2] {
    let mut all = Vec::with_capacity(AGENTS);
    let before = resident_bytes().unwrap_or_default();
    let began = Instant::now();
    for number in 0..AGENTS {
        all.push(start(number).await);
    }
    // A peer whose start is not awaited has started by the time it answers.
    all.last().expect("there is at least one").call(1).await;
    let time = began.elapsed().as_nanos() as f64;
    let grown = resident_bytes().unwrap_or_default().saturating_sub(before) as f64;
    [time / AGENTS as f64, grown / AGENTS as f64]
}

fn nobody_waits() -> Goal {
    Goal { messages: u64::MAX, reached: Arc::new(Notify::new()) }
}

/// The resident set of this process, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
