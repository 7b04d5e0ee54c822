//! What the swarm does on each connection, put together: our own parts beside libp2p's, each with its bounds.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::gossipsub::{
    self, AllowAllSubscriptionFilter, ConfigBuilder, DataTransform, MaxCountSubscriptionFilter,
    MessageAuthenticity, PeerScoreParams, PeerScoreThresholds, RawMessage, TopicHash, ValidationMode,
};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{Multiaddr, PeerId, autonat::v2 as autonat, dcutr, identify, mdns, ping, relay, upnp};

use super::dht::{Kademlia, kademlia};
use super::gate::Gate;
use super::lanes::{Lanes, Protocols};
use super::net::Net;
use super::options::{Libp2pError, Libp2pOptions, Limits, RelayLimits};
use super::peer_key::PeerKey;
use super::topics::{PUBLISHED_BYTES_MAX, TOPICS_MAX};

/// What identify calls this family of protocols.
const FAMILY: &str = "/connectome/1";

/// How long a message of a topic is remembered, so that it is taken once.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Messages of topics that wait for one connection; a peer that reads more slowly misses some.
const TOPIC_MESSAGES_WAITING_MAX: usize = 1_024;

/// Connections that one node may have carried, at the least: a relay that carries few would else carry none for some.
const CIRCUITS_PER_PEER_MIN: usize = 4;

/// The longest that the protocol can say.
const CIRCUIT_DURATION_MAX: Duration = Duration::from_secs(u32::MAX as u64);

/// How often one node may ask to be carried, at once and after that: whoever is cut off by a limit comes back at once.
const ASKED_AT_ONCE_MAX: NonZeroU32 = NonZeroU32::new(64).expect("64 is not 0");
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// What each message adds: who, where, its number and its signature.
const TOPIC_MESSAGE_HEAD_MAX: usize = 1_024;

/// Gossip over topics: bounded in topics, and counting what arrives.
pub(super) type Gossip =
    gossipsub::Behaviour<Counted, MaxCountSubscriptionFilter<AllowAllSubscriptionFilter>>;

/// All parts.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) gate: Gate,
    limits: connection_limits::Behaviour,
    pub(super) lanes: Lanes,
    pub(super) gossip: Gossip,
    mdns: Toggle<mdns::tokio::Behaviour>,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    /// Others carry connections for this node.
    relayed: relay::client::Behaviour,
    /// This node carries connections for others.
    relay: Toggle<relay::Behaviour>,
    /// Direct connections where a relay connects.
    puncher: dcutr::Behaviour,
    /// Asks others to dial this node.
    probed: Toggle<autonat::client::Behaviour>,
    /// Dials others that ask for it.
    prober: Toggle<autonat::server::Behaviour>,
    upnp: Toggle<upnp::tokio::Behaviour>,
    pub(super) dht: Toggle<Kademlia>,
}

impl Behaviour {
    /// Makes all parts but one, which the swarm has when it is built.
    pub(super) fn prepare(
        key: &PeerKey,
        options: &Libp2pOptions,
        protocols: Arc<Protocols>,
        copies: Arc<AtomicU64>,
        net: &Arc<Net>,
    ) -> Result<impl FnOnce(relay::client::Behaviour) -> Behaviour, Libp2pError> {
        let about = identify::Config::new(FAMILY.to_owned(), key.pair().public())
            .with_agent_version(concat!("connectome/", env!("CARGO_PKG_VERSION")).to_owned());
        let here = key.pair().public().to_peer_id();
        let gossip = gossip(key, copies).map_err(Libp2pError::Start)?;
        let mdns = Toggle::from(options.mdns.then(|| mdns(key)).transpose()?);
        let relay = Toggle::from(options.relay.map(|limits| carry(here, &limits, net)));
        let prober = Toggle::from(options.relay.map(|_| autonat::server::Behaviour::default()));
        let probed = Toggle::from((!options.relays.is_empty()).then(autonat::client::Behaviour::default));
        let upnp = Toggle::from(options.upnp.then(upnp::tokio::Behaviour::default));
        // Whoever is reached over relays alone is asked by nobody: that would be much to carry.
        let can_be_dialled = !options.listen.is_empty() && options.relays.is_empty();
        let dht = Toggle::from(options.dht.map(|_| kademlia(here, can_be_dialled)));
        let (admission, bounds) = (options.admission.clone(), options.limits);
        Ok(move |relayed| Behaviour {
            gate: Gate::new(admission, &bounds),
            limits: connection_limits::Behaviour::new(limits(&bounds)),
            lanes: Lanes::new(protocols),
            gossip,
            mdns,
            identify: identify::Behaviour::new(about),
            ping: ping::Behaviour::default(),
            relayed,
            relay,
            puncher: dcutr::Behaviour::new(here),
            probed,
            prober,
            upnp,
            dht,
        })
    }
}

fn limits(limits: &Limits) -> ConnectionLimits {
    ConnectionLimits::default()
        .with_max_established(Some(limits.connections))
        .with_max_established_incoming(Some(limits.inbound))
        .with_max_established_per_peer(Some(limits.per_peer))
        .with_max_pending_incoming(Some(limits.pending_inbound))
        .with_max_pending_outgoing(Some(limits.pending_outbound))
}

/// A relay for those who may have one: members, where a cluster has a secret.
fn carry(here: PeerId, limits: &RelayLimits, net: &Arc<Net>) -> relay::Behaviour {
    let may = |net: &Weak<Net>, peer: &PeerId| {
        let net = net.upgrade();
        net.is_some_and(|net| {
            !net.needs_members() || net.known(peer).is_some_and(|peer| net.is_trusted(&peer))
        })
    };
    let members = || -> Box<dyn relay::RateLimiter> {
        let net = Arc::downgrade(net);
        Box::new(move |peer: PeerId, _: &Multiaddr, _: Instant| may(&net, &peer))
    };
    let config = relay::Config {
        max_reservations: limits.reservations,
        max_circuits: limits.circuits,
        max_circuits_per_peer: (limits.circuits / 4).max(CIRCUITS_PER_PEER_MIN),
        max_circuit_bytes: limits.circuit_bytes.unwrap_or(0),
        max_circuit_duration: limits.circuit_duration.min(CIRCUIT_DURATION_MAX),
        reservation_rate_limiters: vec![members()],
        circuit_src_rate_limiters: vec![members()],
        ..relay::Config::default()
    };
    let config = config
        .reservation_rate_per_peer(ASKED_AT_ONCE_MAX, ASKED_EVERY)
        .circuit_src_per_peer(ASKED_AT_ONCE_MAX, ASKED_EVERY);
    let mut relay = relay::Behaviour::new(here, config);
    relay.set_status(Some(relay::Status::Enable));
    relay
}

fn mdns(key: &PeerKey) -> Result<mdns::tokio::Behaviour, Libp2pError> {
    let behaviour = mdns::tokio::Behaviour::new(mdns::Config::default(), key.pair().public().to_peer_id());
    behaviour.map_err(|error| Libp2pError::Start(format!("mDNS: {error}")))
}

fn gossip(key: &PeerKey, copies: Arc<AtomicU64>) -> Result<Gossip, String> {
    let config = ConfigBuilder::default()
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .max_transmit_size(PUBLISHED_BYTES_MAX + TOPIC_MESSAGE_HEAD_MAX)
        .duplicate_cache_time(REMEMBERED)
        .connection_handler_queue_len(TOPIC_MESSAGES_WAITING_MAX)
        .build()
        .map_err(|error| error.to_string())?;
    let filter = MaxCountSubscriptionFilter {
        filter: AllowAllSubscriptionFilter {},
        max_subscribed_topics: TOPICS_MAX,
        max_subscriptions_per_request: TOPICS_MAX,
    };
    let signed = MessageAuthenticity::Signed(key.pair().clone());
    let mut gossip =
        Gossip::new_with_subscription_filter_and_transform(signed, config, filter, Counted(copies))?;
    // How many nodes an address may have is the gate's affair; here it would punish the nodes of one machine.
    let score = PeerScoreParams { ip_colocation_factor_weight: 0.0, ..PeerScoreParams::default() };
    gossip.with_peer_score(score, PeerScoreThresholds::default())?;
    Ok(gossip)
}

/// Counts the copies that arrive, and leaves them as they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Counted(Arc<AtomicU64>);

impl DataTransform for Counted {
    fn inbound_transform(&self, raw: RawMessage) -> std::io::Result<gossipsub::Message> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let RawMessage { source, data, sequence_number, topic, .. } = raw;
        Ok(gossipsub::Message { source, data, sequence_number, topic })
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> std::io::Result<Vec<u8>> {
        Ok(data)
    }
}
