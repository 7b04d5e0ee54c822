//! Messages that were given up: each with its reason, counted, and the last of them kept to look at.

use std::collections::{BTreeMap, VecDeque};

use connectome_codecs::{Address, AgentName, UnixMillis};
use parking_lot::Mutex;

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
        tracing::debug!(to = %letter.to, message = letter.message, cause = letter.cause, "dead letter");
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
