//! What the swarm does on each connection, put together: our own parts beside libp2p's, each with its bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::gossipsub::{
    self, AllowAllSubscriptionFilter, ConfigBuilder, DataTransform, MaxCountSubscriptionFilter,
    MessageAuthenticity, PeerScoreParams, PeerScoreThresholds, RawMessage, TopicHash, ValidationMode,
};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{identify, mdns, ping};

use super::gate::Gate;
use super::lanes::{Lanes, Protocols};
use super::options::{Libp2pError, Libp2pOptions, Limits};
use super::peer_key::PeerKey;
use super::topics::{PUBLISHED_BYTES_MAX, TOPICS_MAX};

/// What identify calls this family of protocols.
const FAMILY: &str = "/connectome/1";

/// How long a message of a topic is remembered, so that it is taken once.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Messages of topics that wait for one connection; a peer that reads more slowly misses some.
const TOPIC_MESSAGES_WAITING_MAX: usize = 1_024;

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
}

impl Behaviour {
    pub(super) fn new(
        key: &PeerKey,
        options: &Libp2pOptions,
        protocols: Arc<Protocols>,
        copies: Arc<AtomicU64>,
    ) -> Result<Behaviour, Libp2pError> {
        let about = identify::Config::new(FAMILY.to_owned(), key.pair().public())
            .with_agent_version(concat!("connectome/", env!("CARGO_PKG_VERSION")).to_owned());
        Ok(Behaviour {
            gate: Gate::new(options.admission.clone(), &options.limits),
            limits: connection_limits::Behaviour::new(limits(&options.limits)),
            lanes: Lanes::new(protocols),
            gossip: gossip(key, copies).map_err(Libp2pError::Start)?,
            mdns: Toggle::from(options.mdns.then(|| mdns(key)).transpose()?),
            identify: identify::Behaviour::new(about),
            ping: ping::Behaviour::default(),
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
