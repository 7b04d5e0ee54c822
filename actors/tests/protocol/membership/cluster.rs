//! A cluster in one value: nodes, a network with weather, and a clock that jumps from event to event.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connectome_actors::protocol::membership::{Action, Input, Membership, Said, Timing};
use connectome_actors::protocol::{Dice, Now};
use connectome_codecs::message::{AgentRecord, Body, DiscoveryAction};
use connectome_codecs::{AgentName, NodeId};

pub(super) type Agents = BTreeMap<AgentName, AgentRecord>;

pub(super) fn node(n: u8) -> NodeId {
    NodeId([n; 32])
}

pub(super) fn record(agent: usize, load: u32) -> AgentRecord {
    AgentRecord {
        name: format!("agent-{agent}").parse().expect("a valid name"),
        id: None,
        role: None,
        capabilities: Vec::new(),
        version: "1".into(),
        in_flight: load,
        term: None,
    }
}

pub(super) fn ms(ms: u64) -> Now {
    Now::new(Duration::from_millis(ms))
}

/// What the network does to a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    pub(super) lost_percent: u64,
    pub(super) doubled_percent: u64,
    pub(super) delay_ms: u64,
}

pub(super) const CLEAR: Weather = Weather { lost_percent: 0, doubled_percent: 0, delay_ms: 50 };

#[derive(Debug, Clone)]
pub(super) enum Op {
    Register(usize, usize, u32),
    Unregister(usize, usize),
    Crash(usize),
    Leave(usize),
    Restart(usize),
    /// Nodes with a bit speak only to nodes with a bit.
    Partition(u8),
    Weather(Weather),
    Pause,
}

pub(super) struct Node {
    pub(super) membership: Option<Membership>,
    pub(super) incarnation: u64,
    /// What lives on it.
    pub(super) agents: Agents,
    /// What it has announced, by incarnation and version.
    pub(super) announced: BTreeMap<(u64, u64), Agents>,
    /// Its view of the others, made of actions alone.
    pub(super) view: BTreeMap<NodeId, Agents>,
    pub(super) ticks: u64,
}

pub(super) struct Cluster {
    pub(super) nodes: Vec<Node>,
    pub(super) now: u64,
    /// Messages on the way: by arrival, then number.
    pub(super) wire: BTreeMap<(u64, u64), (usize, usize, Said)>,
    pub(super) sent: u64,
    pub(super) queries: u64,
    pub(super) partition: u8,
    pub(super) weather: Weather,
    pub(super) dice: Dice,
}

impl Cluster {
    pub(super) fn new(size: usize, seed: u64) -> Self {
        let node = || Node {
            membership: None,
            incarnation: 0,
            agents: Agents::new(),
            announced: BTreeMap::new(),
            view: BTreeMap::new(),
            ticks: 0,
        };
        let mut cluster = Self {
            nodes: (0..size).map(|_| node()).collect(),
            now: 0,
            wire: BTreeMap::new(),
            sent: 0,
            queries: 0,
            partition: 0,
            weather: CLEAR,
            dice: Dice::new(seed),
        };
        (0..size).for_each(|index| cluster.restart(index));
        cluster
    }

    pub(super) fn restart(&mut self, index: usize) {
        let new = &mut self.nodes[index];
        if new.membership.is_none() {
            new.incarnation += 1;
            new.view.clear();
            new.agents.clear();
            new.announced.insert((new.incarnation, 0), Agents::new());
            new.membership =
                Some(Membership::new(node(index as u8), new.incarnation, Timing::default(), ms(self.now)));
        }
    }

    pub(super) fn tell(&mut self, index: usize, input: Input) {
        let Some(membership) = &mut self.nodes[index].membership else {
            return;
        };
        let actions: Vec<Action> = membership.handle(ms(self.now), input).collect();
        actions.into_iter().for_each(|action| self.act(index, action));
        self.check(index);
    }

    pub(super) fn act(&mut self, index: usize, action: Action) {
        let me = &mut self.nodes[index];
        match action {
            Action::Broadcast(said) => {
                me.notes(&said);
                (0..self.nodes.len()).for_each(|to| self.send(index, to, &said));
            }
            Action::Send { to, body } => {
                body.validate().expect("only valid messages are sent");
                self.queries += u64::from(body.action == DiscoveryAction::Query);
                self.send(index, to.0[0] as usize, &Said::Discovery(body));
            }
            Action::NodeUp { node, .. } => assert!(me.view.insert(node, Agents::new()).is_none(), "up twice"),
            Action::NodeDown { node, .. } => {
                assert_eq!(me.view.remove(&node), Some(Agents::new()), "down with agents, or twice");
            }
            Action::AgentUp { node, record } => {
                me.view.get_mut(&node).expect("its node is up").insert(record.name.clone(), record);
            }
            Action::AgentDown { node, name } => {
                assert!(me.view.get_mut(&node).expect("its node is up").remove(&name).is_some());
            }
            Action::NodeSuspected { .. }
            | Action::NodeRecovered { .. }
            | Action::OfferUp { .. }
            | Action::OfferDown { .. } => {}
            Action::RegistryFull { name } => panic!("{name} does not fit"),
        }
    }

    /// A view made of actions is the view that can be asked for, and holds only what was announced.
    pub(super) fn check(&self, index: usize) {
        let me = &self.nodes[index];
        let Some(membership) = &me.membership else { return };
        let nodes: BTreeSet<NodeId> = membership.nodes().map(|(node, _)| node).collect();
        assert_eq!(nodes, me.view.keys().copied().collect());
        for (of, agents) in &me.view {
            assert!(membership.agents(*of).eq(agents.values()));
            let announced = &self.nodes[of.0[0] as usize].announced;
            assert!(announced.values().any(|said| said == agents), "{of:?} never said {agents:?}");
        }
    }

    pub(super) fn send(&mut self, from: usize, to: usize, said: &Said) {
        if from == to || self.dice.below(100) < self.weather.lost_percent {
            return;
        }
        let copies = 1 + u64::from(self.dice.below(100) < self.weather.doubled_percent);
        for _ in 0..copies {
            let arrival = self.now + 1 + self.dice.below(self.weather.delay_ms);
            self.wire.insert((arrival, self.sent), (from, to, said.clone()));
            self.sent += 1;
        }
    }

    pub(super) fn cut(&self, from: usize, to: usize) -> bool {
        (self.partition >> from) & 1 != (self.partition >> to) & 1
    }

    /// Lets time pass, event by event.
    pub(super) fn run(&mut self, for_ms: u64) {
        let end = self.now + for_ms;
        while let Some(next) = self.next_event().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            while let Some((key, (from, to, said))) = self.wire.pop_first() {
                if key.0 > self.now {
                    self.wire.insert(key, (from, to, said));
                    break;
                }
                if !self.cut(from, to) {
                    self.tell(to, said.arrives(node(from as u8)));
                }
            }
            for index in 0..self.nodes.len() {
                if self.nodes[index].next_tick().is_some_and(|due| due <= self.now) {
                    self.nodes[index].ticks += 1;
                    self.tell(index, Input::Tick);
                }
            }
        }
        self.now = end;
    }

    pub(super) fn next_event(&self) -> Option<u64> {
        let ticks = self.nodes.iter().filter_map(Node::next_tick);
        ticks.chain(self.wire.keys().map(|(arrival, _)| *arrival)).min()
    }

    pub(super) fn apply(&mut self, op: Op) {
        let size = self.nodes.len();
        match op {
            Op::Register(index, agent, load) => self.register(index % size, record(agent, load)),
            Op::Unregister(index, agent) => self.unregister(index % size, record(agent, 0).name),
            Op::Crash(index) => self.nodes[index % size].membership = None,
            Op::Leave(index) => {
                self.tell(index % size, Input::Leave);
                self.nodes[index % size].membership = None;
            }
            Op::Restart(index) => self.restart(index % size),
            Op::Partition(partition) => self.partition = partition,
            Op::Weather(weather) => self.weather = weather,
            Op::Pause => self.run(3_000),
        }
        self.run(200);
    }

    pub(super) fn register(&mut self, index: usize, record: AgentRecord) {
        if self.nodes[index].membership.is_some() {
            self.nodes[index].agents.insert(record.name.clone(), record.clone());
            self.tell(index, Input::Register(record));
        }
    }

    pub(super) fn unregister(&mut self, index: usize, name: AgentName) {
        self.nodes[index].agents.remove(&name);
        self.tell(index, Input::Unregister(name));
    }

    /// Every live node sees exactly the live nodes, each with exactly its agents.
    pub(super) fn agrees(&self) {
        for (index, me) in self.nodes.iter().enumerate().filter(|(_, node)| node.membership.is_some()) {
            let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != index);
            let live = others.filter(|(_, node)| node.membership.is_some());
            let truth: BTreeMap<NodeId, Agents> =
                live.map(|(other, them)| (node(other as u8), them.agents.clone())).collect();
            assert_eq!(me.view, truth, "the view of node {index}");
        }
    }
}

impl Node {
    pub(super) fn next_tick(&self) -> Option<u64> {
        let tick = self.membership.as_ref()?.next_tick()?;
        Some(tick.since_origin().as_millis() as u64)
    }

    pub(super) fn notes(&mut self, said: &Said) {
        let Said::Discovery(delta) = said else { return };
        delta.validate().expect("only valid messages are sent");
        let life = delta.incarnation;
        let mut agents = self.announced[&(life, delta.base_version.min(delta.version))].clone();
        delta.removed.iter().for_each(|name| drop(agents.remove(name)));
        agents.extend(delta.added.iter().map(|record| (record.name.clone(), record.clone())));
        if delta.action == DiscoveryAction::Delta {
            self.announced.insert((life, delta.version), agents);
        }
    }
}

pub(super) trait Arrives {
    fn arrives(self, from: NodeId) -> Input;
}

impl Arrives for Said {
    fn arrives(self, from: NodeId) -> Input {
        match self {
            Said::Heartbeat(body) => Input::Heartbeat { from, body },
            Said::Discovery(body) => Input::Discovery { from, body },
        }
    }
}
