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
use rand::Rng;
use tokio::time::timeout;

use super::{PATIENCE, until};
use crate::support::nats::NatsServer;

/// What is looked for, and what must be found.
const HIDDEN: [&str; 6] = ["input", "waiting", "result", "error", "state", "letter"];
const SHOWN: [&str; 2] = ["event", "log"];

/// Where the process finds its orders.
const HOME: &str = "CONNECTOME_CANARY_HOME";
const URL: &str = "CONNECTOME_CANARY_URL";

/// The canaries of one run: a file for each, 16 bytes.
struct Canaries<'a>(&'a Path);

impl Canaries<'_> {
    fn release(&self) {
        for name in HIDDEN.iter().chain(&SHOWN) {
            let mut canary = [0; 16];
            rand::rng().fill_bytes(&mut canary);
            fs::write(self.0.join(name), canary).unwrap();
        }
    }

    fn raw(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap()
    }

    fn hex(&self, name: &str) -> String {
        self.raw(name).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// As bytes and as text: what is left of either is found.
    fn song(&self, name: &str) -> Song {
        Song { raw: self.raw(name).into(), text: self.hex(name) }
    }

    /// Each way in which it could have been written down.
    fn forms(&self, name: &str) -> Vec<Vec<u8>> {
        let (raw, hex) = (self.raw(name), self.hex(name));
        let mut forms = vec![hex.to_uppercase().into_bytes(), hex.into_bytes()];
        // In base64 it looks different after one byte and after two.
        for before in 0..3 {
            let text = base64(&[&[0; 3][..before], &raw].concat());
            forms.push(text[4..24 - 4].to_vec());
        }
        forms.push(raw);
        forms
    }
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, at| bits << 8 | u32::from(*chunk.get(at).unwrap_or(&0)));
        text.extend([18, 12, 6, 0].map(|shift| LETTERS[(bits >> shift & 63) as usize]));
    }
    text
}

#[derive(Message, Serialize, Deserialize, Clone)]
#[message(name = "song", reply = Song)]
struct Song {
    raw: Bytes,
    text: String,
}

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

/// The canaries that are in any file below these directories, in whatever form.
fn found(canaries: &Canaries<'_>, below: &[&Path]) -> BTreeSet<&'static str> {
    let mut files = Vec::new();
    below.iter().for_each(|directory| read_all(directory, &mut files));
    assert!(files.len() > 3, "there is something to look through");
    let names = HIDDEN.into_iter().chain(SHOWN);
    let forms: Vec<_> =
        names.flat_map(|name| canaries.forms(name).into_iter().map(move |form| (name, form))).collect();
    files.iter().flat_map(|file| found_in(file, &forms)).collect()
}

/// One pass over a file: most places are passed over by their first two bytes.
fn found_in(file: &[u8], forms: &[(&'static str, Vec<u8>)]) -> Vec<&'static str> {
    let pair = |bytes: &[u8]| usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
    let mut begins = vec![false; 1 << 16];
    forms.iter().for_each(|(_, form)| begins[pair(form)] = true);
    // Stores reserve room that holds nothing yet.
    let end = file.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let places = file[..end].windows(2).enumerate().filter(|(_, two)| begins[pair(two)]);
    let at = |place: usize| forms.iter().filter(move |(_, form)| file[place..].starts_with(form));
    places.flat_map(|(place, _)| at(place)).map(|(name, _)| *name).collect()
}

fn read_all(directory: &Path, files: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            read_all(&entry.path(), files);
        } else {
            files.push(fs::read(entry.path()).unwrap());
        }
    }
}

async fn only_what_is_shown_is_found(url: Option<String>, store: Option<&Path>) {
    let home = tempfile::tempdir().unwrap();
    let canaries = Canaries(home.path());
    canaries.release();
    let place = home.path().to_owned();
    fs::create_dir(place.join("data")).unwrap();
    let living = tokio::task::spawn_blocking(move || live(&place, url));
    timeout(PATIENCE, living).await.expect("it lives its life in time").unwrap();
    let data = home.path().join("data");
    let below: Vec<&Path> = [Some(data.as_path()), store].into_iter().flatten().collect();
    assert_eq!(found(&canaries, &below), BTreeSet::from(SHOWN));
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

/// The search finds a canary in each form, also in the middle of something else.
#[test]
fn the_search_finds_what_is_there() {
    let home = tempfile::tempdir().unwrap();
    let canaries = Canaries(home.path());
    canaries.release();
    let raw = canaries.raw("state");
    let encoded = |before: &[u8]| base64(&[before, &raw, b"tail"].concat());
    let places =
        [raw.clone(), canaries.hex("state").into_bytes(), encoded(b""), encoded(b"a"), encoded(b"ab")];
    for text in places {
        let below = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c", "d"] {
            fs::write(below.path().join(name), [&b"before "[..], &text, b" behind"].concat()).unwrap();
        }
        assert_eq!(found(&canaries, &[below.path()]), BTreeSet::from(["state"]));
    }
}
