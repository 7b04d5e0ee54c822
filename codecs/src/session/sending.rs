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
    label: Label,
    /// The chain's key behind the messages whose keys stand in `ahead`.
    pub(crate) key: Secret<32>,
    pub(crate) next: u32,
    /// How many messages the chain before had.
    pub(crate) previous: u32,
    pub(crate) began: UnixMillis,
    pub(crate) reserved: Mark,
    /// The keys of the next messages, the first one last, where they were worked out with the reservation.
    ahead: Vec<Secret<32>>,
}

/// A place in a chain, and the chain's key there.
pub(crate) struct Mark {
    pub(crate) next: u32,
    pub(crate) key: Secret<32>,
}

impl Mark {
    /// The mark one reservation further, and the keys of the messages on the way, the first one last; nothing at the end
    /// of a chain, which has 2^32 messages.
    pub(crate) fn ahead(&self, label: Label) -> Option<(Self, Vec<Secret<32>>)> {
        let end = self.next.checked_add(RESERVATION)?;
        let mut ahead = Vec::with_capacity(RESERVATION as usize);
        let key = (self.next..end).fold(self.key.duplicate(), |key, _| {
            let (next, key) = step(&key, label);
            ahead.push(key);
            next
        });
        ahead.reverse();
        Some((Self { next: end, key }, ahead))
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
    /// A chain that goes on at a mark; nothing is reserved.
    pub(crate) fn at(label: Label, reserved: Mark, previous: u32, began: UnixMillis) -> Self {
        let (key, next) = (reserved.key.duplicate(), reserved.next);
        Self { label, key, next, previous, began, reserved, ahead: Vec::new() }
    }

    /// The number and the key of the next message; nothing when the reservation is used up.
    pub(crate) fn take(&mut self) -> Option<(u32, Secret<32>)> {
        if self.next >= self.reserved.next {
            return None;
        }
        let key = match self.ahead.pop() {
            Some(key) => key,
            None => {
                let (next, key) = step(&self.key, self.label);
                self.key = next;
                key
            }
        };
        let number = self.next;
        self.next = number + 1;
        Some((number, key))
    }

    /// Adds a reservation, with its keys.
    pub(crate) fn extend(&mut self, reserved: Mark, mut ahead: Vec<Secret<32>>) {
        ahead.append(&mut self.ahead);
        self.ahead = ahead;
        self.key = reserved.key.duplicate();
        self.reserved = reserved;
    }

    /// Whether more than a reservation waits to be used.
    pub(crate) fn has_plenty(&self) -> bool {
        self.reserved.next - self.next > RESERVATION
    }

    /// As it is at rest: at the mark, without a key of a message that may be sent.
    pub(crate) fn at_rest(&self) -> Self {
        Self::at(self.label, self.reserved.duplicate(), self.previous, self.began)
    }
}

/// Keys that were set aside for the next messages, and whose record may not be written yet.
pub(crate) enum Reservation {
    /// More of the chain that there is.
    More { reserved: Mark, ahead: Vec<Secret<32>> },
    /// Our turn: a new chain, and the root and the ratchet key that go with it.
    Turn { sending: Sending, root: Secret<32>, own: DhSecret },
}

impl Reservation {
    pub(crate) fn at_rest(&self) -> Self {
        match self {
            Self::More { reserved, .. } => Self::More { reserved: reserved.duplicate(), ahead: Vec::new() },
            Self::Turn { sending, root, own } => {
                Self::Turn { sending: sending.at_rest(), root: root.duplicate(), own: own.duplicate() }
            }
        }
    }
}
