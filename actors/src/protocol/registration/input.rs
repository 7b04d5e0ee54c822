//! What the keeper of registrations is told.

use std::collections::BTreeSet;
use std::sync::Arc;

use connectome_codecs::message::AgentRecord;
use connectome_codecs::registration::{Refusal, Registration};
use connectome_codecs::{AgentName, NodeId, Revision};

/// What the keeper of registrations is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// An agent of this node is there, and this is to be known of it.
    Wanted(AgentRecord),
    /// It is there no more.
    Unwanted(AgentName),
    /// The watch tells an entry whose signature is right.
    Seen {
        /// What it says.
        registration: Arc<Registration>,
        /// Of this entry.
        revision: Revision,
    },
    /// The watch tells that a name has no entry any more, or none that can be believed.
    Gone {
        /// Which.
        name: AgentName,
        /// Of this change.
        revision: Revision,
    },
    /// The watch was opened anew, so entries may have gone unseen: all names that had one a moment later.
    Looked(BTreeSet<AgentName>),
    /// The other nodes.
    Nodes {
        /// Those that are heard.
        up: BTreeSet<NodeId>,
        /// Those, and those that are suspected.
        present: BTreeSet<NodeId>,
    },
    /// Something that was asked for has come to its end.
    Done {
        /// Which agent it was about.
        name: AgentName,
        /// How it ended.
        done: Done,
    },
    /// A registrar has said no.
    Refused(Refusal),
    /// It is time: see `next_tick`.
    Tick,
    /// This node leaves: remove what it registered.
    Leave,
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// The stream has it.
    Published,
    /// The bucket has it.
    Wrote,
    /// The bucket has it no more.
    Removed,
    /// Somebody wrote first.
    Conflict,
    /// The store did not do it, or may not have.
    Failed,
}
