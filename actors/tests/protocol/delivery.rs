//! Promises of `protocol::delivery`: messages, an agent that keeps its state, and everything that can go wrong between
//! a consumer, a process, an agent and a store.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use connectome_actors::protocol::delivery::{
    Action, CRASHES_MAX, EXPECTED_MAX, IN_HAND_MAX, Input, Kept, Lane, RECENT_MAX,
};
use connectome_codecs::{MessageId, Sequence, UnixMillis};
use proptest::prelude::*;

/// What an agent's state is here: what it has handled, in order.
type State = Vec<(Sequence, MessageId)>;

#[derive(Debug, Clone, Copy)]
enum Op {
    Publish(Content),
    /// The consumer delivers what it has not delivered yet.
    Deliver,
    /// The consumer delivers something again.
    Redeliver(usize),
    /// The next acknowledgement is lost.
    LoseAck,
    /// The agent handles what it was pushed.
    Handle,
    /// The save on the way is done.
    Save,
    /// The fetch on the way is done.
    Fetch,
    /// The dead letter on the way is stored.
    SetAside,
    /// The agent crashes, not because of a message.
    Crash,
    Start,
    /// The process dies; the save on the way has happened, or not.
    Kill {
        saved: bool,
    },
    Open,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Plain,
    /// Crashes the agent.
    Poison,
    /// Ends the process.
    Deadly,
    /// Sent before.
    Again,
}

#[derive(Default)]
struct World {
    stream: BTreeMap<Sequence, (MessageId, Option<Content>)>,
    /// Delivered and not acknowledged.
    pending: BTreeSet<Sequence>,
    delivered: Sequence,
    stored: (Kept, State),
    letters: BTreeMap<Sequence, u32>,
    process: Option<Process>,
    loses_ack: bool,
    kills: u32,
    handled: BTreeMap<Sequence, u32>,
}

struct Process {
    lane: Lane,
    /// The agent's state, while it runs.
    state: Option<State>,
    mailbox: VecDeque<Sequence>,
    saving: Option<(Kept, State)>,
    fetching: Vec<Sequence>,
    setting_aside: Option<(Sequence, u32)>,
}

impl World {
    fn new() -> Self {
        let mut world = Self::default();
        world.open();
        world
    }

    fn open(&mut self) {
        if self.process.is_some() {
            return;
        }
        let kept = self.stored.0.clone();
        let waiting: Vec<_> = self
            .stream
            .range(kept.cursor.next()..)
            .map(|(sequence, _)| *sequence)
            .collect();
        self.process = Some(Process {
            lane: Lane::open(kept, waiting),
            state: None,
            mailbox: VecDeque::new(),
            saving: None,
            fetching: Vec::new(),
            setting_aside: None,
        });
        self.start();
    }

    /// Loads the state after any save on the way was answered, as the contract says.
    fn start(&mut self) {
        self.save();
        let (kept, state) = self.stored.clone();
        let Some(process) = self.process.as_mut().filter(|process| process.state.is_none()) else {
            return;
        };
        process.state = Some(state);
        self.tell(Input::Started { cursor: kept.cursor });
    }

    fn tell(&mut self, input: Input) {
        let Some(process) = &mut self.process else { return };
        let actions: Vec<Action> = process.lane.handle(input).collect();
        actions.into_iter().for_each(|action| self.act(action));
    }

    fn act(&mut self, action: Action) {
        let process = self.process.as_mut().expect("it acts");
        match action {
            Action::Push { sequence } => {
                assert!(
                    process.state.is_some(),
                    "{sequence} was pushed to an agent that does not run"
                );
                assert!(process.mailbox.is_empty(), "two at a time");
                process.mailbox.push_back(sequence);
            }
            Action::Save { cursor } => {
                assert!(process.saving.is_none(), "two saves at a time");
                let state = process.state.as_ref().expect("it runs").iter().copied();
                let state: State = state.filter(|(sequence, _)| *sequence <= cursor).collect();
                process.saving = Some((process.lane.kept(), state));
            }
            Action::Ack { sequence } => {
                assert!(
                    sequence <= self.stored.0.cursor,
                    "{sequence} was acknowledged before it was saved"
                );
                if !std::mem::take(&mut self.loses_ack) {
                    self.pending.remove(&sequence);
                }
            }
            Action::Nak { sequence } => assert!(self.pending.contains(&sequence)),
            Action::Fetch { sequence } => process.fetching.push(sequence),
            Action::DeadLetter {
                sequence,
                crashes,
                cause,
            } => {
                assert!(!cause.is_empty());
                process.setting_aside = Some((sequence, crashes));
            }
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Publish(content) => self.publish(content),
            Op::Deliver => self.deliver(),
            Op::Redeliver(nth) => {
                if let Some(sequence) = self.pending.iter().nth(nth).copied() {
                    self.tell(Input::Delivered {
                        sequence,
                        id: self.stream[&sequence].0,
                    });
                }
            }
            Op::LoseAck => self.loses_ack = true,
            Op::Handle => self.handle(),
            Op::Save => self.save(),
            Op::Fetch => self.fetch(),
            Op::SetAside => self.set_aside(),
            Op::Crash => self.crash(None),
            Op::Start => self.start(),
            Op::Kill { saved } => self.kill(saved),
            Op::Open => self.open(),
        }
    }

    /// Sequences have gaps: the messages between are other agents'.
    fn publish(&mut self, content: Content) {
        let sequence = Sequence(self.stream.last_key_value().map_or(0, |(last, _)| last.0) + 3);
        let again = self
            .stream
            .values()
            .rev()
            .find(|(_, content)| *content == Some(Content::Plain));
        let message = match (content, again) {
            (Content::Again, Some((id, _))) => (*id, Some(Content::Again)),
            (Content::Again, None) => return,
            (content, _) => (
                MessageId::from_parts(UnixMillis(1), sequence.0.into()),
                Some(content),
            ),
        };
        self.stream.insert(sequence, message);
    }

    fn deliver(&mut self) {
        if self.process.is_none() || self.pending.len() >= EXPECTED_MAX {
            return;
        }
        if let Some((sequence, (id, _))) = self.stream.range(self.delivered.next()..).next() {
            let (sequence, id) = (*sequence, *id);
            self.delivered = sequence;
            self.pending.insert(sequence);
            self.tell(Input::Delivered { sequence, id });
        }
    }

    fn handle(&mut self) {
        let Some(process) = &mut self.process else { return };
        let (Some(state), Some(sequence)) = (&mut process.state, process.mailbox.pop_front()) else {
            return;
        };
        let (id, content) = self.stream[&sequence];
        *self.handled.entry(sequence).or_default() += 1;
        match content {
            Some(Content::Poison) => self.crash(Some(sequence)),
            Some(Content::Deadly) => self.kill(false),
            Some(Content::Plain | Content::Again) | None => {
                assert!(
                    state.iter().all(|(_, applied)| *applied != id),
                    "{id} was applied twice"
                );
                assert!(
                    state.last().is_none_or(|(last, _)| *last < sequence),
                    "{sequence} is out of order"
                );
                state.push((sequence, id));
                self.tell(Input::Handled { sequence });
            }
        }
    }

    fn crash(&mut self, sequence: Option<Sequence>) {
        if let Some(process) = self.process.as_mut().filter(|process| process.state.is_some()) {
            process.state = None;
            process.mailbox.clear();
            self.tell(Input::Crashed {
                sequence,
                cause: "told to".into(),
            });
        }
    }

    fn save(&mut self) {
        if let Some(saved) = self.process.as_mut().and_then(|process| process.saving.take()) {
            let cursor = saved.0.cursor;
            self.stored = saved;
            self.tell(Input::Saved { cursor });
        }
    }

    fn fetch(&mut self) {
        let sequence = self.process.as_mut().and_then(|process| process.fetching.pop());
        if let Some(sequence) = sequence {
            self.tell(Input::Fetched {
                sequence,
                id: self.stream[&sequence].0,
            });
        }
    }

    fn set_aside(&mut self) {
        let aside = self
            .process
            .as_mut()
            .and_then(|process| process.setting_aside.take());
        if let Some((sequence, crashes)) = aside {
            self.letters.insert(sequence, crashes);
            self.tell(Input::SetAside { sequence });
        }
    }

    fn kill(&mut self, saved: bool) {
        let Some(process) = self.process.take() else {
            return;
        };
        if let Some(saving) = process.saving.filter(|_| saved) {
            self.stored = saving;
        }
    }

    /// Everything works from here on, until nothing is left to do.
    fn drain(&mut self) {
        for _ in 0..20_000 {
            self.loses_ack = false;
            self.open();
            for op in [
                Op::Start,
                Op::Deliver,
                Op::Fetch,
                Op::Handle,
                Op::SetAside,
                Op::Save,
                Op::Redeliver(0),
            ] {
                self.apply(op);
            }
            let all = self
                .stream
                .last_key_value()
                .is_none_or(|(last, _)| *last <= self.stored.0.cursor);
            if all && self.pending.is_empty() && self.delivered >= self.stored.0.cursor {
                return;
            }
        }
        panic!(
            "the lane is stuck at {:?}, pending {:?}",
            self.process.as_ref().map(|p| &p.lane),
            self.pending
        );
    }

    /// Everything is in the saved state once, or a dead letter; and only what deserves it is a dead letter.
    fn is_settled(&self) {
        let state: BTreeSet<MessageId> = self.stored.1.iter().map(|(_, id)| *id).collect();
        assert_eq!(state.len(), self.stored.1.len(), "applied twice");
        for (sequence, (id, content)) in &self.stream {
            let crashes = self.letters.get(sequence).copied();
            match content {
                Some(Content::Plain | Content::Again) | None => {
                    assert!(state.contains(id), "{sequence} is lost");
                    assert_eq!(crashes, None, "{sequence} is innocent");
                }
                Some(Content::Poison | Content::Deadly) => {
                    assert!(!state.contains(id));
                    assert!(
                        crashes >= Some(CRASHES_MAX),
                        "{sequence} was set aside after {crashes:?} crashes"
                    );
                }
            }
        }
    }
}

fn ops(content: impl Strategy<Value = Content> + 'static) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => content.prop_map(Op::Publish),
        8 => Just(Op::Deliver),
        2 => (0..4_usize).prop_map(Op::Redeliver),
        1 => Just(Op::LoseAck),
        10 => Just(Op::Handle),
        8 => Just(Op::Save),
        3 => Just(Op::Fetch),
        2 => Just(Op::SetAside),
        1 => Just(Op::Crash),
        3 => Just(Op::Start),
        1 => any::<bool>().prop_map(|saved| Op::Kill { saved }),
        3 => Just(Op::Open),
    ];
    prop::collection::vec(op, 0..200)
}

fn any_content() -> impl Strategy<Value = Content> {
    prop_oneof![
        8 => Just(Content::Plain),
        1 => Just(Content::Poison),
        1 => Just(Content::Deadly),
        1 => Just(Content::Again),
    ]
}

proptest! {
    /// Whatever crashes, is lost, comes again or comes late: in the saved state every message is applied once, in
    /// order; it is acknowledged only when saved; poison is set aside; nothing is stuck. (At most two processes are
    /// killed by chance, so that no innocent message is there three times.)
    #[test]
    fn every_message_is_applied_once_or_set_aside(ops in ops(any_content())) {
        let mut world = World::new();
        for op in ops {
            if matches!(op, Op::Kill { .. }) {
                world.kills += 1;
                if world.kills > 2 {
                    continue;
                }
            }
            world.apply(op);
        }
        world.drain();
        world.is_settled();
    }

    /// A message that crashes its agent is handled three times, however often the rest of the lane is disturbed.
    #[test]
    fn poison_is_handled_three_times(before in 0..5_usize, after in 0..5_usize) {
        let mut world = World::new();
        (0..before).for_each(|_| world.publish(Content::Plain));
        world.publish(Content::Poison);
        (0..after).for_each(|_| world.publish(Content::Plain));
        world.drain();
        world.is_settled();
        let (sequence, crashes) = world.letters.pop_first().expect("it was set aside");
        prop_assert_eq!((crashes, world.handled[&sequence]), (CRASHES_MAX, CRASHES_MAX));
    }
}

/// A message that ends the process ends it once before it is suspected, and three times more.
#[test]
fn a_deadly_message_is_set_aside_across_processes() {
    let mut world = World::new();
    [Content::Plain, Content::Plain, Content::Deadly, Content::Plain]
        .into_iter()
        .for_each(|c| world.publish(c));
    world.drain();
    world.is_settled();
    assert_eq!(world.handled[&Sequence(9)], CRASHES_MAX + 1);
}

/// What a full lane gives back is taken in order when there is room, and before anything newer.
#[test]
fn a_full_lane_keeps_the_order() {
    let mut world = World::new();
    (0..3 * IN_HAND_MAX).for_each(|_| world.publish(Content::Plain));
    (0..3 * IN_HAND_MAX).for_each(|_| world.deliver());
    let lane = &world.process.as_ref().expect("it runs").lane;
    assert_eq!(lane.room(), 0);
    world.drain();
    world.is_settled();
}

/// An id that is sent again is applied once, while it is remembered; the window is bounded.
#[test]
fn an_id_is_remembered_for_a_while() {
    let mut lane = Lane::open(Kept::default(), []);
    let mut say = |input| lane.handle(input).collect::<Vec<_>>();
    let id = |n: u64| MessageId::from_parts(UnixMillis(1), n.into());
    say(Input::Started { cursor: Sequence(0) });
    for n in 1..=2 * RECENT_MAX as u64 {
        let sequence = Sequence(n);
        assert!(say(Input::Delivered { sequence, id: id(n) }).contains(&Action::Push { sequence }));
        say(Input::Handled { sequence });
        say(Input::Saved { cursor: sequence });
    }
    let next = Sequence(2 * RECENT_MAX as u64 + 1);
    let again = say(Input::Delivered {
        sequence: next,
        id: id(next.0 - 1),
    });
    assert_eq!(again, [Action::Save { cursor: next }]);
    assert_eq!(lane.kept().recent.len(), RECENT_MAX);
}

/// A lane that is given up returns what it did not handle.
#[test]
fn a_detached_lane_gives_back() {
    let mut lane = Lane::open(Kept::default(), []);
    let mut say = |input| lane.handle(input).collect::<Vec<_>>();
    say(Input::Started { cursor: Sequence(0) });
    for n in 1..=3 {
        say(Input::Delivered {
            sequence: Sequence(n),
            id: MessageId::from_parts(UnixMillis(1), n.into()),
        });
    }
    let back: Vec<Action> = (1..=3)
        .map(|n| Action::Nak {
            sequence: Sequence(n),
        })
        .collect();
    assert_eq!(say(Input::Detached), back);
    let id = MessageId::from_parts(UnixMillis(1), 4);
    let late = say(Input::Delivered {
        sequence: Sequence(4),
        id,
    });
    assert_eq!(
        late,
        [Action::Nak {
            sequence: Sequence(4)
        }]
    );
}
