//! Messages of a consumer that ran out of deliveries: heard of live, and from what the server has noted.
//!
//! The server says once, to whoever listens, that a message ran out of deliveries, and then leaves it where it is. So a stream
//! of its own keeps what the server says: whoever opens the consumer later reads it there.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_nats::Subscriber;
use connectome_actors::port::{Stored, StreamError};
use futures_util::StreamExt;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::Store;
use super::attempts::Repeat;
use super::config;
use super::names;
use super::read::{Raw, Which};
use super::requests::subscribe;

/// Messages that one call tells; the next call tells more. As the embedded store.
const TOLD_MAX: usize = 1_024;

/// What the server says.
#[derive(Debug, Deserialize)]
struct Advisory {
    stream_seq: u64,
}

/// What is known of one consumer.
#[derive(Debug)]
pub(super) struct Exhausted {
    stream: String,
    /// Where the server says it, and under which subject it is noted.
    subject: String,
    known: Arc<Known>,
    listener: Mutex<Option<AbortHandle>>,
}

#[derive(Debug, Default)]
struct Known {
    /// By sequence, and whether it was told.
    messages: Mutex<BTreeMap<u64, bool>>,
    changed: Notify,
}

impl Exhausted {
    pub(super) fn new(store: &Store, stream: &str, consumer: &str) -> Exhausted {
        let subject = config::advisories(&store.names.stream(stream), &names::consumer(consumer));
        let (known, listener) = (Arc::default(), Mutex::default());
        Exhausted { stream: stream.to_owned(), subject, known, listener }
    }

    /// Listens, and learns what was noted before. Once is enough.
    pub(super) async fn listen(&self, store: &Arc<Store>) -> Result<(), StreamError> {
        if self.listener.lock().is_some() {
            return Ok(());
        }
        let subscription = subscribe(store.requests.connection(), self.subject.clone()).await?;
        self.learn(store).await?;
        let listener = Listener {
            store: Arc::clone(store),
            exhausted: Exhausted {
                stream: self.stream.clone(),
                subject: self.subject.clone(),
                known: Arc::clone(&self.known),
                listener: Mutex::default(),
            },
        };
        let task = tokio::spawn(listener.run(subscription)).abort_handle();
        if let Some(other) = self.listener.lock().replace(task) {
            other.abort();
        }
        Ok(())
    }

    /// Tells those that were not told, oldest first.
    pub(super) async fn tell(&self, store: &Store) -> Result<Vec<Stored>, StreamError> {
        let untold: Vec<u64> = {
            let messages = self.known.messages.lock();
            messages
                .iter()
                .filter(|(_, told)| !**told)
                .map(|(&sequence, _)| sequence)
                .take(TOLD_MAX)
                .collect()
        };
        let mut told = Vec::new();
        for sequence in untold {
            told.extend(self.message(store, sequence).await?);
        }
        let mut messages = self.known.messages.lock();
        for stored in &told {
            messages.insert(stored.sequence.0, true);
        }
        Ok(told)
    }

    /// How many are still kept.
    pub(super) async fn count(&self, store: &Store) -> Result<u64, StreamError> {
        let known: Vec<u64> = self.known.messages.lock().keys().copied().collect();
        let mut count = 0;
        for sequence in known {
            count += u64::from(self.message(store, sequence).await?.is_some());
        }
        Ok(count)
    }

    /// Waits until this message is known to have run out.
    pub(super) async fn wait_for(&self, sequence: u64) {
        loop {
            let changed = self.known.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.known.messages.lock().contains_key(&sequence) {
                return;
            }
            changed.await;
        }
    }

    /// A message was done after all, or was removed.
    pub(super) fn removed(&self, sequence: u64) -> bool {
        self.known.messages.lock().remove(&sequence).is_some()
    }

    /// A message was done after all: it is not to be told again.
    pub(super) async fn ended(&self, store: &Store, sequence: u64) -> Result<(), StreamError> {
        if !self.removed(sequence) {
            return Ok(());
        }
        for (note, noted) in self.notes(store).await? {
            if noted == sequence {
                self.strike(store, note).await?;
            }
        }
        Ok(())
    }

    /// The consumer is gone, and with it what was known.
    pub(super) async fn forget(&self, store: &Store) -> Result<(), StreamError> {
        self.known.messages.lock().clear();
        let call = format!("STREAM.PURGE.{}", store.names.exhausted(&self.stream));
        // A stream that was never made has no notes.
        let purged = store.api::<Value>(Repeat::Same, &call, &json!({ "filter": self.subject })).await;
        purged.map(drop)
    }

    /// Learns what was noted, and strikes out what is no longer kept.
    pub(super) async fn learn(&self, store: &Store) -> Result<(), StreamError> {
        for (note, sequence) in self.notes(store).await? {
            if self.known.messages.lock().contains_key(&sequence) {
                continue;
            }
            match self.message(store, sequence).await? {
                Some(_) => self.known.add(sequence),
                None => self.strike(store, note).await?,
            }
        }
        Ok(())
    }

    /// What was noted: the note's own sequence, and the message's.
    async fn notes(&self, store: &Store) -> Result<Vec<(u64, u64)>, StreamError> {
        let there = store.names.exhausted(&self.stream);
        let (mut notes, mut from) = (Vec::new(), 1);
        while let Some(found) = store.scan(&there, &self.subject, from, TOLD_MAX).await? {
            let Some(last) = found.last() else { break };
            from = last.sequence + 1;
            notes.extend(found.iter().filter_map(noted));
        }
        Ok(notes)
    }

    async fn strike(&self, store: &Store, note: u64) -> Result<(), StreamError> {
        let call = format!("STREAM.MSG.DELETE.{}", store.names.exhausted(&self.stream));
        // A note that somebody else has struck out is struck out.
        let struck = store.api::<Value>(Repeat::Same, &call, &json!({ "seq": note, "no_erase": true })).await;
        struck.map(drop)
    }

    /// The message, if it is still kept; if not, it is forgotten.
    async fn message(&self, store: &Store, sequence: u64) -> Result<Option<Stored>, StreamError> {
        let there = store.names.stream(&self.stream);
        let found = store.get(&there, Which::At(sequence)).await?;
        if found.is_none() {
            self.removed(sequence);
        }
        Ok(found.map(|raw| store.stored(raw)))
    }
}

impl Drop for Exhausted {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.lock().take() {
            listener.abort();
        }
    }
}

impl Known {
    fn add(&self, sequence: u64) {
        self.messages.lock().entry(sequence).or_insert(false);
        self.changed.notify_waiters();
    }
}

fn noted(note: &Raw) -> Option<(u64, u64)> {
    let advisory: Advisory = serde_json::from_slice(&note.body).ok()?;
    Some((note.sequence, advisory.stream_seq))
}

/// Hears what the server says, and reads what it missed after each loss of the connection.
struct Listener {
    store: Arc<Store>,
    exhausted: Exhausted,
}

impl Listener {
    async fn run(self, mut subscription: Subscriber) {
        let mut up = self.store.requests.connection().watch_up();
        loop {
            tokio::select! {
                biased;
                said = subscription.next() => match said {
                    Some(said) => self.heard(&said.payload),
                    None => return,
                },
                changed = up.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if *up.borrow_and_update() && let Err(error) = self.exhausted.learn(&self.store).await {
                        tracing::warn!(%error, "what ran out of deliveries meanwhile is learnt later");
                    }
                }
            }
        }
    }

    fn heard(&self, said: &[u8]) {
        match serde_json::from_slice::<Advisory>(said) {
            Ok(advisory) => self.exhausted.known.add(advisory.stream_seq),
            Err(error) => tracing::warn!(%error, "an advisory of the NATS server can't be read"),
        }
    }
}
