//! Tasks: each done once, by a worker that owns it, whatever happens to workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connectome::codecs::{Sequence, TaskState};
use connectome::port::Expect;
use connectome::prelude::*;
use connectome::{LocalCluster, NodeOptions, RouterConfig, TASK_ROUTING, TaskError, tasks_bucket};

#[derive(Message, Serialize, Deserialize, Clone)]
#[message(name = "double", reply = u64)]
struct Double(u64);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "flaky", reply = u32)]
struct Flaky {
    fails: u32,
    finally: bool,
}

#[derive(Message, Serialize, Deserialize)]
#[message(name = "forever", reply = ())]
struct Forever;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "stuck", reply = ())]
struct Stuck;

#[derive(Clone, Default)]
struct Worker {
    done: Arc<AtomicU64>,
}

impl Agent for Worker {
    fn handles(table: &mut Table<Self>) {
        table.on::<Double>();
        table.on::<Flaky>();
        table.on::<Forever>();
        table.on::<Stuck>();
    }
}

impl Handle<Double> for Worker {
    async fn handle(&mut self, Double(n): Double, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(2 * n)
    }
}

impl Handle<Flaky> for Worker {
    async fn handle(&mut self, flaky: Flaky, ctx: &mut Context<'_>) -> Result<u32, HandlerError> {
        let attempt = ctx.task().expect("it was submitted").attempt().0;
        match attempt <= flaky.fails {
            true if flaky.finally => Err(HandlerError::rejected("never")),
            true if attempt % 2 == 1 => panic!("attempt {attempt}"),
            true => Err(HandlerError::new(format!("attempt {attempt}"))),
            false => Ok(attempt),
        }
    }
}

impl Handle<Forever> for Worker {
    async fn handle(&mut self, _: Forever, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        ctx.pipe(std::future::pending())
    }
}

impl Handle<Stuck> for Worker {
    async fn handle(&mut self, _: Stuck, _: &mut Context<'_>) -> Result<(), HandlerError> {
        std::future::pending().await
    }
}

fn quick() -> NodeOptions {
    let router = RouterConfig { task_lease: Duration::from_millis(600), ..RouterConfig::default() };
    NodeOptions { router, ..NodeOptions::default() }
}

fn worker(name: &str, done: &Worker) -> AgentSpec<Worker> {
    let done = done.clone();
    AgentSpec::new(name, move || done.clone()).capability("work")
}

/// Tasks are spread over workers, answered, and counted; the same id again is not done again.
#[tokio::test]
async fn tasks_are_done_and_answered_once() {
    let node = Node::start(Config::in_memory()).await.unwrap();
    let done = Worker::default();
    for n in 0..3 {
        node.spawn_with(worker(&format!("worker-{n}"), &done)).await.unwrap();
    }
    let mut handles = Vec::new();
    for n in 0..50 {
        handles.push(node.submit(Submit::new("work", Double(n))).await.unwrap());
    }
    for (n, handle) in handles.iter().enumerate() {
        assert_eq!(handle.result().await.unwrap(), 2 * n as u64);
    }
    let again = node.submit(Submit::new("work", Double(0)).id(handles[0].id())).await.unwrap();
    assert_eq!(again.result().await.unwrap(), 0);
    assert_eq!(done.done.load(Ordering::Relaxed), 50);
    assert_eq!(node.task_counts().completed, 50);
    node.stop().await;
}

/// A task that fails or crashes its worker is tried again; one that can't succeed fails at once, with its reason.
#[tokio::test]
async fn failures_are_retried_or_final() {
    let node = Node::start(Config::in_memory()).await.unwrap();
    node.spawn_with(worker("worker", &Worker::default())).await.unwrap();
    let retried = node.submit(Submit::new("work", Flaky { fails: 1, finally: false })).await.unwrap();
    assert_eq!(retried.result().await.unwrap(), 2);
    let hopeless = node.submit(Submit::new("work", Flaky { fails: 9, finally: true })).await.unwrap();
    let error = hopeless.result().await.unwrap_err();
    assert_eq!(error, TaskError::Failed { attempts: 1, problem: "never".into() });
    node.stop().await;
}

/// A task is taken back from a node that was killed, and done by another one.
#[tokio::test]
async fn a_killed_nodes_tasks_are_done_elsewhere() {
    let cluster = LocalCluster::in_memory(quick()).unwrap();
    let one = cluster.start("one").await.unwrap();
    let two = cluster.start("two").await.unwrap();
    let three = cluster.start("three").await.unwrap();
    let done = Worker::default();
    one.spawn_with(worker("stuck", &done)).await.unwrap();
    let forever = three.submit(Submit::new("work", Forever)).await.unwrap();
    while one.task_counts().started == 0 {
        tokio::task::yield_now().await;
    }
    cluster.kill("one");
    two.spawn_with(worker("free", &done)).await.unwrap();
    while two.task_counts().started == 0 {
        tokio::task::yield_now().await;
    }
    let record = forever.record().await.unwrap().unwrap();
    assert_eq!((record.attempt.0, record.term.0, record.owner), (2, 2, Some(two.id())));
    assert!(forever.cancel().await.unwrap());
    assert_eq!(forever.result().await.unwrap_err(), TaskError::Cancelled);
    cluster.stop().await;
}

/// A handler that hangs loses its task at the time limit, and its agent goes on with the next one.
#[tokio::test]
async fn a_worker_that_hangs_is_freed() {
    let mut config = Config::in_memory();
    config.router.task_lease = Duration::from_millis(300);
    config.router.task_attempt_max = Duration::from_millis(500);
    let node = Node::start(config).await.unwrap();
    node.spawn_with(worker("worker", &Worker::default())).await.unwrap();
    let stuck = node.submit(Submit::new("work", Stuck).attempts(1)).await.unwrap();
    let error = stuck.result().await.unwrap_err();
    assert!(matches!(error, TaskError::Failed { attempts: 1, .. }), "{error}");
    let next = node.submit(Submit::new("work", Double(4))).await.unwrap();
    assert_eq!(next.result().await.unwrap(), 8);
    node.stop().await;
}

/// A task that finds no worker is known to its requester at once and to everybody soon, and can be cancelled by both; whoever
/// finds it in the queue then does not begin.
#[tokio::test]
async fn a_task_without_a_worker_is_known_and_cancelled() {
    let cluster = LocalCluster::in_memory(quick()).unwrap();
    let one = cluster.start("one").await.unwrap();
    let two = cluster.start("two").await.unwrap();
    let mine = one.submit(Submit::new("work", Double(1))).await.unwrap();
    assert_eq!(mine.record().await.unwrap().unwrap().state, TaskState::Submitted);
    assert!(mine.cancel().await.unwrap());
    let theirs = one.submit(Submit::new("work", Double(2))).await.unwrap();
    let seen = two.task::<Double>(theirs.id());
    while seen.record().await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    assert!(seen.cancel().await.unwrap());
    let done = Worker::default();
    two.spawn_with(worker("worker", &done)).await.unwrap();
    let third = one.submit(Submit::new("work", Double(3))).await.unwrap();
    assert_eq!(third.result().await.unwrap(), 6);
    for cancelled in [&mine, &theirs] {
        assert_eq!(cancelled.result().await.unwrap_err(), TaskError::Cancelled);
    }
    assert_eq!(done.done.load(Ordering::Relaxed), 1);
    cluster.stop().await;
}

/// Whoever waits for a task that the store has lost is told so: one that never began, one whose record vanished under its
/// worker, and one of which only the id is known.
#[tokio::test]
async fn a_lost_task_is_told() {
    let cluster = LocalCluster::in_memory(quick()).unwrap();
    let one = cluster.start("one").await.unwrap();
    let store = one.ports().streams.clone();
    let waiting = one.submit(Submit::new("nobody-can", Double(1))).await.unwrap();
    one.spawn_with(worker("worker", &Worker::default())).await.unwrap();
    let begun = one.submit(Submit::new("work", Forever)).await.unwrap();
    while one.task_counts().started == 0 {
        tokio::task::yield_now().await;
    }
    let known = one.task::<Forever>(begun.id());
    let losing = async {
        // By now all three wait.
        tokio::task::yield_now().await;
        for stored in store.read(TASK_ROUTING, ">", Sequence(1), 10).await.unwrap() {
            store.delete(TASK_ROUTING, stored.sequence).await.unwrap();
        }
        let records = store.bucket(tasks_bucket()).await.unwrap();
        records.delete(&begun.id().to_string(), Expect::Any).await.unwrap();
    };
    let (waiting, begun, known, ()) = tokio::join!(waiting.ended(), begun.ended(), known.ended(), losing);
    for ended in [waiting, begun, known] {
        assert!(matches!(ended, Err(TaskError::Lost(_))), "{ended:?}");
    }
    cluster.stop().await;
}
