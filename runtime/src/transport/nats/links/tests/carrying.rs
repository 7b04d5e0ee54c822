//! Frames under pressure, in parts, and with losses in between.

use connectome_actors::port::{Inbound, TransportError};
use connectome_codecs::limits::FRAME_MAX;

use super::network::{Network, id, numbered};
use crate::transport::local::{QUEUE_BYTES_MAX, QUEUE_FRAMES_MAX};

/// A window is 1,024 frames, whatever is lost of them, and opens as they are read or given up.
#[test]
fn a_window_is_full_and_opens_again() {
    let mut network = Network::met(2);
    for at in 0..QUEUE_FRAMES_MAX as u64 {
        network.send(0, 1, &numbered(at, 8)).unwrap();
    }
    let full = TransportError::Full { to: id(1), bound: QUEUE_FRAMES_MAX };
    assert_eq!(network.send(0, 1, &numbered(0, 8)), Err(full.clone()));
    assert!(network.nodes[0].is_full(id(1)));
    network.wires.get_mut(&(0, 1)).unwrap().drain(..QUEUE_FRAMES_MAX / 2);
    network.calm(4);
    assert_eq!(network.send(0, 1, &numbered(0, 8)), Err(full));
    network.nodes[0].take_changed();
    let gap = Inbound::Gap { from: id(1 - 1), frames: Some(QUEUE_FRAMES_MAX as u64 / 2) };
    assert_eq!(network.take(1), Some(gap));
    network.deliver_all();
    assert!(!network.nodes[0].is_full(id(1)) && network.nodes[0].take_changed());
}

/// When everything is lost, the totals in the keep-alives open the window.
#[test]
fn a_window_that_was_lost_whole_opens_again() {
    let mut network = Network::met(2);
    while network.send(0, 1, &numbered(0, 8)).is_ok() {}
    network.wires.clear();
    network.calm(3);
    let gap = Inbound::Gap { from: id(0), frames: Some(QUEUE_FRAMES_MAX as u64) };
    assert_eq!(network.take_all(1), [gap]);
    network.wires.clear();
    network.calm(3);
    assert_eq!(network.send(0, 1, &numbered(1, 8)), Ok(()));
}

/// The window counts bytes as well: eight of the largest frames.
#[test]
fn a_window_is_full_of_bytes() {
    let mut network = Network::met(2);
    let frame = numbered(0, FRAME_MAX);
    let mut taken = 0;
    while network.nodes[0].send(id(1), &frame, 2 * FRAME_MAX).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, QUEUE_BYTES_MAX / FRAME_MAX);
    network.post();
    network.deliver_all();
    assert_eq!(network.nodes[1].counts().overruns, 0);
    assert_eq!(network.take_all(1).len(), taken);
}

/// A frame larger than the server allows goes in parts; when one is lost, so is the frame, and it is told.
#[test]
fn a_frame_in_parts_is_whole_or_missing() {
    for lost in [None, Some(0), Some(1), Some(4)] {
        let mut network = Network::met(2);
        network.send(0, 1, &numbered(1, 1_500)).unwrap();
        let wire = network.wires.get_mut(&(0, 1)).unwrap();
        assert_eq!(wire.len(), 5);
        if let Some(lost) = lost {
            wire.remove(lost);
        }
        network.send(0, 1, &numbered(2, 1_000)).unwrap();
        network.deliver_all();
        let first = match lost {
            None => Inbound::Frame { from: id(0), frame: numbered(1, 1_500) },
            Some(_) => Inbound::Gap { from: id(0), frames: Some(1) },
        };
        let second = Inbound::Frame { from: id(0), frame: numbered(2, 1_000) };
        assert_eq!(network.take_all(1), [first, second], "without part {lost:?}");
    }
}

/// While frames go both ways, nothing goes but frames: they carry the credits.
#[test]
fn frames_carry_the_credits() {
    let mut network = Network::met(2);
    for at in 0..10_000 {
        network.send(0, 1, &numbered(at, 8)).unwrap();
        assert_eq!(network.wires[&(0, 1)].len(), 1);
        network.deliver_all();
        assert!(network.take(1).is_some());
        network.send(1, 0, &numbered(at, 8)).unwrap();
        assert_eq!(network.wires[&(1, 0)].len(), 1);
        network.deliver_all();
        assert!(network.take(0).is_some());
    }
}

/// One way, a credit is said for every 256 frames.
#[test]
fn credits_are_said_seldom() {
    let mut network = Network::met(2);
    let mut credits = 0;
    for at in 0..10_240 {
        network.send(0, 1, &numbered(at, 8)).unwrap();
        network.deliver(0, 1);
        assert!(network.take(1).is_some());
        credits += usize::from(network.deliver(1, 0));
    }
    assert_eq!(credits, 10_240 / (QUEUE_FRAMES_MAX / 4));
}
