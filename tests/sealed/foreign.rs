//! An agent in another language, with keys and a root of its own: written from `docs/security-protocol.md` and `docs/wire.md`, it
//! meets a live node over a real server, and each believes of the other what is proved.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use connectome::codecs::AgentId;
use connectome::prelude::*;
use tokio::time::timeout;

use super::{PATIENCE, until};
use crate::support::nats::NatsServer;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "note", reply = ())]
struct Note {
    text: String,
}

#[derive(Message, Serialize, Deserialize)]
#[message(name = "notes", reply = Vec<(String, String, AgentId)>)]
struct Notes;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "write", reply = ())]
struct Write {
    to: String,
    text: String,
}

/// Keeps notes: what was said, in whose name, and whom its signature proves.
#[derive(Default)]
struct Desk(Vec<(String, String, AgentId)>);

impl Agent for Desk {
    fn handles(table: &mut Table<Self>) {
        table.on::<Note>();
        table.on::<Notes>();
        table.on::<Write>();
    }
}

impl Handle<Note> for Desk {
    async fn handle(&mut self, Note { text }: Note, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        let proved = ctx.evidence().unwrap().verify(&BTreeMap::new()).unwrap();
        self.0.push((text, ctx.sender().unwrap().to_string(), proved.agent));
        Ok(())
    }
}

impl Handle<Notes> for Desk {
    async fn handle(
        &mut self,
        _: Notes,
        _: &mut Context<'_>,
    ) -> Result<Vec<(String, String, AgentId)>, HandlerError> {
        Ok(self.0.clone())
    }
}

impl Handle<Write> for Desk {
    async fn handle(&mut self, write: Write, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        ctx.agent(&write.to)?.send(Note { text: write.text }).await?;
        Ok(())
    }
}

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Runs the client to its end; it gives up by itself after a while.
fn run(url: &str) -> Output {
    let made = Command::new(here("nats/foreign/environment")).stdin(Stdio::null()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let python = String::from_utf8(made.stdout).unwrap();
    let mut command = Command::new(python.trim_end());
    command.arg("-B").arg(here("sealed/foreign/client.py")).args([url, "connectome"]);
    command.stdin(Stdio::null()).output().unwrap()
}

/// It publishes keys, claims ours, writes to us and is proved; it opens what we write to it, and answers. What it repeats,
/// changes, or says in another one's name is refused, each as what it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_in_python() {
    let (server, home) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let node = super::over_nats::node("one", home.path(), &server, true).await;
    let desk = node.spawn("desk", Desk::default).await.unwrap();
    let id = node.router().agent_id(&"desk".parse().unwrap()).unwrap();
    // Its first mail is what makes its keys.
    desk.send(Notes).await.unwrap();
    until("it has one-time prekeys in stock", async || {
        node.router().published_keys(id).await.unwrap().is_some_and(|published| published.one_time > 0)
    })
    .await;
    let url = server.url();
    let client = async move {
        let said = tokio::task::spawn_blocking(move || run(&url)).await.unwrap();
        let lines = String::from_utf8(said.stdout).unwrap();
        print!("{lines}");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        lines
    };

    let notes = async || desk.call(Notes).await.unwrap();
    let talk = async {
        until("it has written", async || !notes().await.is_empty()).await;
        let theirs = node.router().wait_for("python").await.unwrap();
        for text in ["first", "second"] {
            desk.call(Write { to: theirs.address().to_string(), text: text.into() }).await.unwrap();
        }
        until("it has ended", async || notes().await.iter().any(|(text, ..)| text == "the end")).await;
    };
    let (lines, talked) = tokio::join!(client, timeout(PATIENCE, talk));
    talked.unwrap();

    let python: AgentId = lines.lines().next().unwrap().strip_prefix("I am ").unwrap().parse().unwrap();
    let said = ["good day from Python", "you said: second", "the end"];
    let expected = said.map(|text| (text.to_owned(), "python".to_owned(), python));
    assert_eq!(notes().await, expected);
    assert!(lines.contains(&format!("sent to {id} in suite 2, with a one-time prekey\n")), "{lines}");
    assert!(
        lines.contains("opened: first\nopened: second\none-time prekeys that were claimed: 1\n"),
        "{lines}"
    );
    let refused = node.metrics().await.sealing.messages.refused;
    let codes = ["duplicate", "identity-mismatch", "bad-tag"].map(|code| refused.get(code).copied());
    assert_eq!(codes, [Some(1); 3], "{refused:?}");
    node.stop().await;
}
