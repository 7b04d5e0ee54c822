//! Who may connect: the lists, and how many connections come from one network address.
//!
//! How many there may be in all, and with one peer, libp2p's own limits count.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use connectome_codecs::NodeId;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::address::{is_relayed, relay_of};
use super::options::{Admission, Limits};
use super::peer_key::node_of;

/// For how long who floods is turned away.
const BLOCKED_FOR: Duration = Duration::from_secs(600);

/// Peers that are turned away at a time; keys cost nothing, so a longer list would hold nobody off.
const BLOCKED_MAX: usize = 1_024;

/// How often it is looked how much memory is used.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a connection was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    #[error("the peer is not on the list of those that may connect, or on that of those that may not")]
    Listed,
    #[error("there are {0} connections from that address already")]
    Address(u32),
    #[error("the peer was turned away for a while, since it flooded")]
    Blocked,
    #[error("the process uses more than {0} bytes of memory")]
    Memory(u64),
}

/// The part of a swarm that turns connections away.
#[derive(Debug)]
pub(super) struct Gate {
    admission: Admission,
    per_address_max: u32,
    /// Connections and handshakes that came in, and from where: as many as the limits let come.
    inbound: BTreeMap<ConnectionId, Origin>,
    /// Until when somebody is turned away.
    blocked: BTreeMap<NodeId, Instant>,
    memory: Memory,
}

impl Gate {
    pub(super) fn new(admission: Admission, limits: &Limits) -> Gate {
        let memory = Memory { max: limits.memory, looked: None, used: 0 };
        Gate {
            admission,
            per_address_max: limits.per_address,
            inbound: BTreeMap::new(),
            blocked: BTreeMap::new(),
            memory,
        }
    }

    /// Turns somebody away for a while.
    pub(super) fn block(&mut self, node: NodeId) {
        let now = Instant::now();
        self.blocked.retain(|_, until| *until > now);
        if self.blocked.len() < BLOCKED_MAX {
            self.blocked.insert(node, now + BLOCKED_FOR);
        }
    }

    fn check(&self, peer: &PeerId) -> Result<(), ConnectionDenied> {
        let until = node_of(peer).and_then(|node| self.blocked.get(&node));
        if until.is_some_and(|until| *until > Instant::now()) {
            return Err(ConnectionDenied::new(Denied::Blocked));
        }
        // A peer whose key is no node's may connect where anybody may.
        let may = match node_of(peer) {
            Some(node) => self.admission.lets_in(node),
            None => self.admission.allow.is_none(),
        };
        if may { Ok(()) } else { Err(ConnectionDenied::new(Denied::Listed)) }
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        to: &Multiaddr,
        from: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.memory.check()?;
        let Some(origin) = origin_of(to, from) else { return Ok(()) };
        let here = self.inbound.values().filter(|other| **other == origin).count();
        if here >= self.per_address_max as usize {
            return Err(ConnectionDenied::new(Denied::Address(self.per_address_max)));
        }
        self.inbound.insert(connection, origin);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check(&peer).map(|()| dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check(&peer).map(|()| dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionClosed(closed) => drop(self.inbound.remove(&closed.connection_id)),
            FromSwarm::ListenFailure(failed) => drop(self.inbound.remove(&failed.connection_id)),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

/// How much memory the process uses, as of a second ago at the most.
#[derive(Debug)]
struct Memory {
    max: Option<u64>,
    looked: Option<Instant>,
    used: u64,
}

impl Memory {
    fn check(&mut self) -> Result<(), ConnectionDenied> {
        let Some(max) = self.max else { return Ok(()) };
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            (self.looked, self.used) = (Some(Instant::now()), resident().unwrap_or(0));
        }
        if self.used > max { Err(ConnectionDenied::new(Denied::Memory(max))) } else { Ok(()) }
    }
}

/// What of the process is in memory, as Linux tells it; `None` elsewhere.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Where a connection came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Host(IpAddr),
    /// Who carries it says who comes, and nobody says from where.
    Relay(NodeId),
}

fn origin_of(to: &Multiaddr, from: &Multiaddr) -> Option<Origin> {
    // Over a relay it comes to where we are reached through that.
    match is_relayed(to) {
        true => relay_of(to).map(Origin::Relay).or_else(|| host_of(to).map(Origin::Host)),
        false => host_of(from).map(Origin::Host),
    }
}

/// The network address that a connection came from. An IPv6 host has a whole /64, so that counts as one.
fn host_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(host) => Some(host.into()),
        Protocol::Ip6(host) => match host.to_ipv4_mapped() {
            Some(host) => Some(host.into()),
            None => Some(IpAddr::from((u128::from(host) >> 64 << 64).to_be_bytes())),
        },
        _ => None,
    })
}
