//! `HEARTBEAT`: a node is alive, and how much it knows.

use serde::{Deserialize, Serialize};

use super::invalid::Invalid;
use super::{Body, Kind};
use crate::id::NodeId;

/// A node is alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The node.
    pub node: NodeId,
    /// When it started, in milliseconds since 1970: tells one life of a node from the next.
    pub incarnation: u64,
    /// The version of its registry; a peer that has an older one asks for what is missing.
    pub registry_version: u64,
    /// How many agents live on it.
    pub agents: u32,
    /// How many messages they work on.
    pub in_flight: u32,
}

impl Body for Heartbeat {
    const KIND: Kind = Kind::Heartbeat;

    /// Every heartbeat with the right types is valid.
    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }
}
