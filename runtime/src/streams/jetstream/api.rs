//! The server's JSON API: one call, its answer, and what its error codes mean to us.
//!
//! The codes are those of nats-server's `errors.json`.

use std::time::Duration;

use connectome_actors::port::StreamError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Store;
use super::attempts::{Repeat, Trouble};
use super::requests::Request;

/// What the server answers when it does not do it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Refusal {
    #[serde(rename = "err_code", default)]
    pub(super) code: u64,
    #[serde(default)]
    pub(super) description: String,
}

pub(super) const STREAM_NOT_FOUND: u64 = 10_059;
pub(super) const NAME_IN_USE: u64 = 10_058;
pub(super) const CONSUMER_NOT_FOUND: u64 = 10_014;
pub(super) const MESSAGE_NOT_FOUND: u64 = 10_037;
pub(super) const SEQUENCE_NOT_FOUND: u64 = 10_043;
pub(super) const DELETE_FAILED: u64 = 10_057;
pub(super) const STREAM_MISMATCH: u64 = 10_060;
pub(super) const FULL: u64 = 10_077;
const TOO_LARGE: u64 = 10_054;
pub(super) const WRONG_REVISION: [u64; 2] = [10_071, 10_164];

/// Passing troubles of a server or cluster: a leader is being chosen, a server starts, a first write of an id is under way.
const PASSING: &[u64] =
    &[10_004, 10_007, 10_008, 10_009, 10_041, 10_075, 10_118, 10_119, 10_158, 10_163, 10_167, 10_194, 10_195];

/// The server or its account has no place for it.
const NO_PLACE: &[u64] = &[10_002, 10_005, 10_023, 10_028, 10_047, 10_074, 10_122];

/// Refusals of a server that has trouble of its own, not with what was asked.
const BROKEN: &[u64] = &[10_035, 10_039, 10_076];

/// Reads an answer.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<Result<T, Refusal>, Trouble> {
    let mut answer: Value = serde_json::from_slice(body).map_err(unreadable)?;
    let Some(refusal) = answer.get_mut("error").map(Value::take) else {
        return serde_json::from_value(answer).map(Ok).map_err(unreadable);
    };
    let refusal: Refusal = serde_json::from_value(refusal).map_err(unreadable)?;
    if PASSING.contains(&refusal.code) {
        return Err(Trouble::Passing(refusal.description));
    }
    Ok(Err(refusal))
}

fn unreadable(error: serde_json::Error) -> Trouble {
    Trouble::Silent(format!("the NATS server's answer can't be read: {error}"))
}

impl Store {
    /// Calls the API, for as long as it takes or the deadline allows.
    pub(super) async fn api<T: DeserializeOwned>(
        &self,
        repeat: Repeat,
        call: &str,
        body: &Value,
    ) -> Result<Result<T, Refusal>, StreamError> {
        self.persist(repeat, |patience| self.api_once(call, body, patience)).await
    }

    pub(super) async fn api_once<T: DeserializeOwned>(
        &self,
        call: &str,
        body: &Value,
        patience: Duration,
    ) -> Result<Result<T, Refusal>, Trouble> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request { subject: format!("$JS.API.{call}"), headers: None, body: body.into() };
        let answer = self.requests.ask(request, patience).await?;
        read(&answer.payload)
    }
}

impl Refusal {
    /// What it means, when it was about the stream `name`.
    pub(super) fn of_stream(self, name: &str) -> StreamError {
        match self.code {
            STREAM_NOT_FOUND => StreamError::NotFound { what: "stream", name: name.to_owned() },
            FULL => StreamError::Full { stream: name.to_owned(), bound: self.description },
            TOO_LARGE => StreamError::Full { stream: name.to_owned(), bound: "its bytes".to_owned() },
            code if NO_PLACE.contains(&code) => StreamError::Invalid(self.no_place(name)),
            code if BROKEN.contains(&code) => StreamError::Unavailable(self.description),
            code => StreamError::Invalid(format!(
                "{name}: the NATS server refuses it: {} ({code})",
                self.description
            )),
        }
    }

    /// What it means, when it was about the consumer `name` of the stream `stream`.
    pub(super) fn of_consumer(self, stream: &str, name: &str) -> StreamError {
        match self.code {
            CONSUMER_NOT_FOUND => StreamError::NotFound { what: "consumer", name: name.to_owned() },
            STREAM_NOT_FOUND => self.of_stream(stream),
            _ => self.of_stream(&format!("consumer {name} of stream {stream}")),
        }
    }

    fn no_place(&self, name: &str) -> String {
        let (key, right) = match self.code {
            10_074 => (
                "nats.replicas",
                "a single server keeps one: use 1, or run a cluster of at least as many servers",
            ),
            10_005 => ("nats.replicas", "use no more than there are servers in the cluster that have room"),
            10_028 => (
                "storage",
                "the server has no memory left for it: use file, lower max_bytes, or raise its max_mem",
            ),
            _ => (
                "streams.max_bytes",
                "it is reserved at once: lower it, or raise the server's max_file or the account's limit",
            ),
        };
        format!(
            "{name}: the NATS server has no place for it: {} ({}); {key}: {right}",
            self.description, self.code
        )
    }
}
