//! What happens to agents.

use serde::{Deserialize, Serialize};

use crate::address::AgentName;
use crate::id::NodeId;
use crate::limits::DETAIL_MAX;
use crate::message::{self, AgentRecord, AgentStatus, DownReason, Invalid};

/// An agent can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRegistered {
    /// Where it lives.
    pub node: NodeId,
    /// What is known of it.
    pub agent: AgentRecord,
}

impl AgentRegistered {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        self.agent.validate()
    }
}

/// An agent cannot be reached any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentUnregistered {
    /// Where it lived.
    pub node: NodeId,
    /// Which one.
    pub agent: AgentName,
    /// Why.
    pub reason: DownReason,
}

/// An agent does something else than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatusUpdated {
    /// Which one.
    pub agent: AgentName,
    /// What it does now.
    pub status: AgentStatus,
    /// How busy it is, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<u32>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl AgentStatusUpdated {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        message::check_load(self.load)?;
        message::label("detail", self.detail.as_deref(), DETAIL_MAX)
    }
}

super::always_valid!(AgentUnregistered);
