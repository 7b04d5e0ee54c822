//! Over a real nats-server on loopback: ours beside the client that it is built on.

mod queue;
mod server;
mod work;

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use connectome::prelude::*;
use futures_util::StreamExt;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use queue::Queue;
pub(crate) use server::Server;
use work::Work;

use crate::harness::{Group, Unit};
use crate::runtimes::{DEADLINE, run, threads};

/// Calls of one turn with one in flight, and with 64.
const CALLS: usize = 2_000;
const CALLS_AT_ONCE: usize = 20_000;

/// Durable messages of one turn.
const SENDS: usize = 500;
const SENDS_AT_ONCE: usize = 5_000;

/// Messages that are consumed in one turn, and look-ups.
const CONSUMED: usize = 5_000;
const LOOK_UPS: usize = 2_000;

/// Tasks of one turn with one in flight, and with 64.
const TASKS: usize = 200;
const TASKS_AT_ONCE: usize = 2_000;

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

const CONSUME: &str = "\
Fetched 200 at a time from a durable consumer of a stored stream, and each acknowledged. Ours asks the server to confirm each
  acknowledgement, all of a batch at once. The raw consumer does so too, or tells and goes on.";

const TASK: &str = "\
From the requester on one node to a worker on another, and its result back. Ours hands each of four workers up to 16 at a time,
  keeps a record that is claimed and completed under a term, and three events. The raw work queue: the same bytes, acknowledged
  by the queue, fetched by one of four workers, answered to the requester's inbox, and acknowledged; nothing is kept, and nobody
  is fenced.";

const LOOK_UP: &str = "\
Where an agent of another node is. Ours reads its own copy; the raw client asks the bucket.";

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
        Group::new("nats, consume and acknowledge", Unit::Nanoseconds, CONSUME)
            .way("connectome", stage.turn(|play| async move { play.queue.ours().await }))
            .way("raw, each confirmed", stage.turn(|play| async move { play.queue.confirmed().await }))
            .way("raw, told", stage.turn(|play| async move { play.queue.told().await }))
            .at_most(ROUNDS),
        Group::new("nats, task to its result, 1 in flight", Unit::Nanoseconds, TASK)
            .way("connectome", stage.turn(|play| all(TASKS, 1, move || play.clone().task())))
            .way("raw work queue", stage.turn(|play| all(TASKS, 1, move || play.clone().work())))
            .at_most(ROUNDS),
        Group::new(format!("nats, task to its result, {AT_ONCE} in flight"), Unit::Nanoseconds, TASK)
            .way("connectome", stage.turn(|play| all(TASKS_AT_ONCE, AT_ONCE, move || play.clone().task())))
            .way(
                "raw work queue",
                stage.turn(|play| all(TASKS_AT_ONCE, AT_ONCE, move || play.clone().work())),
            )
            .at_most(ROUNDS),
        Group::new("nats, look up an agent", Unit::Nanoseconds, LOOK_UP)
            .way("connectome", stage.turn(|play| all(LOOK_UPS, 1, move || play.clone().look_up())))
            .way("raw bucket", stage.turn(|play| all(LOOK_UPS, 1, move || play.clone().get())))
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
    records: jetstream::kv::Store,
    work: Work,
    queue: Queue,
    nodes: [Node; 2],
    _server: Server,
}

impl Play {
    async fn begin() -> Play {
        let server = Server::start();
        let home = tempfile::tempdir().expect("there is room for a key").keep();
        let (near, far) = (node("near", &server.url, &home).await, node("far", &server.url, &home).await);
        far.spawn("mirror", || Mirror).await.expect("the name is free");
        for number in 0..work::WORKERS {
            let spec = AgentSpec::new(&format!("worker-{number}"), || Mirror).capability("echo");
            far.spawn_with(spec).await.expect("the name is free");
        }
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
        let bucket =
            jetstream::kv::Config { bucket: "raw-agents".into(), ..jetstream::kv::Config::default() };
        let records = streams.create_key_value(bucket).await.expect("no bucket has this name");
        records.put("mirror", "z6Mk".into()).await.expect("the bucket has room");
        let work = Work::begin(&server.url).await;
        let queue = Queue::begin(near.ports().streams.clone(), streams.clone()).await;
        Play { mirror, nobody, raw, streams, records, work, queue, nodes: [near, far], _server: server }
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

    async fn task(self: Arc<Play>) {
        let task = self.nodes[0].submit(Submit::new("echo", Echo("x".repeat(BODY)))).await;
        task.expect("the queue has room").result().await.expect("a worker answers");
    }

    async fn work(self: Arc<Play>) {
        self.work.hand_over("x".repeat(BODY).into()).await;
    }

    async fn look_up(self: Arc<Play>) {
        self.nodes[0].wait_for("mirror").await.expect("it is known");
    }

    async fn get(self: Arc<Play>) {
        self.records.get("mirror").await.expect("the server is there").expect("it has an entry");
    }

    async fn publish(self: Arc<Play>) {
        let id = format!("{:?}", Instant::now());
        let message =
            jetstream::message::PublishMessage::build().payload("x".repeat(BODY).into()).message_id(id);
        let sent = self.streams.send_publish("raw.kept", message).await.expect("the server is there");
        sent.await.expect("the stream has room");
    }
}

async fn node(name: &str, url: &str, home: &Path) -> Node {
    let mut config = Config::in_memory();
    config.name = name.to_owned();
    config.nats.url = Some(url.to_owned());
    config.streams.storage = connectome::port::Storage::File;
    config.router.tasks_per_worker = AT_ONCE / work::WORKERS;
    config.data_dir = home.join(name);
    config.key_file = Some(home.join("root.key"));
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
pub(crate) fn at(share: usize, mut took: Vec<Duration>) -> f64 {
    took.sort();
    took[(took.len() * share / 100).min(took.len() - 1)].as_nanos() as f64
}

/// Does it `times` times, `at_once` at a time, and says how long one took on average.
pub(crate) async fn all<F>(times: usize, at_once: usize, once: impl Fn() -> F + Send + Clone + 'static) -> f64
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
