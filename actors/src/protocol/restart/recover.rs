//! What follows the end of a child: nothing, a restart at once or later, or the end of the supervisor.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::Now;
use super::roster::Position;
use super::start::Purpose;
use super::{
    Action, AutoShutdown, ChildId, ChildState, Exit, Incarnation, IntensityScope, Restart, Strategy,
    Supervision, TimerToken,
};

impl Supervision {
    /// A child ended of itself. Reports of an incarnation that no longer runs are late and mean nothing.
    pub(super) fn exited(&mut self, now: Now, id: &ChildId, incarnation: Incarnation, exit: Exit) {
        let Some(position) = self.roster.find(id) else {
            return;
        };
        let Some(child) = self.roster.get_mut(position) else {
            return;
        };
        if child.state != ChildState::Running(incarnation) {
            return;
        }
        child.state = ChildState::Stopped;
        let restart = match child.spec.restart {
            Restart::Permanent => true,
            Restart::Transient => exit.is_abnormal(),
            Restart::Temporary => false,
        };
        if restart {
            self.crashed(now, position, exit);
        } else {
            self.ended_for_good(position);
        }
    }

    fn crashed(&mut self, now: Now, position: Position, cause: Exit) {
        match self.admit(now, position) {
            None => self.give_up(position, cause),
            Some(Duration::ZERO) => self.restart(now, position),
            Some(wait) => {
                self.stop_group(position);
                self.restart_after(position, wait, cause);
            }
        }
    }

    /// A start that fails while restarting is a further restart to come. It comes by a timer even without back-off,
    /// so that a request to terminate the child, or the supervisor, gets a word in.
    pub(super) fn restart_failed(&mut self, now: Now, position: Position, reason: String) {
        let Some(child) = self.roster.get(position) else {
            return;
        };
        let cause = Exit::StartFailed { child: child.spec.id.clone(), reason };
        match self.admit(now, position) {
            None => self.give_up(position, cause),
            Some(wait) => self.restart_after(position, wait, cause),
        }
    }

    /// How long the next restart waits; `None` when it would be one too many.
    fn admit(&mut self, now: Now, position: Position) -> Option<Duration> {
        let intensity = self.flags.intensity;
        let recent = self.meter(position).recent(now, intensity.period);
        if recent >= intensity.restarts {
            return None;
        }
        let earlier = recent.checked_sub(1).zip(self.flags.backoff);
        Some(earlier.map_or(Duration::ZERO, |(n, backoff)| backoff.wait(n, &mut self.dice)))
    }

    fn restart_after(&mut self, position: Position, after: Duration, cause: Exit) {
        let token = TimerToken(self.timers);
        self.timers += 1;
        self.set(position, ChildState::Restarting(token));
        self.waiting.insert(token, (position, cause));
        self.actions.push(Action::SetTimer { token, after });
    }

    /// A wait is over. The child may have been stopped, removed or restarted with its siblings meanwhile.
    pub(super) fn timer(&mut self, now: Now, token: TimerToken) {
        let Some((position, cause)) = self.waiting.remove(&token) else {
            return;
        };
        if self.roster.get(position).is_none_or(|child| child.state != ChildState::Restarting(token)) {
            return;
        }
        self.set(position, ChildState::Stopped);
        match self.admit(now, position) {
            None => self.give_up(position, cause),
            Some(_) => self.restart(now, position),
        }
    }

    /// Restarts a child and those its strategy takes with it.
    fn restart(&mut self, now: Now, position: Position) {
        self.meter(position).count(now);
        let group = self.stop_group(position);
        self.proceed(Purpose::Recover, group);
    }

    /// Stops those that are restarted with a child, last started first, and returns them all in start order.
    /// A temporary child among them is stopped and forgotten.
    fn stop_group(&mut self, position: Position) -> VecDeque<Position> {
        let mut group: VecDeque<Position> = match self.flags.strategy {
            Strategy::OneForOne | Strategy::Dynamic => VecDeque::from([position]),
            Strategy::OneForAll => self.roster.all().collect(),
            Strategy::RestForOne => self.roster.from(position).collect(),
        };
        for member in group.iter().rev() {
            self.stop(*member);
            self.forget_temporary(*member);
        }
        group.retain(|member| self.roster.get(*member).is_some());
        group
    }

    fn give_up(&mut self, position: Position, exit: Exit) {
        let Some(child) = self.roster.get(position) else {
            return;
        };
        self.actions.push(Action::GiveUp { child: child.spec.id.clone(), exit });
        match self.flags.intensity.scope {
            IntensityScope::Supervisor => self.finish(Exit::GaveUp),
            IntensityScope::Child => self.ended_for_good(position),
        }
    }

    /// A child has ended and won't be restarted: its specification may go, and the supervisor with it.
    fn ended_for_good(&mut self, position: Position) {
        let significant = self.roster.get(position).is_some_and(|child| child.spec.significant);
        self.ended(position);
        if significant && self.shuts_down() {
            self.finish(Exit::Shutdown);
        }
    }

    fn shuts_down(&self) -> bool {
        match self.flags.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => {
                !self.roster.iter().any(|child| child.spec.significant && child.state != ChildState::Stopped)
            }
        }
    }

    /// Marks a child as stopped, and forgets it if its kind is not kept.
    pub(super) fn ended(&mut self, position: Position) {
        self.set(position, ChildState::Stopped);
        if self.flags.strategy == Strategy::Dynamic {
            self.forget(position);
        } else {
            self.forget_temporary(position);
        }
    }

    fn forget_temporary(&mut self, position: Position) {
        if self.roster.get(position).is_some_and(|child| child.spec.restart == Restart::Temporary) {
            self.forget(position);
        }
    }

    pub(super) fn forget(&mut self, position: Position) {
        if let Some(child) = self.roster.remove(position) {
            self.actions.push(Action::Removed { child: child.spec.id });
        }
    }
}
