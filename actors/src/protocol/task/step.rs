//! What can happen to a task, what comes of it, and why it is refused.

use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::message;
use connectome_codecs::{AgentName, Attempt, NodeId, TaskState, Term, UnixMillis};

/// Something that someone wants to happen to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A worker takes it.
    Claim {
        /// Its node.
        node: NodeId,
        /// The agent that will work on it.
        worker: AgentName,
    },
    /// Its worker is alive and goes on.
    Extend {
        /// The worker's.
        term: Term,
    },
    /// Its worker is done.
    Complete {
        /// The worker's.
        term: Term,
        /// What came of it.
        result: Bytes,
    },
    /// Its worker could not do it.
    Fail {
        /// The worker's.
        term: Term,
        /// Why.
        error: message::Error,
        /// Whether trying again may help.
        failure: Failure,
    },
    /// Its worker gives it back undone, for reasons of its own: it shuts down, say. The attempt does not count.
    Release {
        /// The worker's.
        term: Term,
    },
    /// Its worker needs something from the one who submitted it, and gives it back until then. The attempt does not
    /// count.
    Ask {
        /// The worker's.
        term: Term,
        /// What it needs.
        question: Question,
        /// For the one who submitted it.
        note: String,
    },
    /// The one who submitted it has answered: it can be claimed again.
    Resume,
    /// The one who submitted it takes it back.
    Cancel {
        /// For people.
        note: String,
    },
    /// Nobody will take it.
    Reject {
        /// For people.
        note: String,
    },
    /// Whatever time has done to it is done: a lease or a deadline that has passed.
    Expire,
}

/// Whether trying again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// It may: tried again while attempts are left.
    Retryable,
    /// It won't: the task fails.
    Final,
}

/// What a worker needs before it can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Question {
    /// More input.
    Input,
    /// Proof of who is asking.
    Auth,
}

impl Question {
    pub(super) const fn state(self) -> TaskState {
        match self {
            Question::Input => TaskState::InputRequired,
            Question::Auth => TaskState::AuthRequired,
        }
    }
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The worker may begin, under this term.
    Claimed {
        /// To be shown at every place of effect, and with everything that is said of the task.
        term: Term,
        /// Which start this is: 1 at first.
        attempt: Attempt,
        /// Until when, without an extension.
        until: UnixMillis,
    },
    /// The worker may go on until then.
    Extended {
        /// Without another extension.
        until: UnixMillis,
    },
    /// It is done.
    Completed,
    /// It was done before, under the same term: the worker repeats itself, because an answer was lost. Nothing to
    /// write.
    AlreadyCompleted,
    /// It can be claimed; make it known again after this wait.
    Again {
        /// How long to wait.
        after: Duration,
    },
    /// It has failed for good, with [`connectome_codecs::TaskRecord::error`]: a dead letter.
    Failed,
    /// It waits for the one who submitted it.
    Waiting,
    /// It was taken back. Its worker learns of it with its next word, if not sooner.
    Canceled,
    /// Nobody would take it: a dead letter.
    Rejected,
    /// Time has done nothing yet. Nothing to write.
    Unchanged {
        /// When it will, if it will.
        next: Option<UnixMillis>,
    },
}

/// Why a step was refused. The record is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The task was taken from the one who speaks: it must stop, and its result does not count.
    #[error(
        "term {yours} is over: term {newest} has begun, so the task is not yours any more; stop, and drop the result"
    )]
    Stale {
        /// The term that was shown.
        yours: Term,
        /// The newest one.
        newest: Term,
        /// Who has it now, if anyone.
        owner: Option<NodeId>,
    },
    /// The record is older than the one who speaks: read it again.
    #[error(
        "term {yours} has not been given yet, the record is at {newest}: it is out of date; read it again"
    )]
    Ahead {
        /// The term that was shown.
        yours: Term,
        /// The record's.
        newest: Term,
    },
    /// The task has ended.
    #[error("the task has ended: it is {state} since {at}, under term {term}; there is nothing left to do")]
    Ended {
        /// How.
        state: TaskState,
        /// The term under which it ended.
        term: Term,
        /// When.
        at: UnixMillis,
    },
    /// A worker has it and is alive, as far as is known.
    #[error("a worker has the task until {until}; try again then")]
    Held {
        /// Who.
        owner: Option<NodeId>,
        /// Until when, without an extension.
        until: UnixMillis,
    },
    /// The step does not fit the state.
    #[error("the task is {state}, so nobody can {step} it; {right}")]
    NotNow {
        /// What was wanted.
        step: &'static str,
        /// The state it is in.
        state: TaskState,
        /// What would be right.
        right: &'static str,
    },
    /// A newer version of this program put it into a state that this one does not know.
    #[error("the task is in state {0}, which this version does not know; let a newer node decide")]
    UnknownState(TaskState),
}
