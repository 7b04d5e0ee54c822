//! One agent's lane of durable messages: in order, applied once, acknowledged when that is saved.
//!
//! A lane stands between a durable consumer, which delivers at least once, and an agent, whose state must hold the
//! effect of each message exactly once. It decides what is pushed to the agent, when the state is saved, what is
//! acknowledged, and when a message that keeps crashing its agent is set aside. It stores nothing and waits for
//! nothing; no decision here depends on time, so there is no clock either.
//!
//! ```text
//!   consumer                     lane                          agent              store
//!   │ ── Delivered{7} ──────────► │ ── Push{7} ───────────────► │                   │
//!   │                             │ ◄─ Handled{7} ───────────── │                   │
//!   │                             │ ── Save: state after 7, cursor 7 ─────────────► │
//!   │                             │ ── Push{9} ───────────────► │                   │
//!   │                             │ ◄─ Saved{7} ─────────────────────────────────── │
//!   │ ◄─ Ack{7} ───────────────── │                             │                   │
//!   │ ── Delivered{7} again ────► │   7 ≤ cursor                │                   │
//!   │ ◄─ Ack{7} ───────────────── │                             │                   │
//! ```
//!
//! The cursor is saved together with the state, in one write: the sequence up to which every message of this lane is
//! in that state. Whatever happens later, a message at or below it is acknowledged and not applied again.
//!
//! That needs order, which redelivery breaks. So a lane is opened with what its stream holds beyond the cursor, and
//! takes those first, in that order, fetching what the consumer does not bring by itself; after them a consumer
//! delivers in order. What the lane has no room for it remembers, and takes before anything newer.
//!
//! Promises:
//! * An agent is pushed one message at a time, in the order of the stream.
//! * In the saved state each message (by sequence and by id, for the last 128 ids) is applied once, whatever crashes:
//!   the agent, the process, the way to the store.
//! * A message is acknowledged only when a saved cursor covers it.
//! * A message that crashed its agent three times is set aside with its cause, and the lane goes on. A message that
//!   ends the whole process does so once unsuspected; afterwards those that were in hand are handled one by one, each
//!   after a mark was saved together with the cursor, so that such ends are counted across processes (three more) and
//!   messages that only waited nearby are not blamed.
//! * Nothing is stuck: while the agent runs and the store answers, the head of the lane is pushed, saved or set aside.

mod kept;
mod lane;
mod recent;

use connectome_codecs::{MessageId, Sequence};

pub use kept::{Kept, Trial};
pub use lane::Lane;

/// What a lane is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// An incarnation of the agent runs.
    Started {
        /// What its state holds: the cursor that was saved with the state it loaded, after any save on the way was
        /// answered. An agent that keeps no state holds all that was ever handled: [`Lane::applied`].
        cursor: Sequence,
    },
    /// The agent crashed.
    Crashed {
        /// The message that it was handling; `None` when it was none of this lane's.
        sequence: Option<Sequence>,
        /// What happened, for the dead letter.
        cause: String,
    },
    /// The consumer delivered a message.
    Delivered {
        /// Where it stands in the stream.
        sequence: Sequence,
        /// Its id.
        id: MessageId,
    },
    /// A fetch from the consumer ended without an answer, so it may have delivered messages that nobody has: they come
    /// again late, out of order. This is what the stream holds beyond [`Lane::applied`], in order; read after that
    /// fetch, and before the next one.
    Missed {
        /// At most [`EXPECTED_MAX`].
        waiting: Vec<Sequence>,
    },
    /// A message that was to be fetched was read from the stream.
    Fetched {
        /// Where it stands in the stream.
        sequence: Sequence,
        /// Its id.
        id: MessageId,
    },
    /// A message that was to be fetched is not in the stream any more.
    Gone {
        /// Where it stood.
        sequence: Sequence,
    },
    /// The agent has handled a message, with or without an error.
    Handled {
        /// Which.
        sequence: Sequence,
    },
    /// State and cursor are saved.
    Saved {
        /// As asked for.
        cursor: Sequence,
    },
    /// The dead letter is stored.
    SetAside {
        /// The message that it is about.
        sequence: Sequence,
    },
    /// The agent stops here, or moves. Save first what was handled.
    Detached,
}

/// What a lane asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Put this message into the agent's mailbox, and say when it is handled.
    Push {
        /// Which.
        sequence: Sequence,
    },
    /// Save [`Lane::kept`] and the agent's state as it was when it had handled `cursor`, in one write; try until it
    /// succeeds.
    Save {
        /// To be said when it is saved.
        cursor: Sequence,
    },
    /// Acknowledge the delivery of this message, if it was delivered.
    Ack {
        /// Which.
        sequence: Sequence,
    },
    /// Give the delivery of this message back; it may come again at once.
    Nak {
        /// Which.
        sequence: Sequence,
    },
    /// Read this message from the stream: it comes before what was delivered.
    Fetch {
        /// Which.
        sequence: Sequence,
    },
    /// Store a dead letter about this message; try until it succeeds.
    DeadLetter {
        /// Which.
        sequence: Sequence,
        /// What it did, the last time.
        cause: String,
        /// How often.
        crashes: u32,
    },
}

/// Messages in hand. Enough to hide a round trip to the store, few enough that a thousand lanes fit in memory.
pub const IN_HAND_MAX: usize = 64;

/// Ids that are remembered: an id that is sent again is recognised while fewer than this many came between. They are
/// written with every save, 28 bytes each, so they are as many as a sender could have in doubt at once, and no more.
pub const RECENT_MAX: usize = 128;

/// Messages that are known to come and not in hand. The consumer's bound on deliveries that are not acknowledged must
/// not be larger, so that a lane that is opened knows of every message that was delivered before.
pub const EXPECTED_MAX: usize = 1_024;

/// Crashes after which a message is set aside: once may be chance, twice bad luck.
pub const CRASHES_MAX: u32 = 3;
