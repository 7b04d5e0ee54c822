//! What a supervisor does: Erlang/OTP's `supervisor`, complete and pure.
//!
//! It decides which children are started, stopped and restarted, in which order and when, and when to give up. It
//! does not start or stop anything, know what a child is made of, or measure deadlines: that is the shell's part.
//!
//! ```text
//!   asker            shell (an actor)                 Supervision               child
//!     │                    │ ── StartAll ────────────────► │                      │
//!     │                    │ ◄─ Start{a, 0} ────────────── │                      │
//!     │                    │ ───────────────────────────── start ───────────────► │
//!     │                    │ ── Started{0} ──────────────► │                      │
//!     │                    │ ◄─ Ready ──────────────────── │                      │
//!     │                    │ ◄──────────────────────────── ends ───────────────── ✗
//!     │                    │ ── Exited{a, 0, Crashed} ───► │
//!     │                    │ ◄─ Start{a, 1} ────────────── │
//!     │ ── terminate a ──► │ ── Request{7, Terminate a} ─► │
//!     │                    │ ◄─ Stop{a, 1} · Reply{7} ──── │
//! ```
//!
//! The shell carries out actions strictly in order. `Stop` means: ask the child to stop, wait for its end up to its
//! deadline, kill it past that, and only then go on. A `Start` is answered with [`Input::Started`],
//! [`Input::Ignored`] or [`Input::StartFailed`]; whatever else is told before that answer is put aside and dealt
//! with after it, as in an OTP supervisor's mailbox.
//!
//! Promises:
//! * Children start in order, each after the one before it has answered, and stop in reverse.
//! * An incarnation is started once and stopped at most once; a late report of an earlier one changes nothing.
//! * Restarts within any period are at most as many as the intensity allows. One more and the supervisor stops its
//!   children and ends (or gives up the one child: [`IntensityScope::Child`]).
//! * Every request is answered exactly once, also after the end.
//!
//! Three things differ from OTP, each because it was asked for: restarts after the first in a period wait
//! ([`Flags::backoff`]; with `None` none does), a group that waits has been stopped at once, and children can be
//! counted alone. The table of OTP's semantics is `tests/otp/table.rs`.
//!
//! Next: `spec.rs` (what it is told), `recover.rs` (the strategies), `start.rs` (one by one), `request.rs`.

mod action;
mod exit;
mod input;
mod meter;
mod recover;
mod request;
mod roster;
mod spec;
mod start;

use std::collections::{BTreeMap, VecDeque};

pub use action::{Action, Stop};
pub use exit::Exit;
pub use input::Input;
pub use request::{Answer, Done, Refusal, Request, RequestId};
pub use roster::ChildState;
pub use spec::{
    AutoShutdown, BACKOFF, ChildId, ChildKind, ChildSpec, Flags, Intensity, IntensityScope, Restart,
    SpecError, StopWithin, Strategy,
};

use super::{Dice, Now};
use meter::Meter;
use roster::{Position, Roster};
use start::{Job, Outcome, Purpose};

/// Tells one life of a child from the next. Rises over all children of a supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// Names a timer, so that one that was overtaken is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerToken(pub u64);

/// How many children there are, by OTP's `count_children`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Specifications, running or not.
    pub specs: usize,
    /// Children that run.
    pub active: usize,
    /// Specifications of supervisors.
    pub supervisors: usize,
    /// Specifications of workers.
    pub workers: usize,
}

/// The decisions of one supervisor.
///
/// ```
/// use connectome_actors::protocol::Now;
/// use connectome_actors::protocol::restart::{Action, ChildSpec, Exit, Flags, Incarnation, Input, Supervision};
///
/// let mut supervision = Supervision::new(Flags::default(), [ChildSpec::worker("a")], 1)?;
/// let actions: Vec<_> = supervision.handle(Now::ZERO, Input::StartAll).collect();
/// assert_eq!(actions, [Action::Start { child: "a".into(), incarnation: Incarnation(0) }]);
/// supervision.handle(Now::ZERO, Input::Started { incarnation: Incarnation(0) });
///
/// let exit = Exit::Crashed("index out of bounds".into());
/// let crash = Input::Exited { child: "a".into(), incarnation: Incarnation(0), exit };
/// let actions: Vec<_> = supervision.handle(Now::ZERO, crash).collect();
/// assert_eq!(actions, [Action::Start { child: "a".into(), incarnation: Incarnation(1) }]);
/// # Ok::<(), connectome_actors::protocol::restart::SpecError>(())
/// ```
#[derive(Debug)]
pub struct Supervision {
    flags: Flags,
    roster: Roster,
    /// Restarts of all children; used when they are counted together.
    meter: Meter,
    dice: Dice,
    /// The start that has not been answered.
    job: Option<Job>,
    /// What was said meanwhile.
    aside: VecDeque<Input>,
    /// Children that wait to be restarted, and how they ended.
    waiting: BTreeMap<TimerToken, (Position, Exit)>,
    incarnations: u64,
    timers: u64,
    ended: bool,
    actions: Vec<Action>,
}

impl Supervision {
    /// A supervisor with these children, none of them started. The seed spreads the waits of the back-off.
    ///
    /// # Errors
    /// [`SpecError`] when flags and specifications contradict each other.
    pub fn new(
        flags: Flags,
        children: impl IntoIterator<Item = ChildSpec>,
        seed: u64,
    ) -> Result<Self, SpecError> {
        let alone = flags.intensity.scope == IntensityScope::Child;
        if alone && matches!(flags.strategy, Strategy::OneForAll | Strategy::RestForOne) {
            return Err(SpecError::ScopeOfOne(flags.strategy));
        }
        Ok(Self {
            flags,
            roster: roster_of(&flags, children)?,
            meter: Meter::default(),
            dice: Dice::new(seed),
            job: None,
            aside: VecDeque::new(),
            waiting: BTreeMap::new(),
            incarnations: 0,
            timers: 0,
            ended: false,
            actions: Vec::new(),
        })
    }

    /// Takes one input and returns what is to be done, in order.
    pub fn handle(&mut self, now: Now, input: Input) -> impl Iterator<Item = Action> {
        if self.job.is_some() && !input.answers_a_start() {
            self.put_aside(input);
        } else {
            self.take(now, input);
        }
        while self.job.is_none()
            && let Some(input) = self.aside.pop_front()
        {
            self.take(now, input);
        }
        self.actions.drain(..)
    }

    /// The children in start order, and what each is doing: OTP's `which_children`.
    pub fn children(&self) -> impl DoubleEndedIterator<Item = (&ChildSpec, ChildState)> {
        self.roster.iter().map(|child| (&child.spec, child.state))
    }

    /// What a child is doing; `None` when it is not known.
    pub fn state(&self, child: &ChildId) -> Option<ChildState> {
        let position = self.roster.find(child)?;
        self.roster.get(position).map(|child| child.state)
    }

    /// How many children there are.
    pub fn counts(&self) -> Counts {
        self.roster.iter().fold(Counts::default(), |counts, child| {
            let supervisor = usize::from(child.spec.kind == ChildKind::Supervisor);
            Counts {
                specs: counts.specs + 1,
                active: counts.active + usize::from(matches!(child.state, ChildState::Running(_))),
                supervisors: counts.supervisors + supervisor,
                workers: counts.workers + 1 - supervisor,
            }
        })
    }

    fn take(&mut self, now: Now, input: Input) {
        if self.ended {
            return self.take_after_the_end(input);
        }
        match input {
            Input::StartAll => self.start_all(),
            Input::Started { incarnation } => self.answered(now, incarnation, Outcome::Started),
            Input::Ignored { incarnation } => self.answered(now, incarnation, Outcome::Ignored),
            Input::StartFailed { incarnation, reason } => {
                self.answered(now, incarnation, Outcome::Failed(reason));
            }
            Input::Exited { child, incarnation, exit } => self.exited(now, &child, incarnation, exit),
            Input::Request { id, request } => self.request(id, request),
            Input::Timer { token } => self.timer(now, token),
            Input::Shutdown => self.finish(Exit::Shutdown),
        }
    }

    fn take_after_the_end(&mut self, input: Input) {
        if let Input::Request { id, .. } = input {
            self.reply(id, Err(Refusal::Ended));
        }
    }

    fn put_aside(&mut self, input: Input) {
        match input {
            Input::Request { id, .. } if self.aside.len() >= ASIDE_MAX => {
                self.reply(id, Err(Refusal::Busy(ASIDE_MAX)));
            }
            other => self.aside.push_back(other),
        }
    }

    fn start_all(&mut self) {
        let all = self.roster.all().collect();
        self.proceed(Purpose::StartUp, all);
    }

    /// Stops every child, then ends.
    fn finish(&mut self, exit: Exit) {
        let positions: Vec<Position> = self.roster.all().rev().collect();
        let stops: Vec<Stop> = positions.into_iter().filter_map(|position| self.stopping(position)).collect();
        if self.flags.strategy == Strategy::Dynamic {
            self.actions.push(Action::StopTogether(stops));
        } else {
            self.actions.extend(stops.into_iter().map(Action::Stop));
        }
        self.ended = true;
        self.actions.push(Action::Finish { exit });
    }

    /// Has a running child stopped; a restart that it waits for is called off.
    fn stop(&mut self, position: Position) {
        let stop = self.stopping(position);
        self.actions.extend(stop.map(Action::Stop));
    }

    fn stopping(&mut self, position: Position) -> Option<Stop> {
        let child = self.roster.get_mut(position)?;
        match std::mem::replace(&mut child.state, ChildState::Stopped) {
            ChildState::Running(incarnation) | ChildState::Starting(incarnation) => {
                Some(Stop { child: child.spec.id.clone(), incarnation, within: child.spec.stop_within })
            }
            ChildState::Restarting(token) => {
                self.waiting.remove(&token);
                None
            }
            ChildState::Stopped => None,
        }
    }

    fn set(&mut self, position: Position, state: ChildState) {
        if let Some(child) = self.roster.get_mut(position) {
            child.state = state;
        }
    }

    /// Where this child's restarts are counted.
    fn meter(&mut self, position: Position) -> &mut Meter {
        match (self.flags.intensity.scope, self.roster.get_mut(position)) {
            (IntensityScope::Child, Some(child)) => &mut child.meter,
            (IntensityScope::Child | IntensityScope::Supervisor, _) => &mut self.meter,
        }
    }
}

fn roster_of(flags: &Flags, children: impl IntoIterator<Item = ChildSpec>) -> Result<Roster, SpecError> {
    let mut roster = Roster::default();
    for child in children {
        child.check(flags)?;
        if flags.strategy == Strategy::Dynamic {
            return Err(SpecError::DynamicStartsEmpty(child.id));
        }
        if roster.find(&child.id).is_some() {
            return Err(SpecError::Duplicate(child.id));
        }
        roster.push(child);
    }
    Ok(roster)
}

/// Children of one supervisor. Ten times the hundred thousand agents a node is built for.
pub const CHILDREN_MAX: usize = 1 << 20;

/// Inputs put aside while a child starts, past which requests are refused. A mailbox's worth: more askers than that
/// are better told to come back. Exits and timers are bounded by the number of children and always kept.
pub const ASIDE_MAX: usize = 1_024;
