//! What tests on misbehaving servers speak to: a ledger that keeps its notes, workers that add, and whoever uses them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use connectome::prelude::*;
use connectome::{Bytes, codecs};
use tokio::time::{interval, timeout};

/// Longer than any way back takes on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// Before it is looked again whether something has happened.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Message, Serialize, Deserialize, Clone)]
#[message(name = "note", reply = ())]
pub(super) struct Note(pub(super) u64);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "notes", reply = Vec<u64>)]
pub(super) struct Notes;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "term", reply = u64)]
pub(super) struct UnderTerm;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "add", reply = u64)]
pub(super) struct Add(pub(super) u64, pub(super) u64);

/// Keeps every note it was ever sent, in order.
#[derive(Default)]
pub(super) struct Ledger(Vec<u64>);

impl Agent for Ledger {
    const KEEPS_STATE: bool = true;

    fn handles(table: &mut Table<Self>) {
        table.on::<Note>();
        table.on::<Notes>();
        table.on::<UnderTerm>();
    }

    fn save(&self) -> Bytes {
        codecs::wire::encode(&self.0).expect("numbers can be encoded")
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), HandlerError> {
        self.0 = codecs::wire::decode(state)?;
        Ok(())
    }
}

impl Handle<Note> for Ledger {
    async fn handle(&mut self, Note(n): Note, _: &mut Context<'_>) -> Result<(), HandlerError> {
        self.0.push(n);
        Ok(())
    }
}

impl Handle<Notes> for Ledger {
    async fn handle(&mut self, _: Notes, _: &mut Context<'_>) -> Result<Vec<u64>, HandlerError> {
        Ok(self.0.clone())
    }
}

impl Handle<UnderTerm> for Ledger {
    async fn handle(&mut self, _: UnderTerm, ctx: &mut Context<'_>) -> Result<u64, HandlerError> {
        Ok(ctx.term().map_or(0, |term| term.0))
    }
}

/// Adds numbers, and notes outside of itself what it has added.
#[derive(Clone, Default)]
pub(super) struct Adder(Arc<std::sync::Mutex<BTreeMap<u64, u32>>>);

impl Adder {
    /// How often each task was done, by its first number.
    pub(super) fn done(&self) -> BTreeMap<u64, u32> {
        self.0.lock().unwrap().clone()
    }
}

impl Agent for Adder {
    fn handles(table: &mut Table<Self>) {
        table.on::<Add>();
    }
}

impl Handle<Add> for Adder {
    async fn handle(&mut self, Add(a, b): Add, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        *self.0.lock().unwrap().entry(a).or_default() += 1;
        Ok(a + b)
    }
}

/// What a node on these servers is told; its keys lie in the directory.
pub(super) fn config(name: &str, directory: &Path, urls: &str) -> Config {
    let mut config = Config { name: name.to_owned(), data_dir: directory.join(name), ..Config::default() };
    config.key_file = Some(directory.join("root.key"));
    config.nats.url = Some(urls.to_owned());
    // Reserved at once, and many servers share this disk.
    config.streams.max_bytes = Some(64 << 20);
    config
}

/// The notes of a ledger, once they are as they should be.
pub(super) async fn notes_that(ledger: &AgentRef, what: &str, are: impl Fn(&[u64]) -> bool) -> Vec<u64> {
    let read = async || ledger.call(Notes).await.map_err(|error| error.to_string());
    until_ok(what, async || {
        read().await.and_then(|notes| if are(&notes) { Ok(notes) } else { Err("not yet".into()) })
    })
    .await
}

/// The notes of a ledger, once there are so many.
pub(super) async fn notes(ledger: &AgentRef, count: usize) -> Vec<u64> {
    notes_that(ledger, &format!("{count} notes are there"), |notes| notes.len() >= count).await
}

/// Does it again until it succeeds.
pub(super) async fn until_ok<T, E>(what: &str, mut act: impl AsyncFnMut() -> Result<T, E>) -> T {
    let trying = async {
        let mut look = interval(LOOK);
        loop {
            match act().await {
                Ok(done) => return done,
                Err(_) => look.tick().await,
            };
        }
    };
    timeout(PATIENCE, trying).await.unwrap_or_else(|_| panic!("in time: {what}"))
}

/// Looks again until it is so.
pub(super) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    until_ok(what, async || is_so().await.then_some(()).ok_or(())).await;
}
