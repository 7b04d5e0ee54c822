//! What a supervisor is told.

use super::{ChildId, Exit, Incarnation, Request, RequestId, TimerToken};

/// What a supervisor is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Start the children that were given beforehand. Once, first.
    StartAll,
    /// The child runs.
    Started {
        /// The start that is answered.
        incarnation: Incarnation,
    },
    /// The child declined to run, which is no failure.
    Ignored {
        /// The start that is answered.
        incarnation: Incarnation,
    },
    /// The child could not be started.
    StartFailed {
        /// The start that is answered.
        incarnation: Incarnation,
        /// Why.
        reason: String,
    },
    /// A child ended without having been stopped.
    Exited {
        /// Which.
        child: ChildId,
        /// Which life of it.
        incarnation: Incarnation,
        /// How.
        exit: Exit,
    },
    /// Somebody asks for something.
    Request {
        /// Returned with the answer.
        id: RequestId,
        /// What.
        request: Request,
    },
    /// The wait that [`super::Action::SetTimer`] asked for is over.
    Timer {
        /// Which.
        token: TimerToken,
    },
    /// Stop all children and end.
    Shutdown,
}

impl Input {
    pub(super) const fn answers_a_start(&self) -> bool {
        match self {
            Input::Started { .. } | Input::Ignored { .. } | Input::StartFailed { .. } => true,
            Input::StartAll
            | Input::Exited { .. }
            | Input::Request { .. }
            | Input::Timer { .. }
            | Input::Shutdown => false,
        }
    }
}
