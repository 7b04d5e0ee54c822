//! Errors of a store, as they travel. Pure.

use connectome_actors::port::StreamError;
use connectome_codecs::{Revision, Sequence};
use serde::{Deserialize, Serialize};

/// [`StreamError`], whose words are the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refusal {
    NotFound { what: String, name: String },
    Invalid { problem: String },
    Conflict { name: String, field: String, is: String, wanted: String },
    Full { stream: String, bound: String },
    WrongRevision { key: String, current: Option<u64> },
    Gap { from: u64, to: u64 },
    Unavailable { problem: String },
    Unknown { problem: String },
}

/// What there may be none of, and what may differ: the words that errors of the port are made of.
const THINGS: &[&str] = &["stream", "consumer", "bucket", "key"];
const FIELDS: &[&str] = &["retention", "storage", "filter", "namespace"];

/// The same word of ours; one of a later version is told in general.
fn known(words: &[&'static str], word: &str, otherwise: &'static str) -> &'static str {
    words.iter().find(|known| **known == word).copied().unwrap_or(otherwise)
}

impl From<StreamError> for Refusal {
    fn from(error: StreamError) -> Refusal {
        match error {
            StreamError::NotFound { what, name } => Refusal::NotFound { what: what.to_owned(), name },
            StreamError::Invalid(problem) => Refusal::Invalid { problem },
            StreamError::Conflict { name, field, is, wanted } => {
                Refusal::Conflict { name, field: field.to_owned(), is, wanted }
            }
            StreamError::Full { stream, bound } => Refusal::Full { stream, bound },
            StreamError::WrongRevision { key, current } => {
                Refusal::WrongRevision { key, current: current.map(|revision| revision.0) }
            }
            StreamError::Gap { from, to } => Refusal::Gap { from: from.0, to: to.0 },
            StreamError::Unavailable(problem) => Refusal::Unavailable { problem },
            StreamError::Unknown(problem) => Refusal::Unknown { problem },
            other => Refusal::Unknown { problem: other.to_string() },
        }
    }
}

impl From<Refusal> for StreamError {
    fn from(refusal: Refusal) -> StreamError {
        match refusal {
            Refusal::NotFound { what, name } => {
                StreamError::NotFound { what: known(THINGS, &what, "such thing"), name }
            }
            Refusal::Invalid { problem } => StreamError::Invalid(problem),
            Refusal::Conflict { name, field, is, wanted } => {
                StreamError::Conflict { name, field: known(FIELDS, &field, "configuration"), is, wanted }
            }
            Refusal::Full { stream, bound } => StreamError::Full { stream, bound },
            Refusal::WrongRevision { key, current } => {
                StreamError::WrongRevision { key, current: current.map(Revision) }
            }
            Refusal::Gap { from, to } => StreamError::Gap { from: Sequence(from), to: Sequence(to) },
            Refusal::Unavailable { problem } => StreamError::Unavailable(problem),
            Refusal::Unknown { problem } => StreamError::Unknown(problem),
        }
    }
}
