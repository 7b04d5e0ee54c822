//! End to end, from one process to another: sealed beside in the open, over libp2p and over NATS, in one run.
//!
//! The open way is `sealing.enabled = false` on both nodes, and the third one signs new ratchet keys alone, by policy; all else is
//! the same, and all stand all the time.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connectome::codecs::session::Signatures;
use connectome::prelude::*;
use tokio::runtime::Runtime;

use crate::harness::{Group, Unit};
use crate::nats::{Server, all, at};
use crate::runtimes::{DEADLINE, run, threads};

/// How the messages of one way go.
const SEALED: &str = "sealed";
const OPEN: &str = "open";
const CHECKPOINT: &str = "checkpoint";

/// How the other process is started, and what it is told.
pub(crate) const CHILD: &str = "ends-far";
const URL: &str = "CONNECTOME_ENDS_URL";
const HOME: &str = "CONNECTOME_ENDS_HOME";
const HOW: &str = "CONNECTOME_ENDS_HOW";

/// Calls of one turn with one in flight, and with 64; casts, and durable messages.
const CALLS: usize = 2_000;
const CALLS_AT_ONCE: usize = 20_000;
const CASTS: usize = 20_000;
const SENDS: usize = 1_024;

/// Callers and senders that each wait for one at a time.
const AT_ONCE: usize = 64;

/// Bytes of a message.
const BODY: usize = 256;

/// Turns: other processes make figures that are far apart anyway.
const ROUNDS: usize = 5;

const CALL: &str = "\
256 bytes to an agent in another process and back, with envelope, deadline and accounts. Sealed: each message with a signature,
  shared by those that wait for the same node at the same time; checkpoint: without. The aim is 1.5 of the open way.";

const CAST: &str = "\
256 bytes one way, until the receiver has counted the last one.";

const SEND: &str = "\
256 bytes, durably, 64 senders at a time, until the agent has handled the last one. Over libp2p through the outbox of one node
  into the store of the other, both in memory; over NATS in one file-backed stream. Sealed: to the agent's mail, with a signature
  each, and a session's record written for what is handled.";

#[derive(Message, Serialize, Deserialize)]
#[message(name = "echo", reply = String)]
struct Echo(String);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "counted", reply = usize)]
struct Counted;

/// Gives back what it is told, and counts.
#[derive(Default)]
struct Mirror(usize);

impl Agent for Mirror {
    fn handles(table: &mut Table<Self>) {
        table.on::<Echo>();
        table.on::<Counted>();
    }
}

impl Handle<Echo> for Mirror {
    async fn handle(&mut self, Echo(text): Echo, _: &mut Context<'_>) -> Result<String, HandlerError> {
        self.0 += 1;
        Ok(text)
    }
}

impl Handle<Counted> for Mirror {
    async fn handle(&mut self, _: Counted, _: &mut Context<'_>) -> Result<usize, HandlerError> {
        Ok(self.0)
    }
}

pub(crate) fn groups() -> Vec<Group> {
    let runtime = Rc::new(threads());
    ["libp2p", "nats"].into_iter().flat_map(|path| groups_over(path, &runtime)).collect()
}

fn groups_over(path: &'static str, runtime: &Rc<Runtime>) -> Vec<Group> {
    let stages = [SEALED, OPEN, CHECKPOINT].map(|how| Stage {
        path,
        how,
        runtime: runtime.clone(),
        near: Rc::default(),
    });
    let group = |what: &str, note| Group::new(format!("ends, {path}, {what}"), Unit::Nanoseconds, note);
    vec![
        both(
            group("call, 1 in flight, p50", CALL),
            &stages,
            |near| async move { at(50, near.calls().await) },
        ),
        both(group("call, 64 in flight", CALL), &stages, |near| {
            all(CALLS_AT_ONCE, AT_ONCE, move || near.clone().call())
        }),
        both(group("cast", CAST), &stages, |near| async move { near.casts().await }),
        both(group("send, 64 at a time", SEND), &stages, |near| async move { near.sends().await }),
    ]
}

fn both<F>(group: Group, stages: &[Stage; 3], work: impl Fn(Arc<Near>) -> F + Copy + 'static) -> Group
where
    F: Future<Output = f64> + Send + 'static,
{
    stages.iter().fold(group, |group, stage| group.way(stage.how, stage.turn(work))).at_most(ROUNDS)
}

/// What all groups of one way share, set up by the first that has a turn.
struct Stage {
    path: &'static str,
    how: &'static str,
    runtime: Rc<Runtime>,
    near: Rc<std::cell::OnceCell<Arc<Near>>>,
}

impl Stage {
    fn turn<F>(&self, work: impl Fn(Arc<Near>) -> F + 'static) -> impl FnMut() -> f64 + 'static
    where
        F: Future<Output = f64> + Send + 'static,
    {
        let (runtime, near) = (self.runtime.clone(), self.near.clone());
        let (path, how) = (self.path, self.how);
        move || {
            let near = near.get_or_init(|| Arc::new(run(&runtime, Near::begin(path, how))));
            run(&runtime, work(near.clone()))
        }
    }
}

/// This process's node, and the other process.
struct Near {
    mirror: AgentRef,
    _node: Node,
    _far: Far,
    _server: Option<Server>,
}

impl Near {
    async fn begin(path: &str, how: &str) -> Near {
        let server = (path == "nats").then(Server::start);
        let url = server.as_ref().map_or("", |server| &server.url);
        let home = tempfile::tempdir().expect("there is room for a key").keep();
        let (far, address) = Far::start(how, url, &home);
        let mut config = config("near", how, url, &home);
        if url.is_empty() {
            config.libp2p.peers = Some(address);
        }
        let node = Node::start(config).await.expect("there is a free port");
        let mirror = node.wait_for("mirror").await.expect("a name");
        Near { mirror, _node: node, _far: far, _server: server }
    }

    async fn call(self: Arc<Near>) {
        self.mirror.call_within(DEADLINE, Echo("x".repeat(BODY))).await.expect("the mirror answers");
    }

    async fn calls(self: Arc<Near>) -> Vec<Duration> {
        let mut took = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let began = Instant::now();
            self.clone().call().await;
            took.push(began.elapsed());
        }
        took
    }

    async fn casts(self: Arc<Near>) -> f64 {
        let (before, began) = (self.counted().await, Instant::now());
        for _ in 0..CASTS {
            self.mirror.cast(Echo("x".repeat(BODY))).await.expect("it is taken");
        }
        self.count(before + CASTS).await;
        began.elapsed().as_nanos() as f64 / CASTS as f64
    }

    async fn sends(self: Arc<Near>) -> f64 {
        let (before, began) = (self.counted().await, Instant::now());
        let near = self.clone();
        all(SENDS, AT_ONCE, move || near.clone().send()).await;
        self.count(before + SENDS).await;
        began.elapsed().as_nanos() as f64 / SENDS as f64
    }

    async fn send(self: Arc<Near>) {
        self.mirror.send(Echo("x".repeat(BODY))).await.expect("there is room");
    }

    async fn counted(&self) -> usize {
        self.mirror.call_within(DEADLINE, Counted).await.expect("the mirror answers")
    }

    /// Until so many were handled.
    async fn count(&self, until: usize) {
        while self.counted().await < until {}
    }
}

fn config(name: &str, how: &str, url: &str, home: &Path) -> Config {
    let mut config = Config::in_memory();
    config.name = name.to_owned();
    config.router.sealed = how != OPEN;
    if how == CHECKPOINT {
        config.router.sealing.signatures = Signatures::Checkpoint;
    }
    // So that no cast is given up.
    config.mailbox.capacity = 2 * CASTS;
    config.key_file = Some(home.join("root.key"));
    if url.is_empty() {
        config.libp2p.listen = Some("/ip4/127.0.0.1/tcp/0".to_owned());
    } else {
        config.nats.url = Some(url.to_owned());
        config.streams.storage = connectome::port::Storage::File;
        config.data_dir = home.join(name);
    }
    config
}

struct Far(Child);

impl Far {
    /// The process, and where it listens.
    fn start(how: &str, url: &str, home: &Path) -> (Far, String) {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.args(["--child", CHILD]).env(HOW, how).env(URL, url).env(HOME, home);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the machine gives a process");
        let mut line = String::new();
        let output = child.stdout.take().expect("it was piped");
        BufReader::new(output).read_line(&mut line).expect("it says where it listens");
        (Far(child), line.trim_end().to_owned())
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        // One that has ended needs neither.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The other process: runs until its input ends.
pub(crate) fn child() -> ExitCode {
    let told = |name| std::env::var(name).expect("whoever starts it says so");
    let config = config("far", &told(HOW), &told(URL), Path::new(&told(HOME)));
    threads().block_on(async {
        let node = Node::start(config).await.expect("there is a free port");
        node.spawn("mirror", Mirror::default).await.expect("the name is free");
        println!("{}", node.libp2p().map(|p2p| p2p.addresses().remove(0)).unwrap_or_default());
        let input = || std::io::stdin().read_to_end(&mut Vec::new());
        drop(tokio::task::spawn_blocking(input).await);
    });
    std::process::exit(0)
}
