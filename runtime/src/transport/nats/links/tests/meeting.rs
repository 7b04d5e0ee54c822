//! Nodes meet, whoever comes first and whatever is lost; each life is met anew.

use connectome_actors::port::Inbound;

use super::network::{Network, id, numbered};

/// All meet all, within one round of announcements.
#[test]
fn nodes_that_start_at_once_meet() {
    let network = Network::met(5);
    for (at, links) in network.nodes.iter().enumerate() {
        assert_eq!(links.peers().len(), 4, "{at}");
        assert_eq!((links.counts().met, links.counts().peers), (4, 4));
        assert_eq!(links.counts().disconnected, Default::default());
    }
}

/// Whichever message of the agreement is lost, the two meet within two seconds of it.
#[test]
fn a_lost_message_of_the_agreement_costs_a_moment() {
    for lost in 0..6usize {
        let mut network = Network::new(2);
        network.tick(1);
        let mut left: usize = lost;
        loop {
            let wire =
                (0..2).find(|from| network.wires.get(&(*from, 1 - *from)).is_some_and(|w| !w.is_empty()));
            let Some(from) = wire else { break };
            if left == 0 {
                network.wires.get_mut(&(from, 1 - from)).unwrap().pop_front();
            } else {
                network.deliver(from, 1 - from);
            }
            left = left.wrapping_sub(1);
        }
        network.calm(16);
        assert!(network.nodes[0].reaches(id(1)) && network.nodes[1].reaches(id(0)), "without message {lost}");
    }
}

/// A frame that overtook the last hello is taken: who uses a token knows it.
#[test]
fn a_frame_under_a_token_makes_the_link() {
    let mut network = Network::new(2);
    network.nodes[0].introduce(network.now, 1);
    network.post();
    assert!(network.deliver(0, 1) && network.deliver(1, 0) && network.deliver(0, 1));
    assert!(network.nodes[1].reaches(id(0)) && !network.nodes[0].reaches(id(1)));
    network.wires.clear();
    network.send(1, 0, &numbered(1, 8)).unwrap();
    network.deliver_all();
    assert_eq!(network.take(0), Some(Inbound::Frame { from: id(1), frame: numbered(1, 8) }));
    assert!(network.nodes[0].reaches(id(1)));
}

/// A peer that begins anew is a new link: its old one is told as ended, and what it sent in its old life is not taken.
#[test]
fn a_restarted_peer_is_a_new_link() {
    let mut network = Network::met(2);
    network.send(1, 0, &numbered(1, 8)).unwrap();
    network.deliver_all();
    network.send(1, 0, &numbered(2, 8)).unwrap();
    let late = network.wires.remove(&(1, 0)).unwrap();
    network.restart(1);
    network.calm(2);
    network.wires.insert((1, 0), late);
    network.send(1, 0, &numbered(3, 8)).unwrap();
    network.deliver_all();
    let told = network.take_all(0);
    let frame = |number| Inbound::Frame { from: id(1), frame: numbered(number, 8) };
    assert_eq!(told, [frame(1), Inbound::Disconnected { peer: id(1) }, frame(3)]);
    assert_eq!(network.nodes[0].counts().strays, 1);
    assert_eq!(network.nodes[0].counts().disconnected.replaced, 1);
}

/// A link that one side has dropped is refused, and made anew at once.
#[test]
fn a_link_that_one_side_forgot_is_made_anew() {
    let mut network = Network::met(2);
    network.restart(1);
    network.nodes[1].tick(network.now, None);
    network.tick(3);
    network.wires.remove(&(1, 0));
    network.deliver(0, 1);
    network.deliver_all();
    assert!(network.nodes[0].reaches(id(1)) && network.nodes[1].reaches(id(0)));
    assert_eq!(network.take_all(0), [Inbound::Disconnected { peer: id(1) }]);
}
