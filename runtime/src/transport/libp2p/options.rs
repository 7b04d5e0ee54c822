//! How a node is reached, whom it dials, and whom it lets in.

use std::collections::BTreeSet;
use std::time::Duration;

use connectome_codecs::NodeId;

use super::secret::ClusterSecret;

/// Addresses to listen at, to announce or to dial first, at the most: a cluster of hundreds needs a handful to begin with.
pub const CONFIGURED_ADDRESSES_MAX: usize = 64;

/// How a node takes part.
///
/// ```
/// use connectome::transport::libp2p::Libp2pOptions;
///
/// let options = Libp2pOptions {
///     listen: vec!["/ip4/0.0.0.0/tcp/4001".to_owned()],
///     peers: vec!["/dns/one.example.org/tcp/4001".to_owned()],
///     ..Libp2pOptions::default()
/// };
/// assert!(options.admission.is_open());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Libp2pOptions {
    /// Where it listens: `/ip4/0.0.0.0/tcp/4001`, `/ip6/::/udp/4001/quic-v1`. Nothing: it only dials.
    pub listen: Vec<String>,
    /// Where others are told to dial it. Nothing: where it listens.
    pub announce: Vec<String>,
    /// Nodes it dials first, and again whenever they are away; the others of the cluster it hears of from them. Each may end
    /// with `/p2p/` and the peer id that must be there.
    pub peers: Vec<String>,
    /// Whether it looks for nodes on the local network, and is found there, by mDNS.
    pub mdns: bool,
    /// Relays that are to carry connections for it, so that nodes reach it that can't dial it. Each is a direct address that ends
    /// with `/p2p/` and the relay's peer id; where there are lists of who may connect, they must let it.
    pub relays: Vec<String>,
    /// Whether it carries connections for others, and how many. It then also dials who asks whether they can be dialled.
    pub relay: Option<RelayLimits>,
    /// Whether it asks the router of its network to let others in, by UPnP.
    pub upnp: bool,
    /// Whether it takes part in the distributed table: announces itself and what its agents are called and can do, keeps such
    /// announcements for others, and looks for the nodes of its cluster.
    pub dht: Option<DhtOptions>,
    /// Whom it links with.
    pub admission: Admission,
    /// How much of it others may use.
    pub limits: Limits,
}

/// How a node takes part in the distributed table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DhtOptions {
    /// For how long others believe what it announces: when it dies, it is found no more after this. From one second to an hour
    /// ([`ANNOUNCED_FOR_MAX`](super::ANNOUNCED_FOR_MAX)); it announces again after a third of it.
    pub announced_for: Duration,
}

impl Default for DhtOptions {
    /// Five minutes.
    fn default() -> DhtOptions {
        DhtOptions { announced_for: Duration::from_secs(300) }
    }
}

/// Whom a node links with. Everybody has proved which key is theirs.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    /// These alone. `None`: everybody.
    pub allow: Option<BTreeSet<NodeId>>,
    /// None of these, even where they are allowed.
    pub deny: BTreeSet<NodeId>,
    /// Only who knows this.
    pub secret: Option<ClusterSecret>,
}

impl Admission {
    /// Whether anybody may come who has a key.
    pub fn is_open(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty() && self.secret.is_none()
    }

    /// Whether a connection with this node may stand at all.
    pub(super) fn lets_in(&self, node: NodeId) -> bool {
        !self.deny.contains(&node) && self.allow.as_ref().is_none_or(|allow| allow.contains(&node))
    }
}

/// How much of a node others may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connections that stand.
    pub connections: u32,
    /// Of these, the ones that others have made: the rest is left for those that this node makes.
    pub inbound: u32,
    /// Connections with one peer: one over a relay, one that carries, one that was made at the same moment, and one that takes
    /// its place.
    pub per_peer: u32,
    /// Connections and handshakes that came from one network address, or over one relay.
    pub per_address: u32,
    /// Handshakes that others have begun. Each is given five seconds.
    pub pending_inbound: u32,
    /// Handshakes that this node has begun.
    pub pending_outbound: u32,
    /// Streams for others (not links) that one connection's peer has opened and that are open.
    pub inbound_streams: usize,
    /// No more connections are taken while the process uses more than this, in bytes. `None`: no bound. It is looked at
    /// once a second, and only where the system tells (Linux).
    pub memory: Option<u64>,
}

impl Default for Limits {
    /// For a cluster of some hundred nodes: at 21 KiB for each idle connection, and 8 MiB for each peer that sends as much as
    /// it may, strangers hold at most 11 MiB, and members 4 GiB where nobody reads for a while.
    fn default() -> Limits {
        Limits {
            connections: 512,
            inbound: 384,
            per_peer: 4,
            per_address: 64,
            pending_inbound: 64,
            pending_outbound: 64,
            inbound_streams: 64,
            memory: None,
        }
    }
}

/// How much a node carries for others: for members of its cluster where that has a secret, for whoever may connect elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayLimits {
    /// Nodes that may be reached over it.
    pub reservations: usize,
    /// Connections that it carries.
    pub circuits: usize,
    /// After so many bytes one way a connection is cut; its nodes make another one. `None`: never.
    pub circuit_bytes: Option<u64>,
    /// After this long a connection is cut; its nodes make another one, and try again to reach each other directly.
    pub circuit_duration: Duration,
}

impl Default for RelayLimits {
    /// For a cluster of some hundred nodes, a third of which can't be dialled. A connection that carries a gigabyte, or stands
    /// for an hour, is due for another attempt at a direct one.
    fn default() -> RelayLimits {
        RelayLimits {
            reservations: 128,
            circuits: 128,
            circuit_bytes: Some(1 << 30),
            circuit_duration: Duration::from_secs(3_600),
        }
    }
}

/// Why a transport over libp2p could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Libp2pError {
    /// A text is no address.
    #[error(
        "{address:?} is no address to use: {problem}; write one such as /ip4/0.0.0.0/tcp/4001 or /dns/host/udp/4001/quic-v1"
    )]
    Address {
        /// The text.
        address: String,
        /// What is wrong with it.
        problem: String,
    },
    /// More addresses than [`CONFIGURED_ADDRESSES_MAX`].
    #[error(
        "{count} addresses; at most {CONFIGURED_ADDRESSES_MAX}: name a few, the others are heard of from them"
    )]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// The operating system does not let us listen there.
    #[error("can't listen at {address}: {problem}; choose a free port, or an address of this machine")]
    Listen {
        /// Where.
        address: String,
        /// What it said.
        problem: String,
    },
    /// This build does not speak QUIC.
    #[error(
        "{address} is for QUIC, and this build has no QUIC: build it with the feature `quic`, or use /tcp"
    )]
    NoQuic {
        /// The address.
        address: String,
    },
    /// A text is no peer id.
    #[error(
        "{peer:?} is no peer id of a node: write one such as 12D3KooW…, as each node logs it when it starts"
    )]
    Peer {
        /// The text.
        peer: String,
    },
    /// The cluster's secret can't be used.
    #[error(
        "the secret in {path} can't be used: {problem}; write the output of `openssl rand -hex 32` there"
    )]
    Secret {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The handshake of libp2p could not be made ready.
    #[error("libp2p could not be started: {0}")]
    Start(String),
}
