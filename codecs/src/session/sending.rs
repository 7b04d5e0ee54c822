//! The sender's end of a chain, and the reservation that keeps it from using a key twice after a crash.
//!
//! What is written down is the chain [`RESERVATION`] messages ahead of the last write. Those messages are sealed from
//! memory; after a crash the chain goes on at the mark, and the receiver sees a gap. So one write serves 64 messages,
//! and the record never holds a key of a message that was sent.

use std::time::Duration;

use super::chain::step;
use crate::id::UnixMillis;
use crate::key::{DhSecret, Label, Secret};

/// How many messages one write is for: at a write each 64 messages its cost vanishes beside theirs, and a gap of 64 after
/// a crash is a thirtieth of what a receiver keeps keys for.
pub const RESERVATION: u32 = 64;

/// How old a chain gets before our turn is taken: for so long stolen state stays useful.
pub const CHAIN_AGE_MAX: Duration = Duration::from_secs(60);

/// The sender's end of a chain.
pub(crate) struct Sending {
    pub(crate) label: Label,
    pub(crate) key: Secret<32>,
    pub(crate) next: u32,
    /// How many messages the chain before had.
    pub(crate) previous: u32,
    pub(crate) began: UnixMillis,
    pub(crate) reserved: Mark,
}

/// A place in a chain, and the chain's key there.
pub(crate) struct Mark {
    pub(crate) next: u32,
    pub(crate) key: Secret<32>,
}

impl Mark {
    /// The mark one reservation further; nothing at the end of a chain, which has 2^32 messages.
    pub(crate) fn ahead(label: Label, next: u32, key: &Secret<32>) -> Option<Self> {
        let end = next.checked_add(RESERVATION)?;
        let key = (next..end).fold(key.duplicate(), |key, _| step(&key, label).0);
        Some(Self { next: end, key })
    }

    fn duplicate(&self) -> Self {
        Self { next: self.next, key: self.key.duplicate() }
    }
}

impl std::fmt::Debug for Sending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sending({} of {}, ..)", self.next, self.reserved.next)
    }
}

impl Sending {
    /// The number and the key of the next message; nothing when the reservation is used up.
    pub(crate) fn take(&mut self) -> Option<(u32, Secret<32>)> {
        if self.next >= self.reserved.next {
            return None;
        }
        let (next, key) = step(&self.key, self.label);
        let number = self.next;
        (self.key, self.next) = (next, number + 1);
        Some((number, key))
    }

    pub(crate) fn duplicate(&self) -> Self {
        let Self { label, next, previous, began, .. } = *self;
        let (key, reserved) = (self.key.duplicate(), self.reserved.duplicate());
        Self { label, key, next, previous, began, reserved }
    }
}

/// Keys that were set aside for the next messages, and whose record may not be written yet.
pub(crate) struct Reservation {
    pub(crate) sending: Sending,
    /// Our turn, where it was taken: the next root and the key that goes with it.
    pub(crate) turn: Option<(Secret<32>, DhSecret)>,
}

impl Reservation {
    pub(crate) fn duplicate(&self) -> Self {
        let turn = self.turn.as_ref().map(|(root, own)| (root.duplicate(), own.duplicate()));
        Self { sending: self.sending.duplicate(), turn }
    }
}
