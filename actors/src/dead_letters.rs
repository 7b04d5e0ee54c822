//! Messages that were given up: each with its reason, counted, and the last of them kept to look at.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use connectome_codecs::{Address, AgentName, DecodeError, UnixMillis, wire};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::port::StreamError;

/// Dead letters kept to look at: enough to see what goes wrong, little enough to forget about its memory.
pub const DEAD_LETTERS_KEPT: usize = 1_024;

/// Why a message was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Nobody has that address.
    NoAgent,
    /// The mailbox was full: this message was refused, or the oldest one made room.
    MailboxFull,
    /// The agent does not handle this type.
    NoHandler,
    /// Its deadline came before its turn.
    Expired,
    /// Its caller stopped waiting before its turn.
    Abandoned,
    /// The agent stopped for good before its turn.
    Stopped,
    /// It crashed the agent that handled it; a durable one did so as often as it may.
    Crashed,
    /// It could not leave this node.
    NotSent,
    /// It could not be understood.
    Malformed,
}

impl Reason {
    /// A stable word for metrics and subjects.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::NoAgent => "no_agent",
            Reason::MailboxFull => "mailbox_full",
            Reason::NoHandler => "no_handler",
            Reason::Expired => "expired",
            Reason::Abandoned => "abandoned",
            Reason::Stopped => "stopped",
            Reason::Crashed => "crashed",
            Reason::NotSent => "not_sent",
            Reason::Malformed => "malformed",
        }
    }
}

/// One message that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// When.
    pub at: UnixMillis,
    /// Whom it was for.
    pub to: Address,
    /// Who sent it, where that is known.
    pub from: Option<Address>,
    /// The wire name of its type.
    pub message: String,
    /// Why.
    pub reason: Reason,
    /// The same in words.
    pub cause: String,
}

/// A durable message or a task that was given up, as the `DEAD_LETTERS` stream keeps it: everything that is needed to
/// understand it, and to send it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buried {
    /// Why, in a word: the code of an error, or of a [`Reason`].
    #[serde(default)]
    pub code: String,
    /// Why, in words. Empty while they are sealed.
    pub cause: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The stream it was in.
    pub stream: String,
    /// The subject it had there.
    pub subject: String,
    /// The envelope, byte for byte. While its body is sealed here, it has none.
    pub payload: Bytes,
    /// The task's record with its history, encoded, where it was a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Bytes>,
    /// The words of the cause, and what else is for its owner alone: see [`Seals::open_letter`](crate::Seals::open_letter).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Bytes>,
}

impl Buried {
    /// Its bytes in the stream.
    ///
    /// # Errors
    /// When it is too large for one frame; then the payload is the reason.
    pub fn encode(&self) -> Result<Bytes, StreamError> {
        wire::encode(self)
            .map_err(|error| StreamError::Invalid(format!("a dead letter can't be written: {error}")))
    }

    /// Reads what the stream keeps.
    ///
    /// # Errors
    /// When the bytes are no dead letter.
    pub fn decode(bytes: &[u8]) -> Result<Buried, DecodeError> {
        wire::decode(bytes)
    }
}

/// The dead letters of one node.
#[derive(Default)]
pub(crate) struct DeadLetters {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    last: VecDeque<DeadLetter>,
    counts: BTreeMap<Reason, u64>,
}

impl DeadLetters {
    pub(crate) fn add(&self, letter: DeadLetter) {
        tracing::debug!(to = %letter.to, message = letter.message, reason = letter.reason.as_str(), "dead letter");
        let mut inner = self.inner.lock();
        *inner.counts.entry(letter.reason).or_default() += 1;
        if inner.last.len() == DEAD_LETTERS_KEPT {
            inner.last.pop_front();
        }
        inner.last.push_back(letter);
    }

    pub(crate) fn last(&self) -> Vec<DeadLetter> {
        self.inner.lock().last.iter().cloned().collect()
    }

    pub(crate) fn counts(&self) -> BTreeMap<Reason, u64> {
        self.inner.lock().counts.clone()
    }
}

/// The address of an agent of this node.
pub(crate) fn address_of(name: &AgentName) -> Address {
    Address::Agent(name.clone())
}
