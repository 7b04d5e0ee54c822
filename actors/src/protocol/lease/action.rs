//! What a keeper asks for.

use connectome_codecs::{Revision, Term};

use super::{LeaseRecord, Ticket};

/// What a keeper asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read the entry, and say what it is. Every look is answered, at the latest by a deadline of the shell's.
    Read {
        /// To be said with the answer.
        ticket: Ticket,
    },
    /// Write the entry if it has this revision, or none. Every write is answered; without an answer it is
    /// [`super::Answer::Unknown`].
    Write {
        /// To be said with the answer.
        ticket: Ticket,
        /// What to write.
        record: LeaseRecord,
        /// The revision that it must have; `None`: there must be no entry.
        expect: Option<Revision>,
    },
    /// This node is the owner.
    Acquired {
        /// To be shown at every place of effect.
        term: Term,
    },
    /// This node is not the owner any more: stop at once.
    Lost {
        /// The ownership that has ended.
        term: Term,
        /// Why.
        why: Loss,
    },
}

/// Why an ownership has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Loss {
    /// No renewal was acknowledged in time. Perhaps nobody else has it.
    Silence,
    /// Somebody else wrote the entry.
    Taken,
    /// It was given back.
    Released,
}
