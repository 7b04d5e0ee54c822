//! Hearing of what arrives: the server publishes a sign, without the body, for each message that it has stored.
//!
//! The signs of a stream are asked for by its configuration (`republish`), the first time that somebody wants them. They carry
//! the sequence, so one that is missing shows; what was stored while nobody was connected is told as
//! [`Arrival::Missed`], and so is, after a while of silence, that there may be something.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use async_trait::async_trait;
use connectome_actors::port::{Arrival, Arrivals, StreamError};
use connectome_codecs::Sequence;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Store;
use super::attempts::Repeat;
use super::requests::subscribe;
use crate::streams::subject::Filter;

/// What the subjects of signs begin with; the stream's name and the message's subject follow.
const SIGNS: &str = "stored";

/// After so much silence it is looked whether a sign was lost: the last one before a pause, which no later one shows.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A handle to what arrives.
#[derive(Debug)]
pub(super) struct Handle {
    store: Arc<Store>,
    stream: String,
    signs: Subscriber,
    /// What the subject of a sign has before the message's.
    prefix: String,
    up: watch::Receiver<bool>,
    /// Whether the filter takes everything that the stream does: then a sequence that is not told of was missed.
    wants_all: bool,
    /// The sequence that is to be told of next.
    next: u64,
    /// Whether a sign came already: the first may be of messages from before.
    began: bool,
    known: VecDeque<Arrival>,
    /// Whether it is to be looked for what was not told.
    looks: bool,
}

/// Begins to listen.
pub(super) async fn open(store: &Arc<Store>, stream: &str, filter: &str) -> Result<Handle, StreamError> {
    let wanted = Filter::parse(filter)?;
    let prefix = format!("{SIGNS}.{}.", store.names.stream(stream));
    let up = store.requests.connection().watch_up();
    let signs =
        subscribe(store.requests.connection(), format!("{prefix}{}", store.names.subject(filter))).await?;
    store.ask_for_signs(stream).await?;
    // The server knew of the subscription before it was asked this.
    let info = store.find(stream).await?;
    let subjects = info.kept()?.stream(&store.names, stream).subjects;
    Ok(Handle {
        store: Arc::clone(store),
        stream: stream.to_owned(),
        signs,
        prefix,
        up,
        wants_all: subjects.iter().all(|subject| wanted.covers(subject)),
        next: info.state.last_seq + 1,
        began: false,
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
    /// The connection is there again.
    Back,
    Silence,
    Closed,
}

impl Handle {
    async fn hear(&mut self) -> Heard {
        tokio::select! {
            biased;
            changed = self.up.changed() => match changed {
                Ok(()) if *self.up.borrow_and_update() => Heard::Back,
                Ok(()) => Heard::Silence,
                Err(_) => Heard::Closed,
            },
            sign = timeout(LOOK_EVERY, self.signs.next()) => match sign {
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
        if sequence < self.next && self.began {
            self.known.push_back(Arrival::Anew);
        } else if sequence > self.next && self.wants_all {
            self.missed();
        }
        let subject = self.store.names.ours(subject).to_owned();
        self.known.push_back(Arrival::Stored { subject, sequence: Sequence(sequence) });
        (self.next, self.began) = (sequence.saturating_add(1), true);
    }

    fn missed(&mut self) {
        self.known.push_back(Arrival::Missed { from: Sequence(self.next) });
    }

    /// The stream may have been removed, and made by somebody who asked for no signs; or stands where it has never been.
    async fn look(&mut self) {
        if self.store.ask_for_signs(&self.stream).await.is_ok()
            && let Ok(info) = self.store.find(&self.stream).await
            && info.state.last_seq + 1 < self.next
        {
            (self.next, self.began) = (1, false);
            self.known.push_back(Arrival::Anew);
        }
        self.missed();
        self.looks = false;
    }
}

#[async_trait]
impl Arrivals for Handle {
    async fn next(&mut self) -> Result<Arrival, StreamError> {
        loop {
            if let Some(arrival) = self.known.pop_front() {
                return Ok(arrival);
            }
            if self.looks {
                self.look().await;
                continue;
            }
            match self.hear().await {
                Heard::Sign(sign) => self.signed(&sign),
                Heard::Back | Heard::Silence => self.looks = true,
                Heard::Closed => {
                    return Err(StreamError::Unavailable("the NATS connection is closed".to_owned()));
                }
            }
        }
    }
}
