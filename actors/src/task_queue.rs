//! Tasks: work with a life of its own, handed to whoever can do it.
//!
//! ```text
//!  requester          TASK_ROUTING (work queue)      a node with workers       worker agent     bucket `tasks`
//!    │ ── submit ──────────► │                              │                       │                 │
//!    │                       │ ── delivery ───────────────► │ ── claim: term + 1, and the record ─────► │
//!    │                       │                              │ ── the message ─────► │                 │
//!    │                       │ ◄─ in progress ───────────── │ ── extend, each third of the lease ─────► │
//!    │                       │                              │ ◄─ answer ─────────── │                 │
//!    │                       │                              │ ── complete, under the term ────────────► │
//!    │                       │ ◄─ acknowledgement ───────── │                       │                 │
//!    │ ◄─ the record changed ─────────────────────────────────────────────────────────────────────────── │
//! ```
//!
//! The record in the bucket is the place of effect: a worker that lost its lease is refused there by its term, however
//! late it comes and whatever the queue still accepts. What a claim, an extension or a completion does to the record
//! is in `protocol/task`. The first claim makes the record; only of a task that finds no worker soon does its requester's node
//! write it (`unrecorded`).

mod context;
mod dispatcher;
mod handle;
mod keeper;
mod record;
mod submitted;
mod unrecorded;
mod waiting;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use connectome_codecs::event::TaskCreated;
use connectome_codecs::{
    Address, Capability, ContentType, Envelope, Fact, IdempotencyKey, Kind, MessageId, ParseError, Sequence,
    TaskId, TaskRecord, UnixMillis, message, wire,
};
use dashmap::DashMap;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::mail::SendError;
use crate::message::Message;
use crate::parcel::Named;
use crate::port::{Bucket, Publish, StreamError};
use crate::router::Router;
use crate::scope;

pub use context::TaskContext;
pub(crate) use dispatcher::TaskRouter;
pub use handle::{TaskError, TaskHandle};
pub(crate) use keeper::TaskKeeper;
pub use record::tasks_bucket;
use submitted::Submitted;
use unrecorded::Unrecorded;
use waiting::{Listening, Waiting};

/// The work queue.
pub const TASK_ROUTING: &str = "TASK_ROUTING";

/// The bucket of task records.
pub const TASKS: &str = "tasks";

/// Attempts at a task before it is given up, unless the submission says otherwise: one more than the crashes a
/// message may cause, so that a node's death does not use up the last one.
pub const ATTEMPTS_MAX: u32 = 4;

/// Work to hand over: a message, and a capability that whoever does it must have.
///
/// ```
/// # use connectome_actors::{Message, Submit};
/// # use serde::{Deserialize, Serialize};
/// #[derive(Message, Serialize, Deserialize)]
/// #[message(name = "summarise", reply = String, crate = connectome_actors)]
/// struct Summarise { text: String }
///
/// let task = Submit::new("summarise", Summarise { text: "A long story.".into() }).attempts(2);
/// ```
#[derive(Debug, Clone)]
pub struct Submit<M> {
    capability: String,
    message: M,
    id: Option<TaskId>,
    attempts_max: u32,
    deadline: Option<UnixMillis>,
    key: Option<IdempotencyKey>,
}

impl<M: Message> Submit<M> {
    /// This message, for anyone with this capability.
    pub fn new(capability: &str, message: M) -> Submit<M> {
        Submit {
            capability: capability.to_owned(),
            message,
            id: None,
            attempts_max: ATTEMPTS_MAX,
            deadline: None,
            key: None,
        }
    }

    /// The task's id, where the caller has one: submitting the same id again does not run it again.
    #[must_use]
    pub fn id(mut self, id: TaskId) -> Self {
        self.id = Some(id);
        self
    }

    /// Attempts at the most, the first one included.
    #[must_use]
    pub fn attempts(mut self, max: u32) -> Self {
        self.attempts_max = max;
        self
    }

    /// After this moment it is not begun any more.
    #[must_use]
    pub fn deadline(mut self, deadline: UnixMillis) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// A word of the caller's that goes with the task into its record and its events.
    #[must_use]
    pub fn key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(key);
        self
    }
}

/// What a node knows and counts of tasks.
#[derive(Default)]
pub(crate) struct Tasks {
    /// Who waits for a task's end.
    waiting: DashMap<TaskId, Arc<Waiting>>,
    /// What was handed over and may have no record yet.
    unrecorded: Unrecorded,
    /// Workers came or went, or a slot is free.
    pub(crate) workers: Notify,
    /// Queues that were opened so far.
    pub(crate) opened: AtomicU64,
    pub(crate) counts: Counts,
    /// The bucket of their records, once it is open.
    pub(crate) records: Mutex<Option<Arc<dyn Bucket>>>,
}

impl Tasks {
    pub(crate) fn workers_changed(&self) {
        self.workers.notify_one();
    }
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) submitted: AtomicU64,
    pub(crate) started: AtomicU64,
    pub(crate) completed: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) redelivered: AtomicU64,
    pub(crate) refused_stale: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What one node has done with tasks since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TaskCounts {
    /// Handed over by this node.
    pub submitted: u64,
    /// Attempts begun by workers of this node.
    pub started: u64,
    /// Completed by workers of this node, each once.
    pub completed: u64,
    /// Given up for good on this node.
    pub failed: u64,
    /// Attempts that failed on this node and will be followed by another.
    pub retried: u64,
    /// Deliveries beyond a task's first that came to this node.
    pub redelivered: u64,
    /// Completions of this node's workers that were refused because their lease had been lost.
    pub refused_stale: u64,
}

impl std::ops::Add for TaskCounts {
    type Output = TaskCounts;

    fn add(self, other: TaskCounts) -> TaskCounts {
        TaskCounts {
            submitted: self.submitted + other.submitted,
            started: self.started + other.started,
            completed: self.completed + other.completed,
            failed: self.failed + other.failed,
            retried: self.retried + other.retried,
            redelivered: self.redelivered + other.redelivered,
            refused_stale: self.refused_stale + other.refused_stale,
        }
    }
}

impl Router {
    /// Hands over a task. `Ok` means that the queue has it: it will be done, or end in the dead letters.
    ///
    /// # Errors
    /// [`SendError`]; where it says that it may have happened, submitting the same id again is safe.
    pub async fn submit<M: Message>(&self, submit: Submit<M>) -> Result<TaskHandle<M>, SendError> {
        let is_new = submit.id.is_none();
        let id = submit.id.unwrap_or_else(|| self.task_id());
        let bad = |error: ParseError| SendError::NotSent(error.to_string());
        let capability: Capability = submit.capability.parse().map_err(bad)?;
        let input = wire::encode(&submit.message).map_err(|error| SendError::NotSent(error.to_string()))?;
        let task = message::Task {
            id,
            capability: capability.clone(),
            input,
            content_type: ContentType::default(),
            deadline: submit.deadline,
            attempts_max: submit.attempts_max,
            idempotency_key: submit.key.clone(),
        };
        let envelope = self.envelope_of::<M>(&task);
        let task = self.inner().seals.seal_task(&envelope, task).await.map_err(not_sent)?;
        let record = TaskRecord::submitted(&task, self.now());
        // Begun before the queue has it, so that no word of it is missed.
        let listening = Listening::begin(self, id);
        let (subject, sequence) = self.enqueue(envelope, &task).await?;
        unrecorded::expect(self, &record).await;
        count(&self.inner().tasks.counts.submitted);
        let created =
            TaskCreated { task: id, capability, deadline: submit.deadline, idempotency_key: submit.key };
        self.say(Fact::TaskCreated(created)).await;
        let submitted = Submitted { record, subject, sequence, is_new, _listening: listening };
        Ok(TaskHandle::new(self.clone(), id, Some(submitted)))
    }

    /// What it goes in, without its body.
    fn envelope_of<M: Message>(&self, task: &message::Task) -> Envelope {
        let id = MessageId::from_bytes(task.id.to_bytes());
        let meta = scope::outgoing(false);
        let to = Address::Capability(task.capability.clone());
        let envelope = Envelope::new(id, Kind::Task, to, self.now(), Bytes::new());
        let mut envelope = envelope.named(Named::<M>::NAME).correlated(task.id);
        envelope.from = meta.from.clone();
        envelope.trace = self.trace_of(&meta);
        envelope
    }

    /// Brings it into the queue; says where it stands there.
    #[tracing::instrument(level = "debug", skip_all, fields(task = %task.id, capability = %task.capability))]
    async fn enqueue(
        &self,
        mut envelope: Envelope,
        task: &message::Task,
    ) -> Result<(String, Sequence), SendError> {
        use connectome_codecs::message::Body;
        let id = envelope.id;
        envelope.body = task.encode().map_err(|error| SendError::NotSent(error.to_string()))?;
        let body = envelope.encode().map_err(|error| SendError::NotSent(error.to_string()))?;
        let shard = shard_of(task.id, self.inner().config.shards);
        let subject = self.subject(&format!("task.{}.{shard}", subject_token(&task.capability)));
        let publish = Publish { subject: subject.clone(), id: Some(id), body };
        let published = self.streams().publish(TASK_ROUTING, publish).await?;
        Ok((subject, published.sequence))
    }

    /// A handle to a task that was submitted earlier, by this process or another.
    pub fn task<M: Message>(&self, id: TaskId) -> TaskHandle<M> {
        TaskHandle::new(self.clone(), id, None)
    }

    /// What this node has done with tasks since it started.
    pub fn task_counts(&self) -> TaskCounts {
        let counts = &self.inner().tasks.counts;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TaskCounts {
            submitted: read(&counts.submitted),
            started: read(&counts.started),
            completed: read(&counts.completed),
            failed: read(&counts.failed),
            retried: read(&counts.retried),
            redelivered: read(&counts.redelivered),
            refused_stale: read(&counts.refused_stale),
        }
    }
}

/// Without its keys nothing was stored.
fn not_sent(error: StreamError) -> SendError {
    SendError::NotSent(error.to_string())
}

/// A capability as one token of a subject: its dots would be token boundaries.
pub(crate) fn subject_token(capability: &Capability) -> String {
    capability.as_str().replace('.', "/")
}

fn shard_of(task: TaskId, shards: usize) -> usize {
    usize::from(task.to_bytes()[15]) % shards.max(1)
}
