//! The rules: the next record of the present one.

use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::message::{self, Blame, Effect, ErrorCode};
use connectome_codecs::{AgentName, Attempt, NodeId, TaskRecord, TaskState, Term, UnixMillis};

use super::super::Dice;
use super::{Failure, Outcome, Policy, Question, Refusal, Step};

/// Applies one step at a moment of the caller's clock. The waits of the back-off are spread by the task's id, so that
/// the same step on the same record gives the same outcome everywhere.
///
/// # Errors
/// [`Refusal`] says why not, and leaves the record as it was.
///
/// ```
/// use connectome_actors::protocol::task::{Outcome, Policy, Refusal, Step, apply};
/// # use connectome_codecs::{NodeId, TaskId, TaskRecord, Term, UnixMillis, message::Task};
/// # let task = Task {
/// #     id: TaskId::from_parts(UnixMillis(0), 1), capability: "summarise".parse()?, input: "text".into(),
/// #     content_type: Default::default(), deadline: None, attempts_max: 3, idempotency_key: None,
/// # };
/// let mut record = TaskRecord::submitted(&task, UnixMillis(0));
/// let policy = Policy::default();
/// let claim = |n| Step::Claim { node: NodeId([n; 32]), worker: "worker".parse().unwrap() };
///
/// apply(&mut record, UnixMillis(0), claim(1), &policy)?;
/// // Worker 1 hangs; its lease runs out, and worker 2 takes the task.
/// apply(&mut record, UnixMillis(31_000), claim(2), &policy)?;
/// let result = "a summary".into();
/// let late = apply(&mut record, UnixMillis(32_000), Step::Complete { term: Term(1), result }, &policy);
/// assert!(matches!(late, Err(Refusal::Stale { yours: Term(1), newest: Term(2), .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn apply(
    record: &mut TaskRecord,
    now: UnixMillis,
    step: Step,
    policy: &Policy,
) -> Result<Outcome, Refusal> {
    if let TaskState::Unknown(_) = record.state {
        return Err(Refusal::UnknownState(record.state.clone()));
    }
    let mut task = Life { record, now, policy };
    match step {
        Step::Claim { node, worker } => task.claim(node, worker),
        Step::Extend { term } => task.extend(term),
        Step::Complete { term, result } => task.complete(term, result),
        Step::Fail { term, error, failure } => task.fail(term, error, failure),
        Step::Release { term } => task.release(term),
        Step::Ask { term, question, note } => task.ask(term, question, &note),
        Step::Resume => task.resume(),
        Step::Cancel { note } => task.cancel(&note),
        Step::Reject { note } => task.reject(&note),
        Step::Expire => task.expire(),
    }
}

struct Life<'a> {
    record: &'a mut TaskRecord,
    now: UnixMillis,
    policy: &'a Policy,
}

impl Life<'_> {
    fn claim(&mut self, node: NodeId, worker: AgentName) -> Result<Outcome, Refusal> {
        let note = match self.record.state {
            TaskState::Submitted => "",
            TaskState::Working if self.lease_is_over() => "taken from a silent worker",
            TaskState::Working => return Err(self.held()),
            TaskState::InputRequired | TaskState::AuthRequired => {
                return Err(self.not_now("claim", "wait until it was resumed"));
            }
            TaskState::Completed
            | TaskState::Canceled
            | TaskState::Failed
            | TaskState::Rejected
            | TaskState::Unknown(_) => return Err(self.ended()),
        };
        if self.is_too_late() {
            return Ok(self.too_late());
        }
        if self.record.attempt.0 >= self.record.attempts_max {
            return Ok(self.worn_out());
        }
        self.record.term = self.record.term.next();
        self.record.attempt = self.record.attempt.next();
        self.record.owner = Some(node);
        self.step(TaskState::Working, note);
        self.record.worker = Some(worker);
        let until = self.lease();
        Ok(Outcome::Claimed { term: self.record.term, attempt: self.record.attempt, until })
    }

    /// An extension is not a step of history: a long task would forget everything else.
    fn extend(&mut self, term: Term) -> Result<Outcome, Refusal> {
        self.must_hold(term, "extend")?;
        self.record.updated = self.now;
        Ok(Outcome::Extended { until: self.lease() })
    }

    fn complete(&mut self, term: Term, result: Bytes) -> Result<Outcome, Refusal> {
        if self.record.state == TaskState::Completed && self.record.term == term {
            return Ok(Outcome::AlreadyCompleted);
        }
        self.must_hold(term, "complete")?;
        self.record.result = Some(result);
        self.record.error = None;
        self.leave(TaskState::Completed, "");
        Ok(Outcome::Completed)
    }

    fn fail(&mut self, term: Term, error: message::Error, failure: Failure) -> Result<Outcome, Refusal> {
        self.must_hold(term, "fail")?;
        let note = error.message.clone();
        self.record.error = Some(error);
        match failure {
            Failure::Final => {
                self.leave(TaskState::Failed, &note);
                Ok(Outcome::Failed)
            }
            Failure::Retryable => Ok(self.again_or_over(&note)),
        }
    }

    fn release(&mut self, term: Term) -> Result<Outcome, Refusal> {
        self.must_hold(term, "release")?;
        self.give_attempt_back();
        self.leave(TaskState::Submitted, "given back by its worker");
        Ok(Outcome::Again { after: Duration::ZERO })
    }

    fn ask(&mut self, term: Term, question: Question, note: &str) -> Result<Outcome, Refusal> {
        self.must_hold(term, "ask about")?;
        self.give_attempt_back();
        self.leave(question.state(), note);
        Ok(Outcome::Waiting)
    }

    fn resume(&mut self) -> Result<Outcome, Refusal> {
        self.must_live()?;
        if !matches!(self.record.state, TaskState::InputRequired | TaskState::AuthRequired) {
            return Err(self.not_now("resume", "only a task that waits for an answer is resumed"));
        }
        self.leave(TaskState::Submitted, "resumed");
        Ok(Outcome::Again { after: Duration::ZERO })
    }

    fn cancel(&mut self, note: &str) -> Result<Outcome, Refusal> {
        self.must_live()?;
        self.take_away(TaskState::Canceled, note);
        Ok(Outcome::Canceled)
    }

    fn reject(&mut self, note: &str) -> Result<Outcome, Refusal> {
        self.must_live()?;
        if self.record.state == TaskState::Working {
            return Err(self.not_now("reject", "cancel it instead"));
        }
        self.take_away(TaskState::Rejected, note);
        Ok(Outcome::Rejected)
    }

    fn expire(&mut self) -> Result<Outcome, Refusal> {
        self.must_live()?;
        if self.is_too_late() {
            return Ok(self.too_late());
        }
        if self.record.state == TaskState::Working && self.lease_is_over() {
            self.record.term = self.record.term.next();
            return Ok(self.again_or_over("its worker fell silent"));
        }
        let next = [self.record.lease_until, self.record.deadline];
        Ok(Outcome::Unchanged { next: next.into_iter().flatten().min() })
    }

    /// Back to where it can be claimed, or, after the last attempt, the end.
    fn again_or_over(&mut self, note: &str) -> Outcome {
        if self.record.attempt.0 >= self.record.attempts_max {
            return self.worn_out();
        }
        self.leave(TaskState::Submitted, note);
        Outcome::Again { after: self.wait() }
    }

    fn wait(&self) -> Duration {
        let id = u128::from_be_bytes(self.record.id.to_bytes()) as u64;
        let attempt = self.record.attempt.0;
        self.policy.backoff.wait(attempt.saturating_sub(1), &mut Dice::new(id ^ u64::from(attempt)))
    }

    fn worn_out(&mut self) -> Outcome {
        let detail =
            format!("{} of {} attempts came to nothing", self.record.attempt, self.record.attempts_max);
        if self.record.error.is_none() {
            self.record.error = Some(over(EXHAUSTED, &detail));
        }
        self.take_away(TaskState::Failed, &detail);
        Outcome::Failed
    }

    fn too_late(&mut self) -> Outcome {
        let detail = "its deadline has passed";
        self.record.error = Some(over(ErrorCode::TIMEOUT, detail));
        self.take_away(TaskState::Failed, detail);
        Outcome::Failed
    }

    /// Moves on, away from a worker who may still be at work: a new term, so that nothing it says counts.
    fn take_away(&mut self, state: TaskState, note: &str) {
        self.record.term = self.record.term.next();
        self.leave(state, note);
    }

    fn leave(&mut self, state: TaskState, note: &str) {
        self.record.owner = None;
        self.record.worker = None;
        self.record.lease_until = None;
        self.step(state, note);
    }

    fn step(&mut self, state: TaskState, note: &str) {
        self.record.step(state, self.now, note);
    }

    fn lease(&mut self) -> UnixMillis {
        let until = self.now.after(self.policy.lease);
        let until = self.record.deadline.map_or(until, |deadline| until.min(deadline));
        self.record.lease_until = Some(until);
        until
    }

    fn give_attempt_back(&mut self) {
        self.record.attempt = Attempt(self.record.attempt.0.saturating_sub(1));
    }

    fn must_live(&self) -> Result<(), Refusal> {
        if self.record.state.is_terminal() { Err(self.ended()) } else { Ok(()) }
    }

    /// Only the worker whose term is the newest may speak.
    fn must_hold(&self, term: Term, step: &'static str) -> Result<(), Refusal> {
        let newest = self.record.term;
        if term > newest {
            return Err(Refusal::Ahead { yours: term, newest });
        }
        self.must_live()?;
        if term < newest {
            return Err(Refusal::Stale { yours: term, newest, owner: self.record.owner });
        }
        if self.record.state == TaskState::Working {
            Ok(())
        } else {
            Err(self.not_now(step, "claim it first"))
        }
    }

    fn lease_is_over(&self) -> bool {
        self.record.lease_until.is_none_or(|until| self.now >= until)
    }

    fn is_too_late(&self) -> bool {
        self.record.deadline.is_some_and(|deadline| self.now >= deadline)
    }

    fn ended(&self) -> Refusal {
        let TaskRecord { state, term, updated, .. } = &*self.record;
        Refusal::Ended { state: state.clone(), term: *term, at: *updated }
    }

    fn held(&self) -> Refusal {
        Refusal::Held { owner: self.record.owner, until: self.record.lease_until.unwrap_or(self.now) }
    }

    fn not_now(&self, step: &'static str, right: &'static str) -> Refusal {
        Refusal::NotNow { step, state: self.record.state.clone(), right }
    }
}

/// An end that no worker reported. Attempts may have had effects.
fn over(code: ErrorCode, detail: &str) -> message::Error {
    message::Error::new(code, Blame::Environment, Effect::Possible, detail)
}

/// Every attempt that was allowed came to nothing, and none said why.
const EXHAUSTED: ErrorCode = ErrorCode::from_static("exhausted");
