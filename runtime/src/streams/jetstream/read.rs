//! Reading without consuming: direct gets, many messages to a request.
//!
//! With several replicas any of them answers a direct get, and may be behind; so what it gave is continued by the leader, and
//! one message is asked of the leader alone.

use std::time::Duration;

use async_nats::datetime::{DateTime, parse_rfc3339};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::RawMessage;
use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use connectome_actors::port::{Stored, StreamError};
use connectome_codecs::{Sequence, UnixMillis};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Store;
use super::api::{MESSAGE_NOT_FOUND, Refusal};
use super::attempts::{Repeat, Trouble};
use super::publish::ID;
use super::requests::{Lost, Request};
use crate::streams::subject::Filter;

/// Messages that one [`Streams::read`](connectome_actors::port::Streams::read) gives, whatever it asked for: as the embedded
/// store.
const READ_MAX: usize = 4_096;

/// Messages and bytes of one request: as much as the inbox holds beside everything else.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 8 * 1024 * 1024;

const NOT_FOUND: u16 = 404;

/// A message as the server keeps it, under its own subject.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    pub(super) sequence: u64,
    pub(super) subject: String,
    pub(super) headers: HeaderMap,
    pub(super) at: UnixMillis,
    pub(super) body: Bytes,
}

/// Which message to get.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which<'a> {
    /// The one with this sequence.
    At(u64),
    /// The first one from this sequence on with a subject that matches.
    Next(u64, &'a str),
    /// The last one with this subject.
    Last(&'a str),
}

impl Store {
    pub(super) async fn read(
        &self,
        stream: &str,
        filter: &str,
        from: u64,
        max: usize,
    ) -> Result<Vec<Stored>, StreamError> {
        Filter::parse(filter)?;
        if max == 0 {
            return self.find(stream).await.map(|_| Vec::new());
        }
        self.settle(stream).await?;
        let filter = self.names.subject(filter);
        let there = self.names.stream(stream);
        match self.scan(&there, &filter, from.max(1), max.min(READ_MAX)).await? {
            Some(found) => Ok(found.into_iter().map(|raw| self.stored(raw)).collect()),
            // Made again, or not ours.
            None => self.find(stream).await.map(|_| Vec::new()),
        }
    }

    /// Up to `max` messages from a sequence on; all names are the server's. `None`: there is no such stream.
    pub(super) async fn scan(
        &self,
        there: &str,
        filter: &str,
        mut from: u64,
        max: usize,
    ) -> Result<Option<Vec<Raw>>, StreamError> {
        let mut found = Vec::new();
        while found.len() < max {
            let wanted = BATCH.min(max - found.len());
            let Some(batch) = self.batch(there, filter, from, wanted).await? else { return Ok(None) };
            match batch.last() {
                Some(last) => from = last.sequence.saturating_add(1),
                None if self.options.replicas == 1 => break,
                None => match self.get(there, Which::Next(from, filter)).await? {
                    Some(next) => {
                        from = next.sequence.saturating_add(1);
                        found.push(next);
                    }
                    None => break,
                },
            }
            found.extend(batch);
        }
        Ok(Some(found))
    }

    /// One batch of a direct get.
    pub(super) async fn batch(
        &self,
        there: &str,
        filter: &str,
        from: u64,
        max: usize,
    ) -> Result<Option<Vec<Raw>>, StreamError> {
        let body = json!({ "seq": from, "next_by_subj": filter, "batch": max, "max_bytes": BATCH_BYTES });
        let request = direct(there, &body);
        let read = self.persist(Repeat::Reads, |patience| self.batch_once(there, &request, max, patience));
        read.await
    }

    async fn batch_once(
        &self,
        there: &str,
        request: &Request,
        max: usize,
        patience: Duration,
    ) -> Result<Option<Vec<Raw>>, Trouble> {
        let ends = |message: &Message| message.status.is_some_and(|status| status.as_u16() != 200);
        match self.requests.ask_many(request.clone(), max + 1, patience, ends).await {
            Ok(messages) => messages.into_iter().map(raw).collect::<Result<_, _>>().map(Some),
            Err(Lost::Nobody) => self.nobody(there).await,
            Err(lost) => Err(lost.into()),
        }
    }

    /// One message; all names are the server's.
    pub(super) async fn get(&self, there: &str, which: Which<'_>) -> Result<Option<Raw>, StreamError> {
        let body = match which {
            Which::At(sequence) => json!({ "seq": sequence }),
            Which::Next(sequence, filter) => json!({ "seq": sequence, "next_by_subj": filter }),
            Which::Last(subject) => json!({ "last_by_subj": subject }),
        };
        if self.options.replicas > 1 {
            return self.get_from_leader(there, &body).await;
        }
        let request = direct(there, &body);
        self.persist(Repeat::Reads, |patience| self.get_once(there, &request, patience)).await
    }

    async fn get_once(
        &self,
        there: &str,
        request: &Request,
        patience: Duration,
    ) -> Result<Option<Raw>, Trouble> {
        match self.requests.ask(request.clone(), patience).await {
            Ok(message) => match message.status.map(|status| status.as_u16()) {
                None => raw(message).map(Some),
                Some(NOT_FOUND) => Ok(None),
                Some(status) => Err(Trouble::Passing(said(status, &message))),
            },
            Err(Lost::Nobody) => self.nobody(there).await,
            Err(lost) => Err(lost.into()),
        }
    }

    async fn get_from_leader(&self, there: &str, body: &Value) -> Result<Option<Raw>, StreamError> {
        #[derive(Deserialize)]
        struct Found {
            message: RawMessage,
        }
        match self.api::<Found>(Repeat::Reads, &format!("STREAM.MSG.GET.{there}"), body).await? {
            Ok(found) => whole(found.message).map(Some),
            Err(Refusal { code: MESSAGE_NOT_FOUND, .. }) => Ok(None),
            Err(refusal) => Err(refusal.of_stream(there)),
        }
    }

    /// Nobody answers a direct get: there is no such stream, or it has no leader now.
    async fn nobody<T>(&self, there: &str) -> Result<Option<T>, Trouble> {
        match self.look_up(there).await? {
            Some(_) => Err(Lost::Nobody.into()),
            None => Ok(None),
        }
    }

    /// The message as we know it.
    pub(super) fn stored(&self, raw: Raw) -> Stored {
        let Raw { sequence, subject, headers, at, body } = raw;
        let id = headers.get(ID).and_then(|id| id.as_str().parse().ok());
        Stored { sequence: Sequence(sequence), subject: self.names.ours(&subject).to_owned(), id, at, body }
    }
}

fn direct(there: &str, body: &Value) -> Request {
    Request { subject: format!("$JS.API.DIRECT.GET.{there}"), headers: None, body: body.to_string().into() }
}

fn said(status: u16, message: &Message) -> String {
    format!("the NATS server answers {status} {}", message.description.as_deref().unwrap_or_default())
}

/// What a direct get answered.
fn raw(message: Message) -> Result<Raw, Trouble> {
    let headers = message.headers.unwrap_or_default();
    let header = |name: &str| headers.get(name).map(|value| value.as_str());
    let sequence = header("Nats-Sequence").and_then(|text| text.parse().ok());
    let at = header("Nats-Time-Stamp").and_then(|text| parse_rfc3339(text).ok());
    let (Some(sequence), Some(subject), Some(at)) = (sequence, header("Nats-Subject"), at) else {
        return Err(Trouble::Silent("the NATS server gave a message without its headers".to_owned()));
    };
    let subject = subject.to_owned();
    Ok(Raw { sequence, subject, at: moment(at), body: message.payload, headers })
}

/// What the leader answered.
fn whole(message: RawMessage) -> Result<Raw, StreamError> {
    let unreadable =
        |error| StreamError::Unavailable(format!("the NATS server's message can't be read: {error}"));
    let StreamMessage { subject, sequence, headers, payload, time } =
        StreamMessage::try_from(message).map_err(unreadable)?;
    Ok(Raw { sequence, subject: subject.to_string(), headers, at: moment(time), body: payload })
}

fn moment(at: DateTime) -> UnixMillis {
    UnixMillis(u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
}
