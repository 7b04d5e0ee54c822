//! What a node is made of, as its configuration says: keys, a store, and the way to other nodes.

use std::sync::Arc;
#[cfg(feature = "libp2p")]
use std::time::Duration;

use connectome_actors::Ports;
#[cfg(feature = "libp2p")]
use connectome_actors::port::Streams;
#[cfg(all(feature = "libp2p", feature = "nats"))]
use connectome_actors::port::World;
use connectome_actors::port::{KeyStore, Storage};

use super::NodeError;
use crate::config::Config;
#[cfg(feature = "nats")]
use crate::config::Profile;
use crate::keystore::{FileKeys, MemoryKeys, read_passphrase};
use crate::streams::Embedded;
#[cfg(feature = "libp2p")]
use crate::streams::{Served, StoreServer};
#[cfg(feature = "libp2p")]
use crate::transport::libp2p::Libp2pTransport;
use crate::transport::local::Hub;
#[cfg(feature = "nats")]
use crate::transport::nats::check_durable;
#[cfg(all(feature = "libp2p", feature = "nats"))]
use crate::transport::routed::Routed;
use crate::world::SystemWorld;

/// Ports, and what must be closed once nobody uses them.
pub(super) struct Made {
    pub(super) ports: Ports,
    #[cfg(feature = "libp2p")]
    pub(super) libp2p: Option<Arc<Libp2pTransport>>,
    /// Where this node's store is the cluster's.
    #[cfg(feature = "libp2p")]
    pub(super) server: Option<StoreServer>,
    /// Where there is a broker as well.
    #[cfg(all(feature = "libp2p", feature = "nats"))]
    pub(super) routed: Option<Arc<Routed>>,
    #[cfg(feature = "nats")]
    pub(super) connection: Option<crate::transport::nats::NatsConnection>,
    /// What the servers have lost.
    #[cfg(feature = "nats")]
    pub(super) losses: Option<tokio::sync::watch::Receiver<crate::streams::jetstream::Losses>>,
}

/// Opens what the configuration names.
pub(super) async fn make(config: &Config) -> Result<Made, NodeError> {
    let world = Arc::new(SystemWorld::new()?);
    let keys = Keys::open(config)?;
    #[cfg(feature = "nats")]
    if let Some(options) = config.nats.connection(&config.name)? {
        return on_nats(config, &options, world, keys).await;
    }
    #[cfg(feature = "libp2p")]
    if let Some(libp2p) = keys.libp2p(config).await? {
        return directly(config, world, keys, libp2p).await;
    }
    let streams = Arc::new(embedded(config, &world)?);
    let transport = Arc::new(Hub::new().join(keys.store.node_id())?);
    Ok(Made::of(Ports { world, keys: keys.store, transport, streams }))
}

impl Made {
    /// Ports with nothing beside them.
    fn of(ports: Ports) -> Made {
        Made {
            ports,
            #[cfg(feature = "libp2p")]
            libp2p: None,
            #[cfg(feature = "libp2p")]
            server: None,
            #[cfg(all(feature = "libp2p", feature = "nats"))]
            routed: None,
            #[cfg(feature = "nats")]
            connection: None,
            #[cfg(feature = "nats")]
            losses: None,
        }
    }
}

/// The store of this node's own.
fn embedded(config: &Config, world: &Arc<SystemWorld>) -> Result<Embedded, NodeError> {
    Ok(match config.streams.storage {
        Storage::Memory => Embedded::in_memory(world.clone()),
        Storage::File => Embedded::open(config.store_path(), world.clone())?,
    })
}

/// A node without a broker: its store is its own, or that of the node that serves one.
#[cfg(feature = "libp2p")]
async fn directly(
    config: &Config,
    world: Arc<SystemWorld>,
    keys: Keys,
    libp2p: Arc<Libp2pTransport>,
) -> Result<Made, NodeError> {
    let (streams, server): (Arc<dyn Streams>, _) = match config.libp2p.serving_node()? {
        Some(at) => {
            warn_of_own_root(config);
            let served = Served::new(libp2p.clone(), at, &config.namespace);
            served.reached(REACHED_WITHIN).await.map_err(NodeError::Streams)?;
            (Arc::new(served), None)
        }
        None => {
            let store = embedded(config, &world)?;
            let server = match config.libp2p.serves() {
                true => Some(serve(config, &store, &world, &libp2p).await?),
                false => None,
            };
            (Arc::new(store), server)
        }
    };
    let ports = Ports { world, keys: keys.store, transport: libp2p.clone(), streams };
    Ok(Made { libp2p: Some(libp2p), server, ..Made::of(ports) })
}

/// How long a node that starts waits for the one that serves: both may be started at the same time.
#[cfg(feature = "libp2p")]
const REACHED_WITHIN: Duration = Duration::from_secs(60);

#[cfg(feature = "libp2p")]
async fn serve(
    config: &Config,
    store: &Embedded,
    world: &SystemWorld,
    libp2p: &Libp2pTransport,
) -> Result<StoreServer, NodeError> {
    if config.libp2p.options()?.admission.is_open() {
        tracing::warn!(
            "this node serves its store to whoever connects: let members alone connect, with libp2p.secret_file or libp2p.allow"
        );
    }
    warn_of_own_root(config);
    Ok(StoreServer::start(store.clone(), world, libp2p, &config.namespace).await?)
}

/// Nodes that share a store and no root read nothing of each other's.
fn warn_of_own_root(config: &Config) {
    if config.streams.storage == Storage::Memory && config.key_file.is_none() {
        tracing::warn!(
            "this node has a root key that no other node has, and that is gone with it: name one file in key_file on all nodes \
             of the cluster, or they read nothing of each other's"
        );
    }
}

/// The node's keys, and who it is to peers that it reaches directly.
struct Keys {
    store: Arc<dyn KeyStore>,
    #[cfg(feature = "libp2p")]
    peer: crate::transport::libp2p::PeerKey,
}

impl Keys {
    fn open(config: &Config) -> Result<Keys, NodeError> {
        Ok(match (config.streams.storage, &config.key_file) {
            (Storage::Memory, None) => {
                let keys = MemoryKeys::random(&config.name)?;
                Keys {
                    #[cfg(feature = "libp2p")]
                    peer: keys.peer_key(),
                    store: Arc::new(keys),
                }
            }
            (Storage::Memory, Some(_)) | (Storage::File, _) => {
                let passphrase = config.key_passphrase_file.as_deref().map(read_passphrase).transpose()?;
                let keys = FileKeys::open_with(&config.key_path(), &config.name, passphrase.as_ref())?;
                Keys {
                    #[cfg(feature = "libp2p")]
                    peer: keys.peer_key(),
                    store: Arc::new(keys),
                }
            }
        })
    }

    /// The way to other nodes with no one between, where one is configured.
    #[cfg(feature = "libp2p")]
    async fn libp2p(&self, config: &Config) -> Result<Option<Arc<Libp2pTransport>>, NodeError> {
        if !config.libp2p.is_used() {
            return Ok(None);
        }
        let options = config.libp2p.options()?;
        let opened = Libp2pTransport::open(self.peer.clone(), &config.namespace, &options).await?;
        tracing::info!(addresses = opened.addresses().join(" "), "this node can be dialled");
        Ok(Some(Arc::new(opened)))
    }
}

#[cfg(feature = "nats")]
async fn on_nats(
    config: &Config,
    options: &crate::transport::nats::NatsOptions,
    world: Arc<SystemWorld>,
    keys: Keys,
) -> Result<Made, NodeError> {
    use crate::keystore::NodeIdentity;
    use crate::streams::JetStream;
    use crate::transport::nats::{NatsConnection, NatsTransport};

    check_profile(config).await?;
    warn_of_own_root(config);
    let connection = NatsConnection::open(options).await?;
    let kept = config.nats.store(&config.namespace);
    let streams = Arc::new(JetStream::open(&connection, kept).await.map_err(NodeError::Streams)?);
    let losses = Some(streams.losses());
    let identity = Arc::new(NodeIdentity::new(keys.store.clone()));
    let broker = Arc::new(NatsTransport::open(connection.clone(), &config.namespace, identity).await?);
    #[cfg(feature = "libp2p")]
    if let Some(direct) = keys.libp2p(config).await? {
        let routed = Arc::new(Routed::new(direct.clone(), broker, world.random() as u64));
        let ports = Ports { world, keys: keys.store, transport: routed.clone(), streams };
        let (libp2p, routed, connection) = (Some(direct), Some(routed), Some(connection));
        return Ok(Made { libp2p, routed, connection, losses, ..Made::of(ports) });
    }
    let ports = Ports { world, keys: keys.store, transport: broker, streams };
    Ok(Made { connection: Some(connection), losses, ..Made::of(ports) })
}

/// What of the profile can be seen from here is checked; what can't is told.
#[cfg(feature = "nats")]
async fn check_profile(config: &Config) -> Result<(), NodeError> {
    match (config.nats.profile, &config.nats.monitors) {
        (Profile::Fast, _) => {}
        (Profile::Durable, Some(monitors)) => check_durable(monitors).await?,
        (Profile::Durable, None) => tracing::warn!(
            "nats.profile is durable, and nobody checks that the servers have sync_interval: always: name their monitoring \
             endpoints in nats.monitors"
        ),
    }
    Ok(())
}
