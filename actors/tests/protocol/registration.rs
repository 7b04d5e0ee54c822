//! Promises of `protocol::registration`: what stands in the bucket is what live nodes want, whatever the store and the
//! nodes did; and it costs what is said that it costs.

mod world;

use std::time::Duration;

use connectome_actors::protocol::registration::{IN_HAND_MAX, REFRESH_EVERY, TTL_S};
use proptest::prelude::*;

use world::{Op, World};

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (0..4_usize, 0..6_usize, 0..3_u32).prop_map(|(node, agent, version)| Op::Want(node, agent, version)),
        4 => (0..4_usize, 0..6_usize).prop_map(|(node, agent)| Op::Unwant(node, agent)),
        2 => (0..4_usize).prop_map(Op::Kill),
        1 => (0..4_usize).prop_map(Op::Leave),
        3 => (0..4_usize).prop_map(Op::Start),
        1 => (0..60_u64).prop_map(Op::Failing),
        1 => (0..4_usize).prop_map(Op::Blind),
        1 => (0..6_usize).prop_map(Op::Forget),
        6 => (1..3_000_u64).prop_map(Op::Pause),
    ];
    prop::collection::vec(op, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// Whatever happened: when it is over, the bucket holds each name that a live node wants, of one of those that want
    /// it, as it is wanted now, and no name else; and every live node shows just that. At no moment were more requests
    /// under way than may be.
    #[test]
    fn the_bucket_is_what_live_nodes_want(seed in any::<u64>(), ops in ops()) {
        let mut world = World::new(4, seed);
        ops.into_iter().for_each(|op| world.apply(op));
        world.apply(Op::Failing(0));
        // The longest wait before something is asked for again, twice.
        world.run(150_000);
        world.holds_what_is_wanted();
        // What nobody saw fall expires.
        world.run(u64::from(TTL_S) * 1_000);
        world.agrees();
    }
}

/// An agent that went before its turn came was never asked for, and one that went after leaves nothing.
#[test]
fn short_lives_leave_nothing() {
    let mut world = World::new(2, 1);
    world.run(2_000);
    for agent in 0..500 {
        world.want(0, agent, 0);
        world.unwant(0, agent);
    }
    world.run(10_000);
    assert_eq!((world.published, world.bucket.len()), (0, 0));
    for agent in 0..50 {
        world.want(0, agent, 0);
        world.run(21);
        world.unwant(0, agent);
    }
    world.run(10_000);
    assert!(world.bucket.is_empty() && world.published > 0, "{} left", world.bucket.len());
}

/// Ten thousand agents are registered a few at a time, and then cost an even 30 to 45 writes a second.
#[test]
fn ten_thousand_agents_cost_forty_writes_a_second() {
    let mut world = World::new(3, 1);
    world.run(2_000);
    (0..10_000).for_each(|agent| world.want(agent % 3, agent, 0));
    world.run(20_000);
    assert_eq!((world.bucket.len(), world.published), (10_000, 10_000));
    assert!((IN_HAND_MAX / 2..=IN_HAND_MAX).contains(&world.most_in_hand), "{}", world.most_in_hand);
    // Those that came together have spread after a few rounds.
    world.run(4 * REFRESH_EVERY.as_millis() as u64);
    let before = world.wrote;
    let mut busiest = 0;
    for _ in 0..60 {
        let then = world.wrote;
        world.run(1_000);
        busiest = busiest.max(world.wrote - then);
    }
    let each_second = (world.wrote - before) / 60;
    assert!(
        (30..=45).contains(&each_second) && busiest <= 150,
        "{each_second}, {busiest} in the busiest second"
    );
    assert_eq!((world.bucket.len(), world.published), (10_000, 10_000));
}

/// The entries of a killed node are removed at once when it is known to be down, each once, shared by the others.
#[test]
fn a_killed_node_is_swept() {
    let mut world = World::new(3, 1);
    world.run(2_000);
    (0..3_000).for_each(|agent| world.want(agent % 3, agent, 0));
    world.run(20_000);
    world.apply(Op::Kill(0));
    world.run(world::DOWN_MS + 500);
    assert_eq!(world.bucket.len(), 2_000);
    assert!(world.swept[1..].iter().all(|swept| (350..=650).contains(swept)), "{:?}", world.swept);
    assert!(world.conflicts <= 10, "{} removals came second", world.conflicts);
}

/// A node that fell by silence alone is swept later, so that a broker's silence removes nobody: it is back before.
#[test]
fn silence_removes_nobody_at_once() {
    let mut world = World::new(3, 1);
    world.run(2_000);
    (0..300).for_each(|agent| world.want(agent % 3, agent, 0));
    world.run(5_000);
    (0..3).for_each(|node| world.hears_nobody(node));
    world.run(8_000);
    assert_eq!(world.swept, [0, 0, 0]);
    world.reconnect(0);
    world.run(60_000);
    world.agrees();
    assert_eq!((world.swept.clone(), world.published), (vec![0, 0, 0], 300));
}

/// A node that is taken for dead and is not has its entries again, and keeps them.
#[test]
fn a_node_that_was_not_dead_keeps_its_own() {
    let mut world = World::new(3, 1);
    world.run(2_000);
    (0..30).for_each(|agent| world.want(0, agent, 0));
    world.run(5_000);
    world.cut_off(0);
    world.run(60_000);
    world.reconnect(0);
    world.run(Duration::from_secs(130).as_millis() as u64);
    world.agrees();
    let published = world.published;
    assert!(published < 30 * 8, "{published} registrations of 30 agents: it fights with the others");
}
