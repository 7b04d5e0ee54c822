//! Strangers, liars and noise cost counters, and bounded memory.

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use connectome_codecs::NodeId;
use proptest::prelude::*;

use super::super::{Incarnation, Links, PEERS_MAX, Packet, Token};
use super::network::{Name, Network, id, numbered};
use crate::transport::local::QUEUE_FRAMES_MAX;
use crate::transport::nats::packet::Hello;

/// The introduction of a node that has a key of its own.
fn introduction(of: NodeId) -> Bytes {
    let mut stranger = Links::new("test", Arc::new(Name(of)), Box::new(|| 77));
    stranger.introduce(Default::default(), 1);
    stranger.poll().unwrap().bytes
}

fn node(number: usize) -> NodeId {
    let mut id = [9; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    NodeId(id)
}

/// Keys cost nothing, so the table of peers has an end; who is turned away is counted.
#[test]
fn the_table_of_peers_is_bounded() {
    let mut network = Network::met(2);
    for at in 0..PEERS_MAX + 10 {
        network.nodes[0].handle(network.now, introduction(node(at)), None);
        while network.nodes[0].poll().is_some() {}
    }
    assert_eq!(network.nodes[0].counts().turned_away, 11);
    assert_eq!(network.nodes[0].peers.len(), PEERS_MAX);
    network.calm(30);
    assert_eq!(network.nodes[0].peers.len(), 1, "who does not answer is forgotten");
    assert!(network.nodes[0].reaches(id(1)));
}

/// An introduction that somebody else signed, or for another namespace, is none.
#[test]
fn a_forged_introduction_is_counted_and_left() {
    let mut network = Network::met(2);
    let mut forged = introduction(node(1)).to_vec();
    forged[3] ^= 1;
    let mut elsewhere = Links::new("elsewhere", Arc::new(Name(node(1))), Box::new(|| 77));
    elsewhere.introduce(Default::default(), 1);
    for message in [forged.into(), elsewhere.poll().unwrap().bytes] {
        network.nodes[0].handle(network.now, message, None);
    }
    assert_eq!(network.nodes[0].counts().forged, 2);
    assert_eq!(network.nodes[0].peers.len(), 1);
}

/// A hello that was recorded in an earlier life of the receiver does not make a link.
#[test]
fn a_recorded_hello_makes_no_link() {
    let mut network = Network::new(2);
    network.tick(1);
    let mut recorded = Vec::new();
    while network.wires.values().any(|wire| !wire.is_empty()) {
        recorded.extend(network.wires.get(&(1, 0)).into_iter().flatten().cloned());
        network.deliver(0, 1);
        network.deliver(1, 0);
        network.wires.retain(|(from, to), _| from != to);
    }
    network.gone.insert(1);
    network.restart(0);
    for message in recorded {
        network.nodes[0].handle(network.now, message, None);
    }
    assert!(!network.nodes[0].reaches(id(1)));
}

/// A sender that does not keep to its window is cut to it.
#[test]
fn a_sender_beyond_its_window_is_not_taken() {
    let mut network = Network::met(2);
    let token = network.nodes[1].peers[&id(0)].link.as_ref().unwrap().mine;
    for sequence in 0..3 * QUEUE_FRAMES_MAX as u64 {
        let data = Packet::Data { token, sequence, read: u64::MAX, frame: numbered(sequence, 8) };
        network.nodes[1].handle(network.now, data.encode().freeze(), None);
    }
    let beyond = Packet::KeepAlive { token, sent: u64::MAX, read: u64::MAX };
    network.nodes[1].handle(network.now, beyond.encode().freeze(), None);
    assert_eq!(network.nodes[1].counts().overruns, 2 * QUEUE_FRAMES_MAX as u64);
    assert_eq!(network.take_all(1).len(), QUEUE_FRAMES_MAX);
}

/// Another process with our key is counted; our own introduction is not one.
#[test]
fn a_twin_is_counted() {
    let mut network = Network::met(2);
    network.nodes[0].handle(network.now, introduction(id(0)), None);
    assert_eq!(network.nodes[0].counts().twins, 1);
}

/// A keep-alive that names no node to answer at is not answered: nobody makes us publish where they like.
#[test]
fn a_stray_is_answered_at_an_inbox_alone() {
    let mut network = Network::met(2);
    let stray = Packet::KeepAlive { token: Token(1), sent: 0, read: 0 }.encode().freeze();
    for reply in [None, Some("x"), Some("$JS.API.STREAM.DELETE.x"), Some(&*id(0).to_string())] {
        network.nodes[0].handle(network.now, stray.clone(), reply);
        assert_eq!(network.nodes[0].poll(), None, "{reply:?}");
    }
    network.nodes[0].handle(network.now, stray, Some(&id(1).to_string()));
    assert!(network.nodes[0].poll().is_some());
}

proptest! {
    /// No packet, signed or not, of a known link or not, panics, or makes memory grow past its bounds.
    #[test]
    fn any_packet_is_survived(packets in proptest::collection::vec(packet(), 1..200)) {
        let mut network = Network::met(2);
        let link = network.nodes[0].peers[&id(1)].link.as_ref().unwrap();
        let tokens = [link.mine, link.theirs, Token(0)];
        for (packet, token, signs) in packets {
            let bytes = bytes_of(packet, tokens[token], signs);
            network.nodes[0].handle(network.now, bytes, Some(&id(1).to_string()));
            network.post();
            prop_assert!(network.nodes[0].arrivals.senders() <= 2);
        }
        network.calm(60);
        network.take_all(0);
        prop_assert!(network.nodes[0].reaches(id(1)));
    }
}

fn packet() -> impl Strategy<Value = (Packet, usize, bool)> {
    let number = || prop_oneof![0u64..4, any::<u64>(), Just(u64::MAX)];
    let small = || prop_oneof![0u32..600, any::<u32>()];
    let numbers = (0u8..8, number(), number(), small(), small());
    let parts = (numbers, proptest::collection::vec(any::<u8>(), 0..300));
    let packet = parts.prop_map(|((kind, one, two, offset, size), bytes)| {
        let (token, frame, incarnation) = (Token(0), Bytes::from(bytes), Incarnation(one));
        match kind {
            0 => Packet::Announce { from: id(1), incarnation },
            1 => Packet::Hello(Hello {
                from: id(1),
                incarnation,
                to: id(0),
                to_incarnation: Incarnation(two),
                token: Token(one.into()),
                echo: Token(two.into()),
            }),
            2 => Packet::Data { token, sequence: one, read: two, frame },
            3 => Packet::Part { token, sequence: one, read: two, offset, size, bytes: frame },
            4 => Packet::Credit { token, read: one },
            5 => Packet::KeepAlive { token, sent: one, read: two },
            6 => Packet::Farewell { token, sent: one },
            _ => Packet::Refused { token },
        }
    });
    (packet, 0usize..3, any::<bool>())
}

fn bytes_of(packet: Packet, token: Token, signs: bool) -> Bytes {
    let signed = matches!(packet, Packet::Announce { .. } | Packet::Hello(_));
    let mut bytes = packet.encode();
    if signed {
        let message = [b"test\0", &bytes[..]].concat();
        let signature =
            crate::transport::nats::Identity::sign(&Name(id(1)), "connectome/nats/link/v1", &message);
        bytes.put_slice(if signs { &signature } else { &[0; 64] });
    } else {
        bytes[3..19].copy_from_slice(&token.0.to_be_bytes());
    }
    bytes.freeze()
}
