//! One agent's lane of durable messages: in order, applied once, removed when that is saved.
//!
//! A lane stands between a stream, which keeps what was sent until somebody removes it, and an agent, whose state must hold
//! the effect of each message exactly once. It decides what is pushed to the agent, when the state is saved, what is removed
//! from the stream, and when a message that keeps crashing its agent is set aside. It stores nothing and waits for nothing; no
//! decision here depends on time, so there is no clock either.
//!
//! ```text
//!   stream                       lane                          agent              store
//!   │ ── Read{7} ───────────────► │ ── Push{7} ───────────────► │                   │
//!   │ ── Read{9} ───────────────► │                             │                   │
//!   │                             │ ◄─ Handled{7} ───────────── │                   │
//!   │                             │ ── Save: state after 7, cursor 7 ─────────────► │
//!   │                             │ ── Push{9} ───────────────► │                   │
//!   │                             │ ◄─ Saved{7} ─────────────────────────────────── │
//!   │ ◄─ Remove{7} ────────────── │                             │                   │
//! ```
//!
//! The cursor is saved together with the state, in one write: the sequence up to which every message of this lane is
//! in that state. Whatever happens later, a message at or below it is removed and not applied again.
//!
//! The stream itself is read, in order, from the cursor on: nothing is delivered to anybody, so nothing has to be delivered
//! again when whoever read it is gone. The next owner of the agent reads what the last one did not remove.
//!
//! Promises:
//! * An agent is pushed one message at a time, in the order of the stream.
//! * In the saved state each message (by sequence and by id, for the last 128 ids) is applied once, whatever crashes:
//!   the agent, the process, the way to the store.
//! * A message is removed only when a saved cursor covers it.
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
    /// A message was read from the stream; those before it, from the cursor on, were read before.
    Read {
        /// Where it stands in the stream.
        sequence: Sequence,
        /// Its id.
        id: MessageId,
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
    /// Remove this message from the stream. One that is not removed, because the process ends, is read and removed by the
    /// next lane.
    Remove {
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

/// Crashes after which a message is set aside: once may be chance, twice bad luck.
pub const CRASHES_MAX: u32 = 3;
