//! Durable messages on a real nats-server: of many agents at once, and over servers that are killed.
//!
//! `MAIL_AGENTS=10000 cargo test -p connectome-tests nats::mail -- --nocapture` measures with as many agents.

use std::sync::Arc;
use std::time::{Duration, Instant};

use connectome::AGENT_MESSAGES;
use connectome::port::{Storage, StreamInfo};
use connectome::prelude::*;
use futures_util::stream::{self, StreamExt};
use tokio::sync::watch;
use tokio::time::{interval, timeout};

use crate::support::nats::NatsServer;

/// How long something that must happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Agents where nobody says how many.
const AGENTS: usize = 300;

/// Senders at once.
const AT_ONCE: usize = 64;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "note", reply = ())]
struct Note(u64);

/// Writes what it handles into a book that all agents share.
struct Clerk(Arc<watch::Sender<Vec<u64>>>);

impl Agent for Clerk {
    fn handles(table: &mut Table<Self>) {
        table.on::<Note>();
    }
}

impl Handle<Note> for Clerk {
    async fn handle(&mut self, Note(number): Note, _: &mut Context<'_>) -> Result<(), HandlerError> {
        self.0.send_modify(|book| book.push(number));
        Ok(())
    }
}

/// A node on a server, and the book of its clerks.
struct Office {
    node: Node,
    book: Arc<watch::Sender<Vec<u64>>>,
    _home: tempfile::TempDir,
}

impl Office {
    async fn open(server: &NatsServer, name: &str) -> Office {
        let home = tempfile::tempdir().unwrap();
        let mut config = Config::in_memory();
        config.name = name.to_owned();
        config.nats.url = Some(server.url());
        config.streams.storage = Storage::File;
        config.data_dir = home.path().to_owned();
        config.key_file = Some(server.directory().join("root.key"));
        Office { node: Node::start(config).await.unwrap(), book: Arc::default(), _home: home }
    }

    async fn employ(&self, name: String) {
        let book = self.book.clone();
        self.node.spawn(name.as_str(), move || Clerk(book.clone())).await.unwrap();
    }

    async fn has_handled(&self, notes: usize) {
        let mut book = self.book.subscribe();
        let all = book.wait_for(|book| book.len() >= notes);
        timeout(PATIENCE, all).await.expect("all are handled in time").unwrap();
    }

    async fn mail(&self) -> StreamInfo {
        self.node.ports().streams.stream_info(AGENT_MESSAGES).await.unwrap()
    }

    /// What was handled leaves the stream when that is saved.
    async fn is_empty(&self) {
        let mut pace = interval(Duration::from_millis(20));
        let empties = async {
            while self.mail().await.messages > 0 {
                pace.tick().await;
            }
        };
        timeout(PATIENCE, empties).await.expect("what was handled is removed in time");
    }

    /// Sends one note to each of so many clerks, and says how long that took.
    async fn send_to_all(&self, clerks: usize) -> Duration {
        let began = Instant::now();
        let sends = stream::iter(0..clerks).for_each_concurrent(AT_ONCE, |nth| async move {
            self.node.agent(&clerk(nth)).unwrap().send(Note(nth as u64)).await.unwrap();
        });
        sends.await;
        began.elapsed()
    }
}

fn clerk(nth: usize) -> String {
    format!("clerk-{nth}")
}

fn each(of: usize, took: Duration) -> String {
    format!("{:.0}/s", of as f64 / took.as_secs_f64())
}

/// Mail of agents that nobody runs waits; when they start it is handled, and leaves. The server keeps no consumer for any of
/// them, before or after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_agents_have_mail_and_no_consumer() {
    let agents = std::env::var("MAIL_AGENTS").map_or(AGENTS, |number| number.parse().expect("a number"));
    let server = NatsServer::start();
    let office = Office::open(&server, "office").await;
    let waiting = office.send_to_all(agents).await;
    let mail = office.mail().await;
    assert_eq!((mail.messages, mail.consumers.len()), (agents as u64, 0));

    let began = Instant::now();
    for nth in 0..agents {
        office.employ(clerk(nth)).await;
    }
    office.has_handled(agents).await;
    office.is_empty().await;
    let starting = began.elapsed();

    let sending = office.send_to_all(agents).await;
    office.has_handled(2 * agents).await;
    office.is_empty().await;
    let mail = office.mail().await;
    assert_eq!((mail.messages, mail.consumers.len()), (0, 0));
    println!(
        "{agents} agents: sent {} while nobody ran; started and handled {}; sent {} to those that run; consumers 0",
        each(agents, waiting),
        each(agents, starting),
        each(agents, sending),
    );
}

/// A server that is killed in the middle delays messages: each arrives once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_delays_mail() {
    const NOTES: u64 = 300;
    let mut server = NatsServer::start();
    let (near, far) = (Office::open(&server, "near").await, Office::open(&server, "far").await);
    far.employ(clerk(0)).await;
    let to = near.node.agent(&clerk(0)).unwrap();
    for number in 0..NOTES {
        if number % 100 == 50 {
            server.restart();
        }
        // It is tried again with the same id until the server is back.
        to.send(Note(number)).await.unwrap();
    }
    far.has_handled(NOTES as usize).await;
    assert_eq!(*far.book.borrow(), (0..NOTES).collect::<Vec<_>>());
    far.is_empty().await;
}
