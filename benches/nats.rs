//! Over a real nats-server on loopback: ours beside the client that it is built on.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use connectome::prelude::*;
use futures_util::StreamExt;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::harness::{Group, Unit};
use crate::runtimes::{DEADLINE, run, threads};

/// Calls of one turn with one in flight, and with 64.
const CALLS: usize = 2_000;
const CALLS_AT_ONCE: usize = 20_000;

/// Durable messages of one turn.
const SENDS: usize = 500;
const SENDS_AT_ONCE: usize = 5_000;

/// Callers and senders that each wait for one at a time.
const AT_ONCE: usize = 64;

/// Turns: a server in another process makes figures that are far apart anyway.
const ROUNDS: usize = 5;

/// Bytes of a message.
const BODY: usize = 128;

const CALL: &str = "\
From an agent's reference on one node to the agent on another, each with a connection of its own, and back: with envelope,
  deadline, trace and accounts. The raw request: the same bytes to a subscriber that answers them.";

const SEND: &str = "\
Until JetStream has acknowledged it, in one file-backed stream on one server, to an agent that is not running. The raw
  publish: the same bytes with an id, acknowledged too.";

#[derive(Message, Serialize, Deserialize)]
#[message(name = "echo", reply = String)]
struct Echo(String);

struct Mirror;

impl Agent for Mirror {
    fn handles(table: &mut Table<Self>) {
        table.on::<Echo>();
    }
}

impl Handle<Echo> for Mirror {
    async fn handle(&mut self, Echo(text): Echo, _: &mut Context<'_>) -> Result<String, HandlerError> {
        Ok(text)
    }
}

pub(crate) fn groups() -> Vec<Group> {
    let stage = Stage { runtime: Rc::new(threads()), played: Rc::default() };
    let one_by_one = |name: &str, share: usize| {
        Group::new(format!("nats, call, 1 in flight, {name}"), Unit::Nanoseconds, CALL)
            .way("connectome", stage.turn(move |play| async move { at(share, play.calls().await) }))
            .way("raw request", stage.turn(move |play| async move { at(share, play.requests().await) }))
            .at_most(ROUNDS)
    };
    vec![
        one_by_one("p50", 50),
        one_by_one("p99", 99),
        Group::new(format!("nats, call, {AT_ONCE} in flight"), Unit::Nanoseconds, CALL)
            .way("connectome", stage.turn(|play| all(CALLS_AT_ONCE, AT_ONCE, move || play.clone().call())))
            .way(
                "raw request",
                stage.turn(|play| all(CALLS_AT_ONCE, AT_ONCE, move || play.clone().request())),
            )
            .at_most(ROUNDS),
        Group::new("nats, send, 1 at a time", Unit::Nanoseconds, SEND)
            .way("connectome", stage.turn(|play| all(SENDS, 1, move || play.clone().send())))
            .way("raw publish", stage.turn(|play| all(SENDS, 1, move || play.clone().publish())))
            .at_most(ROUNDS),
        Group::new(format!("nats, send, {AT_ONCE} at a time"), Unit::Nanoseconds, SEND)
            .way("connectome", stage.turn(|play| all(SENDS_AT_ONCE, AT_ONCE, move || play.clone().send())))
            .way(
                "raw publish",
                stage.turn(|play| all(SENDS_AT_ONCE, AT_ONCE, move || play.clone().publish())),
            )
            .at_most(ROUNDS),
    ]
}

/// What all groups share, set up by the first that has a turn.
struct Stage {
    runtime: Rc<Runtime>,
    played: Rc<std::cell::OnceCell<Arc<Play>>>,
}

impl Stage {
    fn turn<F>(&self, work: impl Fn(Arc<Play>) -> F + 'static) -> impl FnMut() -> f64 + 'static
    where
        F: Future<Output = f64> + Send + 'static,
    {
        let (runtime, played) = (self.runtime.clone(), self.played.clone());
        move || {
            let play = played.get_or_init(|| Arc::new(run(&runtime, Play::begin())));
            run(&runtime, work(play.clone()))
        }
    }
}

/// A server, two nodes and two raw clients.
struct Play {
    mirror: AgentRef,
    nobody: AgentRef,
    raw: async_nats::Client,
    streams: jetstream::Context,
    _nodes: [Node; 2],
    _server: Server,
}

impl Play {
    async fn begin() -> Play {
        let server = Server::start();
        let (near, far) = (node("near", &server.url).await, node("far", &server.url).await);
        far.spawn("mirror", || Mirror).await.expect("the name is free");
        let mirror = near.wait_for("mirror").await.expect("a name");
        let nobody = near.agent("nobody").expect("a name");
        answer(&server.url).await;
        let raw = async_nats::connect(&server.url).await.expect("the server is there");
        let streams = jetstream::new(raw.clone());
        let kept = jetstream::stream::Config {
            name: "RAW".into(),
            subjects: vec!["raw.kept".into()],
            ..jetstream::stream::Config::default()
        };
        streams.create_stream(kept).await.expect("no stream has this subject");
        Play { mirror, nobody, raw, streams, _nodes: [near, far], _server: server }
    }

    /// How long each took, one after the other.
    async fn calls(self: Arc<Play>) -> Vec<Duration> {
        timed(move || self.clone().call()).await
    }

    async fn requests(self: Arc<Play>) -> Vec<Duration> {
        timed(move || self.clone().request()).await
    }

    async fn call(self: Arc<Play>) {
        self.mirror.call_within(DEADLINE, Echo("x".repeat(BODY))).await.expect("the mirror answers");
    }

    async fn request(self: Arc<Play>) {
        self.raw.request("raw.echo", "x".repeat(BODY).into()).await.expect("the subscriber answers");
    }

    async fn send(self: Arc<Play>) {
        self.nobody.send(Echo("x".repeat(BODY))).await.expect("the stream has room");
    }

    async fn publish(self: Arc<Play>) {
        let id = format!("{:?}", Instant::now());
        let message =
            jetstream::message::PublishMessage::build().payload("x".repeat(BODY).into()).message_id(id);
        let sent = self.streams.send_publish("raw.kept", message).await.expect("the server is there");
        sent.await.expect("the stream has room");
    }
}

async fn node(name: &str, url: &str) -> Node {
    let mut config = Config::in_memory();
    config.name = name.to_owned();
    config.nats.url = Some(url.to_owned());
    config.streams.storage = connectome::port::Storage::File;
    let directory = tempfile::tempdir().expect("there is room for a key").keep();
    config.data_dir = directory;
    Node::start(config).await.expect("the server is there")
}

/// Answers raw requests with what they bring.
async fn answer(url: &str) {
    let client = async_nats::connect(url).await.expect("the server is there");
    let mut asked = client.subscribe("raw.echo").await.expect("the server is there");
    client.flush().await.expect("the server is there");
    tokio::spawn(async move {
        while let Some(request) = asked.next().await {
            if let Some(reply) = request.reply {
                client.publish(reply, request.payload).await.expect("the server is there");
            }
        }
    });
}

async fn timed<F: Future<Output = ()>>(once: impl Fn() -> F) -> Vec<Duration> {
    let mut took = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let began = Instant::now();
        once().await;
        took.push(began.elapsed());
    }
    took
}

/// The duration that this share of all stays below, in nanoseconds.
fn at(share: usize, mut took: Vec<Duration>) -> f64 {
    took.sort();
    took[(took.len() * share / 100).min(took.len() - 1)].as_nanos() as f64
}

/// Does it `times` times, `at_once` at a time, and says how long one took on average.
async fn all<F>(times: usize, at_once: usize, once: impl Fn() -> F + Send + Clone + 'static) -> f64
where
    F: Future<Output = ()> + Send,
{
    let began = Instant::now();
    let workers: JoinSet<()> = (0..at_once)
        .map(|_| {
            let once = once.clone();
            async move {
                for _ in 0..times / at_once {
                    once().await;
                }
            }
        })
        .collect();
    workers.join_all().await;
    began.elapsed().as_nanos() as f64 / (times / at_once * at_once) as f64
}

/// A nats-server with JetStream on loopback, ended with us.
struct Server {
    url: String,
    process: Child,
    _store: TempDir,
}

impl Server {
    fn start() -> Server {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/nats/server");
        let found = Command::new(script).stderr(Stdio::inherit()).output().expect("there is a python3");
        assert!(found.status.success(), "there is no nats-server to measure with");
        let binary = String::from_utf8(found.stdout).expect("a path");
        let store = tempfile::tempdir().expect("there is room for streams");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let mut command = Command::new(binary.trim_end());
        command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"]).arg(store.path());
        let mut process =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it can be run");
        let mut log =
            BufReader::new(process.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        assert!(log.any(|line| line.contains("Server is ready")), "the server starts");
        // Read on, so that it never waits for a reader.
        std::thread::spawn(move || log.for_each(drop));
        Server { url: format!("nats://127.0.0.1:{port}"), process, _store: store }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended needs neither.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
