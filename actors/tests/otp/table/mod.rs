//! What Erlang/OTP's `supervisor` promises, as a table that any supervisor can be driven with.
//!
//! A case gives flags, children, and a script: what happens to the supervisor, and beside it what is seen to follow.
//! The rules are those of `supervisor(3)` and of the chapter on supervisors in OTP's Design Principles.
//!
//! A trace is words in the order in which things happen:
//!
//! | word | meaning |
//! |---|---|
//! | `+a` `!a` `~a` | a start of child a that succeeded, failed, was declined (`ignore`) |
//! | `-a` `xa` | a was asked to stop and did; a was killed |
//! | `ready` | the supervisor has started all its children |
//! | `ok` `started` `ignored` … | the answer to a request |
//! | `end:shutdown` `end:gave_up` `end:start_failed` | the supervisor ended |
//!
//! Children that are stopped together (dynamic supervisors) appear sorted by name: their order means nothing.

use std::time::Duration;

use connectome_actors::protocol::Backoff;
use connectome_actors::protocol::restart::{
    Answer, AutoShutdown, ChildSpec, Counts, Done, Exit, Flags, Intensity, IntensityScope, Refusal, Restart,
    Strategy,
};

mod auto_shutdown;
mod beyond;
mod dynamic;
mod intensity;
mod requests;
mod restart_types;
mod start;
mod stopping;
mod strategies;

/// Something that can be put through the scripts.
pub(crate) trait Driver {
    /// Does one step, waits until all that follows from it at this instant has happened, and returns its trace.
    fn step(&mut self, step: &Step) -> String;
}

/// Something that happens to a supervisor.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// It is started.
    Start,
    /// A child ends of itself.
    Exit(&'static str, Exit),
    /// `start_child`.
    Add(ChildSpec),
    /// `terminate_child`.
    Terminate(&'static str),
    /// `restart_child`.
    Restart(&'static str),
    /// `delete_child`.
    Delete(&'static str),
    /// From now on this many starts of the child fail.
    FailStarts(&'static str, u32),
    /// From now on this many starts of the child are declined.
    IgnoreStarts(&'static str, u32),
    /// From now on the child does not stop when asked.
    Hang(&'static str),
    /// Time passes, in milliseconds.
    Advance(u64),
    /// `which_children`: `a=up b=down c=restarting`, in start order.
    Which,
    /// `count_children`: `specs=2 active=1 supervisors=0 workers=2`.
    Count,
    /// The supervisor's own supervisor stops it.
    Shutdown,
}

/// One rule, and a script that shows it.
#[derive(Debug)]
pub(crate) struct Case {
    /// Unique.
    pub(crate) name: &'static str,
    /// What OTP's documentation says, in our words.
    pub(crate) rule: &'static str,
    /// The supervisor's flags.
    pub(crate) flags: Flags,
    /// Its children, in start order.
    pub(crate) children: Vec<ChildSpec>,
    /// What happens, and the trace of what follows.
    pub(crate) script: Vec<(Step, &'static str)>,
}

impl Case {
    /// Puts a fresh driver through the script.
    ///
    /// # Errors
    /// The first step whose trace differs, in words.
    pub(crate) fn run<D: Driver>(&self, driver: impl FnOnce(&Case) -> D) -> Result<(), String> {
        let mut driver = driver(self);
        for (index, (step, expected)) in self.script.iter().enumerate() {
            let trace = driver.step(step);
            if trace != *expected {
                return Err(format!(
                    "{}: step {index}, {step:?}\n  expected: {expected}\n  happened: {trace}\n  the rule: {}",
                    self.name, self.rule
                ));
            }
        }
        Ok(())
    }
}

/// All cases.
pub(crate) fn cases() -> Vec<Case> {
    [
        start::cases(),
        restart_types::cases(),
        strategies::cases(),
        intensity::cases(),
        auto_shutdown::cases(),
        requests::cases(),
        dynamic::cases(),
        stopping::cases(),
        beyond::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The word for an answer.
pub(crate) fn answer_word(answer: &Answer) -> &'static str {
    match answer {
        Ok(Done::Started(_)) => "started",
        Ok(Done::Ignored) => "ignored",
        Ok(Done::Terminated | Done::Deleted) => "ok",
        Err(Refusal::AlreadyStarted(_)) => "already_started",
        Err(Refusal::AlreadyPresent) => "already_present",
        Err(Refusal::Running) => "running",
        Err(Refusal::Restarting) => "restarting",
        Err(Refusal::NotFound) => "not_found",
        Err(Refusal::Dynamic) => "dynamic",
        Err(Refusal::Invalid(_)) => "invalid",
        Err(Refusal::StartFailed(_)) => "start_failed",
        Err(Refusal::Ended) => "ended",
        Err(_) => "refused",
    }
}

/// The word for the end of a supervisor.
pub(crate) fn end_word(exit: &Exit) -> &'static str {
    match exit {
        Exit::Normal => "end:normal",
        Exit::Shutdown => "end:shutdown",
        Exit::GaveUp => "end:gave_up",
        Exit::StartFailed { .. } => "end:start_failed",
        Exit::Crashed(_) => "end:crashed",
        Exit::Killed => "end:killed",
    }
}

/// The words for the counts.
pub(crate) fn counts_words(counts: Counts) -> String {
    let Counts { specs, active, supervisors, workers } = counts;
    format!("specs={specs} active={active} supervisors={supervisors} workers={workers}")
}

fn case(
    name: &'static str,
    rule: &'static str,
    flags: Flags,
    children: Vec<ChildSpec>,
    script: Vec<(Step, &'static str)>,
) -> Case {
    Case { name, rule, flags, children, script }
}

/// OTP's flags: five restarts in ten seconds, no back-off.
fn otp(strategy: Strategy) -> Flags {
    Flags { strategy, backoff: None, ..Flags::default() }
}

fn intensity(flags: Flags, restarts: u32, period_s: u64) -> Flags {
    let intensity =
        Intensity { restarts, period: Duration::from_secs(period_s), scope: IntensityScope::Supervisor };
    Flags { intensity, ..flags }
}

fn auto(flags: Flags, auto_shutdown: AutoShutdown) -> Flags {
    Flags { auto_shutdown, ..flags }
}

/// Waits of exactly 1 s, 2 s, 4 s: what is between an end and a restart can be looked at.
fn waiting(flags: Flags) -> Flags {
    let backoff = Backoff { initial: Duration::from_secs(1), cap: Duration::from_secs(4), jitter_percent: 0 };
    Flags { backoff: Some(backoff), ..flags }
}

fn permanent(id: &'static str) -> ChildSpec {
    ChildSpec::worker(id)
}

fn transient(id: &'static str) -> ChildSpec {
    ChildSpec::worker(id).restart(Restart::Transient)
}

fn temporary(id: &'static str) -> ChildSpec {
    ChildSpec::worker(id).restart(Restart::Temporary)
}

fn crash(id: &'static str) -> Step {
    Step::Exit(id, Exit::Crashed("told to".into()))
}

fn normal(id: &'static str) -> Step {
    Step::Exit(id, Exit::Normal)
}

fn shutdown(id: &'static str) -> Step {
    Step::Exit(id, Exit::Shutdown)
}
