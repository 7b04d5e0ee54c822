//! An owner that does not know yet that it is none: what it does is refused where it would have an effect.

use std::time::Duration;

use connectome::prelude::*;
use connectome::sim::{Sim, SimConfig};

use super::support::{Note, Read, Where, offer};

/// Three nodes that offer a desk, on virtual time.
fn sim(seed: u64) -> Sim {
    let mut sim = Sim::new(SimConfig { seed, ..SimConfig::default() });
    for place in ["a", "b", "c"] {
        sim.node(place, move |node| async move {
            offer(&node, place, "desk").await;
            Ok(())
        });
    }
    sim.run_for(Duration::from_secs(5)).unwrap();
    sim
}

fn ask(sim: &mut Sim, from: &str) -> (String, u64) {
    sim.on(from, |node| async move { Ok(node.agent("desk")?.call(Where).await?) }).unwrap()
}

fn others(owner: &str) -> Vec<&'static str> {
    ["a", "b", "c"].into_iter().filter(|place| *place != owner).collect()
}

/// An owner that nobody hears, though it reaches the store, is replaced; it stops, and no note is lost or doubled.
#[test]
fn a_stale_owner_is_fenced() {
    let mut sim = sim(11);
    let (owner, _) = ask(&mut sim, "a");
    let rest = others(&owner);
    for n in 0..10 {
        sim.on(rest[0], move |node| async move { Ok(node.agent("desk")?.send(Note(n)).await?) }).unwrap();
    }
    sim.partition(&[owner.as_str()], &rest).unwrap();
    let stale = sim.running(&owner).unwrap();
    for n in 10..40 {
        sim.on(rest[0], move |node| async move { Ok(node.agent("desk")?.send(Note(n)).await?) }).unwrap();
        sim.run_for(Duration::from_millis(200)).unwrap();
    }
    let (next, term) = ask(&mut sim, rest[0]);
    assert!(next != owner && term > 1, "{next} under term {term}");
    assert!(!stale.agents().iter().any(|agent| agent.as_str() == "desk"), "it still runs on {owner}");
    let counts = stale.ownership_counts();
    assert!(counts.lost + counts.fenced >= 1, "{counts:?}");
    sim.heal();
    sim.run_for(Duration::from_secs(70)).unwrap();
    let notes = sim.on(&owner, |node| async move { Ok(node.agent("desk")?.call(Read).await?) }).unwrap();
    assert_eq!(notes.iter().map(|(n, _)| *n).collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
    assert!(notes.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{notes:?}");
}

/// An owner that hears everyone and can't renew stops by its own clock, before its lease is over for the others.
#[test]
fn an_owner_that_can_not_renew_stops() {
    let mut sim = sim(12);
    let (owner, _) = ask(&mut sim, "a");
    let rest = others(&owner);
    sim.cut_from_store(&owner, true).unwrap();
    let stale = sim.running(&owner).unwrap();
    let runs = |node: &Node| node.agents().iter().any(|agent| agent.as_str() == "desk");
    let stopped = sim.run_until(Duration::from_secs(40), |_| !runs(&stale)).unwrap();
    assert!(stopped, "it still runs after its lease");
    assert!(!rest.iter().any(|place| runs(&sim.running(place).unwrap())), "two run at once");
    assert!(
        sim.run_until(Duration::from_secs(40), |sim| rest.iter().any(|p| runs(&sim.running(p).unwrap())))
            .unwrap()
    );
    let (next, _) = ask(&mut sim, rest[0]);
    assert_ne!(next, owner);
}

/// A killed owner of whose death only silence tells is replaced within three seconds, under twenty seeds.
#[test]
fn silence_alone_replaces_a_killed_owner() {
    for seed in 1..=20 {
        let mut sim = sim(seed);
        let (owner, _) = ask(&mut sim, "a");
        let rest = others(&owner);
        // Nobody is told that its paths have ended.
        sim.partition(&[owner.as_str()], &rest).unwrap();
        sim.cut_from_store(&owner, true).unwrap();
        let began = sim.elapsed();
        let from = rest[0];
        loop {
            let call = |node: Node| async move {
                Ok(node.agent("desk")?.call_within(Duration::from_millis(500), Where).await?)
            };
            if let Ok((next, _)) = sim.on(from, call) {
                assert_ne!(next, owner);
                break;
            }
        }
        let took = sim.elapsed() - began;
        assert!(took <= Duration::from_secs(3), "seed {seed}: {took:?}");
    }
}
