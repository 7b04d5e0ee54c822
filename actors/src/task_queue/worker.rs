//! One attempt at a task: from the claim to the completion, or to whatever comes between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::event::{TaskAssigned, TaskCompleted, TaskFailed};
use connectome_codecs::message::{self, Blame, Effect, ErrorCode};
use connectome_codecs::seal::SealedBody;
use connectome_codecs::{AgentName, Attempt, Envelope, Fact, TaskRecord, TaskState, Term, UnixMillis};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::context::TaskContext;
use super::record::{self, Found, Known, Stepped};
use super::waiting::{Listening, News};
use super::{Counts, count};
use crate::agent_ref::push;
use crate::cell::AgentCell;
use crate::error::CallError;
use crate::parcel::{Answer, Encoded, Meta};
use crate::port::{Consumer, DeliveryTag, StreamError};
use crate::protocol::Now;
use crate::protocol::task::{Action, Failure, Input, Outcome, Refusal, Step, Stopped, Work};
use crate::router::Router;
use crate::sealing::NotOpened;

/// What is to be done with the delivery once an attempt is over.
#[expect(clippy::large_enum_variant, reason = "it is matched where it is made, and never kept")]
pub(super) enum Verdict {
    /// The task has ended: it leaves the queue.
    Done,
    /// It has ended badly: it leaves the queue for the dead letters.
    Dead(TaskRecord),
    /// It comes again after this wait.
    Again(Duration),
    /// Somebody else has it: leave the delivery to them.
    Leave,
}

/// One attempt at a task by one agent of this node.
pub(super) struct Attempting<'a> {
    pub(super) router: &'a Router,
    pub(super) consumer: &'a dyn Consumer,
    pub(super) tag: DeliveryTag,
    /// Whether nobody is likely to have written a record of it.
    pub(super) is_fresh: bool,
    pub(super) task: &'a message::Task,
    pub(super) envelope: &'a Envelope,
    pub(super) worker: &'a Arc<AgentCell>,
}

impl Attempting<'_> {
    /// Claims the task, lets the agent work on it, and says what comes of it.
    pub(super) async fn run(&self) -> Result<Verdict, StreamError> {
        let claimed = Instant::now();
        let claim = Step::Claim { node: self.router.node_id(), worker: self.worker.name.clone() };
        match self.claim(&claim).await? {
            Stepped::Done(found, Outcome::Claimed { term, attempt, until }) => {
                self.work(Held { term, attempt, claimed, until, found: Mutex::new(Some(found)) }).await
            }
            Stepped::Done((record, _), outcome) => Ok(self.settled(record, &outcome)),
            Stepped::Refused(Refusal::Ended { .. }) => self.over().await,
            Stepped::Refused(Refusal::Held { until, .. }) => {
                Ok(Verdict::Again(until.since(self.router.now()).max(AGAIN_MIN)))
            }
            Stepped::Refused(_) | Stepped::Unknown => {
                Ok(Verdict::Again(self.router.inner().config.task_lease))
            }
        }
    }

    /// The first claim makes the record, so that one write does both. Where there may be one, it is read first.
    async fn claim(&self, claim: &Step) -> Result<Stepped, StreamError> {
        let begins = || Known::Absent(TaskRecord::submitted(self.task, self.envelope.sent));
        let known = if self.is_fresh { begins() } else { Known::Nothing };
        match record::step(self.router, self.task.id, claim, known).await? {
            Stepped::Unknown => record::step(self.router, self.task.id, claim, begins()).await,
            claimed => Ok(claimed),
        }
    }

    async fn work(&self, held: Held) -> Result<Verdict, StreamError> {
        count(&self.counts().started);
        self.say_assigned(&held).await;
        let input = match self.router.inner().seals.open_task(self.envelope, self.task).await {
            Ok(input) => input,
            Err(why) => return self.not_opened(&held, why).await,
        };
        let (answer, mut answered) = oneshot::channel();
        let (stopped, begun) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        // Also when this attempt is dropped where it stands: the worker must not work on for nobody.
        let _over = stopped.clone().drop_guard();
        let context = TaskContext {
            id: self.task.id,
            term: held.term,
            attempt: held.attempt,
            stopped: stopped.clone(),
        };
        self.hand_over(input, TaskAnswer { context, answer: Some(answer), begun: begun.clone() }).await;
        let ended = self.attend(&held, &mut answered).await;
        stopped.cancel();
        let left_alone = matches!(ended, Ended::Stopped(_));
        let verdict = self.conclude(&held, ended).await;
        if left_alone {
            self.free_worker(answered, &begun).await;
        }
        verdict
    }

    async fn conclude(&self, held: &Held, ended: Ended) -> Result<Verdict, StreamError> {
        match ended {
            Ended::Answered(Ok(result)) => self.complete(held, result).await,
            Ended::Answered(Err(error)) => self.fail(held, &error).await,
            Ended::Stopped(Stopped::TimeLimit { limit }) => {
                self.fail(held, &CallError::TimedOut(limit)).await
            }
            Ended::Stopped(Stopped::Over { .. }) => self.over().await,
            Ended::Stopped(Stopped::Fenced { .. } | Stopped::Silence) => Ok(Verdict::Leave),
        }
    }

    /// Gives the worker of a stopped attempt a moment to notice. One that is still at it then hangs: it is killed, and
    /// its next incarnation takes the next task. A pipe was dropped with the attempt, so it is never at it.
    async fn free_worker(&self, answered: oneshot::Receiver<Result<Bytes, CallError>>, begun: &AtomicBool) {
        let grace = self.router.inner().config.task_lease / 2;
        if timeout(grace, answered).await.is_err() && begun.load(Ordering::Acquire) {
            tracing::warn!(task = %self.task.id, worker = %self.worker.name, "a worker that hangs is killed");
            self.worker.kill();
        }
    }

    async fn hand_over(&self, input: SealedBody, answer: TaskAnswer) {
        let mut envelope = self.envelope.clone();
        (envelope.content_type, envelope.body) = (input.content_type, input.body);
        let meta = Meta {
            from: envelope.from.clone(),
            attempt: answer.context.attempt.0,
            trace: envelope.trace.clone().map(Arc::new),
            ..Meta::default()
        };
        let parcel = Encoded { envelope, answer: Some(Box::new(answer)), meta };
        // Refused or dropped, the parcel answers for itself.
        drop(push(self.router, self.worker, Box::new(parcel), None).await);
    }

    /// Extends the lease while the agent is alive, until it answers or the protocol says stop.
    async fn attend(&self, held: &Held, answered: &mut oneshot::Receiver<Result<Bytes, CallError>>) -> Ended {
        let mut work = Work::new(held.term, Now::ZERO, &record::policy(self.router));
        let mut pulse = self.worker.pulse();
        let listening = Listening::begin(self.router, self.task.id);
        loop {
            let Some(tick) = work.next_tick() else { return Ended::Stopped(Stopped::Silence) };
            let input = tokio::select! {
                biased;
                answer = &mut *answered => {
                    let crashed = || CallError::Crashed("the agent ended while it was at work".to_owned());
                    return Ended::Answered(answer.unwrap_or_else(|_| Err(crashed())));
                }
                () = listening.changed() => match self.cancelled(held.term, listening.news()).await {
                    Some(refusal) => Input::Refused(refusal),
                    None => continue,
                },
                () = sleep_until(held.claimed + tick.since_origin()) => Input::Tick,
            };
            let mut input = Some(input);
            while let Some(next) = input.take() {
                let action = work.handle(Now::new(held.claimed.elapsed()), next).next();
                match action {
                    Some(Action::Extend { term }) if pulse.beats() => {
                        input = Some(self.extend(held, term).await)
                    }
                    // An agent that does not even wake up to its pulse hangs: its lease runs out.
                    Some(Action::Extend { .. }) => input = Some(Input::Unknown),
                    Some(Action::Stop(why)) => return Ended::Stopped(why),
                    None => {}
                }
            }
        }
    }

    async fn cancelled(&self, term: Term, news: News) -> Option<Refusal> {
        let record = match news {
            News::Record(record, _) => record,
            News::Nothing | News::Gone | News::Missed => {
                Arc::new(record::load(self.router, self.task.id).await.ok()??.0)
            }
        };
        (record.term > term).then_some(match record.state.is_terminal() {
            true => Refusal::Ended { state: record.state.clone(), term: record.term, at: record.updated },
            false => Refusal::Stale { yours: term, newest: record.term, owner: record.owner },
        })
    }

    async fn extend(&self, held: &Held, term: Term) -> Input {
        match record::step(self.router, self.task.id, &Step::Extend { term }, held.take().into()).await {
            Ok(Stepped::Done(found, _)) => {
                *held.found.lock() = Some(found);
                // The lease is what counts; a delivery that comes too early finds the task held.
                drop(self.consumer.in_progress(self.tag).await);
                Input::Extended
            }
            Ok(Stepped::Refused(refusal)) => Input::Refused(refusal),
            Ok(Stepped::Unknown) | Err(_) => Input::Unknown,
        }
    }

    async fn complete(&self, held: &Held, result: Bytes) -> Result<Verdict, StreamError> {
        let step = Step::Complete { term: held.term, result };
        match record::step(self.router, self.task.id, &step, held.take().into()).await? {
            Stepped::Done(_, Outcome::Completed) => {
                count(&self.counts().completed);
                self.say_completed(held).await;
                Ok(Verdict::Done)
            }
            Stepped::Done((record, _), outcome) => Ok(self.settled(record, &outcome)),
            Stepped::Refused(refusal) => self.refused(&refusal).await,
            Stepped::Unknown => Ok(Verdict::Again(AGAIN_MIN)),
        }
    }

    async fn fail(&self, held: &Held, error: &CallError) -> Result<Verdict, StreamError> {
        let failure = if is_final(error) { Failure::Final } else { Failure::Retryable };
        self.fail_as(held, task_error(error), failure).await
    }

    /// What nobody believes is given up; what only the keys are missing for is tried again, as often as it may be.
    async fn not_opened(&self, held: &Held, why: NotOpened) -> Result<Verdict, StreamError> {
        let (text, blame, failure) = match why {
            NotOpened::Store(error) => (error.to_string(), Blame::Environment, Failure::Retryable),
            NotOpened::NoKey(why) => (why, Blame::Environment, Failure::Retryable),
            NotOpened::Refused(why) => (why, Blame::Caller, Failure::Final),
        };
        tracing::warn!(task = %self.task.id, why = text, "a task's input could not be opened");
        self.fail_as(held, message::Error::new(NOT_OPENED, blame, Effect::None, &text), failure).await
    }

    async fn fail_as(
        &self,
        held: &Held,
        error: message::Error,
        failure: Failure,
    ) -> Result<Verdict, StreamError> {
        let step = Step::Fail { term: held.term, error: error.clone(), failure };
        match record::step(self.router, self.task.id, &step, held.take().into()).await? {
            Stepped::Done((record, _), outcome) => {
                self.say_failed(held, error, &outcome).await;
                Ok(self.settled(record, &outcome))
            }
            Stepped::Refused(refusal) => self.refused(&refusal).await,
            Stepped::Unknown => Ok(Verdict::Again(AGAIN_MIN)),
        }
    }

    /// A worker that lost its task comes too late, and its result does not count.
    async fn refused(&self, refusal: &Refusal) -> Result<Verdict, StreamError> {
        count(&self.counts().refused_stale);
        tracing::warn!(task = %self.task.id, worker = %self.worker.name, %refusal, "a late worker was refused");
        match refusal {
            Refusal::Ended { .. } => self.over().await,
            _ => Ok(Verdict::Leave),
        }
    }

    /// The task has ended without us. Whoever ended it may not have lived to write its dead letter; a second one, under
    /// the same id, is stored once.
    async fn over(&self) -> Result<Verdict, StreamError> {
        let record = record::load(self.router, self.task.id).await?.map(|(record, _)| record);
        Ok(match record {
            Some(record) if matches!(record.state, TaskState::Failed | TaskState::Rejected) => {
                Verdict::Dead(record)
            }
            Some(_) | None => Verdict::Done,
        })
    }

    fn settled(&self, record: TaskRecord, outcome: &Outcome) -> Verdict {
        match outcome {
            Outcome::Again { after } => {
                count(&self.counts().retried);
                Verdict::Again((*after).max(AGAIN_MIN))
            }
            Outcome::Failed | Outcome::Rejected => {
                count(&self.counts().failed);
                Verdict::Dead(record)
            }
            Outcome::Waiting | Outcome::Claimed { .. } | Outcome::Extended { .. } => Verdict::Leave,
            Outcome::Completed
            | Outcome::AlreadyCompleted
            | Outcome::Canceled
            | Outcome::Unchanged { .. } => Verdict::Done,
        }
    }

    fn counts(&self) -> &Counts {
        &self.router.inner().tasks.counts
    }

    async fn say_assigned(&self, held: &Held) {
        let assigned = TaskAssigned {
            task: self.task.id,
            worker: self.worker.name.clone(),
            node: self.router.node_id(),
            term: held.term,
            attempt: held.attempt,
            lease_until: held.until,
        };
        self.router.say(Fact::TaskAssigned(assigned)).await;
    }

    async fn say_completed(&self, held: &Held) {
        let completed = TaskCompleted {
            task: self.task.id,
            worker: self.worker.name.clone(),
            term: held.term,
            attempt: held.attempt,
            elapsed_ms: u64::try_from(held.claimed.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        self.router.say(Fact::TaskCompleted(completed)).await;
    }

    async fn say_failed(&self, held: &Held, error: message::Error, outcome: &Outcome) {
        let retry_at = match outcome {
            Outcome::Again { after } => Some(self.router.now().after(*after)),
            _ => None,
        };
        let worker: Option<AgentName> = Some(self.worker.name.clone());
        let (term, attempt) = (held.term, held.attempt);
        let error = self.router.inner().seals.words_of(error);
        let failed = TaskFailed { task: self.task.id, worker, term, attempt, error, retry_at };
        self.router.say(Fact::TaskFailed(failed)).await;
    }
}

/// Its input was not opened.
const NOT_OPENED: ErrorCode = ErrorCode::from_static("not_opened");

/// The least wait before a task comes again: a refusal must not become a spin.
const AGAIN_MIN: Duration = Duration::from_millis(10);

/// A claim that was granted.
struct Held {
    term: Term,
    attempt: Attempt,
    /// When the claim was sent.
    claimed: Instant,
    until: UnixMillis,
    /// The record as it was last written, for the next step.
    found: Mutex<Option<Found>>,
}

impl Held {
    fn take(&self) -> Option<Found> {
        self.found.lock().take()
    }
}

/// How the handling of an attempt ended.
enum Ended {
    Answered(Result<Bytes, CallError>),
    Stopped(Stopped),
}

/// An error that another attempt would meet again.
fn is_final(error: &CallError) -> bool {
    match error {
        CallError::Handler(error) => !error.is_retryable(),
        CallError::NoHandler { .. } | CallError::BadMessage { .. } => true,
        _ => false,
    }
}

fn task_error(error: &CallError) -> message::Error {
    let blame = if is_final(error) { Blame::Caller } else { error.blame() };
    let code = error.code().parse().unwrap_or(ErrorCode::HANDLER);
    message::Error::new(code, blame, Effect::Possible, &error.to_string())
}

/// Brings an agent's answer to the attempt that waits for it.
struct TaskAnswer {
    context: TaskContext,
    answer: Option<oneshot::Sender<Result<Bytes, CallError>>>,
    begun: Arc<AtomicBool>,
}

impl Answer for TaskAnswer {
    fn give(mut self: Box<Self>, result: Result<Bytes, CallError>, _: Option<Bytes>) {
        if let Some(answer) = self.answer.take() {
            // An attempt that was stopped no longer waits; the record refuses it in any case.
            drop(answer.send(result));
        }
    }

    fn begun(&self) {
        self.begun.store(true, Ordering::Release);
    }

    fn is_gone(&self) -> bool {
        self.context.is_stopped()
    }

    fn gone(&self) -> BoxFuture<'static, ()> {
        self.context.stopped.clone().cancelled_owned().boxed()
    }

    fn task(&self) -> Option<TaskContext> {
        Some(self.context.clone())
    }

    /// A crash is an attempt that failed; whether there is another one is the task's own affair.
    fn takes_back(&self) -> bool {
        true
    }
}
