//! `HEARTBEAT`: a node is alive, and how much it knows.

use serde::{Deserialize, Serialize};

use super::invalid::Invalid;
use super::{Body, Kind};
use crate::compression::Encoding;
use crate::id::NodeId;
use crate::wire::bounded_vec;

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
    /// The encodings of bodies that it reads; none said means plain ones only.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounded_vec::<_, _, ENCODINGS_MAX>"
    )]
    pub accepts: Vec<Encoding>,
}

/// The most encodings one node may list: twice what there is, for those to come.
const ENCODINGS_MAX: usize = 8;

impl Body for Heartbeat {
    const KIND: Kind = Kind::Heartbeat;

    /// Every heartbeat with the right types is valid.
    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }
}
