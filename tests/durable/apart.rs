//! `send` between nodes that share no store: each has its own on disk, and a libp2p link between them that comes and goes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use connectome::prelude::*;
use connectome::{AGENT_OUTBOX, SendError};
use tokio::time::timeout;

use super::mail::{Ledger, Note, notes};
use crate::support::nats::{Link, free_port};

/// How long something that must happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

const STORE: &str = "CONNECTOME_APART_STORE";
const PEERS: &str = "CONNECTOME_APART_PEERS";

async fn soon<T>(coming: impl Future<Output = T>) -> T {
    timeout(PATIENCE, coming).await.expect("it comes to pass in time")
}

async fn until(mut so: impl AsyncFnMut() -> bool) {
    soon(async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

fn at(port: u16) -> String {
    format!("/ip4/127.0.0.1/tcp/{port}")
}

fn config(name: &str, store: &Path) -> Config {
    Config { name: name.to_owned(), data_dir: store.join(name), ..Config::default() }
}

/// A node that others dial, with the agent that they write to.
async fn receiver(store: &Path, port: u16) -> Node {
    let mut config = config("receiver", store);
    config.libp2p.listen = Some(at(port));
    let node = Node::start(config).await.unwrap();
    node.spawn("ledger", Ledger::default).await.unwrap();
    node
}

/// A node that dials.
async fn sender(store: &Path, port: u16) -> Node {
    let mut config = config("sender", store);
    config.libp2p.peers = Some(at(port));
    Node::start(config).await.unwrap()
}

async fn send(from: &Node, notes: impl IntoIterator<Item = u64>) {
    for note in notes {
        from.agent("ledger").unwrap().send(Note(note)).await.unwrap();
    }
}

async fn are_handed(from: &Node) {
    until(async || from.ports().streams.stream_info(AGENT_OUTBOX).await.unwrap().messages == 0).await;
}

/// What is sent while the receiver is away waits on disk, also over a restart of the sender, and comes in order, once, when it
/// is there; so does what is sent when it is away again, and what both have for each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receiver_may_be_away() {
    let (store, port) = (tempfile::tempdir().unwrap(), free_port());
    let node = sender(store.path(), port).await;
    send(&node, 0..20).await;
    node.stop().await;
    drop(node);
    let node = sender(store.path(), port).await;
    send(&node, 20..40).await;

    let there = receiver(store.path(), port).await;
    assert_eq!(soon(notes(&there, 40)).await, (0..40).collect::<Vec<_>>());
    are_handed(&node).await;
    there.stop().await;
    drop(there);

    send(&node, 40..60).await;
    let there = receiver(store.path(), port).await;
    assert_eq!(soon(notes(&there, 60)).await, (0..60).collect::<Vec<_>>());
    are_handed(&node).await;
    assert_eq!(node.router().outbox_counts().handed, 60, "40 of this process's, 20 of the one before");
    assert_eq!(there.router().outbox_counts().taken, 20);
    node.stop().await;
    there.stop().await;
}

/// A sender that has forgotten that a message was taken hands it over again, and it is not applied again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_over_again_is_applied_once() {
    let (store, port) = (tempfile::tempdir().unwrap(), free_port());
    let node = sender(store.path(), port).await;
    send(&node, 0..20).await;
    node.stop().await;
    drop(node);
    let kept = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(store.path().join("sender")).arg(kept.path()).status();
    assert!(copied.unwrap().success());

    let there = receiver(store.path(), port).await;
    let node = sender(store.path(), port).await;
    assert_eq!(soon(notes(&there, 20)).await.len(), 20);
    are_handed(&node).await;
    node.stop().await;
    drop(node);

    let node = sender(kept.path(), port).await;
    send(&node, [20]).await;
    are_handed(&node).await;
    assert_eq!(soon(notes(&there, 21)).await, (0..21).collect::<Vec<_>>());
    let counts = there.router().outbox_counts();
    assert_eq!((counts.taken, counts.repeated), (21, 20));
    node.stop().await;
    there.stop().await;
}

/// The link is cut again and again while messages are handed over: none is lost, none applied twice, all in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_cut_loses_and_doubles_nothing() {
    const NOTES: u64 = 400;
    let (store, port, proxy) = (tempfile::tempdir().unwrap(), free_port(), free_port());
    let link = Link::new(proxy, port);
    let there = receiver(store.path(), port).await;
    let node = sender(store.path(), proxy).await;
    let sending = send(&node, 0..NOTES);
    let cutting = async {
        for round in 1..=4 {
            until(async || there.router().outbox_counts().taken >= round * 40).await;
            link.cut();
            tokio::time::sleep(Duration::from_millis(300)).await;
            link.heal();
        }
    };
    tokio::join!(sending, cutting);
    assert_eq!(soon(notes(&there, NOTES as usize)).await, (0..NOTES).collect::<Vec<_>>());
    are_handed(&node).await;
    println!("{:?} {:?}", node.router().outbox_counts(), there.router().outbox_counts());
    node.stop().await;
    there.stop().await;
}

/// The other process: sends, and says what was acknowledged, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "another test starts it"]
async fn part() {
    let (Ok(store), Ok(port)) = (std::env::var(STORE), std::env::var(PEERS)) else { return };
    let node = sender(Path::new(&store), port.parse().unwrap()).await;
    println!();
    for note in 0.. {
        send(&node, [note]).await;
        // Slower than it is handed over, so that the end of it is seen.
        tokio::time::sleep(Duration::from_millis(1)).await;
        println!("sent {note}");
    }
}

/// A sender that is killed (SIGKILL) while it sends, and while what it sent is handed over, loses nothing that was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_sender_loses_nothing_that_was_acknowledged() {
    let (store, port) = (tempfile::tempdir().unwrap(), free_port());
    let there = receiver(store.path(), port).await;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "durable::apart::part", "--ignored", "--nocapture"]);
    command.env(STORE, store.path()).env(PEERS, port.to_string()).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut sent = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
    // Killed when some of it was taken, and more is on the way.
    let mut acknowledged = |process: &mut std::process::Child| {
        let mut last = None;
        for line in sent.by_ref() {
            last = line.strip_prefix("sent ").map(|note| note.parse::<u64>().unwrap()).or(last);
            if there.router().outbox_counts().taken >= 100 {
                process.kill().unwrap();
            }
        }
        last.expect("it has sent")
    };
    let last = tokio::task::block_in_place(|| acknowledged(&mut process));
    process.wait().unwrap();
    let taken = there.router().outbox_counts().taken;
    let node = sender(store.path(), port).await;
    are_handed(&node).await;
    let notes = soon(notes(&there, last as usize + 1)).await;
    // One more may have been stored without its sender having heard of it.
    assert_eq!(notes, (0..notes.len() as u64).collect::<Vec<_>>());
    assert!((last + 1..=last + 2).contains(&(notes.len() as u64)), "{} of {}", notes.len(), last + 1);
    println!("killed after {}, of which {taken} had been taken", last + 1);
    node.stop().await;
    there.stop().await;
}

/// An outbox has an end: beyond it `send` refuses, and says where. What nobody takes in time is a dead letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outbox_has_an_end_in_size_and_in_time() {
    let (store, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut config = config("sender", store.path());
    config.libp2p.peers = Some(at(port));
    (config.streams.max_bytes, config.streams.max_age) = (Some(1 << 20), Some(Duration::from_secs(60)));
    config.streams.max_age = Some(Duration::from_secs(1));
    let node = Node::start(config).await.unwrap();
    let mut sent = 0;
    let refused = loop {
        match node.agent("ledger").unwrap().send(Note(sent)).await {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 100_000, "it must end");
    };
    assert!(matches!(&refused, SendError::NotSent(why) if why.contains(AGENT_OUTBOX)), "{refused}");
    until(async || node.router().outbox_counts().expired == sent).await;
    assert_eq!(node.router().outbox_counts().handed, 0);
    node.stop().await;
}

#[derive(Message, Serialize, Deserialize)]
#[message(name = "tell", reply = ())]
struct Tell;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "told-by", reply = Vec<Option<String>>)]
struct ToldBy;

/// Remembers who told it; and tells the one called witness.
#[derive(Default)]
struct Witness(Vec<Option<String>>);

impl Agent for Witness {
    fn handles(table: &mut Table<Self>) {
        table.on::<Note>();
        table.on::<Tell>();
        table.on::<ToldBy>();
    }
}

impl Handle<Note> for Witness {
    async fn handle(&mut self, _: Note, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        self.0.push(ctx.sender().map(ToString::to_string));
        Ok(())
    }
}

impl Handle<Tell> for Witness {
    async fn handle(&mut self, _: Tell, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        ctx.agent("witness")?.send(Note(0)).await?;
        Ok(())
    }
}

impl Handle<ToldBy> for Witness {
    async fn handle(&mut self, _: ToldBy, _: &mut Context<'_>) -> Result<Vec<Option<String>>, HandlerError> {
        Ok(self.0.clone())
    }
}

/// What is handed over is sealed in its sender's name by the node that takes it; so the name of an agent of that very node is not
/// taken from another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_does_not_speak_for_agents_here() {
    let (store, port) = (tempfile::tempdir().unwrap(), free_port());
    let node = sender(store.path(), port).await;
    for name in ["author", "scribe"] {
        node.spawn(name, Witness::default).await.unwrap().call(Tell).await.unwrap();
    }
    let there = receiver(store.path(), port).await;
    there.spawn("scribe", Witness::default).await.unwrap();
    let witness = there.spawn("witness", Witness::default).await.unwrap();
    are_handed(&node).await;
    until(async || witness.call(ToldBy).await.unwrap().len() == 2).await;
    assert_eq!(witness.call(ToldBy).await.unwrap(), [Some("author".to_owned()), None]);
    node.stop().await;
    there.stop().await;
}
