//! Messages that wait for one node, until they are sealed; and who waits for their having left.

use std::collections::VecDeque;

use bytes::Bytes;
use connectome_codecs::signature::BATCH_MAX;
use connectome_codecs::{Address, NodeId};
use tokio::sync::oneshot;

use crate::port::TransportError;
use crate::protocol::secrecy::NotSealed;

/// Messages that wait for one node at the most, to be sealed: what is sealed in a tenth of a second.
const WAITING_MAX: usize = 4_096;

/// Their bytes, at the most: eight of the longest.
const WAITING_BYTES_MAX: usize = 8 << 20;

#[derive(Default)]
pub(super) struct Waiting {
    pub(super) messages: VecDeque<Outgoing>,
    pub(super) bytes: usize,
    /// Whether somebody is taking them out.
    pub(super) attended: bool,
}

/// A message on its way out, and who is told what became of it.
pub(super) struct Outgoing {
    pub(super) payload: Bytes,
    pub(super) fate: Fate,
}

/// Told when a message does not leave.
pub(crate) type Lost = Box<dyn FnOnce(Unsent) + Send>;

/// Who is told what became of a message.
pub(super) enum Fate {
    /// Nobody: it is said again when it was lost.
    Unheard,
    /// Somebody waits for its having left.
    Awaited(oneshot::Sender<Result<(), Unsent>>),
    /// Nobody waits; somebody hears of it when it does not leave.
    Followed(Lost),
}

impl Outgoing {
    pub(super) fn tell(self, result: Result<(), Unsent>) {
        match (self.fate, result) {
            // Whoever waited may have given up.
            (Fate::Awaited(told), result) => drop(told.send(result)),
            (Fate::Followed(lost), Err(unsent)) => lost(unsent),
            (Fate::Followed(_), Ok(())) | (Fate::Unheard, _) => {}
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        match &self.fate {
            Fate::Awaited(told) => !told.is_closed(),
            Fate::Followed(_) | Fate::Unheard => true,
        }
    }
}

/// Why a message did not leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsent {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Sealing(#[from] NotSealed),
    #[error("{0} had no room for it, or its keys did not come, in time")]
    TooLate(NodeId),
    #[error("{0} is gone")]
    Gone(NodeId),
    #[error("the mailbox of {0} on {1} stayed full")]
    StayedFull(Address, NodeId),
}

impl Waiting {
    pub(super) fn add(&mut self, message: Outgoing) -> Result<(), Outgoing> {
        let bytes = self.bytes + message.payload.len();
        let is_full = self.messages.len() >= WAITING_MAX || bytes > WAITING_BYTES_MAX;
        if is_full && !self.messages.is_empty() {
            return Err(message);
        }
        self.bytes = bytes;
        self.messages.push_back(message);
        Ok(())
    }

    pub(super) fn take(&mut self) -> Vec<Outgoing> {
        let count = self.messages.len().min(BATCH_MAX);
        let taken: Vec<_> = self.messages.drain(..count).collect();
        self.bytes -= taken.iter().map(|message| message.payload.len()).sum::<usize>();
        taken
    }

    pub(super) fn put_back(&mut self, messages: Vec<Outgoing>) {
        self.bytes += messages.iter().map(|message| message.payload.len()).sum::<usize>();
        messages.into_iter().rev().for_each(|message| self.messages.push_front(message));
    }
}
