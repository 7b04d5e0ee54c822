//! The connection, what reads and writes on it, and each queue of tasks are actors in the node's tree: any of them may be
//! killed, comes back, and messages flow.

use std::sync::Arc;
use std::time::Duration;

use connectome::codecs::{EventType, Fact};
use connectome::port::Start;
use connectome::prelude::*;
use connectome::{Branch, BranchState, EventFilter};
use tokio::sync::Notify;

use crate::support::nats::NatsServer;

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "add", reply = u64)]
struct Add(u64);

#[derive(Default)]
struct Adder(u64);

impl Agent for Adder {
    fn handles(table: &mut Table<Self>) {
        table.on::<Add>();
    }
}

impl Handle<Add> for Adder {
    async fn handle(&mut self, Add(more): Add, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        self.0 += more;
        Ok(self.0)
    }
}

/// Hangs at the first attempt, and says which attempt it was at the next.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "hang", reply = u32)]
struct Hang;

struct Hanging(Arc<Notify>);

impl Agent for Hanging {
    fn handles(table: &mut Table<Self>) {
        table.on::<Hang>();
    }
}

impl Handle<Hang> for Hanging {
    async fn handle(&mut self, _: Hang, ctx: &mut Context<'_>) -> Result<u32, HandlerError> {
        let task = ctx.task().expect("it is a task");
        if task.attempt().0 == 1 {
            self.0.notify_one();
            task.stopped().await;
        }
        Ok(task.attempt().0)
    }
}

async fn node(name: &str, namespace: &str, server: &NatsServer) -> Node {
    let data_dir = server.directory().join(name);
    let (name, namespace) = (name.to_owned(), namespace.to_owned());
    let mut config = Config { data_dir, name, namespace, ..Config::default() };
    config.key_file = Some(server.directory().join("root.key"));
    config.nats.url = Some(server.url());
    config.router.task_lease = Duration::from_secs(1);
    Node::start(config).await.unwrap()
}

/// Two nodes, and an adder on the far one that does tasks as well.
async fn pair(namespace: &str, server: &NatsServer) -> (Node, Node, AgentRef) {
    let (near, far) = (node("near", namespace, server).await, node("far", namespace, server).await);
    far.spawn_with(AgentSpec::new("adder", Adder::default).capability("add")).await.unwrap();
    let adder = near.wait_for("adder").await.unwrap();
    (near, far, adder)
}

/// Looks again until a part runs that was started again, and gives the tree of that moment.
async fn until_restarted(node: &Node, path: &str, restarts: u64) -> Branch {
    let looking = async {
        loop {
            let tree = node.tree().await.unwrap();
            let part = tree.find(path).unwrap_or_else(|| panic!("{path} is not in {tree:?}"));
            if part.state == BranchState::Running && part.restarts >= restarts {
                return tree;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("{path} does not come back"))
}

/// Every part below the ports may be killed: it comes back, and calls, durable messages and tasks go through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_part_of_the_connection_comes_back() {
    let server = NatsServer::start();
    let (near, far, adder) = pair("parts", &server).await;
    let tree = far.tree().await.unwrap();
    let parts: Vec<_> = tree.find("ports").unwrap().children.iter().map(|part| part.name.clone()).collect();
    let ours = ["connection", "store-reader", "transport-reader", "transport-watch", "transport-writer"];
    assert!(ours.iter().all(|ours| parts.iter().any(|part| part == ours)), "{parts:?}");
    let mut sum = 0;
    // As many as may crash in ten seconds.
    for part in ours {
        let path = format!("ports/{part}");
        far.kill_part(&path).await.unwrap();
        until_restarted(&far, &path, 1).await;
        // A connection that is made anew may lose a call on its way: that is what a call promises.
        let added = async { while adder.call_within(Duration::from_secs(1), Add(1)).await.is_err() {} };
        tokio::time::timeout(PATIENCE, added)
            .await
            .unwrap_or_else(|_| panic!("no call comes through: {path}"));
        adder.send(Add(1)).await.unwrap();
        let task = near.submit(Submit::new("add", Add(1))).await.unwrap();
        sum = tokio::time::timeout(PATIENCE, task.result()).await.expect("the task ends").unwrap();
    }
    assert!(sum > 10, "{sum}");
    near.stop().await;
    far.stop().await;
}

/// A node whose connection is lost says so when it is back: in its figures, and to who listens to its events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_told() {
    let mut server = NatsServer::start();
    let node = node("alone", "told", &server).await;
    let mut events =
        node.listen(EventFilter::default().of(EventType::ErrorOccurred), Start::New).await.unwrap();
    server.restart();
    let told = async {
        loop {
            let Fact::ErrorOccurred(told) = events.next().await.unwrap().event.fact else { continue };
            if told.error.message.contains("was lost for") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("the loss is told");
    let figures = node.ports().transport.connection().unwrap();
    assert!(figures.up && figures.connected == 2 && figures.disconnected >= 1, "{figures:?}");
    node.stop().await;
}

/// A queue of tasks is an actor of its own: killed, it comes back, and what it had in hand is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_queue_of_tasks_comes_back() {
    let server = NatsServer::start();
    let (near, far) = (node("near", "queues", &server).await, node("far", "queues", &server).await);
    let begun = Arc::new(Notify::new());
    let told = begun.clone();
    let hanging = AgentSpec::new("hanging", move || Hanging(told.clone())).capability("hang");
    far.spawn_with(hanging).await.unwrap();
    let queue = async {
        loop {
            let tree = far.tree().await.unwrap();
            if let Some(queue) = tree.find("streams/tasks/queues").and_then(|queues| queues.children.first())
            {
                return format!("streams/tasks/queues/{}", queue.name);
            }
            tokio::task::yield_now().await;
        }
    };
    let queue = tokio::time::timeout(PATIENCE, queue).await.expect("the capability has a queue");
    let task = near.submit(Submit::new("hang", Hang)).await.unwrap();
    begun.notified().await;
    far.kill_part(&queue).await.unwrap();
    let sum = tokio::time::timeout(PATIENCE, task.result()).await.expect("the task ends").unwrap();
    assert_eq!(sum, 2, "the second attempt");
    near.stop().await;
    far.stop().await;
}
