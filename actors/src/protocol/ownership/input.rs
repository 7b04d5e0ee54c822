//! What ownership is told.

use std::collections::BTreeSet;

use connectome_codecs::{AgentName, NodeId, Revision, Term};

use super::super::lease::{Answer, LeaseRecord, Ticket};

/// What ownership is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// This node can run the agent.
    Offer {
        /// Which.
        name: AgentName,
    },
    /// It can't any more: stop it if it runs here, and give it to others.
    Withdraw {
        /// Which.
        name: AgentName,
    },
    /// The other nodes that can run it, all of them.
    Offerers {
        /// Which.
        name: AgentName,
        /// Live or not.
        nodes: BTreeSet<NodeId>,
    },
    /// Somebody waits for it: a call, or a durable message.
    Wanted {
        /// Which.
        name: AgentName,
    },
    /// Another node has told, over the path whose silence counts, that it owns this name under this term.
    Heard {
        /// Which.
        name: AgentName,
        /// Its term.
        term: Term,
    },
    /// The other nodes that are heard from, all of them. One that is suspected is not among them.
    Up {
        /// Which.
        nodes: BTreeSet<NodeId>,
    },
    /// A life of this node has ended, as it or its next one has said: what it owned is free.
    Fallen {
        /// Which.
        node: NodeId,
    },
    /// The watch tells an entry.
    Seen {
        /// Whose.
        name: AgentName,
        /// What it says; `None` where it was removed.
        record: Option<LeaseRecord>,
        /// Of this change.
        revision: Revision,
    },
    /// A look is answered.
    Read {
        /// Whose.
        name: AgentName,
        /// Which.
        ticket: Ticket,
        /// The entry and its revision.
        entry: Option<(LeaseRecord, Revision)>,
    },
    /// A look failed.
    ReadFailed {
        /// Whose.
        name: AgentName,
        /// Which.
        ticket: Ticket,
    },
    /// A write is answered.
    Wrote {
        /// Whose.
        name: AgentName,
        /// Which.
        ticket: Ticket,
        /// What came of it.
        answer: Answer,
    },
    /// The agent runs.
    Started {
        /// Which.
        name: AgentName,
        /// As asked for.
        term: Term,
    },
    /// The agent does not run: it could not be started, ended of itself, or was stopped.
    Ended {
        /// Which.
        name: AgentName,
        /// The one it ran under.
        term: Term,
    },
    /// A place of effect has refused this term.
    Fenced {
        /// Whose.
        name: AgentName,
        /// Which.
        term: Term,
    },
    /// It is [`super::Ownership::next_tick`], or later.
    Tick,
    /// This node leaves: stop every agent, give every lease back, take none.
    Leave,
}
