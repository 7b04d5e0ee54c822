//! Canaries: 16 random bytes in all that agents say, looked for in every file of the store and in the log of the process.
//!
//! The process that says them is another one, so that its log is its own. A control shows that the search finds what is there:
//! an event's body is for everyone, and so is a line of the log.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use connectome::codecs::Fact;
use connectome::prelude::*;
use connectome::telemetry::{self, Format};
use connectome::{Bytes, DEAD_LETTERS};
use tokio::time::timeout;

use super::search::{Canaries, Song};
use super::{PATIENCE, until};
use crate::support::nats::NatsServer;

/// What is looked for, and what of it must be found.
const ALL: [&str; 8] = ["input", "waiting", "result", "error", "state", "letter", "event", "log"];
const SHOWN: [&str; 2] = ["event", "log"];

/// Where the process finds its orders.
const HOME: &str = "CONNECTOME_CANARY_HOME";
const URL: &str = "CONNECTOME_CANARY_URL";

#[derive(Message, Serialize, Deserialize)]
#[message(name = "hum", reply = Song)]
struct Hum {
    input: Song,
}

#[derive(Message, Serialize, Deserialize)]
#[message(name = "croak", reply = ())]
struct Croak;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "remember", reply = ())]
struct Remember;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "remembered", reply = bool)]
struct Remembered;

/// Sings as it was told by nobody: the canaries are in its home.
struct Bird {
    home: String,
    state: Option<Song>,
}

impl Agent for Bird {
    const KEEPS_STATE: bool = true;

    fn handles(table: &mut Table<Self>) {
        table.on::<Hum>();
        table.on::<Croak>();
        table.on::<Remember>();
        table.on::<Remembered>();
    }

    fn save(&self) -> Bytes {
        connectome::codecs::wire::encode(&self.state).unwrap()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), HandlerError> {
        self.state = connectome::codecs::wire::decode(state)?;
        Ok(())
    }
}

impl Bird {
    fn song(&self, name: &str) -> Song {
        Canaries(Path::new(&self.home)).song(name)
    }
}

impl Handle<Hum> for Bird {
    async fn handle(&mut self, hum: Hum, _: &mut Context<'_>) -> Result<Song, HandlerError> {
        assert_eq!(hum.input.text, self.song("input").text, "it is opened for whoever works on it");
        Ok(self.song("result"))
    }
}

impl Handle<Croak> for Bird {
    async fn handle(&mut self, _: Croak, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        let name = if ctx.task().is_some() { "error" } else { "letter" };
        Err(HandlerError::rejected(format!("croak {}", self.song(name).text)))
    }
}

impl Handle<Remember> for Bird {
    async fn handle(&mut self, _: Remember, _: &mut Context<'_>) -> Result<(), HandlerError> {
        self.state = Some(self.song("state"));
        Ok(())
    }
}

impl Handle<Remembered> for Bird {
    async fn handle(&mut self, _: Remembered, _: &mut Context<'_>) -> Result<bool, HandlerError> {
        Ok(self.state.is_some())
    }
}

/// The life of the process: everything is said that is looked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other tests start it in a process of its own"]
async fn life() {
    let home = std::env::var(HOME).unwrap();
    telemetry::init("info,connectome=trace,connectome_actors=trace,connectome_codecs=trace", Format::Text)
        .unwrap();
    let canaries = Canaries(Path::new(&home));
    let mut config = Config { data_dir: format!("{home}/data").into(), ..Config::default() };
    config.router.message_events = true;
    config.nats.url = std::env::var(URL).ok();
    let node = Node::start(config).await.unwrap();
    let place = home.clone();
    let bird = move || Bird { home: place.clone(), state: None };
    let bird = node.spawn_with(AgentSpec::new("bird", bird).capability("sing")).await.unwrap();
    let letters = node.ports().streams.clone();

    let hummed = node.submit(Submit::new("sing", Hum { input: canaries.song("input") })).await.unwrap();
    assert_eq!(hummed.result().await.unwrap().text, canaries.hex("result"));
    let croaked = node.submit(Submit::new("sing", Croak)).await.unwrap();
    let error = croaked.result().await.unwrap_err().to_string();
    assert!(error.contains(&canaries.hex("error")), "{error}");
    let waiting = Hum { input: canaries.song("waiting") };
    let waiting = node.submit(Submit::new("nobody-can", waiting)).await.unwrap();
    let seen = node.task::<Hum>(waiting.id());
    until("everybody knows of the task that waits", async || seen.record().await.unwrap().is_some()).await;

    bird.send(Croak).await.unwrap();
    bird.send(Remember).await.unwrap();
    until("it is remembered", async || bird.call(Remembered).await.unwrap()).await;
    until("both letters are stored", async || letters.stream_info(DEAD_LETTERS).await.unwrap().messages == 2)
        .await;

    let shown = canaries.song("event");
    let body = connectome::codecs::wire::encode(&shown).unwrap();
    node.emit(Fact::Unknown { r#type: "SONG_SUNG".parse().unwrap(), body }).await.unwrap();
    eprintln!("a line of the log: {}", canaries.hex("log"));
    node.stop().await;
}

/// Runs the process to its end, and leaves its log in its home.
fn live(home: &Path, url: Option<String>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "sealed::canary::life", "--ignored", "--nocapture"]).env(HOME, home);
    command.envs(url.map(|url| (URL, url)));
    let output = command.output().unwrap();
    let log = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&log));
    fs::write(home.join("data/log"), log).unwrap();
}

async fn only_what_is_shown_is_found(url: Option<String>, store: Option<&Path>) {
    let home = tempfile::tempdir().unwrap();
    let canaries = Canaries(home.path());
    canaries.release(&ALL);
    let place = home.path().to_owned();
    fs::create_dir(place.join("data")).unwrap();
    let living = tokio::task::spawn_blocking(move || live(&place, url));
    timeout(PATIENCE, living).await.expect("it lives its life in time").unwrap();
    let data = home.path().join("data");
    let below: Vec<&Path> = [Some(data.as_path()), store].into_iter().flatten().collect();
    assert_eq!(canaries.found(&ALL, &below), BTreeSet::from(SHOWN));
}

/// Nothing of a task, a result, an error, a state or a dead letter is readable in the embedded store, or in the log.
#[tokio::test]
async fn nothing_is_readable_on_the_disk() {
    only_what_is_shown_is_found(None, None).await;
}

/// The same of all files of a nats-server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_readable_on_the_disk_of_a_broker() {
    let server = NatsServer::start();
    only_what_is_shown_is_found(Some(server.url()), Some(server.directory())).await;
}
