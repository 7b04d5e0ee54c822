//! Promises of `protocol::task`: any steps by any workers, with any terms, at any times.

use std::time::Duration;

use connectome_actors::protocol::Now;
use connectome_actors::protocol::task::{
    Action, Failure, Input, Outcome, Policy, Question, Refusal, Step, Stopped, Work, apply,
};
use connectome_codecs::message::{Blame, Effect, Error, ErrorCode, Task};
use connectome_codecs::{AgentName, Attempt, NodeId, TaskId, TaskRecord, TaskState, Term, UnixMillis};
use proptest::prelude::*;

const WORKER: AgentName = AgentName::from_static("worker");

fn submitted(attempts_max: u32, deadline: Option<u64>) -> TaskRecord {
    let task = Task {
        id: TaskId::from_parts(UnixMillis(0), 7),
        capability: "summarise".parse().expect("a valid capability"),
        input: "a long text".into(),
        content_type: Default::default(),
        deadline: deadline.map(UnixMillis),
        attempts_max,
        idempotency_key: None,
    };
    TaskRecord::submitted(&task, UnixMillis(0))
}

fn claim(node: u8) -> Step {
    Step::Claim { node: NodeId([node; 32]), worker: WORKER }
}

fn error() -> Error {
    Error::new(ErrorCode::HANDLER, Blame::Peer, Effect::Possible, "it did not work")
}

fn at(record: &mut TaskRecord, ms: u64, step: Step) -> Result<Outcome, Refusal> {
    apply(record, UnixMillis(ms), step, &Policy::default())
}

/// Steps under terms around those that exist.
fn steps() -> impl Strategy<Value = Step> {
    let term = || (0..12_u64).prop_map(Term);
    let failure = prop_oneof![4 => Just(Failure::Retryable), 1 => Just(Failure::Final)];
    let question = prop_oneof![Just(Question::Input), Just(Question::Auth)];
    prop_oneof![
        8 => (0..3_u8).prop_map(claim),
        4 => term().prop_map(|term| Step::Extend { term }),
        2 => term().prop_map(|term| Step::Complete { term, result: term.to_string().into() }),
        3 => (term(), failure).prop_map(|(term, failure)| Step::Fail { term, error: error(), failure }),
        2 => term().prop_map(|term| Step::Release { term }),
        1 => (term(), question).prop_map(|(term, question)| Step::Ask { term, question, note: "which?".into() }),
        2 => Just(Step::Resume),
        1 => Just(Step::Cancel { note: "changed my mind".into() }),
        1 => Just(Step::Reject { note: "nobody can".into() }),
        4 => Just(Step::Expire),
    ]
}

/// The term that a step shows, if it is a worker's.
fn term_of(step: &Step) -> Option<Term> {
    match step {
        Step::Extend { term }
        | Step::Complete { term, .. }
        | Step::Fail { term, .. }
        | Step::Release { term }
        | Step::Ask { term, .. } => Some(*term),
        Step::Claim { .. } | Step::Resume | Step::Cancel { .. } | Step::Reject { .. } | Step::Expire => None,
    }
}

proptest! {
    /// Under any steps by clocks that differ by minutes: terms never fall and rise with each claim; only the newest
    /// term is obeyed; what is refused changes nothing; ends are ends; one completion is accepted at the most; and
    /// the record stays one that can be stored.
    #[test]
    fn any_life_of_a_task_keeps_the_rules(
        attempts_max in 1..5_u32,
        deadline in prop::option::of(1..900_000_u64),
        steps in prop::collection::vec((steps(), 0..60_000_u64, 0..120_000_u64), 0..80),
    ) {
        let mut record = submitted(attempts_max, deadline);
        let (mut now, mut completions) = (0, 0);
        for (step, passes, skew) in steps {
            now += passes;
            let before = record.clone();
            let outcome = at(&mut record, now + skew, step.clone());
            prop_assert!(record.term >= before.term);
            prop_assert!(record.attempt.0 <= attempts_max);
            prop_assert!(record.validate().is_ok());
            match outcome {
                Err(_) => prop_assert_eq!(&record, &before),
                Ok(Outcome::AlreadyCompleted) => {
                    prop_assert_eq!(&record, &before);
                    prop_assert_eq!(term_of(&step), Some(record.term), "that was somebody else's completion");
                }
                Ok(Outcome::Unchanged { .. }) => prop_assert_eq!(&record, &before),
                Ok(Outcome::Claimed { term, attempt, .. }) => {
                    prop_assert!(term > before.term);
                    prop_assert_eq!((term, attempt), (record.term, record.attempt));
                    prop_assert_eq!(&record.state, &TaskState::Working);
                }
                Ok(Outcome::Completed) => completions += 1,
                Ok(Outcome::Extended { .. } | Outcome::Again { .. } | Outcome::Failed | Outcome::Waiting
                    | Outcome::Canceled | Outcome::Rejected) => {}
            }
            let obeyed = term_of(&step).filter(|_| record != before);
            prop_assert!(obeyed.is_none_or(|term| term == before.term), "{step:?} under {}", before.term);
            prop_assert!(!before.state.is_terminal() || record == before, "{} was not an end", before.state);
        }
        prop_assert!(completions <= 1);
    }

    /// Nothing is absent: from wherever a task is, it can be brought to an end by workers that try, a requester that
    /// answers, and time.
    #[test]
    fn every_task_can_come_to_an_end(
        attempts_max in 1..5_u32,
        steps in prop::collection::vec((steps(), 0..60_000_u64), 0..40),
    ) {
        let mut record = submitted(attempts_max, None);
        let mut now = 0;
        for (step, passes) in steps {
            now += passes;
            let _ = at(&mut record, now, step);
        }
        for _ in 0..3 {
            now += 31_000;
            let _ = at(&mut record, now, Step::Resume);
            if let Ok(Outcome::Claimed { term, .. }) = at(&mut record, now, claim(1)) {
                let result = "done".into();
                prop_assert_eq!(at(&mut record, now, Step::Complete { term, result }), Ok(Outcome::Completed));
            }
        }
        prop_assert!(record.state.is_terminal(), "it is still {}", record.state);
    }

    /// Under any delays and losses of its extensions, an attempt stops before its lease is over, or goes on under a
    /// lease that was extended.
    #[test]
    fn a_worker_stops_before_its_lease_is_over(
        answers in prop::collection::vec((0..3_u8, 0..15_000_u64), 0..60),
    ) {
        let mut work = Work::new(Term(1), Now::ZERO, &Policy::default());
        let (mut now, mut until) = (0, 30_000);
        for (answer, delay) in answers {
            let Some(tick) = work.next_tick() else { break };
            now = now.max(tick.since_origin().as_millis() as u64);
            let asked = now;
            let extends = work.handle(millis(now), Input::Tick).any(|action| matches!(action, Action::Extend { .. }));
            if !extends {
                continue;
            }
            let written = answer != 2;
            until = if written { asked + 30_000 } else { until };
            // The worker ticks on while its extension is on the way.
            while work.next_tick().is_some_and(|tick| tick <= millis(now + delay)) {
                let tick = work.next_tick().expect("it was there");
                work.handle(tick, Input::Tick).for_each(drop);
            }
            now += delay;
            let input = if answer == 0 { Input::Extended } else { Input::Unknown };
            let stopped = work.handle(millis(now), input).any(|action| matches!(action, Action::Stop(_)));
            if work.next_tick().is_none() || stopped {
                break;
            }
            prop_assert!(now < until, "it goes on at {now}, and its lease ended at {until}");
        }
    }
}

fn millis(ms: u64) -> Now {
    Now::new(Duration::from_millis(ms))
}

/// A worker whose lease was lost is told whose term is newer.
#[test]
fn a_stale_worker_is_told_who_has_it() {
    let mut record = submitted(3, None);
    at(&mut record, 0, claim(1)).expect("nobody has it");
    let held = at(&mut record, 29_999, claim(2));
    assert!(matches!(held, Err(Refusal::Held { until: UnixMillis(30_000), .. })));
    at(&mut record, 30_000, claim(2)).expect("the lease is over");
    let stale = at(&mut record, 30_001, Step::Complete { term: Term(1), result: "late".into() });
    let owner = Some(NodeId([2; 32]));
    assert_eq!(stale, Err(Refusal::Stale { yours: Term(1), newest: Term(2), owner }));
}

/// A worker that repeats its completion, because the answer was lost, is told that it had succeeded.
#[test]
fn a_repeated_completion_succeeds_once() {
    let mut record = submitted(3, None);
    at(&mut record, 0, claim(1)).expect("nobody has it");
    let complete = || Step::Complete { term: Term(1), result: "done".into() };
    assert_eq!(at(&mut record, 1, complete()), Ok(Outcome::Completed));
    assert_eq!(at(&mut record, 2, complete()), Ok(Outcome::AlreadyCompleted));
}

/// Failures are tried again after longer and longer waits, and the last one is final, with its cause.
#[test]
fn failures_back_off_and_end() {
    let mut record = submitted(3, None);
    let mut waits = Vec::new();
    for term in 1..=3 {
        at(&mut record, 0, claim(1)).expect("it can be claimed");
        let failed = Step::Fail { term: Term(term), error: error(), failure: Failure::Retryable };
        match at(&mut record, 0, failed).expect("the worker has it") {
            Outcome::Again { after } => waits.push(after),
            outcome => assert_eq!(outcome, Outcome::Failed),
        }
    }
    assert!(waits[0] >= Duration::from_millis(800) && waits[0] <= Duration::from_millis(1_200), "{waits:?}");
    assert!(
        waits[1] >= Duration::from_millis(1_600) && waits[1] <= Duration::from_millis(2_400),
        "{waits:?}"
    );
    assert_eq!((record.state, record.error), (TaskState::Failed, Some(error())));
}

/// A worker that dies in the last attempt leaves a task that fails, not one that hangs.
#[test]
fn the_last_attempt_may_die_silently() {
    let mut record = submitted(1, None);
    at(&mut record, 0, claim(1)).expect("nobody has it");
    assert_eq!(
        at(&mut record, 10_000, Step::Expire),
        Ok(Outcome::Unchanged { next: Some(UnixMillis(30_000)) })
    );
    assert_eq!(at(&mut record, 30_000, Step::Expire), Ok(Outcome::Failed));
    assert_eq!(record.error.map(|error| error.code.to_string()), Some("exhausted".into()));
}

/// A cancel reaches the worker with its next extension, and its result does not count.
#[test]
fn a_cancel_reaches_the_worker() {
    let mut record = submitted(3, None);
    at(&mut record, 0, claim(1)).expect("nobody has it");
    at(&mut record, 1, Step::Cancel { note: "changed my mind".into() }).expect("it has not ended");
    let refusal = at(&mut record, 2, Step::Extend { term: Term(1) }).expect_err("it is cancelled");
    let mut work = Work::new(Term(1), Now::ZERO, &Policy::default());
    let stop: Vec<Action> = work.handle(millis(10_000), Input::Refused(refusal)).collect();
    assert_eq!(stop, [Action::Stop(Stopped::Over { state: TaskState::Canceled })]);
    assert!(at(&mut record, 3, Step::Complete { term: Term(1), result: "late".into() }).is_err());
}

/// A worker that gives a task back, or asks, does not use up an attempt.
#[test]
fn a_release_gives_the_attempt_back() {
    let mut record = submitted(1, None);
    for term in [1, 2, 3] {
        at(&mut record, 0, claim(1)).expect("it can be claimed");
        at(&mut record, 0, Step::Release { term: Term(term) }).expect("the worker has it");
    }
    assert_eq!((record.attempt, record.term), (Attempt(0), Term(3)));
}

/// A lease never outlives the deadline, and past it the task fails.
#[test]
fn a_deadline_ends_a_task() {
    let mut record = submitted(3, Some(5_000));
    let claimed = at(&mut record, 0, claim(1)).expect("nobody has it");
    assert!(matches!(claimed, Outcome::Claimed { until: UnixMillis(5_000), .. }));
    assert_eq!(at(&mut record, 5_000, claim(2)), Ok(Outcome::Failed));
    assert_eq!(record.error.map(|error| error.code), Some(ErrorCode::TIMEOUT));
}

/// An attempt stops at its time limit, however alive it is.
#[test]
fn an_attempt_has_a_time_limit() {
    let limit = Duration::from_secs(15);
    let mut work = Work::new(Term(1), Now::ZERO, &Policy { attempt_max: Some(limit), ..Policy::default() });
    work.handle(millis(10_000), Input::Tick).for_each(drop);
    work.handle(millis(10_001), Input::Extended).for_each(drop);
    assert_eq!(work.next_tick(), Some(millis(15_000)));
    let stop: Vec<Action> = work.handle(millis(15_000), Input::Tick).collect();
    assert_eq!(stop, [Action::Stop(Stopped::TimeLimit { limit })]);
    assert_eq!(work.next_tick(), None);
}
