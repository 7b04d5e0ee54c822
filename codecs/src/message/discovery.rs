//! `DISCOVERY`: who lives on a node, as a whole or as what has changed.
//!
//! A node numbers the versions of its registry. A snapshot says everything at a version, in parts when it is large; a
//! delta leads from one version to the next. Whoever misses one asks with a query.

use serde::{Deserialize, Serialize};

use super::invalid::{Invalid, at_most, ensure, label};
use super::{Body, Kind};
use crate::address::{AgentName, Capability};
use crate::id::{AgentId, NodeId, Term};
use crate::limits::{CAPABILITIES_MAX, DISCOVERY_PARTS_MAX, DISCOVERY_RECORDS_MAX, LABEL_MAX};
use crate::text::open_enum;
use crate::wire::bounded_vec;

/// Who lives on a node, or a question about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    /// The node that speaks.
    pub node: NodeId,
    /// When it started, in milliseconds since 1970: versions of different incarnations are not comparable.
    pub incarnation: u64,
    /// What this message is.
    pub action: DiscoveryAction,
    /// A delta: the version that it builds on. A query: the version that the asker has. Otherwise 0.
    pub base_version: u64,
    /// The version that the registry has after this message.
    pub version: u64,
    /// Which part this is, from 0.
    pub part: u32,
    /// How many parts there are, 1 to 4,096.
    pub parts: u32,
    /// Agents that are there, at most 256.
    #[serde(default, deserialize_with = "bounded_vec::<_, _, DISCOVERY_RECORDS_MAX>")]
    pub added: Vec<AgentRecord>,
    /// Agents that are gone, at most 256.
    #[serde(default, deserialize_with = "bounded_vec::<_, _, DISCOVERY_RECORDS_MAX>")]
    pub removed: Vec<AgentName>,
    /// Names that the node offers: it would run them if nobody else did. At most 256. None said, none offered.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounded_vec::<_, _, DISCOVERY_RECORDS_MAX>"
    )]
    pub offered: Vec<AgentName>,
    /// Names that it does not offer any more, at most 256.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounded_vec::<_, _, DISCOVERY_RECORDS_MAX>"
    )]
    pub withdrawn: Vec<AgentName>,
}

impl Body for Discovery {
    const KIND: Kind = Kind::Discovery;

    fn validate(&self) -> Result<(), Invalid> {
        self.validate_lists()?;
        self.added.iter().try_for_each(AgentRecord::validate)?;
        ensure((1..=DISCOVERY_PARTS_MAX).contains(&self.parts), "parts", || {
            format!("{} is out of range; say 1 to {DISCOVERY_PARTS_MAX}", self.parts)
        })?;
        ensure(self.part < self.parts, "part", || {
            format!("{} of {} parts; count from 0 to {}", self.part, self.parts, self.parts - 1)
        })?;
        ensure(
            self.base_version <= self.version || self.action == DiscoveryAction::Query,
            "base_version",
            || format!("{} is above version {}; a delta leads upwards", self.base_version, self.version),
        )
    }
}

impl Discovery {
    fn validate_lists(&self) -> Result<(), Invalid> {
        at_most("added", "records", self.added.len(), DISCOVERY_RECORDS_MAX)?;
        at_most("removed", "names", self.removed.len(), DISCOVERY_RECORDS_MAX)?;
        at_most("offered", "names", self.offered.len(), DISCOVERY_RECORDS_MAX)?;
        at_most("withdrawn", "names", self.withdrawn.len(), DISCOVERY_RECORDS_MAX)?;
        let silent = matches!(self.action, DiscoveryAction::Query | DiscoveryAction::Goodbye);
        ensure(!silent || self.added.is_empty(), "added", || {
            format!("a {} carries no records", self.action)
        })?;
        ensure(
            self.action == DiscoveryAction::Delta || self.removed.is_empty() || !self.action.is_known(),
            "removed",
            || format!("a {} carries no removed names; only a delta does", self.action),
        )
    }
}

open_enum! {
    /// What a discovery message is.
    DiscoveryAction, "discovery action", {
        /// Tell me what you have.
        Query = "query",
        /// This is everything.
        Snapshot = "snapshot",
        /// This is what has changed.
        Delta = "delta",
        /// I leave: forget my agents.
        Goodbye = "goodbye",
    }
}

impl DiscoveryAction {
    fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }
}

/// One agent, as its node describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// Its name, unique in the cluster.
    pub name: AgentName,
    /// Its key, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<AgentId>,
    /// What it is for, in a word or two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What it can do, at most 32.
    #[serde(default, deserialize_with = "bounded_vec::<_, _, CAPABILITIES_MAX>")]
    pub capabilities: Vec<Capability>,
    /// The version of its code.
    pub version: String,
    /// How many messages it works on.
    pub in_flight: u32,
    /// The term under which its node owns the name, where several nodes offer it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<Term>,
}

impl AgentRecord {
    /// Checks what the types of the fields cannot.
    ///
    /// # Errors
    /// Says which field is wrong, why, and what would be right.
    pub fn validate(&self) -> Result<(), Invalid> {
        label("role", self.role.as_deref(), LABEL_MAX)?;
        at_most("capabilities", "capabilities", self.capabilities.len(), CAPABILITIES_MAX)?;
        label("version", Some(&self.version), LABEL_MAX)
    }
}
