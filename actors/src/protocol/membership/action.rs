//! What membership asks for.

use connectome_codecs::message::{AgentRecord, Discovery, Heartbeat};
use connectome_codecs::{AgentName, NodeId};

/// What membership asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Say this to every node.
    Broadcast(Said),
    /// Say this to one node.
    Send {
        /// To which.
        to: NodeId,
        /// What.
        body: Discovery,
    },
    /// A node is there. Its agents follow.
    NodeUp {
        /// Which.
        node: NodeId,
        /// Which life of it.
        incarnation: u64,
    },
    /// A node is silent. Its agents stay in the view; prefer others.
    NodeSuspected {
        /// Which.
        node: NodeId,
    },
    /// A suspected node has spoken.
    NodeRecovered {
        /// Which.
        node: NodeId,
    },
    /// A node is gone; [`Action::AgentDown`] for each of its agents came before.
    NodeDown {
        /// Which.
        node: NodeId,
        /// How that is known.
        why: Gone,
    },
    /// An agent lives there, or what is known of it has changed.
    AgentUp {
        /// Where.
        node: NodeId,
        /// What is known of it.
        record: AgentRecord,
    },
    /// An agent does not live there any more.
    AgentDown {
        /// Where it lived.
        node: NodeId,
        /// Its name.
        name: AgentName,
    },
    /// That node would run an agent of this name.
    OfferUp {
        /// Which node.
        node: NodeId,
        /// Which name.
        name: AgentName,
    },
    /// It would not any more.
    OfferDown {
        /// Which node.
        node: NodeId,
        /// Which name.
        name: AgentName,
    },
    /// This node has [`super::AGENTS_MAX`] agents: others will not hear of this one.
    RegistryFull {
        /// Its name.
        name: AgentName,
    },
}

/// What is said to every node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// I am alive.
    Heartbeat(Heartbeat),
    /// This has changed, or I leave.
    Discovery(Discovery),
}

/// How it is known that a node is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It was silent for [`super::Timing::down_after`].
    Silent,
    /// It said goodbye.
    Left,
    /// It speaks as a newer incarnation.
    Restarted,
}
