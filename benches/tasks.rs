//! Tasks from hand to hand: submitted, routed, leased, done, and their result heard of.

use std::rc::Rc;
use std::time::{Duration, Instant};

use connectome::port::{ConsumerConfig, Publish, Start};
use connectome::prelude::*;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::harness::{Group, Unit};
use crate::runtimes::{run, threads};

/// Tasks of one turn.
const TASKS: u64 = 2_000;

/// Agents that do them.
const WORKERS: usize = 4;

/// Requesters that each wait for one task at a time.
const REQUESTERS: u64 = 64;

const NOTE: &str = "\
A task is stored, delivered, claimed with a term in a bucket, done, completed under its term and acknowledged, and its
  events are published. The raw queue: publish, fetch and acknowledge, one at a time.";

#[derive(Message, Serialize, Deserialize)]
#[message(name = "double", reply = u64)]
struct Double(u64);

struct Worker;

impl Agent for Worker {
    fn handles(table: &mut Table<Self>) {
        table.on::<Double>();
    }
}

impl Handle<Double> for Worker {
    async fn handle(&mut self, Double(number): Double, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        Ok(number * 2)
    }
}

pub(crate) fn groups() -> Vec<Group> {
    let runtime = Rc::new(threads());
    let group = Group::new(format!("tasks, {WORKERS} workers, in memory"), Unit::Nanoseconds, NOTE)
        .way("connectome", tasks(&runtime))
        .way("raw queue", queue(&runtime));
    vec![group]
}

fn tasks(runtime: &Rc<Runtime>) -> impl FnMut() -> f64 + 'static {
    let runtime = runtime.clone();
    let mut started = None;
    move || {
        let node = started.get_or_insert_with(|| run(&runtime, start())).clone();
        run(&runtime, submit_all(node))
    }
}

async fn start() -> Node {
    let node = Node::start(Config::in_memory()).await.expect("a node in memory needs nothing");
    for number in 0..WORKERS {
        let spec = AgentSpec::new(&format!("worker-{number}"), || Worker).capability("double");
        node.spawn_with(spec).await.expect("the name is free");
    }
    node
}

async fn submit_all(node: Node) -> f64 {
    let began = Instant::now();
    let requesters: JoinSet<()> =
        (0..REQUESTERS).map(|_| request(node.clone(), TASKS / REQUESTERS)).collect();
    requesters.join_all().await;
    began.elapsed().as_nanos() as f64 / (TASKS / REQUESTERS * REQUESTERS) as f64
}

async fn request(node: Node, tasks: u64) {
    for number in 0..tasks {
        let task = node.submit(Submit::new("double", Double(number))).await.expect("the store has room");
        let doubled = task.result().await.expect("a worker does it");
        assert_eq!(doubled, number * 2, "the right result, or the time means nothing");
    }
}

fn queue(runtime: &Rc<Runtime>) -> impl FnMut() -> f64 + 'static {
    let runtime = runtime.clone();
    let mut started = None;
    move || {
        let node = started.get_or_insert_with(|| run(&runtime, start())).clone();
        run(&runtime, publish_all(node))
    }
}

/// Tasks that nobody of the node wants, fetched by hand.
async fn publish_all(node: Node) -> f64 {
    let store = &node.ports().streams;
    let consumer = store.consumer("TASK_ROUTING", by_hand()).await.expect("no other has this filter");
    let began = Instant::now();
    for _ in 0..TASKS {
        let task = Publish { subject: SUBJECT.to_owned(), id: None, body: "double".into() };
        store.publish("TASK_ROUTING", task).await.expect("the store has room");
        for delivery in consumer.fetch(1, Duration::from_secs(1)).await.expect("it was just published") {
            consumer.ack(delivery.tag).await.expect("it was just fetched");
        }
    }
    began.elapsed().as_nanos() as f64 / TASKS as f64
}

/// A subject of the work queue that is no capability's.
const SUBJECT: &str = "connectome.task.by-hand.0";

fn by_hand() -> ConsumerConfig {
    ConsumerConfig {
        name: "by-hand".to_owned(),
        filter: SUBJECT.to_owned(),
        start: Start::First,
        ack_wait: Duration::from_secs(30),
        max_deliver: None,
        max_ack_pending: 1,
        backoff: Vec::new(),
    }
}
