//! What a keeper is told.

use connectome_codecs::{NodeId, Revision};

use super::LeaseRecord;

/// Joins a look or a write with its answer, so that an answer that was overtaken is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What a keeper is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Try to become the owner, and stay it.
    Acquire,
    /// It is [`super::Keeper::next_tick`], or later.
    Tick,
    /// The entry has changed: look again. Never needed, only quicker.
    Changed,
    /// A look is answered.
    Read {
        /// Which.
        ticket: Ticket,
        /// The entry and its revision; `None` when there is none.
        entry: Option<(LeaseRecord, Revision)>,
    },
    /// A write is answered.
    Wrote {
        /// Which.
        ticket: Ticket,
        /// What came of it.
        answer: Answer,
    },
    /// A look failed.
    ReadFailed {
        /// Which.
        ticket: Ticket,
    },
    /// This node is silent: its leases may be taken.
    Suspected {
        /// Which.
        node: NodeId,
    },
    /// This node has spoken again, or is known to be down and has nothing.
    Cleared {
        /// Which.
        node: NodeId,
    },
    /// Give it back, and try no more.
    Release,
}

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It is written.
    Written(Revision),
    /// The entry had changed: it is not written.
    Conflict,
    /// It may or may not be written.
    Unknown,
}
