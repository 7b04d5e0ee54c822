//! How a node is reached that others can't dial: places at relays, asked for again whenever they are lost, and what comes of
//! trying to do without.

use std::io::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use connectome_codecs::NodeId;
use libp2p::autonat::v2::client as probed;
use libp2p::core::transport::ListenerId;
use libp2p::{Multiaddr, PeerId, Swarm, dcutr, relay};
use tokio::time::{Instant, sleep_until};

use super::address::parse_relay;
use super::behaviour::{Behaviour, BehaviourEvent};
use super::events::LinkEvent;
use super::life::Backoff;
use super::net::Net;
use super::options::Libp2pError;
use super::peer_key::node_of;

/// Our places at relays.
pub(super) struct Reservations(Vec<Reservation>);

/// A place at one relay.
struct Reservation {
    relay: NodeId,
    /// Where this node is reached over it.
    circuit: Multiaddr,
    /// It was asked, and has not said no.
    listener: Option<ListenerId>,
    is_held: bool,
    backoff: Backoff,
}

impl Reservations {
    pub(super) fn new(net: &Arc<Net>, relays: &[String]) -> Result<Reservations, Libp2pError> {
        let one = |(at, text): (usize, &String)| {
            let (circuit, relay) = parse_relay(text)?;
            net.know_relays([&circuit]);
            let backoff = Backoff::new(net.incarnation ^ at as u64);
            Ok(Reservation { relay, circuit, listener: None, is_held: false, backoff })
        };
        relays.iter().enumerate().map(one).collect::<Result<_, _>>().map(Reservations)
    }

    /// Ends when a relay is to be asked.
    pub(super) async fn due(&self) {
        let waiting = self.0.iter().filter(|reservation| reservation.listener.is_none());
        match waiting.map(|reservation| reservation.backoff.until()).min() {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    }

    /// Asks those that are due.
    pub(super) fn ask(&mut self, swarm: &mut Swarm<Behaviour>) {
        let now = Instant::now();
        let is_due = |reservation: &&mut Reservation| {
            reservation.listener.is_none() && reservation.backoff.until() <= now
        };
        for reservation in self.0.iter_mut().filter(is_due) {
            match swarm.listen_on(reservation.circuit.clone()) {
                Ok(listener) => reservation.listener = Some(listener),
                Err(error) => {
                    tracing::warn!(relay = %reservation.circuit, %error, "a relay can't be asked");
                    reservation.backoff.failed();
                }
            }
        }
    }

    /// A relay has said yes, for the first time or again.
    fn accepted(&mut self, net: &Net, relay: NodeId) {
        for reservation in self.0.iter_mut().filter(|reservation| reservation.relay == relay) {
            if reservation.listener.is_some() && !reservation.is_held {
                reservation.is_held = true;
                reservation.backoff.succeeded();
                tracing::debug!(%relay, "a relay carries connections for this node");
                net.tell(LinkEvent::Reserved { relay });
            }
        }
    }

    /// A listener is closed. False: it was no place at a relay.
    pub(super) fn closed(&mut self, net: &Net, listener: ListenerId, reason: &Result<(), Error>) -> bool {
        let lost = self.0.iter_mut().find(|reservation| reservation.listener == Some(listener));
        let Some(reservation) = lost else { return false };
        let relay = reservation.relay;
        tracing::debug!(%relay, ?reason, "a relay does not carry connections for this node");
        reservation.listener = None;
        reservation.backoff.failed();
        if std::mem::take(&mut reservation.is_held) {
            net.tell(LinkEvent::Unreserved { relay });
        }
        true
    }
}

/// Takes what parts of the swarm tell of reaching this node and others; what else they tell is left.
pub(super) fn told(net: &Net, reservations: &mut Reservations, event: BehaviourEvent) {
    match event {
        BehaviourEvent::Relayed(relay::client::Event::ReservationReqAccepted { relay_peer_id, .. }) => {
            if let Some(relay) = node_of(&relay_peer_id) {
                reservations.accepted(net, relay);
            }
        }
        BehaviourEvent::Relay(event) => carried(net, &event),
        BehaviourEvent::Puncher(dcutr::Event { remote_peer_id, result }) => {
            punched(net, &remote_peer_id, result)
        }
        BehaviourEvent::Probed(probed::Event { tested_addr, server, result, .. }) => {
            if let Some(by) = node_of(&server) {
                let (address, reachable) = (tested_addr.to_string(), result.is_ok());
                tracing::debug!(%by, address, reachable, "this node was dialled at its request");
                net.tell(LinkEvent::Probed { by, address, reachable });
            }
        }
        _ => {}
    }
}

fn carried(net: &Net, event: &relay::Event) {
    let counter = match event {
        relay::Event::CircuitReqAccepted { .. } => &net.counts.circuits,
        relay::Event::CircuitReqDenied { .. } | relay::Event::ReservationReqDenied { .. } => {
            &net.counts.circuits_refused
        }
        _ => return,
    };
    tracing::debug!(?event, "asked as a relay");
    counter.fetch_add(1, Ordering::Relaxed);
}

fn punched(net: &Net, peer: &PeerId, result: Result<libp2p::swarm::ConnectionId, dcutr::Error>) {
    let Some(peer) = node_of(peer) else { return };
    tracing::debug!(%peer, ?result, "a direct connection was tried");
    net.tell(LinkEvent::Punched { peer, direct: result.is_ok() });
}
