//! What membership is told.

use connectome_codecs::message::{AgentRecord, Discovery, Heartbeat};
use connectome_codecs::{AgentName, NodeId};

/// What membership is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// It is [`super::Membership::next_tick`], or later.
    Tick,
    /// A node says that it is alive.
    Heartbeat {
        /// The sender, as the transport authenticated it.
        from: NodeId,
        /// What it said.
        body: Heartbeat,
    },
    /// A node says who lives on it, or asks.
    Discovery {
        /// The sender, as the transport authenticated it.
        from: NodeId,
        /// What it said; valid, as decoding makes sure.
        body: Discovery,
    },
    /// An agent lives here, or what is known of it has changed.
    Register(AgentRecord),
    /// An agent does not live here any more.
    Unregister(AgentName),
    /// This node would run an agent of this name.
    Offer(AgentName),
    /// It would not any more.
    Withdraw(AgentName),
    /// How many messages this node works on; goes out with the next heartbeat.
    Load {
        /// Messages in flight.
        in_flight: u32,
    },
    /// The path to a node has ended. It is suspected at once; a word from it by any other path clears it.
    Disconnected {
        /// Which.
        node: NodeId,
    },
    /// This node leaves. Afterwards it says and hears nothing.
    Leave,
}
