//! Promises of `protocol::membership`: a cluster of nodes that speak over a network which loses, doubles, delays,
//! reorders and partitions, while agents and nodes come and go.

mod cluster;

use std::time::Duration;

use connectome_actors::protocol::Now;
use connectome_actors::protocol::membership::{Action, Gone, Input, Membership, Presence, Timing};
use connectome_codecs::message::{AgentRecord, Discovery, DiscoveryAction, Heartbeat};
use proptest::prelude::*;

use cluster::{CLEAR, Cluster, Op, Weather, ms, node, record};

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

/// A quiet cluster says two heartbeats a second and nothing else.
#[test]
fn quiet_costs_two_heartbeats_a_second() {
    let mut cluster = Cluster::new(5, 1);
    cluster.run(5_000);
    let (sent, queries) = (cluster.sent, cluster.queries);
    cluster.run(60_000);
    assert_eq!(cluster.sent - sent, 2 * 60 * 5 * 4);
    assert_eq!(cluster.queries, queries);
    assert!(cluster.nodes.iter().all(|node| node.ticks < 140));
}

/// Ten thousand agents that appear at once are announced in as few messages as hold them, and everyone has them.
#[test]
fn a_burst_of_agents_is_announced_in_bulk() {
    let mut cluster = Cluster::new(2, 1);
    cluster.run(2_000);
    let sent = cluster.sent;
    (0..10_000).for_each(|agent| cluster.nodes[0].agents.extend([(record(agent, 0).name, record(agent, 0))]));
    let records: Vec<AgentRecord> = cluster.nodes[0].agents.values().cloned().collect();
    let membership = cluster.nodes[0].membership.as_mut().expect("it runs");
    let actions: Vec<Action> = records
        .into_iter()
        .flat_map(|record| membership.handle(ms(2_000), Input::Register(record)).collect::<Vec<_>>())
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
        offered: Vec::new(),
        withdrawn: Vec::new(),
    };
    let mut say = |body| membership.handle(Now::ZERO, Input::Discovery { from: there, body }).count();
    say(part(1, 256));
    say(part(1, 256));
    assert_eq!(say(part(0, 0)), 512);
    assert_eq!(membership.agents(there).count(), 512);
}

/// Silence is suspected after 2 s and down after 6 s; a word in between recovers.
#[test]
fn silence_is_suspected_then_down() {
    let mut membership = Membership::new(node(1), 1, Timing::default(), Now::ZERO);
    let (from, body) = (node(2), heartbeat(2, 1));
    let actions = told(&mut membership, 0, Input::Heartbeat { from, body: body.clone() });
    assert_eq!(actions, [Action::NodeUp { node: from, incarnation: 1 }]);
    assert_eq!(ticked(&mut membership, 1_000), []);
    assert_eq!(ticked(&mut membership, 1_999), []);
    assert_eq!(ticked(&mut membership, 2_000), [Action::NodeSuspected { node: from }]);
    let actions = told(&mut membership, 3_500, Input::Heartbeat { from, body });
    assert_eq!(actions, [Action::NodeRecovered { node: from }]);
    assert_eq!(ticked(&mut membership, 3_600), []);
    assert_eq!(ticked(&mut membership, 5_000), []);
    assert_eq!(ticked(&mut membership, 5_500), [Action::NodeSuspected { node: from }]);
    assert_eq!(ticked(&mut membership, 7_400), []);
    assert_eq!(ticked(&mut membership, 9_300), []);
    assert_eq!(ticked(&mut membership, 9_499), []);
    assert_eq!(ticked(&mut membership, 9_500), [Action::NodeDown { node: from, why: Gone::Silent }]);
}

/// A path that ends makes its node suspected at once, and down when it does not speak for 1.5 s more; after a silence it
/// says nothing new.
#[test]
fn a_node_that_is_killed_is_down_soon() {
    let down = |from| [Action::NodeDown { node: from, why: Gone::Silent }];
    let (from, body) = (node(2), heartbeat(2, 1));
    let heard = |at| {
        let mut membership = Membership::new(node(1), 1, Timing::default(), Now::ZERO);
        told(&mut membership, 0, Input::Heartbeat { from, body: body.clone() });
        ticked(&mut membership, 1_000);
        told(&mut membership, at, Input::Disconnected { node: from });
        membership
    };
    let mut killed = heard(1_200);
    assert_eq!(killed.next_tick().map(Now::since_origin), Some(Duration::from_millis(1_500)));
    assert_eq!(ticked(&mut killed, 2_699), []);
    assert_eq!(ticked(&mut killed, 2_700), down(from));
    let mut back = heard(1_200);
    let actions = told(&mut back, 2_600, Input::Heartbeat { from, body: body.clone() });
    assert_eq!(actions, [Action::NodeRecovered { node: from }]);
    assert_eq!(ticked(&mut back, 4_000), []);
    let mut silent = heard(1_900);
    let mut silent_first = Membership::new(node(1), 1, Timing::default(), Now::ZERO);
    told(&mut silent_first, 0, Input::Heartbeat { from, body: body.clone() });
    ticked(&mut silent_first, 1_900);
    ticked(&mut silent_first, 2_000);
    told(&mut silent_first, 2_100, Input::Disconnected { node: from });
    ticked(&mut silent_first, 3_700);
    assert_eq!(ticked(&mut silent_first, 5_000), []);
    assert_eq!(ticked(&mut silent_first, 6_000), down(from));
    ticked(&mut silent, 2_500);
    assert_eq!(ticked(&mut silent, 3_400), down(from));
}

/// A path that ends makes its node suspected at once, and no more than that.
#[test]
fn a_lost_path_is_suspected_at_once() {
    let mut membership = Membership::new(node(1), 1, Timing::default(), Now::ZERO);
    let from = node(2);
    told(&mut membership, 0, Input::Heartbeat { from, body: heartbeat(2, 1) });
    let actions = told(&mut membership, 100, Input::Disconnected { node: from });
    assert_eq!(actions, [Action::NodeSuspected { node: from }]);
    assert_eq!(membership.nodes().collect::<Vec<_>>(), [(from, Presence::Suspected)]);
}

/// A node that was stopped for a minute does not declare the others down when it goes on.
#[test]
fn a_sleeper_does_not_blame_the_others() {
    let mut membership = Membership::new(node(1), 1, Timing::default(), Now::ZERO);
    told(&mut membership, 0, Input::Heartbeat { from: node(2), body: heartbeat(2, 1) });
    assert_eq!(ticked(&mut membership, 60_000), []);
}

/// Words of an earlier life, words after goodbye, words in another's name and words in our own are not believed.
#[test]
fn lies_and_late_words_are_not_believed() {
    let mut membership = Membership::new(node(1), 1, Timing::default(), Now::ZERO);
    let from = node(2);
    told(&mut membership, 0, Input::Heartbeat { from, body: heartbeat(2, 5) });
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
        offered: Vec::new(),
        withdrawn: Vec::new(),
    };
    let actions = told(&mut membership, 2, Input::Discovery { from, body: goodbye });
    assert_eq!(actions, [Action::NodeDown { node: from, why: Gone::Left }]);
    assert_eq!(told(&mut membership, 3, Input::Heartbeat { from, body: heartbeat(2, 5) }), []);
    let actions = told(&mut membership, 4, Input::Heartbeat { from, body: heartbeat(2, 6) });
    assert_eq!(actions, [Action::NodeUp { node: from, incarnation: 6 }]);
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
    actions.into_iter().filter(|action| !matches!(action, Action::Broadcast(_))).collect()
}
