//! `kill -9` in the middle of 10,000 acknowledged writes loses none of them: shown by doing it.
//!
//! A test starts its own binary again as the victim, reads what the victim says it was promised, kills it, and holds
//! the store to those promises. `CONNECTOME_SEED` replays the moments of a failing run.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome::streams::Embedded;
use connectome_actors::port::*;
use connectome_codecs::{MessageId, Sequence, UnixMillis};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

const WRITES: usize = 10_000;
const SENDERS: usize = 64;
const ROUNDS: u64 = 5;

const TASKS: u64 = 2_000;
const WORKERS: usize = 4;

/// What the victim is told by its environment: what to do, and where.
const PLAY: &str = "CONNECTOME_VICTIM_PLAYS";
const STORE: &str = "CONNECTOME_VICTIM_STORE";
const ROUND: &str = "CONNECTOME_VICTIM_ROUND";

#[test]
fn no_acknowledged_write_is_lost() {
    let seed = seed();
    println!("CONNECTOME_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let mut promised: BTreeMap<u64, String> = BTreeMap::new();
    for round in 0..ROUNDS {
        let kill_after = rng.random_range(1..WRITES);
        let victim = Victim::start("writer", directory.path(), round);
        let acknowledged = victim.kill_after(kill_after);
        println!(
            "round {round}: killed after {kill_after} of {WRITES}, {} were promised",
            acknowledged.len()
        );
        assert!(acknowledged.len() < WRITES, "it was killed in the middle");
        for line in acknowledged {
            let (sequence, body) = line.split_once(' ').expect("a sequence and a body");
            let before = promised.insert(sequence.parse().unwrap(), body.to_owned());
            assert_eq!(before, None, "a sequence is given once");
        }
        verify(directory.path(), &promised);
    }
}

#[test]
fn a_message_that_kills_its_process_runs_out_of_deliveries() {
    let directory = tempfile::tempdir().unwrap();
    let mut attempts = Vec::new();
    for round in 0..4 {
        attempts.push(Victim::start("poisoned", directory.path(), round).wait());
    }
    assert_eq!(attempts, [["1"], ["2"], ["3"], ["exhausted"]]);
}

#[test]
fn no_task_is_lost_and_no_attempt_is_given_twice() {
    let seed = seed();
    println!("CONNECTOME_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let mut attempts: BTreeMap<u64, u32> = BTreeMap::new();
    for round in 0.. {
        let kill_after = rng.random_range(1..TASKS as usize);
        let said = Victim::start("worker", directory.path(), round).kill_after(kill_after);
        for line in &said {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["took", sequence, attempt] => {
                    let attempt: u32 = attempt.parse().unwrap();
                    let before = attempts.insert(sequence.parse().unwrap(), attempt).unwrap_or(0);
                    assert!(attempt > before, "task {sequence} came as attempt {attempt} after {before}");
                }
                ["empty"] => {
                    println!("done after {round} kills");
                    assert!(attempts.into_keys().eq(1..=TASKS), "only what was taken is gone");
                    return;
                }
                _ => panic!("the victim said {line:?}"),
            }
        }
    }
}

/// Not a test by itself: what a victim runs.
#[test]
#[ignore = "the other tests start it in a process of its own"]
fn victim() {
    let Ok(play) = std::env::var(PLAY) else { return };
    let path = std::env::var(STORE).unwrap();
    let round = std::env::var(ROUND).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match play.as_str() {
        "writer" => runtime.block_on(write(Path::new(&path), &round)),
        "worker" => runtime.block_on(work(Path::new(&path))),
        "poisoned" => runtime.block_on(die_of_a_message(Path::new(&path))),
        other => panic!("no such play: {other}"),
    }
}

/// Writes from many senders at once, and says what was acknowledged.
async fn write(path: &Path, round: &str) {
    let store = open(path).await;
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let (store, round) = (store.clone(), round.to_owned());
        senders.spawn(async move {
            for i in (sender..WRITES).step_by(SENDERS) {
                let body = format!("{round}/{sender}/{i}");
                let id = Some(MessageId::from_parts(UnixMillis(1), i as u128));
                let message = Publish { subject: format!("s.{sender}"), id, body: body.clone().into() };
                let published = store.publish("S", message).await.unwrap();
                say(&format!("{} {body}", published.sequence));
            }
        });
    }
    senders.join_all().await;
}

/// Makes the tasks, unless they are made; then says what it takes, and acknowledges it.
async fn work(path: &Path) {
    let store = open(path).await;
    for i in store.stream_info("S").await.unwrap().last.0..TASKS {
        let message = Publish { subject: "s.a".into(), id: None, body: i.to_string().into() };
        store.publish("S", message).await.unwrap();
    }
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let consumer = store.consumer("S", consumer_config(None)).await.unwrap();
        workers.spawn(async move {
            loop {
                let taken = consumer.fetch(10, Duration::ZERO).await.unwrap();
                if taken.is_empty() {
                    return;
                }
                for delivery in taken {
                    say(&format!("took {} {}", delivery.tag.sequence, delivery.attempt));
                    consumer.ack(delivery.tag).await.unwrap();
                }
            }
        });
    }
    workers.join_all().await;
    say("empty");
}

/// Takes a message and dies of it, or says that it was told as exhausted.
async fn die_of_a_message(path: &Path) {
    let store = open(path).await;
    let message = Publish { subject: "s.a".into(), id: None, body: Bytes::new() };
    if store.stream_info("S").await.unwrap().messages == 0 {
        store.publish("S", message).await.unwrap();
    }
    let consumer = store.consumer("S", consumer_config(Some(3))).await.unwrap();
    if let [delivery] = &consumer.fetch(1, Duration::ZERO).await.unwrap()[..] {
        say(&delivery.attempt.to_string());
        std::process::abort();
    }
    assert_eq!(consumer.exhausted().await.unwrap().len(), 1);
    say("exhausted");
}

fn consumer_config(max_deliver: Option<u32>) -> ConsumerConfig {
    ConsumerConfig {
        name: "c".into(),
        filter: "s.>".into(),
        start: Start::First,
        ack_wait: Duration::from_secs(60),
        max_deliver,
        max_ack_pending: 1_000,
        backoff: vec![],
    }
}

/// Holds the store to everything that was ever promised, and to giving nothing twice.
fn verify(path: &Path, promised: &BTreeMap<u64, String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = open(path).await;
        let kept = read_all(&store).await;
        for (sequence, body) in promised {
            assert_eq!(kept.get(sequence), Some(body), "message {sequence} was acknowledged");
        }
        let bodies: BTreeSet<&String> = kept.values().collect();
        assert_eq!(bodies.len(), kept.len(), "every message is there once");
        let last = store.stream_info("S").await.unwrap().last.0;
        assert!(kept.keys().copied().eq(1..=last), "there are no holes");
    });
}

async fn read_all(store: &Embedded) -> BTreeMap<u64, String> {
    let mut kept = BTreeMap::new();
    let mut next = Sequence(1);
    loop {
        let stored = store.read("S", ">", next, 1_000).await.unwrap();
        let Some(newest) = stored.last() else { return kept };
        next = newest.sequence.next();
        let bodies = stored.into_iter().map(|message| (message.sequence.0, message.body));
        kept.extend(bodies.map(|(sequence, body)| (sequence, String::from_utf8(body.to_vec()).unwrap())));
    }
}

async fn open(path: &Path) -> Embedded {
    let store = Embedded::open(path, Arc::new(Clock)).unwrap();
    let config = StreamConfig {
        name: "S".into(),
        subjects: vec!["s.>".into()],
        retention: Retention::Limits,
        storage: Storage::File,
        max_age: None,
        max_bytes: None,
        max_messages: None,
        discard: Discard::Old,
        // Each round sends the same ids; they are other messages.
        duplicate_window: Duration::ZERO,
    };
    store.create_stream(config).await.unwrap();
    store
}

/// Says a line on standard output at once, past the test harness.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "> {line}").and_then(|()| out.flush()).unwrap();
}

/// A process that is to die.
struct Victim {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
}

impl Victim {
    fn start(play: &str, store: &Path, round: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["kill_nine::victim", "--exact", "--ignored", "--nocapture"])
            .env(PLAY, play)
            .env(STORE, store)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines: Box::new(whole_lines(out)) }
    }

    /// Kills it with SIGKILL once it has said so many lines; gives all that it said.
    fn kill_after(mut self, lines: usize) -> Vec<String> {
        let mut said: Vec<String> = self.lines.by_ref().take(lines).collect();
        self.child.kill().unwrap();
        said.extend(self.lines.by_ref());
        self.child.wait().unwrap();
        said
    }

    /// Waits for its end; gives all that it said.
    fn wait(mut self) -> Vec<String> {
        let said = self.lines.by_ref().collect();
        self.child.wait().unwrap();
        said
    }
}

/// What was said with `say`: a last line that was cut off was not said.
fn whole_lines(mut out: impl BufRead + 'static) -> impl Iterator<Item = String> {
    std::iter::from_fn(move || {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        line.ends_with('\n').then_some(line)
    })
    .filter_map(|line| line.trim_end().strip_prefix("> ").map(str::to_owned))
}

fn seed() -> u64 {
    match std::env::var("CONNECTOME_SEED") {
        Ok(seed) => seed.parse().expect("CONNECTOME_SEED is a number"),
        Err(_) => rand::make_rng::<StdRng>().random(),
    }
}

/// The wall clock.
struct Clock;

impl World for Clock {
    fn now(&self) -> UnixMillis {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        UnixMillis(wall.as_millis() as u64)
    }

    fn random(&self) -> u128 {
        4
    }
}
