//! Hearing of what arrives: the server publishes a sign, without the body, for each message that it has stored.
//!
//! The signs of a stream are asked for by its configuration (`republish`), the first time that somebody wants them. A listener
//! is sent those of its filters alone. What was stored while nobody was connected is told as [`Arrival::Missed`], and so is,
//! after a while of silence and now and then, that there may be something: a leader that dies between storing and
//! saying so takes the sign along.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use async_trait::async_trait;
use connectome_actors::port::{Arrival, Arrivals, StreamError};
use connectome_codecs::Sequence;
use futures_util::StreamExt;
use futures_util::stream::SelectAll;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::Store;
use super::attempts::Repeat;
use super::requests::subscribe;
use crate::streams::subject::Filter;

/// What the subjects of signs begin with; the stream's name and the message's subject follow.
const SIGNS: &str = "stored";

/// After so much silence it is looked whether a sign was lost.
const LOOK_AFTER: Duration = Duration::from_secs(5);

/// And so often in any case. What is looked through is what came since the last time and still waits.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// A handle to what arrives.
#[derive(Debug)]
pub(super) struct Handle {
    store: Arc<Store>,
    stream: String,
    signs: SelectAll<Subscriber>,
    /// What the subject of a sign has before the message's.
    prefix: String,
    up: watch::Receiver<bool>,
    /// One past the newest sequence that was told of.
    next: u64,
    /// From where it is looked the next time, and when that is at the latest.
    look_from: u64,
    look_at: Instant,
    known: VecDeque<Arrival>,
    /// Whether it is to be looked for what was not told.
    looks: bool,
}

/// Begins to hear of a stream.
pub(super) async fn open(store: &Arc<Store>, stream: &str) -> Result<Handle, StreamError> {
    store.ask_for_signs(stream).await?;
    let next = store.find(stream).await?.state.last_seq + 1;
    Ok(Handle {
        store: Arc::clone(store),
        stream: stream.to_owned(),
        signs: SelectAll::new(),
        prefix: format!("{SIGNS}.{}.", store.names.stream(stream)),
        up: store.requests.connection().watch_up(),
        next,
        look_from: next,
        look_at: Instant::now() + LOOK_EVERY,
        known: VecDeque::new(),
        looks: false,
    })
}

impl Store {
    /// Has the server say what it stores, if it does not yet.
    async fn ask_for_signs(&self, stream: &str) -> Result<(), StreamError> {
        let info = self.find(stream).await?;
        let there = self.names.stream(stream);
        let signs = json!({ "src": ">", "dest": format!("{SIGNS}.{there}.>"), "headers_only": true });
        if info.config.get("republish") == Some(&signs) {
            return Ok(());
        }
        let mut config = info.config;
        config["republish"] = signs;
        let updated = self.api::<Value>(Repeat::Same, &format!("STREAM.UPDATE.{there}"), &config).await?;
        updated.map(drop).map_err(|refusal| refusal.of_stream(stream))
    }
}

/// What a listener waits for.
enum Heard {
    Sign(Message),
    /// The connection is gone: nothing is heard, and nothing can be looked for.
    Away,
    /// The connection is there again.
    Back,
    Silence,
    Closed,
}

impl Handle {
    async fn hear(&mut self) -> Heard {
        let is_deaf = self.signs.is_empty();
        tokio::select! {
            biased;
            changed = self.up.changed() => match changed {
                Ok(()) if *self.up.borrow_and_update() => Heard::Back,
                Ok(()) => Heard::Away,
                Err(_) => Heard::Closed,
            },
            sign = timeout(LOOK_AFTER, self.signs.next()), if !is_deaf => match sign {
                Ok(Some(sign)) => Heard::Sign(sign),
                Ok(None) => Heard::Closed,
                Err(_) => Heard::Silence,
            },
        }
    }

    fn signed(&mut self, sign: &Message) {
        let header = sign.headers.as_ref().and_then(|headers| headers.get("Nats-Sequence"));
        let sequence = header.and_then(|sequence| sequence.as_str().parse::<u64>().ok());
        let subject = sign.subject.strip_prefix(self.prefix.as_str());
        // Anybody may publish under that subject; what does not look like a sign is none.
        let (Some(sequence), Some(subject)) = (sequence, subject) else { return };
        let subject = self.store.names.ours(subject).to_owned();
        self.known.push_back(Arrival::Stored { subject, sequence: Sequence(sequence) });
        self.next = self.next.max(sequence.saturating_add(1));
    }

    /// The stream may have been removed, and made by somebody who asked for no signs; or stands where it has never been.
    async fn look(&mut self) {
        if self.store.ask_for_signs(&self.stream).await.is_ok()
            && let Ok(info) = self.store.find(&self.stream).await
            && info.state.last_seq + 1 < self.next
        {
            (self.next, self.look_from) = (1, 1);
            self.known.push_back(Arrival::Anew);
        }
        self.known.push_back(Arrival::Missed { from: Sequence(self.look_from) });
        (self.look_from, self.look_at, self.looks) = (self.next, Instant::now() + LOOK_EVERY, false);
    }
}

#[async_trait]
impl Arrivals for Handle {
    async fn listen(&mut self, filter: &str) -> Result<(), StreamError> {
        Filter::parse(filter)?;
        let subject = format!("{}{}", self.prefix, self.store.names.subject(filter));
        self.signs.push(subscribe(self.store.requests.connection(), subject).await?);
        Ok(())
    }

    async fn next(&mut self) -> Result<Arrival, StreamError> {
        loop {
            if let Some(arrival) = self.known.pop_front() {
                return Ok(arrival);
            }
            if self.looks || Instant::now() >= self.look_at {
                self.looks = true;
                self.look().await;
                continue;
            }
            match self.hear().await {
                Heard::Sign(sign) => self.signed(&sign),
                Heard::Away => {}
                Heard::Back | Heard::Silence => self.looks = true,
                Heard::Closed => {
                    return Err(StreamError::Unavailable("the NATS connection is closed".to_owned()));
                }
            }
        }
    }
}
