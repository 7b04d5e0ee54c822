//! What others may ask of a supervisor while it runs, and its answers: OTP's `start_child`, `terminate_child`,
//! `restart_child` and `delete_child`, with their return values.

use std::collections::VecDeque;

use super::start::Purpose;
use super::{Action, ChildId, ChildSpec, ChildState, Incarnation, SpecError, Strategy, Supervision};

/// Names a request, so that its answer finds the asker. The shell chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Something asked of a running supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Start a new child, last in the start order.
    Add(ChildSpec),
    /// Stop a child. Its specification is kept, unless it is temporary or the supervisor dynamic.
    Terminate(ChildId),
    /// Start a stopped child again.
    Restart(ChildId),
    /// Forget a stopped child.
    Delete(ChildId),
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// The child runs.
    Started(Incarnation),
    /// The child declined to start; nothing runs, and that is no error.
    Ignored,
    /// The child does not run any more.
    Terminated,
    /// The specification is forgotten.
    Deleted,
}

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A child of this name runs.
    #[error("a child of this name runs already: use it, or terminate it first")]
    AlreadyStarted(Incarnation),
    /// A specification of this name is kept; its child does not run.
    #[error("a child of this name is known already: restart it, or delete it first")]
    AlreadyPresent,
    /// The child runs.
    #[error("the child runs: terminate it first")]
    Running,
    /// The child is about to be restarted.
    #[error("the child is about to be restarted: terminate it first, or wait")]
    Restarting,
    /// There is no such child.
    #[error("there is no child of this name")]
    NotFound,
    /// A dynamic supervisor keeps no specification of a child that does not run.
    #[error("a dynamic supervisor keeps no stopped children: add the child anew")]
    Dynamic,
    /// The specification contradicts the supervisor's flags.
    #[error(transparent)]
    Invalid(#[from] SpecError),
    /// The child could not be started.
    #[error("the child could not be started: {0}")]
    StartFailed(String),
    /// The supervisor has as many children as it may.
    #[error("the supervisor has {0} children, as many as it may: end some, or add a second supervisor")]
    Full(usize),
    /// Too many requests wait for a child that is starting.
    #[error("{0} requests wait for a child that is starting: ask again later")]
    Busy(usize),
    /// The supervisor has ended.
    #[error("the supervisor has ended")]
    Ended,
}

/// A supervisor's answer.
pub type Answer = Result<Done, Refusal>;

impl Supervision {
    /// Deals with one request; the answer of a start comes when the child has answered.
    pub(super) fn request(&mut self, id: RequestId, request: Request) {
        let answer = match request {
            Request::Add(spec) => self.add(id, spec),
            Request::Terminate(child) => self.terminate(&child).map(Some),
            Request::Restart(child) => self.restart_child(id, &child),
            Request::Delete(child) => self.delete(&child).map(Some),
        };
        if let Some(answer) = answer.transpose() {
            self.reply(id, answer);
        }
    }

    pub(super) fn reply(&mut self, id: RequestId, answer: Answer) {
        self.actions.push(Action::Reply { id, answer });
    }

    fn add(&mut self, id: RequestId, spec: ChildSpec) -> Result<Option<Done>, Refusal> {
        spec.check(&self.flags)?;
        if let Some(child) = self.roster.find(&spec.id).and_then(|known| self.roster.get(known)) {
            return Err(match child.state {
                ChildState::Running(incarnation) | ChildState::Starting(incarnation) => {
                    Refusal::AlreadyStarted(incarnation)
                }
                ChildState::Stopped | ChildState::Restarting(_) => Refusal::AlreadyPresent,
            });
        }
        if self.roster.len() >= super::CHILDREN_MAX {
            return Err(Refusal::Full(super::CHILDREN_MAX));
        }
        let position = self.roster.push(spec);
        self.proceed(Purpose::Add(id), VecDeque::from([position]));
        Ok(None)
    }

    fn terminate(&mut self, child: &ChildId) -> Answer {
        let position = self.roster.find(child).ok_or(Refusal::NotFound)?;
        self.stop(position);
        self.ended(position);
        Ok(Done::Terminated)
    }

    fn restart_child(&mut self, id: RequestId, child: &ChildId) -> Result<Option<Done>, Refusal> {
        let position = self.stopped(child)?;
        self.proceed(Purpose::RestartChild(id), VecDeque::from([position]));
        Ok(None)
    }

    fn delete(&mut self, child: &ChildId) -> Answer {
        let position = self.stopped(child)?;
        self.forget(position);
        Ok(Done::Deleted)
    }

    /// The position of a child that is known and does not run.
    fn stopped(&self, id: &ChildId) -> Result<super::roster::Position, Refusal> {
        if self.flags.strategy == Strategy::Dynamic {
            return Err(Refusal::Dynamic);
        }
        let position = self.roster.find(id).ok_or(Refusal::NotFound)?;
        match self.roster.get(position).map(|child| child.state) {
            Some(ChildState::Stopped) => Ok(position),
            Some(ChildState::Restarting(_)) => Err(Refusal::Restarting),
            Some(ChildState::Running(_) | ChildState::Starting(_)) => Err(Refusal::Running),
            None => Err(Refusal::NotFound),
        }
    }
}
