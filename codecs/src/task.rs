//! What is kept of a task: its state, its owner and what happened to it, in one value of a key-value bucket.
//!
//! Which step may follow which is decided elsewhere; here the record has a form, bounds, and a history that forgets
//! its oldest steps.

mod secrets;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::address::{AgentName, Capability};
use crate::envelope::{ContentType, IdempotencyKey};
use crate::id::{Attempt, NodeId, TaskId, Term, UnixMillis};
use crate::limits::{DETAIL_MAX, TASK_HISTORY_MAX};
use crate::message::{self, Body, Invalid};
use crate::text::{open_enum, shorten};
use crate::wire::{self, DecodeError, EncodeError, bounded_vec};

open_enum! {
    /// Where a task is in its life; the states and their texts are A2A's.
    TaskState, "task state", {
        /// It waits for a worker.
        Submitted = "submitted",
        /// A worker has it.
        Working = "working",
        /// It waits for the one who submitted it to say more.
        InputRequired = "input-required",
        /// It waits for somebody to prove who they are.
        AuthRequired = "auth-required",
        /// It is done; there is a result.
        Completed = "completed",
        /// The one who submitted it took it back.
        Canceled = "canceled",
        /// It was given up; there is an error.
        Failed = "failed",
        /// No worker would take it.
        Rejected = "rejected",
    }
}

impl TaskState {
    /// Whether nothing will follow. A state that this version does not know is not taken for an end.
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Completed | Self::Canceled | Self::Failed | Self::Rejected => true,
            Self::Submitted | Self::Working | Self::InputRequired | Self::AuthRequired | Self::Unknown(_) => {
                false
            }
        }
    }
}

/// What is kept of a task.
///
/// ```
/// use connectome_codecs::{TaskId, TaskRecord, TaskState, UnixMillis};
/// use connectome_codecs::message::Task;
///
/// let now = UnixMillis(1_000);
/// let task = Task {
///     id: TaskId::from_parts(now, 1),
///     capability: "summarise".parse()?,
///     input: "a long text".into(),
///     content_type: "text/plain".parse()?,
///     deadline: None,
///     attempts_max: 3,
///     idempotency_key: None,
/// };
/// let record = TaskRecord::submitted(&task, now);
/// assert_eq!(record.state, TaskState::Submitted);
/// assert_eq!(TaskRecord::decode(&record.encode()?)?, record);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Names the task, over all its attempts.
    pub id: TaskId,
    /// What a worker must be able to do.
    pub capability: Capability,
    /// Where it is in its life.
    pub state: TaskState,
    /// The number of the present ownership; a result under an older one is refused.
    pub term: Term,
    /// The node that holds the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<NodeId>,
    /// The agent that works on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<AgentName>,
    /// How often it was started.
    pub attempt: Attempt,
    /// How often it may be started.
    pub attempts_max: u32,
    /// When it was submitted.
    pub submitted: UnixMillis,
    /// When this record last changed.
    pub updated: UnixMillis,
    /// Until when the owner may work without saying that it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<UnixMillis>,
    /// After this moment a result is of no use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<UnixMillis>,
    /// What makes the same work the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
    /// What `input` is.
    #[serde(default)]
    pub content_type: ContentType,
    /// What the work is about.
    pub input: Bytes,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Bytes>,
    /// Why nothing came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<message::Error>,
    /// What happened, oldest first, the last 32 steps.
    #[serde(default, deserialize_with = "bounded_vec::<_, _, TASK_HISTORY_MAX>")]
    pub history: Vec<TaskStep>,
    /// `result`, the words of `error` and the notes of `history`, where they are sealed: see [`TaskRecord::open`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Bytes>,
}

/// One thing that happened to a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStep {
    /// The state that it came to.
    pub state: TaskState,
    /// The ownership under which it did.
    pub term: Term,
    /// When.
    pub at: UnixMillis,
    /// For people; may be empty.
    pub note: String,
}

impl TaskRecord {
    /// The record of a task that was just submitted.
    pub fn submitted(task: &message::Task, now: UnixMillis) -> Self {
        let mut record = Self {
            id: task.id,
            capability: task.capability.clone(),
            state: TaskState::Submitted,
            term: Term(0),
            owner: None,
            worker: None,
            attempt: Attempt(0),
            attempts_max: task.attempts_max,
            submitted: now,
            updated: now,
            lease_until: None,
            deadline: task.deadline,
            idempotency_key: task.idempotency_key.clone(),
            content_type: task.content_type.clone(),
            input: task.input.clone(),
            result: None,
            error: None,
            history: Vec::new(),
            sealed: None,
        };
        record.step(TaskState::Submitted, now, "");
        record
    }

    /// Moves to a state and remembers it, with the present term. A full history forgets its oldest step; a note that
    /// is too long is cut.
    pub fn step(&mut self, state: TaskState, at: UnixMillis, note: &str) {
        if self.history.len() >= TASK_HISTORY_MAX {
            self.history.drain(..=self.history.len() - TASK_HISTORY_MAX);
        }
        let note = shorten(note, DETAIL_MAX).to_owned();
        self.history.push(TaskStep { state: state.clone(), term: self.term, at, note });
        self.state = state;
        self.updated = at;
    }

    /// Checks what the types of the fields cannot.
    ///
    /// # Errors
    /// Says which field is wrong, why, and what would be right.
    pub fn validate(&self) -> Result<(), Invalid> {
        message::check_attempts_max(self.attempts_max)?;
        message::at_most("history", "steps", self.history.len(), TASK_HISTORY_MAX)?;
        self.history
            .iter()
            .try_for_each(|step| message::at_most("note", "bytes", step.note.len(), DETAIL_MAX))?;
        self.error.as_ref().map_or(Ok(()), Body::validate)
    }

    /// Writes the record.
    ///
    /// # Errors
    /// When it is not valid, or too large for a value of a bucket.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        self.validate()?;
        wire::encode(self)
    }

    /// Reads a record that anyone may have written.
    ///
    /// # Errors
    /// When the bytes are not such a record, or it is not valid.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let record: Self = wire::decode(bytes)?;
        record.validate()?;
        Ok(record)
    }
}
