//! `connectome dead` on the store of a cluster, while its nodes run: what was given up is listed, shown, sent again, dropped.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::{Path, PathBuf};
use std::process::Command;

use connectome::DEAD_LETTERS;
use connectome::port::{Start, Tail};
use connectome::prelude::*;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::trade::{PATIENCE, config, until};
use crate::support::nats::NatsServer;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "remark", reply = ())]
struct Remark(String);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "remarks", reply = Vec<String>)]
struct Remarks;

/// Fails for good, or as often as it may be tried.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "hope", reply = u64)]
struct Hope {
    number: u64,
    is_vain: bool,
}

/// Hears remarks, and hopes.
#[derive(Default)]
struct Clerk {
    /// Whether it survives every remark, and succeeds in everything.
    sturdy: bool,
    heard: Vec<String>,
}

impl Agent for Clerk {
    fn handles(table: &mut Table<Self>) {
        table.on::<Remark>();
        table.on::<Remarks>();
        table.on::<Hope>();
    }
}

impl Handle<Remark> for Clerk {
    async fn handle(&mut self, Remark(text): Remark, _: &mut Context<'_>) -> Result<(), HandlerError> {
        assert!(self.sturdy || text != "poison", "I can't bear poison");
        self.heard.push(text);
        Ok(())
    }
}

impl Handle<Remarks> for Clerk {
    async fn handle(&mut self, _: Remarks, _: &mut Context<'_>) -> Result<Vec<String>, HandlerError> {
        Ok(self.heard.clone())
    }
}

impl Handle<Hope> for Clerk {
    async fn handle(&mut self, hope: Hope, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        match (self.sturdy, hope.is_vain) {
            (true, _) => Ok(hope.number),
            (false, true) => Err(HandlerError::rejected("it is vain")),
            (false, false) => Err(HandlerError::new(format!("number {} will do better", hope.number))),
        }
    }
}

async fn open(keys: &Path, server: &NatsServer, sturdy: bool) -> (Node, AgentRef) {
    let node = Node::start(config("one", keys, &server.url())).await.unwrap();
    let clerk = move || Clerk { sturdy, ..Clerk::default() };
    let clerk = node.spawn_with(AgentSpec::new("clerk", clerk).capability("hope")).await.unwrap();
    (node, clerk)
}

/// A poison message, a task that fails for good and one that runs out of attempts end there, with cause, history and payload;
/// what is sent again is handled by whoever can bear it; what is dropped is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_of_a_cluster_are_looked_after() {
    let (server, keys) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let (node, clerk) = open(keys.path(), &server, false).await;
    let mut letters = node.ports().streams.tail(DEAD_LETTERS, ">", Start::First).await.unwrap();
    clerk.send(Remark("poison".into())).await.unwrap();
    letter(&mut *letters).await;
    node.submit(Submit::new("hope", Hope { number: 1, is_vain: true })).await.unwrap();
    letter(&mut *letters).await;
    node.submit(Submit::new("hope", Hope { number: 7, is_vain: false }).attempts(3)).await.unwrap();
    letter(&mut *letters).await;
    let site = Site { url: server.url(), key: keys.path().join("root.key") };
    let sequences = list_and_show(&site);
    node.stop().await;

    let (node, clerk) = open(keys.path(), &server, true).await;
    let said = dead(&site, &["replay", &sequences[0]]).unwrap();
    assert!(said.contains("sent again as message") && said.contains("is removed"), "{said}");
    let task: TaskId =
        read(&dead(&site, &["replay", &sequences[1], "--json"]))["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(timeout(PATIENCE, node.task::<Hope>(task).result()).await.unwrap().unwrap(), 1);
    until("what is sent again is handled", async || clerk.call(Remarks).await.unwrap() == ["poison"]).await;
    let dropped = read(&dead(&site, &["drop", &sequences[2], "--json"]));
    assert_eq!(dropped["dropped"].to_string(), sequences[2]);
    assert_eq!(read(&dead(&site, &["ls", "--json"])), json!([]));
    let error = dead(&site, &["show", &sequences[2]]).unwrap_err();
    assert!(error.contains("there is no dead letter"), "{error}");
    println!("replayed as a message and as task {task}, and dropped: none is left");
    node.stop().await;
}

fn list_and_show(site: &Site) -> Vec<String> {
    let letters = read(&dead(site, &["ls", "--json"]));
    let column =
        |name: &str| letters.as_array().unwrap().iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("kind"), ["message", "task", "task"]);
    assert_eq!(column("attempts"), [3, 1, 3]);
    println!("{}", dead(site, &["ls"]).unwrap().trim_end());
    let sequences: Vec<String> = column("sequence").iter().map(Value::to_string).collect();
    let show = |at: usize| read(&dead(site, &["show", &sequences[at], "--json"]))["letter"].clone();
    let (poison, vain, hopeless) = (show(0), show(1), show(2));
    assert_eq!(poison["envelope"]["body"], "poison");
    assert_eq!(poison["cause"], "I can't bear poison");
    assert_eq!(vain["envelope"]["body"]["input"], json!({ "number": 1, "is_vain": true }));
    assert_eq!((&vain["task"]["state"], &vain["task"]["attempt"]), (&json!("failed"), &json!(1)));
    assert_eq!((&hopeless["task"]["state"], &hopeless["task"]["attempt"]), (&json!("failed"), &json!(3)));
    let steps = hopeless["task"]["history"].as_array().unwrap().len();
    println!(
        "out of attempts: {}, {steps} steps of history, input {}",
        hopeless["cause"], hopeless["envelope"]["body"]["input"]
    );
    assert!(
        hopeless["cause"].as_str().unwrap().contains("number 7 will do better") && steps >= 6,
        "{hopeless}"
    );
    let plain = dead(site, &["show", &sequences[2]]).unwrap();
    assert!(plain.contains("history") && plain.contains("number 7 will do better"), "{plain}");
    sequences
}

async fn letter(letters: &mut dyn Tail) {
    timeout(PATIENCE, letters.next()).await.expect("a letter comes in time").unwrap();
}

/// What a person knows of a cluster.
struct Site {
    url: String,
    /// Its root key.
    key: PathBuf,
}

/// Runs `connectome dead` as a person would: with nothing but where the servers are, and the cluster's root key. `Err`: what it
/// complained of.
fn dead(site: &Site, arguments: &[&str]) -> Result<String, String> {
    let test = std::env::current_exe().unwrap();
    let built =
        test.ancestors().nth(2).expect("tests lie in a directory of their profile").join("connectome");
    assert!(
        built.exists(),
        "{} is missing: run `cargo test` from the root, or `cargo build`",
        built.display()
    );
    let mut command = Command::new(built);
    command.arg("dead").args(arguments).env_clear();
    command.env("NATS_URL", &site.url).env("CONNECTOME_KEY_FILE", &site.key);
    let output = command.current_dir(std::env::temp_dir()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

fn read(said: &Result<String, String>) -> Value {
    serde_json::from_str(said.as_ref().unwrap()).unwrap()
}
