//! Promises of `protocol::restart`, under any flags, ends, failures, requests and waits, with starts that are
//! answered late and reports that come too late.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use connectome_actors::protocol::restart::{
    Action, AutoShutdown, ChildId, ChildSpec, ChildState, Exit, Flags, Incarnation, Input, Intensity,
    IntensityScope, Request, RequestId, Restart, Stop, Strategy as Who, Supervision, TimerToken,
};
use connectome_actors::protocol::{Backoff, Now};
use proptest::prelude::*;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Debug, Clone)]
enum Op {
    /// The n-th running child ends.
    Exit(usize, Exit),
    /// An end that was already reported, or never was one, is reported.
    LateExit(usize, u64),
    /// The outstanding start is answered.
    Answer(Answer),
    Ask(Request),
    Advance(u64),
    Shutdown,
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Started,
    Ignored,
    Failed,
}

/// Everything outside the protocol, and what it has seen.
struct World {
    supervision: Supervision,
    flags: Flags,
    now: Now,
    timers: Vec<(Now, TimerToken)>,
    /// The start that has not been answered.
    starting: Option<(ChildId, Incarnation)>,
    running: BTreeMap<ChildId, Incarnation>,
    /// Ends that the supervisor has not been told yet because it waits for a start.
    unsettled: BTreeSet<Incarnation>,
    begun: BTreeSet<Incarnation>,
    asked: u64,
    answered: BTreeSet<RequestId>,
    /// When starts were asked for.
    starts: Vec<Now>,
    ready: bool,
    ended: bool,
}

impl World {
    fn new(flags: Flags, children: Vec<ChildSpec>) -> Option<Self> {
        Some(Self {
            supervision: Supervision::new(flags, children, 7).ok()?,
            flags,
            now: Now::ZERO,
            timers: Vec::new(),
            starting: None,
            running: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            begun: BTreeSet::new(),
            asked: 0,
            answered: BTreeSet::new(),
            starts: Vec::new(),
            ready: false,
            ended: false,
        })
    }

    fn tell(&mut self, input: Input) {
        let mut actions: VecDeque<Action> = self.supervision.handle(self.now, input).collect();
        while let Some(action) = actions.pop_front() {
            let after = actions.front().cloned();
            self.act(action, after.as_ref());
        }
        if self.starting.is_none() {
            self.unsettled.clear();
            self.agrees_with_the_protocol();
        }
    }

    fn act(&mut self, action: Action, next: Option<&Action>) {
        assert!(!self.ended || matches!(action, Action::Reply { .. }), "{action:?} after the end");
        match action {
            Action::Start { child, incarnation } => self.start(child, incarnation),
            Action::Stop(stop) => self.stop(&stop),
            Action::StopTogether(stops) => stops.iter().for_each(|stop| self.stop(stop)),
            Action::SetTimer { token, after } => self.timers.push((self.now + after, token)),
            Action::Reply { id, .. } => assert!(self.answered.insert(id), "{id:?} was answered twice"),
            Action::Ready => self.ready = true,
            Action::Finish { .. } => self.ended = true,
            Action::GiveUp { .. } => match self.flags.intensity.scope {
                IntensityScope::Supervisor => assert!(next.is_some()),
                IntensityScope::Child => {}
            },
            Action::Removed { child } => assert!(!self.running.contains_key(&child)),
        }
    }

    fn start(&mut self, child: ChildId, incarnation: Incarnation) {
        assert!(self.starting.is_none(), "two starts at once");
        assert!(!self.running.contains_key(&child), "{child} was started twice");
        assert!(self.begun.insert(incarnation), "{incarnation:?} was used twice");
        self.starting = Some((child, incarnation));
        self.starts.push(self.now);
    }

    fn stop(&mut self, stop: &Stop) {
        let ran = self.running.remove(&stop.child) == Some(stop.incarnation);
        assert!(ran || self.unsettled.contains(&stop.incarnation), "{stop:?} did not run");
    }

    fn agrees_with_the_protocol(&self) {
        let running = self.supervision.children().filter_map(|(spec, state)| match state {
            ChildState::Running(incarnation) => Some((spec.id.clone(), incarnation)),
            ChildState::Stopped | ChildState::Starting(_) | ChildState::Restarting(_) => None,
        });
        assert_eq!(running.collect::<BTreeMap<_, _>>(), self.running);
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Exit(nth, exit) => self.exit(nth, exit),
            Op::LateExit(name, incarnation) => self.late_exit(name, Incarnation(incarnation)),
            Op::Answer(answer) => self.answer(answer),
            Op::Ask(request) => self.ask(request),
            Op::Advance(ms) => self.advance(Duration::from_millis(ms)),
            Op::Shutdown => self.tell(Input::Shutdown),
        }
    }

    fn exit(&mut self, nth: usize, exit: Exit) {
        let Some((child, incarnation)) = self.running.iter().nth(nth).map(|(c, i)| (c.clone(), *i)) else {
            return;
        };
        self.running.remove(&child);
        self.unsettled.insert(incarnation);
        self.tell(Input::Exited { child, incarnation, exit });
    }

    fn late_exit(&mut self, name: usize, incarnation: Incarnation) {
        let child = ChildId::from(NAMES[name]);
        let is_real = self.running.get(&child) == Some(&incarnation)
            || self.starting.as_ref().is_some_and(|(_, starting)| *starting == incarnation)
            || incarnation.0 >= self.begun.len() as u64;
        if is_real || self.starting.is_some() {
            return;
        }
        let exit = Exit::Crashed("late".into());
        let actions = self.supervision.handle(self.now, Input::Exited { child, incarnation, exit }).count();
        assert_eq!(actions, 0, "a late report led to something");
    }

    fn answer(&mut self, answer: Answer) {
        let Some((child, incarnation)) = self.starting.take() else {
            return;
        };
        let input = match answer {
            Answer::Started => Input::Started { incarnation },
            Answer::Ignored => Input::Ignored { incarnation },
            Answer::Failed => Input::StartFailed { incarnation, reason: "told to".into() },
        };
        if matches!(answer, Answer::Started) {
            self.running.insert(child, incarnation);
        }
        self.tell(input);
    }

    fn ask(&mut self, request: Request) {
        let id = RequestId(self.asked);
        self.asked += 1;
        self.tell(Input::Request { id, request });
    }

    fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        self.timers.sort();
        while self.timers.first().is_some_and(|(due, _)| *due <= end) {
            let (due, token) = self.timers.remove(0);
            self.now = self.now.max(due);
            self.tell(Input::Timer { token });
            self.timers.sort();
        }
        self.now = end;
    }

    /// Answers every start with success until nothing is outstanding.
    fn settle(&mut self) {
        while self.starting.is_some() {
            self.answer(Answer::Started);
        }
    }
}

fn exits() -> impl Strategy<Value = Exit> {
    prop_oneof![
        Just(Exit::Normal),
        Just(Exit::Shutdown),
        Just(Exit::Killed),
        Just(Exit::Crashed("told to".into()))
    ]
}

fn names() -> impl Strategy<Value = ChildId> {
    prop::sample::select(&NAMES[..]).prop_map(ChildId::from)
}

fn restarts() -> impl Strategy<Value = Restart> {
    prop_oneof![Just(Restart::Permanent), Just(Restart::Transient), Just(Restart::Temporary)]
}

fn specs() -> impl Strategy<Value = ChildSpec> {
    (names(), restarts(), any::<bool>()).prop_map(|(id, restart, significant)| ChildSpec {
        significant: significant && restart != Restart::Permanent,
        ..ChildSpec::worker(id.as_str()).restart(restart)
    })
}

fn flags() -> impl Strategy<Value = Flags> {
    let strategies =
        prop_oneof![Just(Who::OneForOne), Just(Who::OneForAll), Just(Who::RestForOne), Just(Who::Dynamic)];
    let backoff =
        Backoff { initial: Duration::from_millis(500), cap: Duration::from_secs(3), jitter_percent: 50 };
    let auto = prop_oneof![Just(AutoShutdown::AnySignificant), Just(AutoShutdown::AllSignificant)];
    let counted = (0..4_u32, any::<bool>());
    (strategies, counted, prop::option::of(Just(backoff)), auto).prop_map(
        |(strategy, (restarts, alone), backoff, auto_shutdown)| {
            let together = matches!(strategy, Who::OneForAll | Who::RestForOne);
            let scope = if alone && !together { IntensityScope::Child } else { IntensityScope::Supervisor };
            let intensity = Intensity { restarts, period: Duration::from_secs(5), scope };
            Flags { strategy, intensity, backoff, auto_shutdown }
        },
    )
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let request = prop_oneof![
        specs().prop_map(Request::Add),
        names().prop_map(Request::Terminate),
        names().prop_map(Request::Restart),
        names().prop_map(Request::Delete),
    ];
    let op = prop_oneof![
        4 => (0..4_usize, exits()).prop_map(|(nth, exit)| Op::Exit(nth, exit)),
        2 => (0..4_usize, 0..40_u64).prop_map(|(name, incarnation)| Op::LateExit(name, incarnation)),
        8 => Just(Op::Answer(Answer::Started)),
        1 => Just(Op::Answer(Answer::Ignored)),
        2 => Just(Op::Answer(Answer::Failed)),
        3 => request.prop_map(Op::Ask),
        3 => (0..3_000_u64).prop_map(Op::Advance),
    ];
    prop::collection::vec(op, 0..80)
}

fn children(flags: Flags) -> impl Strategy<Value = Vec<ChildSpec>> {
    let most = if flags.strategy == Who::Dynamic { 0 } else { NAMES.len() };
    prop::collection::vec(specs(), 0..=most).prop_map(|mut specs| {
        specs.sort_by(|left, right| left.id.cmp(&right.id));
        specs.dedup_by(|left, right| left.id == right.id);
        specs
    })
}

proptest! {
    /// Whatever happens: incarnations are used once, no child is started twice or stopped when it does not run, the
    /// protocol knows who runs, requests are answered once, and after a shutdown nobody runs.
    #[test]
    fn any_life_of_a_supervisor_is_orderly(
        (flags, specs) in flags().prop_flat_map(|flags| (Just(flags), children(flags))),
        ops in ops(),
    ) {
        let mut world = World::new(flags, specs).expect("the specifications are valid");
        world.tell(Input::StartAll);
        ops.into_iter().for_each(|op| world.apply(op));
        world.settle();
        world.apply(Op::Shutdown);
        prop_assert!(world.ended);
        prop_assert!(world.running.is_empty(), "{:?} run after the end", world.running);
        prop_assert_eq!(world.answered.len() as u64, world.asked);
    }

    /// Under one-for-one without back-off, restarts within any period are at most the intensity; the next one ends it.
    #[test]
    fn restarts_within_any_period_are_bounded(
        intensity in 0..5_u32,
        crashes in prop::collection::vec((0..3_usize, 0..3_000_u64, any::<bool>()), 0..60),
        backoff in any::<bool>(),
    ) {
        let period = Duration::from_secs(5);
        let backoff = backoff.then_some(
            Backoff { initial: Duration::from_millis(700), cap: Duration::from_secs(8), jitter_percent: 30 });
        let flags = Flags {
            intensity: Intensity { restarts: intensity, period, scope: IntensityScope::Supervisor },
            backoff,
            ..Flags::default()
        };
        let mut world = World::new(flags, NAMES[..3].iter().map(|name| ChildSpec::worker(*name)).collect())
            .expect("the specifications are valid");
        world.tell(Input::StartAll);
        world.settle();
        world.starts.clear();
        for (nth, wait, fails) in crashes {
            world.exit(nth, Exit::Crashed("told to".into()));
            world.answer(if fails { Answer::Failed } else { Answer::Started });
            world.advance(Duration::from_millis(wait));
            world.settle();
        }
        for (index, first) in world.starts.iter().enumerate() {
            let within = world.starts[index..].iter().filter(|then| then.since(*first) <= period).count();
            prop_assert!(within <= intensity as usize, "{within} restarts within {period:?} from {first:?}");
        }
    }

    /// The same inputs give the same actions.
    #[test]
    fn a_supervisor_is_a_function_of_its_inputs(
        (flags, specs) in flags().prop_flat_map(|flags| (Just(flags), children(flags))),
        ops in ops(),
    ) {
        let run = || {
            let mut world = World::new(flags, specs.clone()).expect("the specifications are valid");
            world.tell(Input::StartAll);
            ops.iter().cloned().for_each(|op| world.apply(op));
            (world.begun, world.running, world.answered, world.timers)
        };
        prop_assert_eq!(run(), run());
    }
}
