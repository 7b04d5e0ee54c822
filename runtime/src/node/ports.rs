//! What a node is made of, as its configuration says: keys, a store, and the way to other nodes.

use std::sync::Arc;

use connectome_actors::Ports;
#[cfg(feature = "libp2p")]
use connectome_actors::port::Transport;
#[cfg(all(feature = "libp2p", feature = "nats"))]
use connectome_actors::port::World;
use connectome_actors::port::{KeyStore, Storage, Streams};

use super::NodeError;
use crate::config::Config;
#[cfg(feature = "nats")]
use crate::config::Profile;
use crate::keystore::{FileKeys, MemoryKeys, read_passphrase};
use crate::streams::Embedded;
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
    let streams: Arc<dyn Streams> = match config.streams.storage {
        Storage::Memory => Arc::new(Embedded::in_memory(world.clone())),
        Storage::File => Arc::new(Embedded::open(config.store_path(), world.clone())?),
    };
    #[cfg(feature = "libp2p")]
    let libp2p = keys.libp2p(config).await?;
    #[cfg(feature = "libp2p")]
    let direct = libp2p.clone().map(|libp2p| libp2p as Arc<dyn Transport>);
    #[cfg(not(feature = "libp2p"))]
    let direct = None;
    let transport = match direct {
        Some(transport) => transport,
        None => Arc::new(Hub::new().join(keys.store.node_id())?),
    };
    Ok(Made {
        ports: Ports { world, keys: keys.store, transport, streams },
        #[cfg(feature = "libp2p")]
        libp2p,
        #[cfg(all(feature = "libp2p", feature = "nats"))]
        routed: None,
        #[cfg(feature = "nats")]
        connection: None,
        #[cfg(feature = "nats")]
        losses: None,
    })
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
    if config.streams.storage == Storage::Memory && config.key_file.is_none() {
        tracing::warn!(
            "this node has a root key that no other node has, and that is gone with it: name one file in key_file on all nodes \
             of the cluster, or they read nothing of each other's"
        );
    }
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
        return Ok(Made { ports, libp2p, routed, connection, losses });
    }
    Ok(Made {
        ports: Ports { world, keys: keys.store, transport: broker, streams },
        #[cfg(feature = "libp2p")]
        libp2p: None,
        #[cfg(feature = "libp2p")]
        routed: None,
        connection: Some(connection),
        losses,
    })
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
