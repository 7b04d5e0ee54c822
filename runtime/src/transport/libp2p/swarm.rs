//! The swarm of a node, and the loop that drives it: connections, handshakes, and the opening of streams.
//!
//! No frame passes this loop; messages of topics do. It decides nothing: what becomes of a connection is its peer's affair.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::gossipsub::{self, IdentTopic, MessageAcceptance};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, ListenError, StreamProtocol, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, SwarmBuilder, identify, mdns, noise, ping, relay, tcp, yamux};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::address::{is_relayed, is_usable, parse, take_peer};
use super::behaviour::{Behaviour, BehaviourEvent};
use super::dht::{KADEMLIA, Kept};
use super::gate::Denied;
use super::lanes::{Came, Opened, Protocols};
use super::moving::MOVE;
use super::net::{DialReply, Net, NotDialled, Order};
use super::options::{Libp2pError, Libp2pOptions};
use super::peer_key::{PeerKey, node_of, peer_of};
use super::reach::{self, Reservations};
use super::topics::{self, Judged, TopicError};
use crate::transport::looped::Run;

/// The protocol of links.
pub(super) const LINK: StreamProtocol = StreamProtocol::new("/connectome/link/1");

/// How long a handshake may take, from the first packet to the last.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// A connection without a stream is closed after this: longer than a peer takes to open one.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// How long the operating system may take to give us a place to listen at.
const LISTEN_MAX: Duration = Duration::from_secs(5);

/// Streams of a connection that have not agreed on a protocol, at the most; each has five seconds for it.
const AGREEING_MAX: usize = 16;

/// Streams of a connection in all: those of libp2p's own protocols beside ours.
const STREAMS_MAX: usize = 256;

/// The loop's state: whoever drives the swarm has it, and whoever does after them.
pub(super) struct Driven {
    swarm: Swarm<Behaviour>,
    orders: mpsc::Receiver<Order>,
    dialling: BTreeMap<ConnectionId, DialReply>,
    announced: Vec<Multiaddr>,
    reservations: Reservations,
    kept: Kept,
}

impl Driven {
    /// Makes a swarm and begins to listen; the addresses are known when this returns.
    pub(super) async fn start(
        key: &PeerKey,
        net: &Arc<Net>,
        options: &Libp2pOptions,
        protocols: Arc<Protocols>,
        copies: Arc<AtomicU64>,
        orders: mpsc::Receiver<Order>,
    ) -> Result<Driven, Libp2pError> {
        let announced = options.announce.iter().map(|text| parse(text)).collect::<Result<_, _>>()?;
        let reservations = Reservations::new(net, &options.relays)?;
        let swarm = build(key, Behaviour::prepare(key, options, protocols, copies, net)?)?;
        let (dialling, kept) = (BTreeMap::new(), Kept::new());
        let mut driven = Driven { swarm, orders, dialling, announced, reservations, kept };
        for address in &options.listen {
            driven.listen(address).await?;
        }
        driven.reach_outside(net);
        Ok(driven)
    }

    async fn listen(&mut self, text: &str) -> Result<(), Libp2pError> {
        let address = parse(text)?;
        if !cfg!(feature = "quic") && text.contains("/quic-v1") {
            return Err(Libp2pError::NoQuic { address: text.to_owned() });
        }
        let failed = |problem: String| Libp2pError::Listen { address: text.to_owned(), problem };
        let listener = self.swarm.listen_on(address).map_err(|error| failed(error.to_string()))?;
        let listening = async {
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::NewListenAddr { listener_id, .. } if listener_id == listener => return Ok(()),
                    SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. }
                        if listener_id == listener =>
                    {
                        return Err(error.to_string());
                    }
                    // Who comes before anybody listens comes again.
                    _ => {}
                }
            }
        };
        let listening = timeout(LISTEN_MAX, listening).await;
        listening.unwrap_or_else(|_| Err("the system did not answer".to_owned())).map_err(failed)
    }

    /// Tells where others can dial this node: where relays, its router and those who tried say so, and where it listens or was
    /// told to announce.
    fn reach_outside(&mut self, net: &Net) {
        let here = match self.announced.is_empty() {
            true => self.swarm.listeners().filter(|address| !is_relayed(address)).cloned().collect(),
            false => self.announced.clone(),
        };
        if net.carries() {
            // A relay says where it is reached to whom it carries for.
            here.iter().for_each(|address| self.swarm.add_external_address(address.clone()));
        }
        let proven: BTreeSet<_> = self.swarm.external_addresses().cloned().map(without_peer).collect();
        let mut all: Vec<_> =
            proven.into_iter().filter(|address| is_usable(address) && !here.contains(address)).collect();
        all.extend(here);
        net.set_own_addresses(all);
    }

    /// Drives the swarm until the transport is closed.
    pub(super) async fn drive(&mut self, net: &Arc<Net>, run: Run<'_>) -> Result<(), String> {
        net.all_unattended();
        loop {
            tokio::select! {
                biased;
                () = net.closed.cancelled() => return Ok(()),
                () = net.has_unattended.notified() => for part in net.take_unattended() {
                    run.notices.attend(part).await;
                },
                event = self.swarm.select_next_some() => self.happened(net, event),
                () = self.reservations.due() => self.reservations.ask(&mut self.swarm),
                order = self.orders.recv() => match order {
                    Some(order) => self.carry_out(net, order),
                    None => return Ok(()),
                },
            }
        }
    }

    fn carry_out(&mut self, net: &Net, order: Order) {
        match order {
            Order::Dial { peer, addresses, reply } => self.dial(peer, addresses, reply),
            Order::Open { peer, connection, protocol, reply } => {
                self.swarm.behaviour_mut().lanes.open(peer, connection, protocol, reply);
            }
            // It is listened to already, or nobody listened: that is the same.
            Order::Join(topic) => drop(self.swarm.behaviour_mut().gossip.subscribe(&topic)),
            Order::Leave(topic) => {
                self.swarm.behaviour_mut().gossip.unsubscribe(&topic);
            }
            Order::Publish { topic, message, reply } => drop(reply.send(self.publish(topic, message))),
            // Where there is no table the reply is dropped, which says so.
            Order::Announce { key, record, reply } => {
                if let Some(table) = self.swarm.behaviour_mut().dht.as_mut() {
                    self.kept.announce(table, (key, record), net.now(), reply);
                }
            }
            Order::Find { key, reply } => {
                if let Some(table) = self.swarm.behaviour_mut().dht.as_mut() {
                    self.kept.find(table, key, reply);
                }
            }
            // It may be gone already.
            Order::Close(connection) => drop(self.swarm.close_connection(connection)),
        }
    }

    fn dial(&mut self, peer: Option<PeerId>, mut addresses: Vec<Multiaddr>, reply: DialReply) {
        let options = match (peer, addresses.pop()) {
            (Some(peer), Some(last)) => {
                addresses.push(last);
                DialOpts::peer_id(peer)
                    .addresses(addresses)
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .build()
            }
            (None, Some(address)) => DialOpts::unknown_peer_id().address(address).build(),
            (_, None) => return drop(reply.send(Err(NotDialled::Failed("there is no address".to_owned())))),
        };
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => drop(self.dialling.insert(connection, reply)),
            // Whoever asked may have something better by now.
            Err(error) => drop(reply.send(Err(dial_problem(&error)))),
        }
    }

    fn publish(&mut self, topic: IdentTopic, message: Bytes) -> Result<(), TopicError> {
        let published = self.swarm.behaviour_mut().gossip.publish(topic.clone(), message);
        published.map(drop).or_else(|error| topics::why(&topic, error))
    }

    fn happened(&mut self, net: &Arc<Net>, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.told(net, event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.dialled(connection_id, Ok(peer_id));
                match net.meet_peer(&peer_id) {
                    Some(peer) => peer.connected(connection_id, endpoint.is_relayed()),
                    None => tracing::debug!(peer = %peer_id, "a peer that is no node is connected"),
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                if let Some(peer) = net.known(&peer_id) {
                    peer.disconnected(connection_id);
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                match error {
                    DialError::Denied { .. } => net.count_denied(),
                    _ => {
                        net.counts.failed_dials.fetch_add(1, Ordering::Relaxed);
                    }
                }
                self.dialled(connection_id, Err(dial_problem(&error)));
            }
            SwarmEvent::IncomingConnectionError { error, .. } => turned_away(net, &error),
            SwarmEvent::NewListenAddr { .. }
            | SwarmEvent::ExpiredListenAddr { .. }
            | SwarmEvent::ExternalAddrConfirmed { .. }
            | SwarmEvent::ExternalAddrExpired { .. } => self.reach_outside(net),
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                self.unheard(net, listener_id, &addresses, &reason);
            }
            _ => {}
        }
    }

    /// Nothing comes in that way any more: a relay is asked again, an address of this machine is lost.
    fn unheard(
        &mut self,
        net: &Net,
        listener: ListenerId,
        addresses: &[Multiaddr],
        reason: &Result<(), std::io::Error>,
    ) {
        if !self.reservations.closed(net, listener, reason) {
            tracing::error!(?addresses, ?reason, "this node does not listen there any more");
        }
    }

    /// A part of the swarm tells something.
    fn told(&mut self, net: &Arc<Net>, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Lanes(opened) => self.opened(net, opened),
            BehaviourEvent::Gossip(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                let acceptance = self.heard(net, propagation_source, message);
                let gossip = &mut self.swarm.behaviour_mut().gossip;
                gossip.report_message_validation_result(&message_id, &propagation_source, acceptance);
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => {
                for (peer, address) in found {
                    discovered(net, &peer, address);
                }
            }
            BehaviourEvent::Ping(ping::Event { peer, connection, result: Err(problem) }) => {
                if node_of(&peer).is_some_and(|node| net.is_relay(node)) {
                    tracing::debug!(relay = %peer, %problem, "a relay does not answer: its connection is closed");
                    self.swarm.close_connection(connection);
                }
            }
            BehaviourEvent::Dht(event) => {
                if let Some(table) = self.swarm.behaviour_mut().dht.as_mut() {
                    self.kept.told(table, net, event);
                }
            }
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                if info.protocols.contains(&KADEMLIA)
                    && let Some(table) = self.swarm.behaviour_mut().dht.as_mut()
                {
                    self.kept.met(table, &peer_id, info.listen_addrs);
                }
            }
            other => reach::told(net, &mut self.reservations, other),
        }
    }

    /// A message of a topic has come from a peer. Whoever floods is left, and turned away for a while.
    fn heard(&mut self, net: &Arc<Net>, from: PeerId, message: gossipsub::Message) -> MessageAcceptance {
        let peer = node_of(&from).and_then(|node| net.peer(node));
        if !peer.as_ref().is_some_and(|peer| net.is_trusted(peer)) {
            return MessageAcceptance::Reject;
        }
        match net.topics.arrived(peer.map(|peer| peer.id), message) {
            Judged::Pass(acceptance) => acceptance,
            Judged::Leave(author) => {
                tracing::warn!(peer = %author, "a peer floods topics: it is turned away for a while");
                self.swarm.behaviour_mut().gate.block(author);
                if let Some(known) = net.peer(author) {
                    known.unlearn();
                }
                if let Some(peer) = peer_of(author) {
                    // It may be gone already.
                    let _ = self.swarm.disconnect_peer_id(peer);
                }
                MessageAcceptance::Reject
            }
        }
    }

    /// A peer has opened a stream.
    fn opened(&mut self, net: &Arc<Net>, opened: Opened) {
        let Opened { peer, connection, came } = opened;
        let Came { protocol, stream } = came;
        let Some(peer) = net.meet_peer(&peer) else { return };
        if protocol == LINK {
            peer.offer(connection, stream);
        } else if protocol == MOVE {
            peer.offer_to_move(connection, stream);
        } else if net.is_trusted(&peer) {
            net.streams.came(peer.id, &protocol, stream);
        }
    }

    fn dialled(&mut self, connection: ConnectionId, result: Result<PeerId, NotDialled>) {
        if let Some(reply) = self.dialling.remove(&connection) {
            // Whoever asked may have something better by now.
            drop(reply.send(result));
        }
    }
}

/// A connection that somebody made did not come to be.
fn turned_away(net: &Net, error: &ListenError) {
    match error {
        ListenError::Denied { cause } => {
            let listed = cause.downcast_ref::<Denied>().is_some();
            tracing::debug!(listed, "a connection was turned away");
            net.count_denied();
        }
        _ => {
            net.counts.failed_inbound.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Somebody of this network is there, mDNS says.
fn discovered(net: &Arc<Net>, peer: &PeerId, mut address: Multiaddr) {
    take_peer(&mut address);
    if is_usable(&address)
        && let Some(peer) = net.meet_peer(peer)
    {
        peer.learn(address, false);
    }
}

/// An address, and not who is there.
fn without_peer(mut address: Multiaddr) -> Multiaddr {
    take_peer(&mut address);
    address
}

fn dial_problem(error: &DialError) -> NotDialled {
    match error {
        DialError::LocalPeerId { .. } => NotDialled::Ourselves,
        DialError::Transport(tried) => {
            let told = tried.iter().map(|(address, error)| format!("{address}: {error}"));
            NotDialled::Failed(told.collect::<Vec<_>>().join("; "))
        }
        other => NotDialled::Failed(other.to_string()),
    }
}

fn build(
    key: &PeerKey,
    behaviour: impl FnOnce(relay::client::Behaviour) -> Behaviour,
) -> Result<Swarm<Behaviour>, Libp2pError> {
    let start = |problem: &dyn std::fmt::Display| Libp2pError::Start(problem.to_string());
    let multiplexed = || {
        let mut config = yamux::Config::default();
        config.set_max_num_streams(STREAMS_MAX);
        config
    };
    let builder = SwarmBuilder::with_existing_identity(key.pair().clone())
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, multiplexed)
        .map_err(|error| start(&error))?;
    #[cfg(feature = "quic")]
    let builder = builder.with_quic_config(|mut config| {
        config.max_concurrent_stream_limit = STREAMS_MAX as u32;
        config.handshake_timeout = HANDSHAKE_MAX;
        config
    });
    let swarm = builder
        .with_relay_client(noise::Config::new, multiplexed)
        .map_err(|error| start(&error))?
        .with_behaviour(|_, relayed| behaviour(relayed))
        .map_err(|error| start(&error))?
        .with_swarm_config(|config| {
            config.with_idle_connection_timeout(IDLE_MAX).with_max_negotiating_inbound_streams(AGREEING_MAX)
        })
        .with_connection_timeout(HANDSHAKE_MAX)
        .build();
    Ok(swarm)
}
