//! Every interleaving of a small model: three nodes, one entry, and a few things that go wrong.
//!
//! A state is everything there is: keepers, bucket, what is on the way, what has been owned. From each, every next
//! event is tried, breadth first, and a state is looked at once.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use connectome_actors::protocol::Now;
use connectome_actors::protocol::lease::{Action, Answer, Fence, Input, Keeper, LeaseRecord, Ticket};
use connectome_codecs::{Revision, Term, UnixMillis};

use super::{Bucket, TTL_MS, node, now};

const NODES: usize = 3;
/// Events in a row, after the first owner was found. Two more multiply the states by ten and found nothing else.
const DEPTH: usize = 7;
/// Answers that are lost, suspicions and restarts on one path.
const MISHAPS: u8 = 2;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Model {
    now: u64,
    keepers: [Keeper; NODES],
    lives: [u8; NODES],
    /// The one question of each node that the bucket has not answered.
    asked: [Option<Asked>; NODES],
    /// Writes whose senders gave up, and which may arrive yet.
    late: Vec<(LeaseRecord, Option<Revision>)>,
    bucket: Bucket,
    owners: BTreeMap<Term, (usize, u8)>,
    fence: Fence,
    mishaps: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Asked {
    Read(Ticket),
    Write(Ticket, LeaseRecord, Option<Revision>),
}

#[derive(Debug, Clone, Copy)]
enum Event {
    /// The bucket answers.
    Answer(usize),
    /// The bucket does what was asked, and the answer is lost.
    AnswerLost(usize),
    /// The sender gives up; a write may arrive later.
    GiveUp(usize),
    /// A write arrives that was given up.
    Late(usize),
    /// A third of the time to live passes for all.
    Time,
    Suspect(usize, usize),
    Restart(usize),
    /// Whoever believes to be the owner has an effect.
    Effect(usize),
}

impl Model {
    fn start() -> Self {
        let keeper = |index| Keeper::new(node(index), Duration::from_millis(TTL_MS));
        let mut model = Self {
            now: 0,
            keepers: [keeper(0), keeper(1), keeper(2)],
            lives: [0; NODES],
            asked: [None; NODES],
            late: Vec::new(),
            bucket: Bucket::default(),
            owners: BTreeMap::new(),
            fence: Fence::default(),
            mishaps: 0,
        };
        (0..NODES).for_each(|index| model.tell(index, Input::Acquire));
        // Nodes are alike, so node 0 may as well be the first owner.
        (0..2).for_each(|_| model.answer(0, true));
        model
    }

    fn at(&self) -> Now {
        now(self.now)
    }

    fn tell(&mut self, index: usize, input: Input) {
        let (at, wall) = (self.at(), UnixMillis(1_000_000 + self.now));
        let actions: Vec<Action> = self.keepers[index].handle(at, wall, input).collect();
        for action in actions {
            match action {
                Action::Read { ticket } => self.asked[index] = Some(Asked::Read(ticket)),
                Action::Write { ticket, record, expect } => {
                    self.asked[index] = Some(Asked::Write(ticket, record, expect));
                }
                Action::Acquired { term } => {
                    let before = self.owners.insert(term, (index, self.lives[index]));
                    assert_eq!(before, None, "{term:?} has two owners: {self:?}");
                }
                Action::Lost { .. } => {}
            }
        }
    }

    fn events(&self) -> Vec<Event> {
        let mut events = vec![Event::Time];
        events.extend((0..self.late.len()).map(Event::Late));
        for index in 0..NODES {
            let believes = self.keepers[index].term(self.at()).is_some();
            events.extend(self.asked[index].map(|_| Event::Answer(index)));
            events.extend(believes.then_some(Event::Effect(index)));
            if self.mishaps < MISHAPS {
                events.extend(self.asked[index].map(|_| Event::AnswerLost(index)));
                events.extend(self.asked[index].map(|_| Event::GiveUp(index)));
                events.extend(believes.then_some(Event::Restart(index)));
                let others = (0..NODES).filter(|other| *other != index && !believes);
                events.extend(others.map(|other| Event::Suspect(index, other)));
            }
        }
        events
    }

    fn after(&self, event: Event) -> Self {
        let mut next = self.clone();
        match event {
            Event::Answer(index) => next.answer(index, true),
            Event::AnswerLost(index) => next.mishap(|next| next.answer(index, false)),
            Event::GiveUp(index) => next.mishap(|next| next.give_up(index)),
            Event::Late(which) => {
                let (record, expect) = next.late.remove(which);
                next.bucket.write(record, expect);
            }
            Event::Time => {
                next.now += TTL_MS / 3;
                (0..NODES).for_each(|index| next.tell(index, Input::Tick));
            }
            Event::Suspect(who, whom) => {
                next.mishap(|next| next.tell(who, Input::Suspected { node: node(whom) }));
            }
            Event::Restart(index) => next.mishap(|next| next.restart(index)),
            Event::Effect(index) => {
                let (term, newest) = (next.keepers[index].term(next.at()), next.fence.newest());
                let admitted = term.is_some_and(|term| next.fence.admit(term).is_ok());
                assert!(!admitted || term >= Some(newest), "{term:?} after {newest:?}");
            }
        }
        next
    }

    fn mishap(&mut self, what: impl FnOnce(&mut Self)) {
        self.mishaps += 1;
        what(self);
    }

    fn answer(&mut self, index: usize, arrives: bool) {
        match self.asked[index].take() {
            Some(Asked::Read(ticket)) if arrives => {
                self.tell(index, Input::Read { ticket, entry: self.bucket.entry });
            }
            Some(Asked::Read(ticket)) => self.tell(index, Input::ReadFailed { ticket }),
            Some(Asked::Write(ticket, record, expect)) => {
                let written = self.bucket.write(record, expect);
                let answer = if arrives { written } else { Answer::Unknown };
                self.tell(index, Input::Wrote { ticket, answer });
            }
            None => {}
        }
    }

    fn give_up(&mut self, index: usize) {
        if let Some(Asked::Write(_, record, expect)) = self.asked[index] {
            self.late.push((record, expect));
        }
        match self.asked[index].take() {
            Some(Asked::Read(ticket)) => self.tell(index, Input::ReadFailed { ticket }),
            Some(Asked::Write(ticket, ..)) => {
                self.tell(index, Input::Wrote { ticket, answer: Answer::Unknown })
            }
            None => {}
        }
    }

    fn restart(&mut self, index: usize) {
        if let Some(Asked::Write(_, record, expect)) = self.asked[index].take() {
            self.late.push((record, expect));
        }
        self.lives[index] += 1;
        self.keepers[index] = Keeper::new(node(index), Duration::from_millis(TTL_MS));
        self.tell(index, Input::Acquire);
    }
}

/// In every state that seven events can reach, no term has two owners and no fence admits an older term after a newer.
#[test]
fn every_short_history_keeps_the_promises() {
    let mut frontier = vec![Model::start()];
    let mut seen: HashSet<Model> = frontier.iter().cloned().collect();
    let mut most_owners = 0;
    for _ in 0..DEPTH {
        let next =
            frontier.iter().flat_map(|model| model.events().into_iter().map(|event| model.after(event)));
        frontier = next.filter(|model| seen.insert(model.clone())).collect();
        most_owners =
            frontier.iter().map(|model| model.owners.len()).max().unwrap_or(most_owners).max(most_owners);
    }
    println!("{} states, up to {most_owners} owners in a row", seen.len());
    assert!(most_owners >= 3, "the search never saw three owners: it does not reach what it should");
}
