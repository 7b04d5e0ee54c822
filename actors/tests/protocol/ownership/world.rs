//! Several nodes, one bucket, a way to it that loses and delays, and nodes that die, come back, hear nothing, leave.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connectome_actors::protocol::lease::{Answer, LeaseRecord, Ticket};
use connectome_actors::protocol::ownership::{Action, Input, Ownership, Rules, TAKEOVERS_MAX};
use connectome_actors::protocol::{Dice, Now};
use connectome_codecs::{AgentName, NodeId, Revision, Term, UnixMillis};

/// How long silence takes to be noticed.
const SUSPECT_MS: u64 = 2_000;

pub(super) const RULES: Rules = Rules {
    ttl: Duration::from_secs(30),
    stagger: Duration::from_millis(300),
    settle: Duration::from_millis(750),
    strange_after: Duration::from_millis(SUSPECT_MS),
};

pub(super) fn node(n: usize) -> NodeId {
    NodeId([n as u8 + 1; 32])
}

pub(super) fn name(n: usize) -> AgentName {
    format!("agent-{n}").parse().expect("a good name")
}

/// One node in one of its lives.
struct Member {
    ownership: Ownership,
    alive: bool,
    life: u64,
    agents: BTreeMap<AgentName, Term>,
    starting: BTreeSet<AgentName>,
    /// Cut from everyone, but not from the store.
    cut: bool,
}

/// What arrives at a node, or at the bucket.
enum Travels {
    Read(usize, u64, AgentName, Ticket),
    Write(usize, u64, AgentName, Ticket, LeaseRecord, Option<Revision>),
    Told(usize, u64, Input),
}

pub(super) struct World {
    members: Vec<Member>,
    names: Vec<AgentName>,
    bucket: BTreeMap<AgentName, (LeaseRecord, Revision)>,
    revision: u64,
    wire: BTreeMap<(u64, u64), Travels>,
    sent: u64,
    pub(super) now: u64,
    dice: Dice,
    /// Requests or answers that get lost, in a hundred.
    pub(super) lost_percent: u64,
    /// Who had each term of each name.
    owners: BTreeMap<(AgentName, Term), (usize, u64)>,
    pub(super) writes: u64,
    /// Writes that were refused.
    pub(super) refused: u64,
    pub(super) most_starting: usize,
}

impl World {
    pub(super) fn new(nodes: usize, names: usize, seed: u64) -> World {
        let mut world = World {
            members: Vec::new(),
            names: (0..names).map(name).collect(),
            bucket: BTreeMap::new(),
            revision: 0,
            wire: BTreeMap::new(),
            sent: 0,
            now: 0,
            dice: Dice::new(seed),
            lost_percent: 0,
            owners: BTreeMap::new(),
            writes: 0,
            refused: 0,
            most_starting: 0,
        };
        world.members = (0..nodes).map(|n| member(n, 0, 1)).collect();
        (0..nodes).for_each(|n| world.begin(n));
        world
    }

    fn begin(&mut self, n: usize) {
        for name in self.names.clone() {
            self.tell(n, Input::Offer { name });
        }
        let entries: Vec<_> = self.bucket.iter().map(|(name, entry)| (name.clone(), *entry)).collect();
        for (name, (record, revision)) in entries {
            self.send(3, n, Input::Seen { name, record: Some(record), revision });
        }
        self.views(200);
    }

    /// Everyone hears of everyone whom it can hear, after a while.
    fn views(&mut self, after: u64) {
        let count = self.members.len();
        for n in 0..count {
            let hears = |m: &usize| {
                *m != n && self.members[*m].alive && !self.members[*m].cut && !self.members[n].cut
            };
            let up: BTreeSet<NodeId> = (0..count).filter(hears).map(node).collect();
            let others: BTreeSet<NodeId> = (0..count).filter(|m| *m != n).map(node).collect();
            for name in self.names.clone() {
                self.send(after, n, Input::Offerers { name, nodes: others.clone() });
            }
            self.send(after, n, Input::Up { nodes: up });
        }
    }

    pub(super) fn kill(&mut self, n: usize) {
        let member = &mut self.members[n];
        (member.alive, member.life) = (false, member.life + 1);
        member.agents.clear();
        member.starting.clear();
        self.views(SUSPECT_MS);
    }

    /// Starts a node again, as a life that knows nothing of the one before.
    pub(super) fn restart(&mut self, n: usize) {
        if self.members[n].alive {
            return;
        }
        let cut = self.members[n].cut;
        self.members[n] = Member { cut, ..member(n, self.now, self.members[n].life + 1) };
        for m in (0..self.members.len()).filter(|m| *m != n) {
            self.send(100, m, Input::Fallen { node: node(n) });
        }
        self.begin(n);
    }

    pub(super) fn cut(&mut self, n: usize, cut: bool) {
        if self.members[n].cut != cut {
            self.members[n].cut = cut;
            self.views(if cut { SUSPECT_MS } else { 500 });
        }
    }

    pub(super) fn leave(&mut self, n: usize) {
        self.tell(n, Input::Leave);
    }

    pub(super) fn has_left(&self, n: usize) -> bool {
        self.members[n].ownership.has_left()
    }

    pub(super) fn want(&mut self, name: &AgentName) {
        (0..self.members.len()).for_each(|n| self.tell(n, Input::Wanted { name: name.clone() }));
    }

    /// Who runs what.
    pub(super) fn running(&self) -> BTreeMap<AgentName, Vec<usize>> {
        let mut running: BTreeMap<AgentName, Vec<usize>> = BTreeMap::new();
        for (n, member) in self.members.iter().enumerate().filter(|(_, member)| member.alive) {
            member.agents.keys().for_each(|name| running.entry(name.clone()).or_default().push(n));
        }
        running
    }

    pub(super) fn all_run_once(&self) -> bool {
        let running = self.running();
        running.len() == self.names.len() && running.values().all(|nodes| nodes.len() == 1)
    }

    pub(super) fn count_on(&self, n: usize) -> usize {
        self.members[n].agents.len()
    }

    pub(super) fn run_until(&mut self, within: u64, holds: impl Fn(&World) -> bool) -> bool {
        let end = self.now + within;
        while self.now < end {
            if holds(self) {
                return true;
            }
            self.run_for(10);
        }
        holds(self)
    }

    pub(super) fn run_for(&mut self, time: u64) {
        let end = self.now + time;
        loop {
            let ticks = self.members.iter().filter(|m| m.alive).filter_map(|m| m.ownership.next_tick());
            let tick = ticks
                .min()
                .map(|tick| (tick.since_origin().as_nanos().div_ceil(1_000_000) as u64).max(self.now));
            let next = self.wire.first_key_value().map(|((at, _), _)| *at);
            let Some(now) = tick.into_iter().chain(next).min().filter(|now| *now <= end) else { break };
            self.now = now;
            if next == Some(now) {
                let (_, travels) = self.wire.pop_first().expect("it was just there");
                self.arrives(travels);
            } else {
                (0..self.members.len()).for_each(|n| self.tell(n, Input::Tick));
            }
        }
        self.now = end;
    }

    fn arrives(&mut self, travels: Travels) {
        match travels {
            Travels::Read(n, life, name, ticket) => {
                let entry = self.bucket.get(&name).copied();
                self.answer(n, life, Input::Read { name: name.clone(), ticket, entry }, || {
                    Input::ReadFailed { name: name.clone(), ticket }
                });
            }
            Travels::Write(n, life, name, ticket, record, expect) => {
                let answer = self.write(&name, record, expect);
                let unknown = || Input::Wrote { name: name.clone(), ticket, answer: Answer::Unknown };
                self.answer(n, life, Input::Wrote { name: name.clone(), ticket, answer }, unknown);
            }
            Travels::Told(n, life, input) if self.members[n].life == life => {
                if let Input::Started { name, .. } = &input {
                    self.members[n].starting.remove(name);
                }
                self.tell(n, input);
            }
            Travels::Told(..) => {}
        }
    }

    fn write(&mut self, name: &AgentName, record: LeaseRecord, expect: Option<Revision>) -> Answer {
        if self.bucket.get(name).map(|(_, revision)| *revision) != expect {
            self.refused += 1;
            return Answer::Conflict;
        }
        let before = self.bucket.get(name).map_or(Term(0), |(record, _)| record.term);
        assert!(record.term >= before, "the term of {name} fell from {before} to {}", record.term);
        self.revision += 1;
        self.writes += 1;
        let revision = Revision(self.revision);
        self.bucket.insert(name.clone(), (record, revision));
        for n in 0..self.members.len() {
            let delay = 1 + self.dice.below(8);
            self.send(delay, n, Input::Seen { name: name.clone(), record: Some(record), revision });
        }
        Answer::Written(revision)
    }

    fn answer(&mut self, n: usize, life: u64, input: Input, lost: impl Fn() -> Input) {
        if self.dice.below(100) < self.lost_percent {
            self.send_to(3_000, n, life, lost());
        } else {
            let delay = 1 + self.dice.below(4);
            self.send_to(delay, n, life, input);
        }
    }

    fn send(&mut self, delay: u64, n: usize, input: Input) {
        let life = self.members[n].life;
        self.send_to(delay, n, life, input);
    }

    fn send_to(&mut self, delay: u64, n: usize, life: u64, input: Input) {
        self.post(delay, Travels::Told(n, life, input));
    }

    fn post(&mut self, delay: u64, travels: Travels) {
        self.sent += 1;
        self.wire.insert((self.now + delay, self.sent), travels);
    }

    fn tell(&mut self, n: usize, input: Input) {
        if !self.members[n].alive {
            return;
        }
        let (now, wall) = (Now::new(Duration::from_millis(self.now)), UnixMillis(1_000_000 + self.now));
        let actions: Vec<_> = self.members[n].ownership.handle(now, wall, input).collect();
        for action in actions {
            self.perform(n, action);
        }
    }

    fn perform(&mut self, n: usize, action: Action) {
        let life = self.members[n].life;
        let delay = 1 + self.dice.below(4);
        match action {
            Action::Read { name, ticket } => self.request(Travels::Read(n, life, name, ticket)),
            Action::Write { name, ticket, record, expect } => {
                self.request(Travels::Write(n, life, name, ticket, record, expect));
            }
            Action::Start { name, term } => {
                let owner = *self.owners.entry((name.clone(), term)).or_insert((n, life));
                assert_eq!(owner, (n, life), "{name} has two owners under term {term}");
                let before = self.members[n].agents.insert(name.clone(), term);
                assert_eq!(before, None, "{name} runs twice on one node");
                let starting = &mut self.members[n].starting;
                starting.insert(name.clone());
                self.most_starting = self.most_starting.max(starting.len());
                assert!(starting.len() <= TAKEOVERS_MAX, "{} start at once", starting.len());
                for m in (0..self.members.len()).filter(|m| *m != n) {
                    if !self.members[m].cut && !self.members[n].cut {
                        self.send(20, m, Input::Heard { name: name.clone(), term });
                    }
                }
                self.send(delay, n, Input::Started { name, term });
            }
            Action::Stop { name, term, .. } => {
                let member = &mut self.members[n];
                assert_eq!(member.agents.remove(&name), Some(term), "{name} is stopped, and does not run");
                member.starting.remove(&name);
                self.send(delay, n, Input::Ended { name, term });
            }
        }
    }

    fn request(&mut self, travels: Travels) {
        let delay = 1 + self.dice.below(4);
        if self.dice.below(100) < self.lost_percent {
            let (n, life, lost) = match travels {
                Travels::Read(n, life, name, ticket) => (n, life, Input::ReadFailed { name, ticket }),
                Travels::Write(n, life, name, ticket, ..) => {
                    (n, life, Input::Wrote { name, ticket, answer: Answer::Unknown })
                }
                Travels::Told(..) => return,
            };
            self.send_to(3_000, n, life, lost);
        } else {
            self.post(delay, travels);
        }
    }

    /// The dice, for whoever makes trouble.
    pub(super) fn roll(&mut self, below: u64) -> u64 {
        self.dice.below(below)
    }
}

fn member(n: usize, now: u64, life: u64) -> Member {
    Member {
        ownership: Ownership::new(node(n), RULES, Now::new(Duration::from_millis(now))),
        alive: true,
        life,
        agents: BTreeMap::new(),
        starting: BTreeSet::new(),
        cut: false,
    }
}
