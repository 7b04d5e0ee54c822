//! What sealing costs a task: the same tasks with and without, one after the other.
//!
//! `cargo test -p connectome-tests sealed::cost -- --ignored --nocapture` prints it, for the build that it is run in.

use std::time::{Duration, Instant};

use connectome::prelude::*;
use futures_util::stream::{self, StreamExt};

/// Tasks of one turn, and turns of each kind.
const TASKS: u64 = 400;
const TURNS: usize = 5;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "echo", reply = u64)]
struct Echo(u64);

#[derive(Agent, Default)]
#[agent(handles(Echo))]
struct Mirror;

impl Handle<Echo> for Mirror {
    async fn handle(&mut self, Echo(number): Echo, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        Ok(number)
    }
}

async fn node(sealing: bool) -> Node {
    let mut config = Config::in_memory();
    config.router.sealed = sealing;
    config.router.tasks_per_worker = 16;
    let node = Node::start(config).await.unwrap();
    for number in 0..4 {
        let spec = AgentSpec::new(&format!("mirror-{number}"), || Mirror).capability("echo");
        node.spawn_with(spec).await.unwrap();
    }
    node
}

/// From the first submission to the last result, for each task.
async fn turn(node: &Node, at_once: usize) -> Duration {
    let began = Instant::now();
    let tasks = stream::iter(0..TASKS).for_each_concurrent(at_once, |number| async move {
        let task = node.submit(Submit::new("echo", Echo(number))).await.unwrap();
        assert_eq!(task.result().await.unwrap(), number);
    });
    tasks.await;
    began.elapsed() / u32::try_from(TASKS).unwrap()
}

/// Prints the medians and their ratio.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
async fn of_a_task() {
    let (sealed, open) = (node(true).await, node(false).await);
    for at_once in [1, 64] {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            with.push(turn(&sealed, at_once).await);
            without.push(turn(&open, at_once).await);
        }
        let median = |mut turns: Vec<Duration>| {
            turns.sort_unstable();
            turns[TURNS / 2]
        };
        let (with, without) = (median(with), median(without));
        let ratio = with.as_secs_f64() / without.as_secs_f64();
        println!("{at_once:>2} in flight: sealed {with:?}, in the open {without:?} a task: {ratio:.2}");
    }
    sealed.stop().await;
    open.stop().await;
}
