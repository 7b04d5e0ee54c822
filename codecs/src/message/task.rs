//! `TASK`: work to do, handed over with what it needs.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::invalid::{Invalid, ensure};
use super::{Body, Kind};
use crate::address::Capability;
use crate::envelope::{ContentType, IdempotencyKey};
use crate::id::{TaskId, UnixMillis};
use crate::limits::TASK_ATTEMPTS_MAX;

/// Work to do. Submitting the same id again does not run it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Names the task, over all its attempts.
    pub id: TaskId,
    /// What a worker must be able to do.
    pub capability: Capability,
    /// What the work is about.
    pub input: Bytes,
    /// What `input` is.
    #[serde(default)]
    pub content_type: ContentType,
    /// After this moment a result is of no use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<UnixMillis>,
    /// How often it may be started, 1 to 1,000.
    pub attempts_max: u32,
    /// What makes the same work the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
}

impl Body for Task {
    const KIND: Kind = Kind::Task;

    fn validate(&self) -> Result<(), Invalid> {
        check_attempts_max(self.attempts_max)?;
        let deadline = self.deadline.unwrap_or(UnixMillis(u64::MAX));
        ensure(deadline >= self.id.made_at(), "deadline", || {
            format!("{deadline} is before the task was made ({}); set a later one", self.id.made_at())
        })
    }
}

pub(crate) fn check_attempts_max(attempts: u32) -> Result<(), Invalid> {
    ensure((1..=TASK_ATTEMPTS_MAX).contains(&attempts), "attempts_max", || {
        format!("{attempts} is out of range; allow 1 to {TASK_ATTEMPTS_MAX}")
    })
}
