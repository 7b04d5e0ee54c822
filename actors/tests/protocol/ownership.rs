//! Promises of `protocol::ownership`: one owner for each term, every name runs once when trouble is over, and nothing is
//! asked of the store that is not needed.

mod world;

use std::collections::BTreeSet;

use connectome_actors::protocol::ownership::{TAKEOVERS_MAX, rank};
use connectome_codecs::NodeId;
use proptest::prelude::*;
use world::{World, name};

/// The largest share that one of so many nodes may have of so many names, as a multiple of the mean.
const SPREAD_MAX: f64 = 1.5;

/// A settled cluster.
fn settled(nodes: usize, names: usize) -> World {
    let mut world = World::new(nodes, names, 7);
    assert!(world.run_until(5_000, World::all_run_once), "not all names run");
    world
}

/// Offered on three nodes, each name runs on one of them, and they share the work.
#[test]
fn names_are_spread() {
    let world = settled(3, 1_000);
    let counts: Vec<_> = (0..3).map(|n| world.count_on(n)).collect();
    assert!(counts.iter().all(|count| (*count as f64) < SPREAD_MAX * 1_000.0 / 3.0), "{counts:?}");
}

/// A thousand names cost two thousand writes in 20 seconds: a renewal each third of 30 s, and the taking.
#[test]
fn what_is_written_is_what_is_needed() {
    let mut world = settled(3, 1_000);
    let first = (world.writes, world.refused);
    assert!(first.0 <= 1_050 && first.1 <= 50, "{first:?} to begin with");
    world.run_for(20_000);
    let renewals = world.writes - first.0;
    assert!((1_000..=2_000).contains(&renewals), "{renewals} renewals in 20 s");
    assert_eq!(world.refused, first.1, "renewals are refused");
}

/// A node that dies moves its names and no others, a few at a time; each costs one write.
#[test]
fn a_death_makes_no_storm() {
    let mut world = settled(3, 1_000);
    let (before, moved) = (world.running(), world.count_on(1));
    world.kill(1);
    let (writes, refused) = (world.writes, world.refused);
    assert!(world.run_until(4_000, World::all_run_once), "not all names run again");
    let stayed = before.iter().filter(|(name, nodes)| world.running()[*name] == **nodes).count();
    assert_eq!(stayed, 1_000 - moved);
    assert!(
        world.writes - writes <= moved as u64 + 700,
        "{} writes for {moved} names",
        world.writes - writes
    );
    assert!(world.refused - refused <= 5, "{} writes were refused", world.refused - refused);
    assert!(world.most_starting <= TAKEOVERS_MAX);
}

/// A node that comes back takes nothing that somebody owns.
#[test]
fn a_node_that_comes_back_steals_nothing() {
    let mut world = settled(3, 100);
    world.kill(1);
    assert!(world.run_until(4_000, World::all_run_once));
    let before = world.running();
    world.restart(1);
    world.run_for(60_000);
    assert_eq!(world.running(), before);
}

/// A node that leaves gives its names to others at once, each after its agent has stopped.
#[test]
fn a_node_that_leaves_hands_over() {
    let mut world = settled(3, 100);
    world.leave(0);
    let done = |world: &World| world.has_left(0) && world.count_on(0) == 0 && world.all_run_once();
    assert!(world.run_until(500, done), "not within 500 ms");
}

/// A node that nobody hears, though it reaches the store, takes each name from the others once at the most, and they
/// each of its names: nothing goes back and forth.
#[test]
fn a_partition_is_not_fought_over_the_store() {
    let mut world = settled(3, 100);
    let writes = world.writes;
    world.cut(2, true);
    world.run_for(9_000);
    let moves = world.writes - writes;
    assert!(moves <= 200 + 100, "{moves} writes in 9 s of a partition");
    world.cut(2, false);
    assert!(world.run_until(40_000, World::all_run_once));
}

/// What somebody waits for goes first.
#[test]
fn the_wanted_go_first() {
    let mut world = settled(2, 400);
    world.kill(0);
    let waiting = world.running();
    let lost = (0..400).map(name).rfind(|name| !waiting.contains_key(name)).expect("one was there");
    world.run_for(1_990);
    world.want(&lost);
    assert!(world.run_until(1_000, |world| world.running().contains_key(&lost)), "it does not run");
    assert!(world.running().len() < 400 - 50, "others were taken before it");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Every node computes the same order, and who leaves moves only what is its own.
    #[test]
    fn the_order_is_one(agent in "[a-z]{1,12}", keys in prop::collection::btree_set(any::<[u8; 32]>(), 2..8)) {
        let name = agent.parse().expect("a good name");
        let nodes: Vec<NodeId> = keys.into_iter().map(NodeId).collect();
        let ranks: BTreeSet<u32> = nodes.iter().map(|me| rank(&name, *me, nodes.iter().copied())).collect();
        prop_assert_eq!(ranks.len(), nodes.len());
        let first = |nodes: &[NodeId]| *nodes.iter().find(|me| rank(&name, **me, nodes.iter().copied()) == 0).unwrap();
        let (owner, gone) = (first(&nodes), nodes[0]);
        let rest: Vec<_> = nodes.iter().copied().filter(|node| *node != gone).collect();
        prop_assert!(owner == gone || first(&rest) == owner);
    }

    /// Whatever happens to nodes, to what they hear and to the way to the store: no term has two owners, and afterwards
    /// every name runs on one node.
    #[test]
    fn every_name_runs_once_when_trouble_is_over(seed in any::<u64>(), nodes in 2..5_usize) {
        let mut world = World::new(nodes, 20, seed);
        for _ in 0..30 {
            world.lost_percent = world.roll(3) * 15;
            let n = world.roll(nodes as u64) as usize;
            match world.roll(5) {
                0 => world.kill(n),
                1 | 2 => world.restart(n),
                3 => world.cut(n, true),
                _ => world.cut(n, false),
            }
            let time = world.roll(6_000);
            world.run_for(time);
        }
        world.lost_percent = 0;
        (0..nodes).for_each(|n| world.cut(n, false));
        (0..nodes).for_each(|n| world.restart(n));
        prop_assert!(world.run_until(45_000, World::all_run_once), "{:?}", world.running());
    }
}
