//! Starting children one by one: each has answered before the next is asked.

use std::collections::VecDeque;

use super::super::Now;
use super::roster::Position;
use super::{Action, ChildState, Done, Exit, Incarnation, Refusal, RequestId, Supervision};

/// Why children are being started.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    StartUp,
    Add(RequestId),
    RestartChild(RequestId),
    Recover,
}

/// A start that has not been answered, and the ones to follow it.
#[derive(Debug)]
pub(super) struct Job {
    purpose: Purpose,
    starting: Position,
    incarnation: Incarnation,
    rest: VecDeque<Position>,
}

/// What came of a start.
#[derive(Debug)]
pub(super) enum Outcome {
    Started,
    Ignored,
    Failed(String),
}

impl Supervision {
    /// Starts the first of `rest`, or is done.
    pub(super) fn proceed(&mut self, purpose: Purpose, mut rest: VecDeque<Position>) {
        let Some(starting) = rest.pop_front() else {
            return self.complete(purpose);
        };
        let incarnation = Incarnation(self.incarnations);
        self.incarnations += 1;
        if let Some(child) = self.roster.get_mut(starting) {
            child.state = ChildState::Starting(incarnation);
            self.actions.push(Action::Start { child: child.spec.id.clone(), incarnation });
            self.job = Some(Job { purpose, starting, incarnation, rest });
        }
    }

    fn complete(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::StartUp => self.actions.push(Action::Ready),
            Purpose::Add(_) | Purpose::RestartChild(_) | Purpose::Recover => {}
        }
    }

    /// Takes the answer of the outstanding start; any other answer is late and means nothing.
    pub(super) fn answered(&mut self, now: Now, incarnation: Incarnation, outcome: Outcome) {
        let Some(job) = self.job.take_if(|job| job.incarnation == incarnation) else {
            return;
        };
        match outcome {
            Outcome::Started => {
                self.set(job.starting, ChildState::Running(incarnation));
                self.go_on(job, Done::Started(incarnation));
            }
            Outcome::Ignored => {
                self.ended(job.starting);
                self.go_on(job, Done::Ignored);
            }
            Outcome::Failed(reason) => self.start_failed(now, job, reason),
        }
    }

    fn go_on(&mut self, job: Job, done: Done) {
        match job.purpose {
            Purpose::Add(id) | Purpose::RestartChild(id) => self.reply(id, Ok(done)),
            Purpose::StartUp | Purpose::Recover => {}
        }
        self.proceed(job.purpose, job.rest);
    }

    fn start_failed(&mut self, now: Now, job: Job, reason: String) {
        self.set(job.starting, ChildState::Stopped);
        match job.purpose {
            Purpose::StartUp => self.start_up_failed(job.starting, reason),
            Purpose::Add(id) => {
                self.forget(job.starting);
                self.reply(id, Err(Refusal::StartFailed(reason)));
            }
            Purpose::RestartChild(id) => self.reply(id, Err(Refusal::StartFailed(reason))),
            Purpose::Recover => self.restart_failed(now, job.starting, reason),
        }
    }

    fn start_up_failed(&mut self, position: Position, reason: String) {
        if let Some(child) = self.roster.get(position) {
            let exit = Exit::StartFailed { child: child.spec.id.clone(), reason };
            self.finish(exit);
        }
    }
}
