//! Promises of `protocol::lease`: one bucket entry, several nodes, clocks that differ, answers that are lost or late,
//! suspicion that may be wrong, and nodes that die and come back.

mod search;

use std::collections::BTreeMap;
use std::time::Duration;

use connectome_actors::protocol::lease::{Action, Answer, Fence, Input, Keeper, LeaseRecord, Loss, Ticket};
use connectome_actors::protocol::{Dice, Now};
use connectome_codecs::{NodeId, Revision, Term, UnixMillis};
use proptest::prelude::*;

const TTL_MS: u64 = 15_000;

/// The entry of a bucket, with compare-and-set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Bucket {
    entry: Option<(LeaseRecord, Revision)>,
    writes: u64,
}

impl Bucket {
    fn write(&mut self, record: LeaseRecord, expect: Option<Revision>) -> Answer {
        if self.entry.map(|(_, revision)| revision) != expect {
            return Answer::Conflict;
        }
        self.writes += 1;
        self.entry = Some((record, Revision(self.writes)));
        Answer::Written(Revision(self.writes))
    }
}

fn node(n: usize) -> NodeId {
    NodeId([n as u8; 32])
}

fn now(ms: u64) -> Now {
    Now::new(Duration::from_millis(ms))
}

/// What travels between the nodes and the bucket.
#[derive(Debug)]
enum Travels {
    Read(usize, u64, Ticket),
    Write(usize, u64, Ticket, LeaseRecord, Option<Revision>),
    Answer(usize, u64, Input),
    /// An effect under a term, on its way to its place.
    Effect(Term),
}

struct Cluster {
    keepers: Vec<Keeper>,
    /// Which life of each node this is.
    lives: Vec<u64>,
    /// How far each node's clock on the wall is from the truth.
    skews: Vec<u64>,
    held: Vec<Option<Term>>,
    bucket: Bucket,
    wire: BTreeMap<(u64, u64), Travels>,
    sent: u64,
    now: u64,
    lost_percent: u64,
    delay_ms: u64,
    dice: Dice,
    /// Who had each term.
    owners: BTreeMap<Term, (usize, u64)>,
    fence: Fence,
    admitted: Vec<Term>,
    overlaps: u64,
}

impl Cluster {
    fn new(skews: Vec<u64>, seed: u64) -> Self {
        let count = skews.len();
        let mut cluster = Self {
            keepers: (0..count).map(keeper).collect(),
            lives: vec![0; count],
            skews,
            held: vec![None; count],
            bucket: Bucket::default(),
            wire: BTreeMap::new(),
            sent: 0,
            now: 0,
            lost_percent: 0,
            delay_ms: 100,
            dice: Dice::new(seed),
            owners: BTreeMap::new(),
            fence: Fence::default(),
            admitted: Vec::new(),
            overlaps: 0,
        };
        (0..count).for_each(|index| cluster.tell(index, Input::Acquire));
        cluster
    }

    fn tell(&mut self, index: usize, input: Input) {
        let wall = UnixMillis(1_000_000 + self.now + self.skews[index]);
        let actions: Vec<Action> = self.keepers[index].handle(now(self.now), wall, input).collect();
        for action in actions {
            let life = self.lives[index];
            match action {
                Action::Read { ticket } => self.send(Travels::Read(index, life, ticket)),
                Action::Write { ticket, record, expect } => {
                    self.send(Travels::Write(index, life, ticket, record, expect));
                }
                Action::Acquired { term } => self.acquired(index, term),
                Action::Lost { term, .. } => assert_eq!(self.held[index].take(), Some(term)),
            }
        }
        assert_eq!(self.keepers[index].term(now(self.now)), self.held[index]);
    }

    fn acquired(&mut self, index: usize, term: Term) {
        let me = (index, self.lives[index]);
        assert_eq!(self.owners.insert(term, me), None, "{term:?} has two owners");
        assert!(self.owners.last_key_value().is_some_and(|(_, last)| *last == me) || self.is_late(term));
        assert_eq!(self.held[index].replace(term), None);
    }

    /// An answer may come so late that somebody has a newer term already; the fence deals with that.
    fn is_late(&self, term: Term) -> bool {
        self.bucket.entry.is_some_and(|(record, _)| record.term > term)
    }

    /// Every message arrives, though it may be late; what is lost is answers, and those are answered as unknown.
    fn send(&mut self, travels: Travels) {
        let arrival = self.now + 1 + self.dice.below(self.delay_ms);
        self.wire.insert((arrival, self.sent), travels);
        self.sent += 1;
    }

    fn arrive(&mut self, travels: Travels) {
        let lost = self.dice.below(100) < self.lost_percent;
        match travels {
            Travels::Read(index, life, ticket) => {
                let read = Input::Read { ticket, entry: self.bucket.entry };
                let answer = if lost { Input::ReadFailed { ticket } } else { read };
                self.send(Travels::Answer(index, life, answer));
            }
            Travels::Write(index, life, ticket, record, expect) => {
                let late = lost && self.dice.below(2) == 0;
                if late {
                    // The client gives up before its write arrives.
                    let answer = Input::Wrote { ticket, answer: Answer::Unknown };
                    self.tell_life(index, life, answer);
                    return self.send(Travels::Write(index, u64::MAX, ticket, record, expect));
                }
                let written = self.bucket.write(record, expect);
                let answer = if lost { Answer::Unknown } else { written };
                self.send(Travels::Answer(index, life, Input::Wrote { ticket, answer }));
            }
            Travels::Answer(index, life, input) => self.tell_life(index, life, input),
            Travels::Effect(term) => {
                if self.fence.admit(term).is_ok() {
                    self.admitted.push(term);
                }
            }
        }
    }

    fn tell_life(&mut self, index: usize, life: u64, input: Input) {
        if self.lives[index] == life {
            self.tell(index, input);
        }
    }

    fn run(&mut self, for_ms: u64) {
        let end = self.now + for_ms;
        loop {
            let wire = self.wire.first_key_value().map(|((arrival, _), _)| *arrival);
            let ticks = self.keepers.iter().enumerate().filter_map(|(index, keeper)| {
                let due = keeper.next_tick()?.since_origin().as_millis() as u64;
                Some((due.max(self.now), index))
            });
            let tick = ticks.min();
            let next = tick.map(|(due, _)| due).into_iter().chain(wire).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            match tick {
                Some((due, index)) if due <= self.now && wire.is_none_or(|arrival| arrival > due) => {
                    self.tell(index, Input::Tick);
                }
                _ => {
                    let (_, travels) = self.wire.pop_first().expect("something arrives");
                    self.arrive(travels);
                }
            }
            self.overlaps += u64::from(self.believers() > 1);
        }
        self.now = end;
    }

    /// How many nodes believe, at this instant, to be the owner.
    fn believers(&self) -> usize {
        self.keepers.iter().filter(|keeper| keeper.term(now(self.now)).is_some()).count()
    }

    fn restart(&mut self, index: usize) {
        self.lives[index] += 1;
        self.held[index] = None;
        self.keepers[index] = keeper(index);
        self.tell(index, Input::Acquire);
    }
}

fn keeper(index: usize) -> Keeper {
    Keeper::new(node(index), Duration::from_millis(TTL_MS))
}

#[derive(Debug, Clone)]
enum Op {
    Run(u64),
    Suspect(usize, usize),
    Clear(usize, usize),
    Restart(usize),
    /// A node that believes to be the owner sends an effect.
    Effect(usize),
    /// It stands still, and goes on later with what it believed.
    Weather(u64, u64),
    Release(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (0..8_000_u64).prop_map(Op::Run),
        3 => (0..4_usize, 0..4_usize).prop_map(|(who, whom)| Op::Suspect(who, whom)),
        2 => (0..4_usize, 0..4_usize).prop_map(|(who, whom)| Op::Clear(who, whom)),
        1 => (0..4_usize).prop_map(Op::Restart),
        6 => (0..4_usize).prop_map(Op::Effect),
        2 => (0..70_u64, 1..6_000_u64).prop_map(|(lost, delay)| Op::Weather(lost, delay)),
        1 => (0..4_usize).prop_map(Op::Release),
    ];
    prop::collection::vec(op, 0..60)
}

proptest! {
    /// Under any skew, loss, delay, suspicion and restarts: no term has two owners, and what a fence admits never
    /// falls; and when the weather clears, somebody owns the lease again.
    #[test]
    fn no_term_has_two_owners(
        skews in prop::collection::vec(0..3_600_000_u64, 2..=4),
        seed in any::<u64>(),
        ops in ops(),
    ) {
        let mut cluster = Cluster::new(skews, seed);
        let count = cluster.keepers.len();
        for op in ops {
            match op {
                Op::Run(ms) => cluster.run(ms),
                Op::Suspect(who, whom) => cluster.tell(who % count, Input::Suspected { node: node(whom % count) }),
                Op::Clear(who, whom) => cluster.tell(who % count, Input::Cleared { node: node(whom % count) }),
                Op::Restart(index) => cluster.restart(index % count),
                Op::Effect(index) => {
                    let term = cluster.keepers[index % count].term(now(cluster.now));
                    term.into_iter().for_each(|term| cluster.send(Travels::Effect(term)));
                }
                Op::Weather(lost, delay) => (cluster.lost_percent, cluster.delay_ms) = (lost, delay),
                Op::Release(index) => {
                    cluster.tell(index % count, Input::Release);
                    cluster.tell(index % count, Input::Acquire);
                }
            }
        }
        prop_assert!(cluster.admitted.is_sorted(), "a fence admitted {:?}", cluster.admitted);
        (cluster.lost_percent, cluster.delay_ms) = (0, 100);
        for who in 0..count {
            (0..count).for_each(|whom| cluster.tell(who, Input::Cleared { node: node(whom) }));
        }
        // Clocks differ by up to an hour: whoever waits, waits for the expiry that the fastest clock wrote.
        cluster.run(3_600_000 + 3 * TTL_MS);
        prop_assert_eq!(cluster.believers(), 1);
    }

    /// While nobody is suspected and clocks differ by less than a third of the time to live, no two nodes believe to
    /// be the owner at the same instant, whatever is lost or late.
    #[test]
    fn without_suspicion_there_is_one_believer(
        skews in prop::collection::vec(0..TTL_MS / 3, 2..=4),
        seed in any::<u64>(),
        weather in prop::collection::vec((0..90_u64, 1..8_000_u64, 0..20_000_u64, 0..8_usize), 0..20),
    ) {
        let mut cluster = Cluster::new(skews, seed);
        for (lost, delay, run, restart) in weather {
            (cluster.lost_percent, cluster.delay_ms) = (lost, delay);
            cluster.run(run);
            // A node that is given the lease back by a restart does not wait: its earlier life is over.
            if restart < cluster.keepers.len() {
                cluster.restart(restart);
            }
        }
        prop_assert_eq!(cluster.overlaps, 0);
    }
}

/// A keeper that is not disturbed keeps its lease, with a renewal each third of the time to live.
#[test]
fn an_undisturbed_lease_is_kept() {
    let mut cluster = Cluster::new(vec![0, 0], 1);
    cluster.run(10 * TTL_MS);
    assert_eq!(cluster.owners.len(), 1);
    assert!((29..=31).contains(&cluster.bucket.writes), "{} writes", cluster.bucket.writes);
}

/// A suspected owner is replaced within a second, and its next renewal tells it so.
#[test]
fn a_suspected_owner_is_replaced_at_once() {
    let mut cluster = Cluster::new(vec![0, 0], 1);
    cluster.run(1_000);
    let owner = cluster.held.iter().position(Option::is_some).expect("somebody has it");
    cluster.tell(1 - owner, Input::Suspected { node: node(owner) });
    cluster.run(1_000);
    assert_eq!(cluster.held[1 - owner], Some(Term(2)));
    cluster.run(TTL_MS / 3);
    assert_eq!(cluster.held[owner], None);
}

/// A lease that is given back can be taken at once, with a new term.
#[test]
fn a_released_lease_is_free() {
    let mut keeper = keeper(1);
    let mut say = |input| keeper.handle(Now::ZERO, UnixMillis(1_000), input).collect::<Vec<_>>();
    say(Input::Acquire);
    say(Input::Read { ticket: Ticket(0), entry: None });
    say(Input::Wrote { ticket: Ticket(1), answer: Answer::Written(Revision(1)) });
    let free = LeaseRecord { holder: node(1), term: Term(1), expires: UnixMillis(0) };
    let released = say(Input::Release);
    assert_eq!(
        released,
        [
            Action::Write { ticket: Ticket(2), record: free, expect: Some(Revision(1)) },
            Action::Lost { term: Term(1), why: Loss::Released },
        ]
    );
}
