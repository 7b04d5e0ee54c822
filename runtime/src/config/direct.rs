//! How nodes reach each other directly: where they listen, whom they dial, whom they let in.

use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "libp2p")]
use connectome_codecs::NodeId;

use super::problem::Wrong;
#[cfg(feature = "libp2p")]
use crate::transport::libp2p::{
    Admission, ClusterSecret, DhtOptions, Libp2pError, Libp2pOptions, Limits, RelayLimits, check_address,
    check_relay, check_target, parse_peer, parse_peer_at,
};

/// How a node speaks to others with no one between. Lists are separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Libp2pConfig {
    /// Where it listens. `None`: nowhere.
    pub listen: Option<String>,
    /// Where others are told to dial it. `None`: where it listens.
    pub announce: Option<String>,
    /// Nodes that are dialled first.
    pub peers: Option<String>,
    /// Whether it looks for nodes on the local network.
    pub mdns: bool,
    /// Relays that are to carry connections for it.
    pub relays: Option<String>,
    /// Whether it carries connections for others.
    pub relay: bool,
    /// Nodes that may be reached over it.
    pub relay_reservations: usize,
    /// Connections that it carries.
    pub relay_circuits: usize,
    /// After so many bytes one way, such a connection is cut and made again. `None`: never.
    pub relay_circuit_bytes: Option<u64>,
    /// After this long, such a connection is cut and made again.
    pub relay_circuit_duration: Duration,
    /// Whether it asks the router of its network to let others in.
    pub upnp: bool,
    /// Whether it takes part in the distributed table.
    pub dht: bool,
    /// For how long others believe what it announces there.
    pub dht_announced_for: Duration,
    /// Peer ids that may connect. `None`: all.
    pub allow: Option<String>,
    /// Peer ids that may not.
    pub deny: Option<String>,
    /// Where the streams of a cluster without a broker are: `serve`, here; or the node that serves them, by its peer id or its
    /// address. `None`: each node has its own.
    pub store: Option<String>,
    /// The file of the cluster's secret. `None`: it has none.
    pub secret_file: Option<PathBuf>,
    /// Connections there may be.
    pub connections: usize,
    /// Connections that come from one network address.
    pub connections_per_address: usize,
    /// No more connections are taken while the process uses more than this, in bytes.
    pub memory: Option<u64>,
}

impl Default for Libp2pConfig {
    fn default() -> Libp2pConfig {
        Libp2pConfig {
            listen: None,
            announce: None,
            peers: None,
            mdns: false,
            relays: None,
            relay: false,
            relay_reservations: 128,
            relay_circuits: 128,
            relay_circuit_bytes: Some(1 << 30),
            relay_circuit_duration: Duration::from_secs(3_600),
            upnp: false,
            dht: false,
            dht_announced_for: Duration::from_secs(300),
            allow: None,
            deny: None,
            store: None,
            secret_file: None,
            connections: 512,
            connections_per_address: 64,
            memory: None,
        }
    }
}

impl Libp2pConfig {
    /// Whether the node reaches others directly: it listens, dials, or looks for them.
    pub fn is_used(&self) -> bool {
        let dials = self.peers.is_some() || self.relays.is_some() || self.store_address().is_some();
        self.listen.is_some() || dials || self.mdns
    }

    /// Whether this node serves its store to the others.
    pub fn serves(&self) -> bool {
        self.store.as_deref().is_some_and(|store| store.trim() == SERVE)
    }

    /// The address of the node that serves, where one is configured.
    fn store_address(&self) -> Option<&str> {
        self.store.as_deref().map(str::trim).filter(|store| store.starts_with('/'))
    }

    /// What of the store's place does not go with the rest.
    pub(super) fn misplaced_store(&self, has_broker: bool) -> Option<(String, Wrong)> {
        let store = self.store.clone()?;
        if has_broker {
            let problem = "nats.url names servers that keep the streams, so no node serves them";
            return Some((store, Wrong::new(problem, "unset libp2p.store, or nats.url")));
        }
        if !self.is_used() {
            let problem = "no other node is reached, so there is nobody to share a store with";
            return Some((
                store,
                Wrong::new(problem, "set libp2p.listen where it is served, or libp2p.peers elsewhere"),
            ));
        }
        None
    }
}

/// What `libp2p.store` says on the node that serves.
const SERVE: &str = "serve";

#[cfg(feature = "libp2p")]
impl Libp2pConfig {
    /// The node that serves the streams of the cluster, where it is another one.
    ///
    /// # Errors
    /// [`Libp2pError`] when what is configured names none.
    pub fn serving_node(&self) -> Result<Option<NodeId>, Libp2pError> {
        match self.store.as_deref().map(str::trim) {
            None | Some(SERVE) => Ok(None),
            Some(store) => parse_serving(store).map(Some),
        }
    }

    /// What a transport is opened with. It reads the file of the secret.
    ///
    /// # Errors
    /// [`Libp2pError`] when a list has something else in it, or the secret can't be read or is none.
    pub fn options(&self) -> Result<Libp2pOptions, Libp2pError> {
        let peers = |list: &Option<String>| each(list).map(parse_peer).collect::<Result<_, _>>();
        let allow = self.allow.as_ref().map(|_| peers(&self.allow)).transpose()?;
        let admission = Admission { allow, deny: peers(&self.deny)?, secret: self.secret()? };
        let limits = Limits {
            connections: self.connections as u32,
            inbound: (self.connections - self.connections / 4) as u32,
            per_address: self.connections_per_address as u32,
            memory: self.memory,
            ..Limits::default()
        };
        let texts = |list| each(list).map(ToOwned::to_owned).collect();
        let [listen, announce, mut peers, relays]: [Vec<String>; 4] =
            [&self.listen, &self.announce, &self.peers, &self.relays].map(texts);
        let relay = self.relay.then_some(RelayLimits {
            reservations: self.relay_reservations,
            circuits: self.relay_circuits,
            circuit_bytes: self.relay_circuit_bytes,
            circuit_duration: self.relay_circuit_duration,
        });
        let dht = self.dht.then_some(DhtOptions { announced_for: self.dht_announced_for });
        let (mdns, upnp) = (self.mdns, self.upnp);
        peers.extend(self.store_address().map(ToOwned::to_owned));
        Ok(Libp2pOptions { listen, announce, peers, mdns, relays, relay, upnp, dht, admission, limits })
    }

    fn secret(&self) -> Result<Option<ClusterSecret>, Libp2pError> {
        let Some(path) = &self.secret_file else { return Ok(None) };
        let refused = |problem: String| Libp2pError::Secret { path: path.display().to_string(), problem };
        let text = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
        let secret = ClusterSecret::new(text.trim_ascii());
        secret.map(Some).ok_or_else(|| refused("it is shorter than 32 characters".to_owned()))
    }
}

/// The entries of a list.
#[cfg(feature = "libp2p")]
fn each(list: &Option<String>) -> impl Iterator<Item = &str> {
    list.as_deref().into_iter().flat_map(|list| list.split(',')).map(str::trim)
}

/// Whether these are addresses to listen at.
pub(super) fn check_addresses(list: &str) -> Result<(), Wrong> {
    #[cfg(feature = "libp2p")]
    return check(list, check_address, "write /ip4/0.0.0.0/tcp/4001, several separated by commas");
    #[cfg(not(feature = "libp2p"))]
    not_built(list)
}

/// Whether these are addresses to dial.
pub(super) fn check_targets(list: &str) -> Result<(), Wrong> {
    #[cfg(feature = "libp2p")]
    return check(list, check_target, "write /dns/host/tcp/4001/p2p/12D3…, several separated by commas");
    #[cfg(not(feature = "libp2p"))]
    not_built(list)
}

/// Whether these are addresses of relays.
pub(super) fn check_relays(list: &str) -> Result<(), Wrong> {
    #[cfg(feature = "libp2p")]
    return check(list, check_relay, "write /dns/host/tcp/4001/p2p/12D3…, several separated by commas");
    #[cfg(not(feature = "libp2p"))]
    not_built(list)
}

/// Whether it says where the streams are.
pub(super) fn check_store(store: &str) -> Result<(), Wrong> {
    #[cfg(feature = "libp2p")]
    {
        let right = "write serve, or the node that does: its peer id, or /dns/host/tcp/4001/p2p/12D3…";
        let is_one = store.trim() == SERVE;
        let parsed = if is_one { Ok(()) } else { parse_serving(store.trim()).map(drop) };
        parsed.map_err(|error| Wrong::new(error.to_string(), right))
    }
    #[cfg(not(feature = "libp2p"))]
    not_built(store)
}

/// The node of a peer id, or at the end of an address.
#[cfg(feature = "libp2p")]
fn parse_serving(store: &str) -> Result<NodeId, Libp2pError> {
    if store.starts_with('/') { parse_peer_at(store) } else { parse_peer(store) }
}

/// Whether these are peer ids.
pub(super) fn check_peers(list: &str) -> Result<(), Wrong> {
    #[cfg(feature = "libp2p")]
    return check(list, |text| parse_peer(text).map(drop), "write peer ids (12D3…), separated by commas");
    #[cfg(not(feature = "libp2p"))]
    not_built(list)
}

#[cfg(feature = "libp2p")]
fn check(list: &str, one: fn(&str) -> Result<(), Libp2pError>, right: &str) -> Result<(), Wrong> {
    let wrong = |error: Libp2pError| Wrong::new(error.to_string(), right);
    list.split(',').map(str::trim).try_for_each(|text| one(text).map_err(wrong))
}

#[cfg(not(feature = "libp2p"))]
fn not_built(list: &str) -> Result<(), Wrong> {
    let problem = format!("this build can't use {list:?}: it has no libp2p");
    Err(Wrong::new(problem, "build with the feature libp2p, or unset it"))
}
