//! The workers: what they do with a task, and the process that has some of them.

use connectome::TaskCounts;
use connectome::prelude::*;
use serde::{Deserialize, Serialize};

use super::TASK_LEASE;
use super::book::config;
use super::ledger::say;
use super::process::{Orders, Told, stop_myself, until_the_input_ends};

/// What workers can do.
pub(super) const CAN: &str = "count";

/// One task: its number, and whether its first worker stops its own process when it is done, before anybody hears of it.
#[derive(Message, Clone, Copy, Serialize, Deserialize)]
#[message(name = "count", reply = Run)]
pub(super) struct Count {
    pub(super) number: u64,
    pub(super) stops: bool,
}

/// Which run of a task gave its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) number: u64,
    pub(super) term: u64,
    pub(super) worker: String,
}

struct Worker;

impl Agent for Worker {
    fn handles(table: &mut Table<Self>) {
        table.on::<Count>();
    }
}

impl Handle<Count> for Worker {
    async fn handle(&mut self, count: Count, ctx: &mut Context<'_>) -> Result<Run, HandlerError> {
        let task = ctx.task().expect("it was submitted");
        let run = Run { number: count.number, term: task.term().0, worker: ctx.name().to_string() };
        let attempt = task.attempt().0;
        // Whoever else has something to do comes first, so that a kill also falls between the claim and this line.
        tokio::task::yield_now().await;
        say(&format!("did {} {} {attempt} {}", run.number, run.term, run.worker));
        if count.stops && attempt == 1 {
            stop_myself();
        }
        Ok(run)
    }
}

/// To the foreman of a place: what has your node done?
#[derive(Message, Serialize, Deserialize)]
#[message(name = "tally", reply = TaskCounts)]
pub(super) struct Tally;

struct Foreman(Node);

impl Agent for Foreman {
    fn handles(table: &mut Table<Self>) {
        table.on::<Tally>();
    }
}

impl Handle<Tally> for Foreman {
    async fn handle(&mut self, _: Tally, _: &mut Context<'_>) -> Result<TaskCounts, HandlerError> {
        Ok(self.0.task_counts())
    }
}

pub(super) fn foreman(place: &str) -> String {
    format!("foreman-{place}")
}

/// Nodes that submit and work: a lease is short, so that what a dead worker had comes again soon.
pub(super) fn working(place: &str, orders: &Orders) -> Config {
    let mut config = config(place, orders);
    config.router.task_lease = TASK_LEASE;
    config
}

/// The test that a process with workers runs.
pub(super) const WORKS: &str = "chaos::work::works";

/// The life of a process with workers. One thread runs them: a worker that goes on after its process was stopped says
/// what it did before anything else of its node looks at a clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "the other tests start it in a process of its own"]
async fn works() {
    let Told { place, orders } = Told::here();
    let node = Node::start(working(&place, &orders)).await.unwrap();
    let told = node.clone();
    node.spawn(&foreman(&place), move || Foreman(told.clone())).await.unwrap();
    for number in 0..orders.agents {
        let worker = AgentSpec::new(&format!("{place}-{number}"), || Worker).capability(CAN);
        node.spawn_with(worker).await.unwrap();
    }
    say("works");
    until_the_input_ends().await;
    node.stop().await;
}
