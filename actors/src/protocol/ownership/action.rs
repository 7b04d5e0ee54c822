//! What ownership asks for.

use connectome_codecs::{AgentName, Revision, Term};

use super::super::lease::{LeaseRecord, Ticket};

/// What ownership asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read the entry of this name, and say what it is. Every look is answered, at the latest by a deadline.
    Read {
        /// Whose.
        name: AgentName,
        /// To be said with the answer.
        ticket: Ticket,
    },
    /// Write the entry of this name if it has this revision, or none. Every write is answered.
    Write {
        /// Whose.
        name: AgentName,
        /// To be said with the answer.
        ticket: Ticket,
        /// What to write.
        record: LeaseRecord,
        /// The revision that it must have; `None`: there must be no entry.
        expect: Option<Revision>,
    },
    /// Start the agent under this term. Say [`super::Input::Started`] or [`super::Input::Ended`].
    Start {
        /// Which.
        name: AgentName,
        /// To be shown at every place of effect.
        term: Term,
    },
    /// Stop the agent, after the message that it has in hand. Say [`super::Input::Ended`].
    Stop {
        /// Which.
        name: AgentName,
        /// The one it runs under.
        term: Term,
        /// It is still this node's and goes to another one: it may finish what it has begun.
        hand_over: bool,
    },
}
