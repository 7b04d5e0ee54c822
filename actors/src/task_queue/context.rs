//! What a handler knows of the task that its message is.

use connectome_codecs::{Attempt, TaskId, Term};
use tokio_util::sync::CancellationToken;

/// One attempt at a task, as its handler sees it.
#[derive(Debug, Clone)]
pub struct TaskContext {
    pub(super) id: TaskId,
    pub(super) term: Term,
    pub(super) attempt: Attempt,
    pub(super) stopped: CancellationToken,
}

impl TaskContext {
    /// The task.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The fencing token of this attempt. Show it at every place of effect outside Connectome, and let that place
    /// refuse a lower one than it has seen: then a worker that lost its lease can do no harm, however late it comes.
    pub fn term(&self) -> Term {
        self.term
    }

    /// Which attempt this is: 1 is the first.
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Whether this attempt is over already: cancelled, out of time, or another worker has the task. What it does from
    /// now on does not count.
    pub fn is_stopped(&self) -> bool {
        self.stopped.is_cancelled()
    }

    /// Ends when this attempt is over; a pipe is dropped then without being told.
    pub async fn stopped(&self) {
        self.stopped.cancelled().await;
    }
}
