//! What a node tells of itself: figures that are true, and a health that says what is wrong and who must act.

use std::time::Duration;

use connectome::metrics::{Cause, HealthState, Metrics, Status, StreamMetrics, Weight};
use connectome::prelude::*;
use connectome::transport::nats::{NatsConnection, NatsOptions};
use connectome::{AGENT_MESSAGES, SYSTEM_EVENTS, TASK_ROUTING};

use crate::support::nats::NatsServer;

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "square", reply = u64)]
struct Square(u64);

#[derive(Default)]
struct Squarer;

impl Agent for Squarer {
    fn handles(table: &mut Table<Self>) {
        table.on::<Square>();
    }
}

impl Handle<Square> for Squarer {
    async fn handle(&mut self, Square(n): Square, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        Ok(n * n)
    }
}

async fn on_nats(name: &str, server: &NatsServer) -> Node {
    let (data_dir, name) = (server.directory().join(name), name.to_owned());
    let mut config = Config { data_dir, name, ..Config::default() };
    config.nats.url = Some(server.url());
    Node::start(config).await.unwrap()
}

fn stream<'m>(metrics: &'m Metrics, name: &str) -> &'m StreamMetrics {
    metrics.streams.iter().find(|stream| stream.name == name).unwrap_or_else(|| panic!("no {name}"))
}

/// Asks again until a status is as it should be.
async fn until(node: &Node, so: impl Fn(&Status) -> bool) -> Status {
    let looking = async {
        loop {
            let status = node.status().await;
            if so(&status) {
                return status;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("it comes to that")
}

/// Sends five durable messages to an agent that is not there, then starts it, and lets it do two tasks.
async fn figures_are_true(node: &Node) {
    let squarer = node.agent("squarer").unwrap();
    for n in 0..5 {
        squarer.send(Square(n)).await.unwrap();
    }
    let metrics = node.metrics().await;
    let mail = stream(&metrics, AGENT_MESSAGES);
    assert_eq!((mail.published.total, mail.publish.count, mail.delivered.total), (5, 5, 0));
    assert!(mail.publish.p50_us <= mail.publish.p99_us && mail.publish.p99_us <= mail.publish.max_us);
    assert_eq!(mail.kept.as_ref().unwrap().messages, 5);
    assert!(mail.published_bytes > 0 && mail.published_bytes <= mail.kept.as_ref().unwrap().bytes);

    node.spawn_with(AgentSpec::new("squarer", Squarer::default).capability("square")).await.unwrap();
    for n in 0..2 {
        let task = node.submit(Submit::new("square", Square(n))).await.unwrap();
        assert_eq!(task.result().await.unwrap(), n * n);
    }
    let done = |status: &Status| {
        let mail = stream(&status.metrics, AGENT_MESSAGES);
        let task = stream(&status.metrics, TASK_ROUTING);
        mail.acknowledged.total == 5
            && task.acknowledged.total == 2
            && mail.kept.as_ref().unwrap().messages == 0
    };
    let Status { health, metrics, tree, .. } = until(node, done).await;
    let mail = stream(&metrics, AGENT_MESSAGES);
    assert_eq!((mail.delivered.total, mail.redelivered.total, mail.delivery.count), (5, 0, 5));
    assert_eq!((metrics.tasks.counts.submitted, metrics.tasks.counts.completed), (2, 2));
    assert_eq!((metrics.agents.here, metrics.agents.registered.total), (1, 1));
    assert!(metrics.agents.accounts.balance() && metrics.agents.accounts.handled == 7);
    assert!(stream(&metrics, SYSTEM_EVENTS).published.total > 0);
    let tasks = metrics.buckets.iter().find(|bucket| bucket.name == "tasks").expect("tasks have records");
    assert!(tasks.written.total >= 4 && tasks.write.count >= 4, "{tasks:?}");
    assert_eq!((health.state, health.live, health.ready), (HealthState::Well, true, true), "{health:?}");
    assert!(tree.expect("it runs").find("ports/meter").is_some());
}

/// Figures over the embedded store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_of_the_embedded_store_are_true() {
    let node = Node::start(Config::in_memory()).await.unwrap();
    figures_are_true(&node).await;
    assert_eq!(node.metrics().await.connection, None);
    node.stop().await;
    let health = node.health().await;
    assert!(!health.live && !health.ready && health.state == HealthState::NotLive, "{health:?}");
}

/// The same over NATS, with the connection's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_over_nats_are_true() {
    let server = NatsServer::start();
    let node = on_nats("one", &server).await;
    figures_are_true(&node).await;
    let connection = node.metrics().await.connection.unwrap();
    assert!(connection.figures.up && connection.figures.connected == 1 && connection.lost_lately == 0);
    assert!(connection.figures.messages_in > 0 && connection.figures.bytes_out > 0);
    node.stop().await;
}

/// What a node tells survives JSON, and a line of it names the state.
#[tokio::test]
async fn a_status_survives_json() {
    let node = Node::start(Config::in_memory()).await.unwrap();
    let status = node.status().await;
    let text = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    assert!(status.line().starts_with("well; 0 agents"), "{}", status.line());
    node.stop().await;
}

/// A node whose server is gone is live and not ready, says so at once, names the key, and is ready again afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_server_makes_a_node_unready() {
    let mut server = NatsServer::start();
    let node = on_nats("one", &server).await;
    assert_eq!(node.health().await.state, HealthState::Well);
    server.kill();
    let names_key = |cause: &Cause| cause.weight == Weight::NotReady && cause.remedy.contains("nats.url");
    let Status { health, .. } = until(&node, |status| status.health.causes.iter().any(names_key)).await;
    assert!(health.live && !health.ready, "{health:?}");
    server.restart();
    let Status { health, metrics, .. } = until(&node, |status| status.health.ready).await;
    assert_eq!(health.state, HealthState::Degraded, "a loss of this minute is still told: {health:?}");
    assert_eq!(metrics.connection.unwrap().figures.connected, 2);
    node.stop().await;
}

/// Whoever asks over NATS hears from every node of the namespace, and from no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_of_a_namespace_answer() {
    let server = NatsServer::start();
    let (one, two) = (on_nats("one", &server).await, on_nats("two", &server).await);
    let connection = NatsConnection::open(&NatsOptions::new(&server.url()).unwrap()).await.unwrap();
    let asked = connection.statuses("connectome", Duration::from_secs(3)).await.unwrap();
    let names: Vec<_> = asked.iter().map(|status| status.metrics.name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    assert!(asked.iter().all(|status| status.health.ready), "{asked:?}");
    assert!(connection.statuses("others", Duration::from_secs(3)).await.unwrap().is_empty());
    one.stop().await;
    two.stop().await;
}

/// A consumer takes no more in a second than it may: thirty tasks at ten a second take three seconds.
#[tokio::test(start_paused = true)]
async fn a_consumer_keeps_to_its_rate() {
    let mut config = Config::in_memory();
    config.consumer_rate = Some(10);
    let node = Node::start(config).await.unwrap();
    node.spawn_with(AgentSpec::new("squarer", Squarer::default).capability("square")).await.unwrap();
    let began = tokio::time::Instant::now();
    let mut tasks = Vec::new();
    for n in 0..30 {
        tasks.push(node.submit(Submit::new("square", Square(n))).await.unwrap());
    }
    for task in tasks {
        task.result().await.unwrap();
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(2_800) && took < Duration::from_secs(6), "{took:?}");
    node.stop().await;
}
