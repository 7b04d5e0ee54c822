//! `send` on the embedded store, on disk and in memory, beside the store's own publish.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use connectome::port::{Discard, Publish, Retention, Storage, StreamConfig, Streams};
use connectome::prelude::*;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::harness::{Group, Unit};
use crate::runtimes::{run, threads};

/// Senders that wait for the store at the same time.
const SENDERS: [u64; 2] = [1, 64];

/// Turns: a disk is slow, and its figures are far apart anyway.
const ROUNDS: usize = 5;

/// The stream of the raw publish.
const STREAM: &str = "RAW";

/// Bytes of a body: a short instruction to an agent.
const BODY: usize = 256;

const NOTE: &str = "\
To an agent that is not running, until the store has acknowledged it: on disk, until the disk has it (fdatasync, shared
  by all who wait). The raw publish: the same bytes to the same store, without name, envelope, trace and id.";

#[derive(Message, Serialize, Deserialize)]
#[message(name = "note")]
struct Note {
    text: String,
}

/// A node, and the directory of its store for as long as it runs.
struct Sender {
    agent: AgentRef,
    store: Arc<dyn Streams>,
    _node: Node,
    _directory: Option<TempDir>,
}

pub(crate) fn groups() -> Vec<Group> {
    let runtime = Rc::new(threads());
    let places = [(Storage::Memory, "in memory"), (Storage::File, "on disk")];
    let of = |(storage, name)| SENDERS.map(|senders| group(&runtime, storage, name, senders));
    places.into_iter().flat_map(of).collect()
}

fn group(runtime: &Rc<Runtime>, storage: Storage, name: &str, senders: u64) -> Group {
    let messages = messages(storage, senders);
    Group::new(format!("send, {senders} at a time, {name}"), Unit::Nanoseconds, NOTE)
        .way("connectome", turns(runtime, storage, move |sender| send(sender, senders, messages)))
        .way("raw publish", turns(runtime, storage, move |sender| publish(sender, senders, messages)))
        .at_most(ROUNDS)
}

/// Messages of one turn: each turn takes about a tenth of a second.
fn messages(storage: Storage, senders: u64) -> u64 {
    match storage {
        Storage::Memory => 20_000,
        Storage::File => 200 * senders.min(32),
    }
}

fn turns<F>(
    runtime: &Rc<Runtime>,
    storage: Storage,
    work: impl Fn(Arc<Sender>) -> F + 'static,
) -> impl FnMut() -> f64 + 'static
where
    F: Future<Output = f64> + Send + 'static,
{
    let runtime = runtime.clone();
    let mut started = None;
    move || {
        let sender = started.get_or_insert_with(|| Arc::new(run(&runtime, Sender::start(storage))));
        run(&runtime, work(sender.clone()))
    }
}

impl Sender {
    async fn start(storage: Storage) -> Sender {
        let mut config = Config::in_memory();
        config.streams.storage = storage;
        let directory = matches!(storage, Storage::File).then(directory);
        if let Some(directory) = &directory {
            config.data_dir = directory.path().to_owned();
        }
        let node = Node::start(config).await.expect("its directory is new");
        let store = node.ports().streams.clone();
        store.create_stream(raw(storage)).await.expect("no stream has these subjects");
        Sender { agent: node.agent("nobody").expect("a name"), store, _node: node, _directory: directory }
    }
}

async fn send(sender: Arc<Sender>, senders: u64, messages: u64) -> f64 {
    shared(senders, messages, move || {
        let sender = sender.clone();
        async move {
            let note = Note { text: "x".repeat(BODY) };
            sender.agent.send(note).await.expect("the store has room");
        }
    })
    .await
}

async fn publish(sender: Arc<Sender>, senders: u64, messages: u64) -> f64 {
    shared(senders, messages, move || {
        let sender = sender.clone();
        async move {
            let message = Publish { subject: "raw.note".to_owned(), id: None, body: vec![b'x'; BODY].into() };
            sender.store.publish(STREAM, message).await.expect("the store has room");
        }
    })
    .await
}

/// Does it `messages` times, `senders` at a time, and says how long one took on average.
async fn shared<F>(senders: u64, messages: u64, once: impl Fn() -> F + Send + Clone + 'static) -> f64
where
    F: Future<Output = ()> + Send,
{
    let left = Arc::new(AtomicU64::new(messages));
    let began = Instant::now();
    let all: JoinSet<()> = (0..senders)
        .map(|_| {
            let (left, once) = (left.clone(), once.clone());
            async move {
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                    .is_ok()
                {
                    once().await;
                }
            }
        })
        .collect();
    all.join_all().await;
    began.elapsed().as_nanos() as f64 / messages as f64
}

fn raw(storage: Storage) -> StreamConfig {
    StreamConfig {
        name: STREAM.to_owned(),
        subjects: vec!["raw.>".to_owned()],
        retention: Retention::Limits,
        storage,
        max_age: None,
        max_bytes: None,
        max_messages: None,
        discard: Discard::Old,
        duplicate_window: Duration::from_secs(120),
    }
}

/// A directory on the disk that the build uses: a temporary one is often kept in memory.
fn directory() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("the build can write there")
}
