//! One side of the agreement with one peer, once it stands: what was sent, what has arrived, when it was last heard.
//!
//! Pure: no clock, no socket; times are durations since the transport was opened. How two nodes come to agree is in
//! `links/meeting.rs`; the three parts of a link are the files beside this one.

use std::time::Duration;

use super::packet::{Incarnation, Token};

mod incoming;
mod liveness;
mod outgoing;

pub(super) use incoming::{Arrival, Incoming, Outcome, Place};
#[cfg(test)]
pub(super) use liveness::MOVE_MAX;
pub(super) use liveness::{Liveness, SILENCE_MAX};
pub(super) use outgoing::Outgoing;

/// A peer that can be sent to.
#[derive(Debug)]
pub(super) struct Link {
    /// The life of the peer that this link is with.
    pub(super) incarnation: Incarnation,
    /// What the peer calls it when it sends to us.
    pub(super) mine: Token,
    /// What we call it when we send.
    pub(super) theirs: Token,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
    pub(super) liveness: Liveness,
}

impl Link {
    pub(super) fn new(incarnation: Incarnation, mine: Token, theirs: Token, now: Duration) -> Link {
        Link {
            incarnation,
            mine,
            theirs,
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
            liveness: Liveness::new(now),
        }
    }
}
