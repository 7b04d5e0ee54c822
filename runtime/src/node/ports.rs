//! What a node is made of, as its configuration says: keys, a store, and the way to other nodes.

use std::sync::Arc;

use connectome_actors::Ports;
use connectome_actors::port::{KeyStore, Storage, Streams};

use super::NodeError;
use crate::config::Config;
#[cfg(feature = "nats")]
use crate::config::Profile;
use crate::keystore::{FileKeys, MemoryKeys};
use crate::streams::Embedded;
use crate::transport::local::Hub;
#[cfg(feature = "nats")]
use crate::transport::nats::check_durable;
use crate::world::SystemWorld;

/// Ports, and what must be closed once nobody uses them.
pub(super) struct Made {
    pub(super) ports: Ports,
    #[cfg(feature = "nats")]
    pub(super) connection: Option<crate::transport::nats::NatsConnection>,
    /// What the servers have lost.
    #[cfg(feature = "nats")]
    pub(super) losses: Option<tokio::sync::watch::Receiver<crate::streams::jetstream::Losses>>,
}

/// Opens what the configuration names.
pub(super) async fn make(config: &Config) -> Result<Made, NodeError> {
    let world = Arc::new(SystemWorld::new()?);
    let keys = keys(config)?;
    #[cfg(feature = "nats")]
    if let Some(options) = config.nats.connection(&config.name)? {
        return on_nats(config, &options, world, keys).await;
    }
    let streams: Arc<dyn Streams> = match config.streams.storage {
        Storage::Memory => Arc::new(Embedded::in_memory(world.clone())),
        Storage::File => Arc::new(Embedded::open(config.store_path(), world.clone())?),
    };
    let transport = Arc::new(Hub::new().join(keys.node_id())?);
    Ok(Made {
        ports: Ports { world, keys, transport, streams },
        #[cfg(feature = "nats")]
        connection: None,
        #[cfg(feature = "nats")]
        losses: None,
    })
}

fn keys(config: &Config) -> Result<Arc<dyn KeyStore>, NodeError> {
    Ok(match (config.streams.storage, &config.key_file) {
        (Storage::Memory, None) => Arc::new(MemoryKeys::random(&config.name)?),
        (Storage::Memory, Some(_)) | (Storage::File, _) => {
            Arc::new(FileKeys::open(&config.key_path(), &config.name)?)
        }
    })
}

#[cfg(feature = "nats")]
async fn on_nats(
    config: &Config,
    options: &crate::transport::nats::NatsOptions,
    world: Arc<SystemWorld>,
    keys: Arc<dyn KeyStore>,
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
    let identity = Arc::new(NodeIdentity::new(keys.clone()));
    let transport = NatsTransport::open(connection.clone(), &config.namespace, identity).await?;
    let ports = Ports { world, keys, transport: Arc::new(transport), streams };
    Ok(Made { ports, connection: Some(connection), losses })
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
