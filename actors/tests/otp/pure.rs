//! Drives the pure protocol: a shell made of a clock that is moved by hand, a list of timers, and children that
//! are names.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use connectome_actors::protocol::Now;
use connectome_actors::protocol::restart::{
    Action, ChildId, ChildState, Incarnation, Input, Request, RequestId, Stop, StopWithin, Supervision,
    TimerToken,
};

use crate::table::{Case, Driver, Step, answer_word, counts_words, end_word};

/// A supervisor whose world is this struct.
pub(crate) struct Pure {
    supervision: Option<Supervision>,
    now: Now,
    timers: Vec<(Now, TimerToken)>,
    running: BTreeMap<ChildId, Incarnation>,
    hung: BTreeSet<&'static str>,
    /// What the next starts of a child come to, instead of success.
    starts: BTreeMap<&'static str, VecDeque<Start>>,
    inputs: VecDeque<Input>,
    trace: Vec<String>,
}

enum Start {
    Fail,
    Ignore,
}

impl Pure {
    pub(crate) fn new(case: &Case) -> Self {
        Self {
            supervision: Supervision::new(case.flags, case.children.clone(), 1).ok(),
            now: Now::ZERO,
            timers: Vec::new(),
            running: BTreeMap::new(),
            hung: BTreeSet::new(),
            starts: BTreeMap::new(),
            inputs: VecDeque::new(),
            trace: Vec::new(),
        }
    }

    fn tell(&mut self, input: Input) {
        self.inputs.push_back(input);
        while let Some(input) = self.inputs.pop_front() {
            let Some(supervision) = &mut self.supervision else {
                return self.note("invalid");
            };
            let actions: Vec<Action> = supervision.handle(self.now, input).collect();
            actions.into_iter().for_each(|action| self.act(action));
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Start { child, incarnation } => self.start(child, incarnation),
            Action::Stop(stop) => self.stop(stop),
            Action::StopTogether(stops) => self.stop_together(stops),
            Action::SetTimer { token, after } => self.timers.push((self.now + after, token)),
            Action::Reply { answer, .. } => self.note(answer_word(&answer)),
            Action::Ready => self.note("ready"),
            Action::Finish { exit } => self.note(end_word(&exit)),
            Action::GiveUp { .. } | Action::Removed { .. } => {}
        }
    }

    fn start(&mut self, child: ChildId, incarnation: Incarnation) {
        let outcome = self.starts.get_mut(child.as_str()).and_then(VecDeque::pop_front);
        let (sign, answer) = match outcome {
            None => ("+", Input::Started { incarnation }),
            Some(Start::Fail) => ("!", Input::StartFailed { incarnation, reason: "told to".into() }),
            Some(Start::Ignore) => ("~", Input::Ignored { incarnation }),
        };
        self.note(&format!("{sign}{child}"));
        if sign == "+" {
            self.running.insert(child, incarnation);
        }
        self.inputs.push_front(answer);
    }

    /// Stops a child, and reports its end all the same, too late: nothing may come of it.
    fn stop(&mut self, stop: Stop) {
        let killed = stop.within == StopWithin::Kill || self.hung.contains(stop.child.as_str());
        self.note(&format!("{}{}", if killed { "x" } else { "-" }, stop.child));
        assert_eq!(
            self.running.remove(&stop.child),
            Some(stop.incarnation),
            "{} was not running",
            stop.child
        );
        let exit = connectome_actors::protocol::restart::Exit::Killed;
        self.inputs.push_back(Input::Exited { child: stop.child, incarnation: stop.incarnation, exit });
    }

    fn stop_together(&mut self, mut stops: Vec<Stop>) {
        stops.sort_by(|left, right| left.child.cmp(&right.child));
        stops.into_iter().for_each(|stop| self.stop(stop));
    }

    fn exit(&mut self, child: &str, exit: connectome_actors::protocol::restart::Exit) {
        if let Some(incarnation) = self.running.remove(child) {
            self.tell(Input::Exited { child: child.into(), incarnation, exit });
        }
    }

    fn ask(&mut self, request: Request) {
        self.tell(Input::Request { id: RequestId(0), request });
    }

    fn expect_starts(&mut self, child: &'static str, times: u32, start: fn() -> Start) {
        self.starts.entry(child).or_default().extend((0..times).map(|_| start()));
    }

    /// Moves the clock from timer to timer, so that each fires at its own instant.
    fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(index) = self.next_timer(end) {
            let (due, token) = self.timers.remove(index);
            self.now = self.now.max(due);
            self.tell(Input::Timer { token });
        }
        self.now = end;
    }

    fn next_timer(&self, end: Now) -> Option<usize> {
        let due = self.timers.iter().enumerate().filter(|(_, (due, _))| *due <= end);
        due.min_by_key(|(_, (due, token))| (*due, *token)).map(|(index, _)| index)
    }

    fn which(&mut self) {
        let Some(supervision) = &self.supervision else {
            return;
        };
        let words = supervision.children().map(|(spec, state)| {
            let state = match state {
                ChildState::Running(_) => "up",
                ChildState::Restarting(_) => "restarting",
                ChildState::Stopped => "down",
                ChildState::Starting(_) => "starting",
            };
            format!("{}={state}", spec.id)
        });
        let words: Vec<String> = words.collect();
        self.trace.extend(words);
    }

    fn note(&mut self, word: &str) {
        self.trace.push(word.to_owned());
    }
}

impl Driver for Pure {
    fn step(&mut self, step: &Step) -> String {
        match step.clone() {
            Step::Start => self.tell(Input::StartAll),
            Step::Exit(child, exit) => self.exit(child, exit),
            Step::Add(spec) => self.ask(Request::Add(spec)),
            Step::Terminate(child) => self.ask(Request::Terminate(child.into())),
            Step::Restart(child) => self.ask(Request::Restart(child.into())),
            Step::Delete(child) => self.ask(Request::Delete(child.into())),
            Step::FailStarts(child, times) => self.expect_starts(child, times, || Start::Fail),
            Step::IgnoreStarts(child, times) => self.expect_starts(child, times, || Start::Ignore),
            Step::Hang(child) => drop(self.hung.insert(child)),
            Step::Advance(ms) => self.advance(Duration::from_millis(ms)),
            Step::Which => self.which(),
            Step::Count => {
                let words = self.supervision.as_ref().map(|supervision| counts_words(supervision.counts()));
                self.trace.extend(words);
            }
            Step::Shutdown => self.tell(Input::Shutdown),
        }
        self.advance(Duration::ZERO);
        std::mem::take(&mut self.trace).join(" ")
    }
}
