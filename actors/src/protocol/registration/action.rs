//! What the keeper of registrations asks for.

use std::sync::Arc;

use connectome_codecs::registration::{Refusal, Registration};
use connectome_codecs::{AgentName, Revision};

/// What the keeper of registrations asks for. The first three end with [`Done`](super::Done).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Sign this and publish it, for a registrar to decide.
    Publish(Registration),
    /// Sign this and write it over this revision: it refreshes what was accepted.
    Write {
        /// What is written.
        registration: Registration,
        /// Over which.
        over: Revision,
    },
    /// Remove the entry if it has this revision.
    Remove {
        /// Whose.
        name: AgentName,
        /// Which.
        revision: Revision,
    },
    /// Lookups find it from now on.
    Show(Arc<Registration>),
    /// Lookups do not find it any more.
    Hide(Arc<Registration>),
    /// The bucket holds what this node wanted.
    Confirmed(AgentName),
    /// This node's agent is not registered, because of this.
    Refused(Refusal),
    /// This node has removed the entry of an agent whose node is down.
    Swept(Arc<Registration>),
    /// An agent that lives on no node has gone, and it is this node that tells everyone.
    Ended {
        /// What was known of it.
        registration: Arc<Registration>,
        /// Its heartbeats stopped; otherwise it was removed.
        expired: bool,
    },
}
