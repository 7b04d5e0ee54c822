//! A peer that is gone is told, once, as fast as it can be known, and not before.

use std::time::Duration;

use connectome_actors::port::{Inbound, TransportError};

use super::super::TICK;
use super::network::{Network, id, numbered};
use crate::transport::nats::link::{MOVE_MAX, SILENCE_MAX};

fn ticks_of_silence() -> usize {
    SILENCE_MAX.div_duration_f64(TICK).ceil() as usize + 1
}

/// A peer whose subscription is gone is missed within half a second; NATS must say so twice.
#[test]
fn a_killed_peer_is_missed_at_once() {
    let mut network = Network::met(2);
    network.calm(4);
    network.gone.insert(1);
    let begun = network.now;
    network.tick(1);
    while network.nodes[0].reaches(id(1)) {
        network.tick(1);
    }
    assert!((network.now - begun).as_millis() <= 500, "{:?}", network.now - begun);
    assert_eq!(network.take_all(0), [Inbound::Disconnected { peer: id(1) }]);
    assert_eq!(network.nodes[0].counts().disconnected.nobody_listens, 1);
    assert_eq!(network.send(0, 1, &numbered(1, 8)), Err(TransportError::Unreachable { to: id(1) }));
}

/// Where there are several servers, a peer whose server was killed is on its way to another one: it is given a second, and
/// not more.
#[test]
fn a_peer_that_moves_to_another_server_is_not_missed() {
    let mut network = Network::met(2);
    network.calm(4);
    network.nodes[0].in_cluster(true);
    network.gone.insert(1);
    let begun = network.now;
    while network.now - begun < MOVE_MAX {
        network.tick(1);
        assert!(network.nodes[0].reaches(id(1)));
    }
    network.gone.clear();
    network.calm(4);
    assert_eq!(network.take_all(0), []);

    network.gone.insert(1);
    let begun = network.now;
    while network.nodes[0].reaches(id(1)) {
        network.tick(1);
    }
    assert!(network.now - begun <= MOVE_MAX + Duration::from_millis(500), "{:?}", network.now - begun);
    assert_eq!(network.nodes[0].counts().disconnected.nobody_listens, 1);
}

/// That nobody listens, once, and a sign of life after it, is nothing.
#[test]
fn a_peer_that_reconnects_is_not_missed() {
    let mut network = Network::met(2);
    for _ in 0..10 {
        network.nodes[0].nobody_listens(network.now, id(1));
        network.calm(4);
    }
    assert!(network.nodes[0].reaches(id(1)));
}

/// A peer that hangs is missed after the silence, not before.
#[test]
fn a_silent_peer_is_missed_after_three_seconds() {
    let mut network = Network::met(2);
    let begun = network.now;
    while network.nodes[0].reaches(id(1)) {
        network.tick(1);
        network.wires.clear();
    }
    assert!((SILENCE_MAX..=SILENCE_MAX + 2 * TICK).contains(&(network.now - begun)));
    assert_eq!(network.nodes[0].counts().disconnected.silent, 1);
    network.calm(10);
    assert!(network.nodes[0].reaches(id(1)), "it is met anew when it is heard again");
}

/// A short outage of our own ends nothing; what was lost in it is told, and nobody is given up because NATS does not hear
/// them before they are back.
#[test]
fn a_short_outage_ends_nothing() {
    let mut network = Network::met(2);
    network.send(0, 1, &numbered(1, 8)).unwrap();
    network.wires.clear();
    for _ in 0..ticks_of_silence() - 4 {
        network.now += TICK;
        network.nodes.iter_mut().for_each(|links| links.tick(network.now, None));
    }
    for _ in 0..3 {
        network.now += TICK;
        network.nodes[0].tick(network.now, Some(2));
        network.nodes[0].nobody_listens(network.now, id(1));
    }
    network.post();
    network.nodes[1].tick(network.now, Some(2));
    network.post();
    network.deliver_all();
    assert!(network.nodes[0].reaches(id(1)) && network.nodes[1].reaches(id(0)));
    assert_eq!(network.take_all(1), [Inbound::Gap { from: id(0), frames: Some(1) }]);
    assert_eq!(network.take_all(0), []);
}

/// An outage of our own that is as long as a silence ends everything.
#[test]
fn a_long_outage_ends_all_links() {
    let mut network = Network::met(3);
    for _ in 0..ticks_of_silence() {
        network.now += TICK;
        network.nodes[0].tick(network.now, None);
    }
    assert_eq!(network.nodes[0].peers(), []);
    assert_eq!(network.nodes[0].counts().disconnected.outage, 2);
    assert_eq!(network.take_all(0).len(), 2);
}

/// A farewell comes behind the frames, and tells of those that were lost.
#[test]
fn a_farewell_is_the_last_word() {
    let mut network = Network::met(2);
    network.send(0, 1, &numbered(1, 8)).unwrap();
    network.deliver_all();
    network.send(0, 1, &numbered(2, 8)).unwrap();
    network.wires.clear();
    network.nodes[0].close();
    network.post();
    network.deliver_all();
    let frame = Inbound::Frame { from: id(0), frame: numbered(1, 8) };
    let gap = Inbound::Gap { from: id(0), frames: Some(1) };
    assert_eq!(network.take_all(1), [frame, gap, Inbound::Disconnected { peer: id(0) }]);
    network.calm(40);
    assert_eq!(network.take_all(1), []);
    assert_eq!(network.send(0, 1, &numbered(3, 8)), Err(TransportError::Closed));
}
