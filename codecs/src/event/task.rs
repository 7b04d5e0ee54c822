//! What happens to tasks.

use serde::{Deserialize, Serialize};

use crate::address::{AgentName, Capability};
use crate::envelope::IdempotencyKey;
use crate::id::{Attempt, NodeId, TaskId, Term, UnixMillis};
use crate::message::{self, Body, Invalid};

/// A task was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCreated {
    /// Which one.
    pub task: TaskId,
    /// What a worker must be able to do.
    pub capability: Capability,
    /// After this moment a result is of no use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<UnixMillis>,
    /// What makes the same work the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

/// A worker has a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAssigned {
    /// Which one.
    pub task: TaskId,
    /// Who works on it.
    pub worker: AgentName,
    /// Where the worker lives.
    pub node: NodeId,
    /// The number of this ownership.
    pub term: Term,
    /// How often it was started, with this time.
    pub attempt: Attempt,
    /// Until when the worker may work without saying that it lives.
    pub lease_until: UnixMillis,
}

/// A task is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCompleted {
    /// Which one.
    pub task: TaskId,
    /// Who did it.
    pub worker: AgentName,
    /// The ownership under which it was done.
    pub term: Term,
    /// How often it was started.
    pub attempt: Attempt,
    /// How long the last attempt took, in milliseconds.
    pub elapsed_ms: u64,
}

/// An attempt at a task failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFailed {
    /// Which one.
    pub task: TaskId,
    /// Who tried, if anybody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<AgentName>,
    /// The ownership under which it failed.
    pub term: Term,
    /// How often it was started.
    pub attempt: Attempt,
    /// Why.
    pub error: message::Error,
    /// When it is tried again; never, when it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<UnixMillis>,
}

impl TaskFailed {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        self.error.validate()
    }
}

super::always_valid!(TaskCreated, TaskAssigned, TaskCompleted);
