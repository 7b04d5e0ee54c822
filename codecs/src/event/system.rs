//! What happens to nodes, and what goes wrong on them.

use serde::{Deserialize, Serialize};

use super::label;
use crate::address::AgentName;
use crate::id::{MessageId, NodeId};
use crate::message::{self, Body, Invalid};

/// A node has started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemReady {
    /// Which one.
    pub node: NodeId,
    /// When it started, in milliseconds since 1970.
    pub incarnation: u64,
    /// The version of its code.
    pub version: String,
}

impl SystemReady {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        label("version", &self.version)
    }
}

/// A node stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemShutdown {
    /// Which one.
    pub node: NodeId,
    /// When it started, in milliseconds since 1970.
    pub incarnation: u64,
    /// Why, in a word or two.
    pub reason: String,
}

impl SystemShutdown {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        label("reason", &self.reason)
    }
}

/// Something went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorOccurred {
    /// What, and who must act.
    pub error: message::Error,
    /// The agent that it happened in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// The message that it happened with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
}

impl ErrorOccurred {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        self.error.validate()
    }
}

/// Something runs out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLow {
    /// What, with its unit: `disk_bytes`, `memory_bytes`, `file_descriptors`.
    pub resource: String,
    /// How much is used.
    pub used: u64,
    /// How much there is.
    pub limit: u64,
}

impl ResourceLow {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        label("resource", &self.resource)
    }
}
