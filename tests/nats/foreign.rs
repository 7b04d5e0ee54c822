//! A client in another language, written from `docs/wire.md`: what it sends, submits, works, emits, reads and calls meets a
//! live node on a real server.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use connectome::EventFilter;
use connectome::port::Start;
use connectome::prelude::*;
use tokio::time::timeout;

use super::trade::{Ledger, PATIENCE, config};
use crate::support::nats::NatsServer;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "line", reply = ())]
struct Line {
    text: String,
}

#[derive(Message, Serialize, Deserialize)]
#[message(name = "lines", reply = Vec<String>)]
struct Lines {
    least: usize,
}

#[derive(Message, Serialize, Deserialize)]
#[message(name = "sum", reply = u64)]
struct Sum {
    numbers: Vec<u64>,
}

#[derive(Message, Serialize, Deserialize)]
#[message(name = "shout", reply = String)]
struct Shout {
    text: String,
}

/// Keeps lines, and adds numbers.
#[derive(Default)]
struct Diary(Vec<String>);

impl Agent for Diary {
    fn handles(table: &mut Table<Self>) {
        table.on::<Line>();
        table.on::<Lines>();
        table.on::<Sum>();
    }
}

impl Handle<Line> for Diary {
    async fn handle(&mut self, Line { text }: Line, _: &mut Context<'_>) -> Result<(), HandlerError> {
        self.0.push(text);
        Ok(())
    }
}

impl Handle<Lines> for Diary {
    async fn handle(&mut self, lines: Lines, _: &mut Context<'_>) -> Result<Vec<String>, HandlerError> {
        let enough = self.0.len() >= lines.least;
        Ok(if enough { self.0.clone() } else { Vec::new() })
    }
}

impl Handle<Sum> for Diary {
    async fn handle(&mut self, sum: Sum, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        Ok(sum.numbers.iter().sum())
    }
}

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("nats/foreign").join(name)
}

/// The Python that has what the client needs.
fn python() -> String {
    let made = Command::new(here("environment")).stdin(Stdio::null()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim_end().to_owned()
}

/// It sends, calls, submits, works, emits, and reads events, dead letters and leases; both sides see it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_in_python() {
    // A server that carries little, so that a long answer goes in parts.
    let (server, keys) = (NatsServer::start_with("max_payload: 8192"), tempfile::tempdir().unwrap());
    let mut config = config("one", keys.path(), &server.url());
    // The client has no keys.
    config.router.sealed = false;
    let node = Node::start(config).await.unwrap();
    node.spawn_with(AgentSpec::new("diary", Diary::default).capability("sum")).await.unwrap();
    node.offer("desk", Ledger::default).await.unwrap();
    let desk = node.agent("desk").unwrap();
    desk.call(super::trade::Notes).await.unwrap();
    let wanted = EventFilter::default().of("SHOUT_PLEASE".parse().unwrap());
    let mut pleas = node.listen(wanted, Start::New).await.unwrap();

    let python = tokio::task::spawn_blocking(python).await.unwrap();
    let mut command = Command::new(python);
    command.arg(here("client.py")).args([&server.url(), "connectome", &node.id().to_string()]);
    // It gives up by itself after a while.
    let client = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output());
    let shouting = async {
        let plea = timeout(PATIENCE, pleas.next()).await.expect("it emits in time").unwrap().event;
        let shout = Shout { text: "quietly".into() };
        let task = node.submit(Submit::new("shout", shout)).await.unwrap();
        (
            plea,
            timeout(PATIENCE, task.result()).await.expect("it works in time").unwrap(),
            task.record().await.unwrap(),
        )
    };
    let (said, (plea, shouted, record)) = tokio::join!(client, shouting);
    let said = said.unwrap().unwrap();
    let lines = String::from_utf8_lossy(&said.stdout);
    print!("{lines}");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert_eq!(lines.lines().count(), 7);
    assert!(lines.contains("9011 characters in 2 parts, and 1500 more"), "{lines}");
    assert!(lines.contains("['from Python']") && lines.contains("completed under term 1 -> 42"), "{lines}");
    assert!(
        lines.contains("dead letter:") && lines.contains(&format!("desk is {} under term 1", node.id())),
        "{lines}"
    );
    println!(
        "heard {:?} of {}; the task that Python worked gave {shouted:?}",
        plea.fact.event_type(),
        plea.source
    );
    assert_eq!((shouted.as_str(), plea.source.to_string().as_str()), ("QUIETLY", "python"));
    assert_eq!((record.as_ref().unwrap().attempt.0, record.unwrap().term.0), (1, 1));
    node.stop().await;
}
