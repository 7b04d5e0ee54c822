//! Publishing: an acknowledgement for each message, tried again with the same id until it comes.

use std::time::Duration;

use async_nats::HeaderMap;
use connectome_actors::port::{Publish, Published, StreamError};
use connectome_codecs::Sequence;
use serde::Deserialize;
use serde_json::Value;

use super::Store;
use super::api::{self, FULL, Refusal, STREAM_MISMATCH};
use super::attempts::{Repeat, Trouble};
use super::requests::{Lost, Request};
use super::stream::Info;
use crate::streams::checks;
use crate::streams::subject::Filter;

/// Headers that the server reads, and keeps with the message.
pub(super) const ID: &str = "Nats-Msg-Id";
const EXPECTED_STREAM: &str = "Nats-Expected-Stream";

/// How long a server is asked why it does not acknowledge a write: one that answers does so at once.
const WHY_MAX: Duration = Duration::from_millis(500);

/// The server's acknowledgement.
#[derive(Debug, Deserialize)]
pub(super) struct Acknowledgement {
    pub(super) seq: u64,
    #[serde(default)]
    pub(super) duplicate: bool,
}

impl Store {
    pub(super) async fn publish(&self, stream: &str, message: Publish) -> Result<Published, StreamError> {
        checks::check_message(&message)?;
        let Publish { subject, id, body } = message;
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED_STREAM, self.names.stream(stream));
        if let Some(id) = id {
            headers.insert(ID, id.to_string());
        }
        let _room = self.room(body.len()).await?;
        let repeat = if id.is_some() { Repeat::Same } else { Repeat::Twice };
        let request = Request { subject: self.names.subject(&subject), headers: Some(headers), body };
        let publish =
            || self.persist(repeat, |patience| self.publish_once(stream, &subject, &request, patience));
        let mut published = publish().await?;
        if matches!(&published, Err(refusal) if refusal.code == FULL) && self.settle(stream).await? {
            published = publish().await?;
        }
        match published {
            Ok(Acknowledgement { seq, duplicate }) => Ok(Published { sequence: Sequence(seq), duplicate }),
            Err(Refusal { code: STREAM_MISMATCH, .. }) => Err(self.why_not(stream, &subject).await),
            Err(refusal) => Err(refusal.of_stream(stream)),
        }
    }

    async fn publish_once(
        &self,
        stream: &str,
        subject: &str,
        request: &Request,
        patience: Duration,
    ) -> Result<Result<Acknowledgement, Refusal>, Trouble> {
        match self.write(request.clone(), patience).await {
            // Either no stream takes it, or the one that does is lost, or has no leader now.
            Err(Attempt::Lost(Lost::Nobody)) => match self.check_there(stream, subject).await {
                Err(StreamError::Unavailable(problem)) => Err(Trouble::Passing(problem)),
                Err(error) => Err(error.into()),
                Ok(()) => Err(Lost::Nobody.into()),
            },
            Err(Attempt::Lost(Lost::Silent)) => {
                Err(self.why_silent(stream, &self.names.stream(stream)).await)
            }
            Err(attempt) => Err(attempt.into()),
            Ok(answer) => Ok(answer),
        }
    }

    /// Writes once into whatever stream takes the subject.
    pub(super) async fn write(
        &self,
        request: Request,
        patience: Duration,
    ) -> Result<Result<Acknowledgement, Refusal>, Attempt> {
        let answer = self.requests.ask(request, patience).await.map_err(Attempt::Lost)?;
        let answer = api::read::<Acknowledgement>(&answer.payload).map_err(Attempt::Trouble)?;
        if let Ok(acknowledgement) = &answer {
            self.counters.publishes.add(1);
            self.counters.duplicates.add(u64::from(acknowledgement.duplicate));
        }
        Ok(answer)
    }

    /// Passes when the stream takes the subject, and is there, or is again.
    async fn check_there(&self, stream: &str, subject: &str) -> Result<(), StreamError> {
        self.make_again(&self.names.stream(stream)).await?;
        self.check_taken(stream, subject).await
    }

    /// Passes when the stream is there and takes the subject.
    async fn check_taken(&self, stream: &str, subject: &str) -> Result<(), StreamError> {
        let config = self.find(stream).await?.kept()?.stream(&self.names, stream);
        let filters: Vec<Filter> =
            config.subjects.iter().filter_map(|text| Filter::parse(text).ok()).collect();
        checks::check_taken(&config, &filters, subject)
    }

    /// Why a write was not acknowledged: a server whose disk is full answers everything else.
    pub(super) async fn why_silent(&self, name: &str, there: &str) -> Trouble {
        match self.api_once::<Info>(&format!("STREAM.INFO.{there}"), &Value::Null, WHY_MAX).await {
            Ok(Ok(info)) => Trouble::Silent(format!(
                "{name}: the NATS server answers, and acknowledges nothing that is written there, beside {} bytes: its disk is \
                 full, or fails. Free space where its store_dir is, then restart that server",
                info.state.bytes
            )),
            Ok(Err(_)) | Err(_) => Lost::Silent.into(),
        }
    }

    async fn why_not(&self, stream: &str, subject: &str) -> StreamError {
        let elsewhere =
            || StreamError::Invalid(format!("subject {subject:?} belongs to another stream than {stream}"));
        self.check_taken(stream, subject).await.err().unwrap_or_else(elsewhere)
    }
}

/// Why one write has no answer.
#[derive(Debug)]
pub(super) enum Attempt {
    Lost(Lost),
    Trouble(Trouble),
}

impl From<Attempt> for Trouble {
    fn from(attempt: Attempt) -> Trouble {
        match attempt {
            Attempt::Lost(lost) => lost.into(),
            Attempt::Trouble(trouble) => trouble,
        }
    }
}
