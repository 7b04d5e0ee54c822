//! Everything around a lane: a stream, a process that can be killed, an agent that keeps its state, a store.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use connectome_actors::protocol::delivery::{Action, CRASHES_MAX, IN_HAND_MAX, Input, Kept, Lane};
use connectome_codecs::{MessageId, Sequence, UnixMillis};

/// What an agent's state is here: what it has handled, in order.
pub(super) type State = Vec<(Sequence, MessageId)>;

#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    Publish(Content),
    /// The lane reads on, so many messages.
    Read(usize),
    /// The next removal is lost.
    LoseRemoval,
    /// The agent handles what it was pushed.
    Handle,
    /// The save on the way is done.
    Save,
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
pub(super) enum Content {
    Plain,
    /// Crashes the agent.
    Poison,
    /// Ends the process.
    Deadly,
    /// Sent before.
    Again,
}

#[derive(Default)]
pub(super) struct World {
    /// Everything that was ever published.
    pub(super) stream: BTreeMap<Sequence, (MessageId, Option<Content>)>,
    pub(super) removed: BTreeSet<Sequence>,
    pub(super) stored: (Kept, State),
    pub(super) letters: BTreeMap<Sequence, u32>,
    pub(super) process: Option<Process>,
    pub(super) loses_removal: bool,
    pub(super) kills: u32,
    pub(super) handled: BTreeMap<Sequence, u32>,
}

pub(super) struct Process {
    pub(super) lane: Lane,
    /// The agent's state, while it runs.
    pub(super) state: Option<State>,
    pub(super) mailbox: VecDeque<Sequence>,
    pub(super) saving: Option<(Kept, State)>,
    /// Where the lane reads on.
    pub(super) next: Sequence,
    pub(super) setting_aside: Option<(Sequence, u32)>,
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self::default();
        world.open();
        world
    }

    pub(super) fn open(&mut self) {
        if self.process.is_some() {
            return;
        }
        let kept = self.stored.0.clone();
        let waiting = self.kept_from(kept.cursor.next()).take(IN_HAND_MAX).collect::<Vec<_>>();
        self.process = Some(Process {
            lane: Lane::open(kept, waiting),
            next: Sequence(0),
            state: None,
            mailbox: VecDeque::new(),
            saving: None,
            setting_aside: None,
        });
        self.start();
    }

    fn kept_from(&self, from: Sequence) -> impl Iterator<Item = Sequence> {
        self.stream.range(from..).map(|(sequence, _)| *sequence).filter(|s| !self.removed.contains(s))
    }

    /// Loads the state after any save on the way was answered, as the contract says.
    pub(super) fn start(&mut self) {
        self.save();
        let (kept, state) = self.stored.clone();
        let Some(process) = self.process.as_mut().filter(|process| process.state.is_none()) else {
            return;
        };
        process.state = Some(state);
        self.tell(Input::Started { cursor: kept.cursor });
    }

    pub(super) fn tell(&mut self, input: Input) {
        let Some(process) = &mut self.process else { return };
        let actions: Vec<Action> = process.lane.handle(input).collect();
        actions.into_iter().for_each(|action| self.act(action));
    }

    pub(super) fn act(&mut self, action: Action) {
        let process = self.process.as_mut().expect("it acts");
        match action {
            Action::Push { sequence } => {
                assert!(process.state.is_some(), "{sequence} was pushed to an agent that does not run");
                assert!(process.mailbox.is_empty(), "two at a time");
                process.mailbox.push_back(sequence);
            }
            Action::Save { cursor } => {
                assert!(process.saving.is_none(), "two saves at a time");
                let state = process.state.as_ref().expect("it runs").iter().copied();
                let state: State = state.filter(|(sequence, _)| *sequence <= cursor).collect();
                process.saving = Some((process.lane.kept(), state));
            }
            Action::Remove { sequence } => {
                assert!(sequence <= self.stored.0.cursor, "{sequence} was removed before it was saved");
                if !std::mem::take(&mut self.loses_removal) {
                    self.removed.insert(sequence);
                }
            }
            Action::DeadLetter { sequence, crashes, cause } => {
                assert!(!cause.is_empty());
                process.setting_aside = Some((sequence, crashes));
            }
        }
    }

    pub(super) fn apply(&mut self, op: Op) {
        match op {
            Op::Publish(content) => self.publish(content),
            Op::Read(most) => (0..most).for_each(|_| self.read()),
            Op::LoseRemoval => self.loses_removal = true,
            Op::Handle => self.handle(),
            Op::Save => self.save(),
            Op::SetAside => self.set_aside(),
            Op::Crash => self.crash(None),
            Op::Start => self.start(),
            Op::Kill { saved } => self.kill(saved),
            Op::Open => self.open(),
        }
    }

    /// Sequences have gaps: the messages between are other agents'.
    pub(super) fn publish(&mut self, content: Content) {
        let sequence = Sequence(self.stream.last_key_value().map_or(0, |(last, _)| last.0) + 3);
        let again = self.stream.values().rev().find(|(_, content)| *content == Some(Content::Plain));
        let message = match (content, again) {
            (Content::Again, Some((id, _))) => (*id, Some(Content::Again)),
            (Content::Again, None) => return,
            (content, _) => (MessageId::from_parts(UnixMillis(1), sequence.0.into()), Some(content)),
        };
        self.stream.insert(sequence, message);
    }

    pub(super) fn read(&mut self) {
        let Some(process) = self.process.as_ref().filter(|process| process.lane.room() > 0) else { return };
        let Some(sequence) = self.kept_from(process.next).next() else { return };
        let id = self.stream[&sequence].0;
        if let Some(process) = &mut self.process {
            process.next = sequence.next();
        }
        self.tell(Input::Read { sequence, id });
    }

    pub(super) fn handle(&mut self) {
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
                assert!(state.iter().all(|(_, applied)| *applied != id), "{id} was applied twice");
                assert!(state.last().is_none_or(|(last, _)| *last < sequence), "{sequence} is out of order");
                state.push((sequence, id));
                self.tell(Input::Handled { sequence });
            }
        }
    }

    pub(super) fn crash(&mut self, sequence: Option<Sequence>) {
        if let Some(process) = self.process.as_mut().filter(|process| process.state.is_some()) {
            process.state = None;
            process.mailbox.clear();
            self.tell(Input::Crashed { sequence, cause: "told to".into() });
        }
    }

    pub(super) fn save(&mut self) {
        if let Some(saved) = self.process.as_mut().and_then(|process| process.saving.take()) {
            let cursor = saved.0.cursor;
            self.stored = saved;
            self.tell(Input::Saved { cursor });
        }
    }

    pub(super) fn set_aside(&mut self) {
        let aside = self.process.as_mut().and_then(|process| process.setting_aside.take());
        if let Some((sequence, crashes)) = aside {
            self.letters.insert(sequence, crashes);
            self.tell(Input::SetAside { sequence });
        }
    }

    pub(super) fn kill(&mut self, saved: bool) {
        let Some(process) = self.process.take() else {
            return;
        };
        if let Some(saving) = process.saving.filter(|_| saved) {
            self.stored = saving;
        }
    }

    /// Everything works from here on, until nothing is left to do.
    pub(super) fn drain(&mut self) {
        for _ in 0..20_000 {
            self.loses_removal = false;
            self.open();
            for op in [Op::Start, Op::Read(1), Op::Handle, Op::SetAside, Op::Save] {
                self.apply(op);
            }
            if self.stream.last_key_value().is_none_or(|(last, _)| *last <= self.stored.0.cursor) {
                return self.reopen();
            }
        }
        panic!("the lane is stuck at {:?}", self.process.as_ref().map(|p| &p.lane));
    }

    /// Another process removes what this one had no time to remove.
    fn reopen(&mut self) {
        self.kill(true);
        self.open();
        while self.kept_from(Sequence(0)).next().is_some() {
            let before = self.removed.len();
            self.read();
            assert!(self.removed.len() > before, "what is behind the cursor stays in the stream");
        }
    }

    /// Everything is in the saved state once, or a dead letter; and only what deserves it is a dead letter.
    pub(super) fn is_settled(&self) {
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
