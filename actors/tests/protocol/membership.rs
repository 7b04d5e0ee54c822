//! Promises of `protocol::membership`: a cluster of nodes that speak over a network which loses, doubles, delays,
//! reorders and partitions, while agents and nodes come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connectome_actors::protocol::membership::{Action, Gone, Input, Membership, Presence, Said, Timing};
use connectome_actors::protocol::{Dice, Now};
use connectome_codecs::message::{AgentRecord, Body, Discovery, DiscoveryAction, Heartbeat};
use connectome_codecs::{AgentName, NodeId};
use proptest::prelude::*;

type Agents = BTreeMap<AgentName, AgentRecord>;

fn node(n: u8) -> NodeId {
    NodeId([n; 32])
}

fn record(agent: usize, load: u32) -> AgentRecord {
    AgentRecord {
        name: format!("agent-{agent}").parse().expect("a valid name"),
        id: None,
        role: None,
        capabilities: Vec::new(),
        version: "1".into(),
        in_flight: load,
    }
}

fn ms(ms: u64) -> Now {
    Now::new(Duration::from_millis(ms))
}

/// What the network does to a message.
#[derive(Debug, Clone, Copy)]
struct Weather {
    lost_percent: u64,
    doubled_percent: u64,
    delay_ms: u64,
}

const CLEAR: Weather = Weather {
    lost_percent: 0,
    doubled_percent: 0,
    delay_ms: 50,
};

#[derive(Debug, Clone)]
enum Op {
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

struct Node {
    membership: Option<Membership>,
    incarnation: u64,
    /// What lives on it.
    agents: Agents,
    /// What it has announced, by incarnation and version.
    announced: BTreeMap<(u64, u64), Agents>,
    /// Its view of the others, made of actions alone.
    view: BTreeMap<NodeId, Agents>,
    ticks: u64,
}

struct Cluster {
    nodes: Vec<Node>,
    now: u64,
    /// Messages on the way: by arrival, then number.
    wire: BTreeMap<(u64, u64), (usize, usize, Said)>,
    sent: u64,
    queries: u64,
    partition: u8,
    weather: Weather,
    dice: Dice,
}

impl Cluster {
    fn new(size: usize, seed: u64) -> Self {
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

    fn restart(&mut self, index: usize) {
        let new = &mut self.nodes[index];
        if new.membership.is_none() {
            new.incarnation += 1;
            new.view.clear();
            new.agents.clear();
            new.announced.insert((new.incarnation, 0), Agents::new());
            new.membership = Some(Membership::new(
                node(index as u8),
                new.incarnation,
                Timing::default(),
                ms(self.now),
            ));
        }
    }

    fn tell(&mut self, index: usize, input: Input) {
        let Some(membership) = &mut self.nodes[index].membership else {
            return;
        };
        let actions: Vec<Action> = membership.handle(ms(self.now), input).collect();
        actions.into_iter().for_each(|action| self.act(index, action));
        self.check(index);
    }

    fn act(&mut self, index: usize, action: Action) {
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
                assert_eq!(
                    me.view.remove(&node),
                    Some(Agents::new()),
                    "down with agents, or twice"
                );
            }
            Action::AgentUp { node, record } => {
                me.view
                    .get_mut(&node)
                    .expect("its node is up")
                    .insert(record.name.clone(), record);
            }
            Action::AgentDown { node, name } => {
                assert!(
                    me.view
                        .get_mut(&node)
                        .expect("its node is up")
                        .remove(&name)
                        .is_some()
                );
            }
            Action::NodeSuspected { .. } | Action::NodeRecovered { .. } => {}
            Action::RegistryFull { name } => panic!("{name} does not fit"),
        }
    }

    /// A view made of actions is the view that can be asked for, and holds only what was announced.
    fn check(&self, index: usize) {
        let me = &self.nodes[index];
        let Some(membership) = &me.membership else { return };
        let nodes: BTreeSet<NodeId> = membership.nodes().map(|(node, _)| node).collect();
        assert_eq!(nodes, me.view.keys().copied().collect());
        for (of, agents) in &me.view {
            assert!(membership.agents(*of).eq(agents.values()));
            let announced = &self.nodes[of.0[0] as usize].announced;
            assert!(
                announced.values().any(|said| said == agents),
                "{of:?} never said {agents:?}"
            );
        }
    }

    fn send(&mut self, from: usize, to: usize, said: &Said) {
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

    fn cut(&self, from: usize, to: usize) -> bool {
        (self.partition >> from) & 1 != (self.partition >> to) & 1
    }

    /// Lets time pass, event by event.
    fn run(&mut self, for_ms: u64) {
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

    fn next_event(&self) -> Option<u64> {
        let ticks = self.nodes.iter().filter_map(Node::next_tick);
        ticks.chain(self.wire.keys().map(|(arrival, _)| *arrival)).min()
    }

    fn apply(&mut self, op: Op) {
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

    fn register(&mut self, index: usize, record: AgentRecord) {
        if self.nodes[index].membership.is_some() {
            self.nodes[index]
                .agents
                .insert(record.name.clone(), record.clone());
            self.tell(index, Input::Register(record));
        }
    }

    fn unregister(&mut self, index: usize, name: AgentName) {
        self.nodes[index].agents.remove(&name);
        self.tell(index, Input::Unregister(name));
    }

    /// Every live node sees exactly the live nodes, each with exactly its agents.
    fn agrees(&self) {
        for (index, me) in self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.membership.is_some())
        {
            let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != index);
            let live = others.filter(|(_, node)| node.membership.is_some());
            let truth: BTreeMap<NodeId, Agents> = live
                .map(|(other, them)| (node(other as u8), them.agents.clone()))
                .collect();
            assert_eq!(me.view, truth, "the view of node {index}");
        }
    }
}

impl Node {
    fn next_tick(&self) -> Option<u64> {
        let tick = self.membership.as_ref()?.next_tick()?;
        Some(tick.since_origin().as_millis() as u64)
    }

    fn notes(&mut self, said: &Said) {
        let Said::Discovery(delta) = said else { return };
        delta.validate().expect("only valid messages are sent");
        let life = delta.incarnation;
        let mut agents = self.announced[&(life, delta.base_version.min(delta.version))].clone();
        delta.removed.iter().for_each(|name| drop(agents.remove(name)));
        agents.extend(
            delta
                .added
                .iter()
                .map(|record| (record.name.clone(), record.clone())),
        );
        if delta.action == DiscoveryAction::Delta {
            self.announced.insert((life, delta.version), agents);
        }
    }
}

trait Arrives {
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

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let weather = (0..60_u64, 0..30_u64, 1..3_000_u64);
    let op = prop_oneof![
        6 => (0..5_usize, 0..6_usize, 0..3_u32).prop_map(|(node, agent, load)| Op::Register(node, agent, load)),
        3 => (0..5_usize, 0..6_usize).prop_map(|(node, agent)| Op::Unregister(node, agent)),
        1 => (0..5_usize).prop_map(Op::Crash),
        1 => (0..5_usize).prop_map(Op::Leave),
        2 => (0..5_usize).prop_map(Op::Restart),
        2 => any::<u8>().prop_map(Op::Partition),
        2 => weather.prop_map(|(lost_percent, doubled_percent, delay_ms)| Op::Weather(Weather {
            lost_percent, doubled_percent, delay_ms
        })),
        2 => Just(Op::Pause),
    ];
    prop::collection::vec(op, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whatever the network and the nodes did: ten seconds after it is over, all views are equal and true; and at
    /// every moment a view held only what was really announced (checked after every input).
    #[test]
    fn views_are_equal_ten_seconds_after_healing(size in 2..=5_usize, seed in any::<u64>(), ops in ops()) {
        let mut cluster = Cluster::new(size, seed);
        ops.into_iter().for_each(|op| cluster.apply(op));
        // The network heals when the last of the old, late messages has arrived.
        let last = cluster.wire.keys().last().map_or(0, |(arrival, _)| *arrival);
        cluster.weather = CLEAR;
        cluster.run(last.saturating_sub(cluster.now));
        cluster.partition = 0;
        cluster.run(10_000);
        cluster.agrees();
    }
}

/// A quiet cluster says one heartbeat a second and nothing else.
#[test]
fn quiet_costs_one_heartbeat_a_second() {
    let mut cluster = Cluster::new(5, 1);
    cluster.run(5_000);
    let (sent, queries) = (cluster.sent, cluster.queries);
    cluster.run(60_000);
    assert_eq!(cluster.sent - sent, 60 * 5 * 4);
    assert_eq!(cluster.queries, queries);
    assert!(cluster.nodes.iter().all(|node| node.ticks < 70));
}

/// Ten thousand agents that appear at once are announced in as few messages as hold them, and everyone has them.
#[test]
fn a_burst_of_agents_is_announced_in_bulk() {
    let mut cluster = Cluster::new(2, 1);
    cluster.run(2_000);
    let sent = cluster.sent;
    (0..10_000).for_each(|agent| {
        cluster.nodes[0]
            .agents
            .extend([(record(agent, 0).name, record(agent, 0))])
    });
    let records: Vec<AgentRecord> = cluster.nodes[0].agents.values().cloned().collect();
    let membership = cluster.nodes[0].membership.as_mut().expect("it runs");
    let actions: Vec<Action> = records
        .into_iter()
        .flat_map(|record| {
            membership
                .handle(ms(2_000), Input::Register(record))
                .collect::<Vec<_>>()
        })
        .collect();
    for action in actions {
        if let Action::Broadcast(said) = &action {
            cluster.nodes[0].notes(said);
        }
        cluster.act(0, action);
    }
    assert!(cluster.sent - sent <= 42, "{} messages", cluster.sent - sent);
    cluster.run(3_000);
    cluster.agrees();
}

/// A newcomer gets a large registry in parts, and believes none of it before it has all.
#[test]
fn a_snapshot_in_parts_is_believed_whole() {
    let (here, there) = (node(1), node(2));
    let mut membership = Membership::new(here, 1, Timing::default(), Now::ZERO);
    let part = |part, from: usize| Discovery {
        node: there,
        incarnation: 1,
        action: DiscoveryAction::Snapshot,
        base_version: 0,
        version: 9,
        part,
        parts: 2,
        added: (from..from + 256).map(|agent| record(agent, 0)).collect(),
        removed: Vec::new(),
    };
    let mut say = |body| {
        membership
            .handle(Now::ZERO, Input::Discovery { from: there, body })
            .count()
    };
    say(part(1, 256));
    say(part(1, 256));
    assert_eq!(say(part(0, 0)), 512);
    assert_eq!(membership.agents(there).count(), 512);
}

/// Silence is suspected after 3 s and down after 6 s; a word in between recovers.
#[test]
fn silence_is_suspected_then_down() {
    let mut membership = Membership::new(node(1), 1, Timing::default(), Now::ZERO);
    let (from, body) = (node(2), heartbeat(2, 1));
    let actions = told(
        &mut membership,
        0,
        Input::Heartbeat {
            from,
            body: body.clone(),
        },
    );
    assert_eq!(
        actions,
        [Action::NodeUp {
            node: from,
            incarnation: 1
        }]
    );
    assert_eq!(ticked(&mut membership, 2_999), []);
    assert_eq!(
        ticked(&mut membership, 3_000),
        [Action::NodeSuspected { node: from }]
    );
    let actions = told(&mut membership, 3_500, Input::Heartbeat { from, body });
    assert_eq!(actions, [Action::NodeRecovered { node: from }]);
    assert_eq!(ticked(&mut membership, 5_000), []);
    assert_eq!(
        ticked(&mut membership, 6_500),
        [Action::NodeSuspected { node: from }]
    );
    assert_eq!(ticked(&mut membership, 9_499), []);
    assert_eq!(
        ticked(&mut membership, 9_500),
        [Action::NodeDown {
            node: from,
            why: Gone::Silent
        }]
    );
}

/// A path that ends makes its node suspected at once, and no more than that.
#[test]
fn a_lost_path_is_suspected_at_once() {
    let mut membership = Membership::new(node(1), 1, Timing::default(), Now::ZERO);
    let from = node(2);
    told(
        &mut membership,
        0,
        Input::Heartbeat {
            from,
            body: heartbeat(2, 1),
        },
    );
    let actions = told(&mut membership, 100, Input::Disconnected { node: from });
    assert_eq!(actions, [Action::NodeSuspected { node: from }]);
    assert_eq!(
        membership.nodes().collect::<Vec<_>>(),
        [(from, Presence::Suspected)]
    );
}

/// A node that was stopped for a minute does not declare the others down when it goes on.
#[test]
fn a_sleeper_does_not_blame_the_others() {
    let mut membership = Membership::new(node(1), 1, Timing::default(), Now::ZERO);
    told(
        &mut membership,
        0,
        Input::Heartbeat {
            from: node(2),
            body: heartbeat(2, 1),
        },
    );
    assert_eq!(ticked(&mut membership, 60_000), []);
}

/// Words of an earlier life, words after goodbye, words in another's name and words in our own are not believed.
#[test]
fn lies_and_late_words_are_not_believed() {
    let mut membership = Membership::new(node(1), 1, Timing::default(), Now::ZERO);
    let from = node(2);
    told(
        &mut membership,
        0,
        Input::Heartbeat {
            from,
            body: heartbeat(2, 5),
        },
    );
    let mut is_ignored =
        |from, body| assert_eq!(told(&mut membership, 1, Input::Heartbeat { from, body }), []);
    is_ignored(from, heartbeat(2, 4));
    is_ignored(from, heartbeat(3, 1));
    is_ignored(node(1), heartbeat(1, 9));
    let goodbye = Discovery {
        node: from,
        incarnation: 5,
        action: DiscoveryAction::Goodbye,
        base_version: 0,
        version: 0,
        part: 0,
        parts: 1,
        added: Vec::new(),
        removed: Vec::new(),
    };
    let actions = told(&mut membership, 2, Input::Discovery { from, body: goodbye });
    assert_eq!(
        actions,
        [Action::NodeDown {
            node: from,
            why: Gone::Left
        }]
    );
    assert_eq!(
        told(
            &mut membership,
            3,
            Input::Heartbeat {
                from,
                body: heartbeat(2, 5)
            }
        ),
        []
    );
    let actions = told(
        &mut membership,
        4,
        Input::Heartbeat {
            from,
            body: heartbeat(2, 6),
        },
    );
    assert_eq!(
        actions,
        [Action::NodeUp {
            node: from,
            incarnation: 6
        }]
    );
}

fn heartbeat(from: u8, incarnation: u64) -> Heartbeat {
    Heartbeat {
        node: node(from),
        incarnation,
        registry_version: 0,
        agents: 0,
        in_flight: 0,
            accepts: Vec::new(),
        }
}

fn told(membership: &mut Membership, at: u64, input: Input) -> Vec<Action> {
    membership.handle(ms(at), input).collect()
}

/// What a tick leads to, besides our own heartbeats.
fn ticked(membership: &mut Membership, at: u64) -> Vec<Action> {
    let actions = told(membership, at, Input::Tick);
    actions
        .into_iter()
        .filter(|action| !matches!(action, Action::Broadcast(_)))
        .collect()
}
