//! What a supervisor asks for.

use std::time::Duration;

use super::{Answer, ChildId, Exit, Incarnation, RequestId, StopWithin, TimerToken};

/// What a supervisor asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start this child, and answer.
    Start {
        /// Which.
        child: ChildId,
        /// The life that begins; its end is reported with it.
        incarnation: Incarnation,
    },
    /// Stop this child and wait for its end.
    Stop(Stop),
    /// Stop these children at the same time and wait for all.
    StopTogether(Vec<Stop>),
    /// Say [`super::Input::Timer`] after this long.
    SetTimer {
        /// To be said with it.
        token: TimerToken,
        /// How long; zero means as soon as what already waits has been dealt with.
        after: Duration,
    },
    /// Too many restarts. For the log; [`Action::Finish`] follows unless the child is counted alone.
    GiveUp {
        /// The child that needed one restart too many.
        child: ChildId,
        /// How it ended, the last time.
        exit: Exit,
    },
    /// The child's specification is forgotten: how to start it may be forgotten too.
    Removed {
        /// Which.
        child: ChildId,
    },
    /// Answer this request.
    Reply {
        /// Which.
        id: RequestId,
        /// With what.
        answer: Answer,
    },
    /// All children that were given beforehand have been started.
    Ready,
    /// The supervisor ends like this; what follows is for its own supervisor to decide. Only replies come after it.
    Finish {
        /// [`Exit::Shutdown`], [`Exit::GaveUp`] or [`Exit::StartFailed`].
        exit: Exit,
    },
}

/// A child to be stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Which.
    pub child: ChildId,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// How long it may take before it is killed.
    pub within: StopWithin,
}
