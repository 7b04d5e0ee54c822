//! The worker's side of one attempt: when to extend the lease, and when to stop.

use std::time::Duration;

use connectome_codecs::{TaskState, Term};

use super::super::Now;
use super::super::lease::Tenure;
use super::{Policy, Refusal};

/// What a worker's attempt is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// It is [`Work::next_tick`], or later.
    Tick,
    /// The extension was written.
    Extended,
    /// The extension was refused.
    Refused(Refusal),
    /// The extension went without an answer, or the record was out of date.
    Unknown,
}

/// What a worker's attempt asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Apply [`super::Step::Extend`] and write the record; tell the stream that the work goes on.
    Extend {
        /// The attempt's.
        term: Term,
    },
    /// Stop the handler. What it does from now on does not count, and no result may be written.
    Stop(Stopped),
}

/// Why an attempt must stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// Another worker has the task.
    Fenced {
        /// The newer term.
        newest: Term,
    },
    /// The task has ended or waits without us: it was cancelled, say.
    Over {
        /// The state that it is in.
        state: TaskState,
    },
    /// No extension was acknowledged in time: another worker may have the task soon.
    Silence,
    /// The attempt took longer than [`Policy::attempt_max`]. Report a retryable failure.
    TimeLimit {
        /// The limit.
        limit: Duration,
    },
}

/// One attempt at a task.
///
/// ```
/// use std::time::Duration;
/// use connectome_actors::protocol::{Now, task::{Action, Input, Policy, Work}};
/// use connectome_codecs::Term;
///
/// let mut work = Work::new(Term(1), Now::ZERO, &Policy::default());
/// let third = Now::new(Duration::from_secs(10));
/// assert_eq!(work.next_tick(), Some(third));
/// let actions: Vec<_> = work.handle(third, Input::Tick).collect();
/// assert_eq!(actions, [Action::Extend { term: Term(1) }]);
/// ```
#[derive(Debug, Clone)]
pub struct Work {
    term: Term,
    tenure: Tenure,
    limit: Option<(Now, Duration)>,
    stopped: bool,
}

impl Work {
    /// An attempt under this term. `claimed` is when the claim was *sent* to be written.
    pub fn new(term: Term, claimed: Now, policy: &Policy) -> Self {
        let limit = policy.attempt_max.map(|limit| (claimed + limit, limit));
        Self { term, tenure: Tenure::new(claimed, policy.lease), limit, stopped: false }
    }

    /// Takes one input and returns what is to be done. After a stop there is nothing more.
    pub fn handle(&mut self, now: Now, input: Input) -> impl Iterator<Item = Action> + use<> {
        let action = if self.stopped { None } else { self.take(now, input) };
        self.stopped |= matches!(action, Some(Action::Stop(_)));
        action.into_iter()
    }

    /// When to say [`Input::Tick`] next, if nothing is said before.
    pub fn next_tick(&self) -> Option<Now> {
        let tick = self.tenure.next_tick();
        let tick = self.limit.map_or(tick, |(limit, _)| limit.min(tick));
        (!self.stopped).then_some(tick)
    }

    fn take(&mut self, now: Now, input: Input) -> Option<Action> {
        match input {
            Input::Tick => {}
            Input::Extended => self.tenure.acknowledged(),
            Input::Unknown => self.tenure.unknown(now),
            Input::Refused(refusal) => return self.refused(now, refusal),
        }
        if let Some((_, limit)) = self.limit.filter(|(end, _)| now >= *end) {
            return Some(Action::Stop(Stopped::TimeLimit { limit }));
        }
        if now >= self.tenure.ends_at() {
            return Some(Action::Stop(Stopped::Silence));
        }
        let due = self.tenure.renew_at().is_some_and(|renew| now >= renew);
        due.then(|| {
            self.tenure.sent(now);
            Action::Extend { term: self.term }
        })
    }

    fn refused(&mut self, now: Now, refusal: Refusal) -> Option<Action> {
        let stopped = match refusal {
            Refusal::Stale { newest, .. } => Stopped::Fenced { newest },
            Refusal::Ended { state, .. } | Refusal::NotNow { state, .. } | Refusal::UnknownState(state) => {
                Stopped::Over { state }
            }
            Refusal::Ahead { .. } | Refusal::Held { .. } => {
                self.tenure.unknown(now);
                return None;
            }
        };
        Some(Action::Stop(stopped))
    }
}
