//! A store that another node serves: the cases are on one node, the store is on another, and a socket of this machine between
//! them.

use std::sync::Arc;
use std::time::Duration;

use connectome::keystore::MemoryKeys;
use connectome::streams::{Embedded, Served, StoreServer};
use connectome::transport::libp2p::{Libp2pOptions, Libp2pTransport};
use connectome_actors::port::Streams;
use tokio::runtime::Runtime;

use super::backend::{Backend, Clock, Disk};

/// The store in memory, served.
pub(crate) struct OverLibp2p {
    streams: Arc<Served>,
    _server: StoreServer,
    _there: Libp2pTransport,
}

impl Backend for OverLibp2p {
    /// Half of it is more than a delivery takes on a busy machine.
    const SHORT: Duration = Duration::from_millis(250);

    fn runtime() -> Runtime {
        Disk::runtime()
    }

    async fn start() -> Self {
        let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
        let there = transport("there", Libp2pOptions { listen, ..Libp2pOptions::default() }).await;
        let clock = Arc::new(Clock::default());
        let store = Embedded::in_memory(clock.clone());
        let server = StoreServer::start(store, &*clock, &there, "main").await.unwrap();
        let here = transport("here", Libp2pOptions { peers: there.addresses(), ..Libp2pOptions::default() });
        let streams = Arc::new(Served::new(Arc::new(here.await), there.node_id(), "main"));
        Self { streams, _server: server, _there: there }
    }

    fn streams(&self) -> Arc<dyn Streams> {
        self.streams.clone()
    }
}

async fn transport(name: &str, options: Libp2pOptions) -> Libp2pTransport {
    let key = MemoryKeys::from_seed([7; 32], name).peer_key();
    Libp2pTransport::open(key, "main", &options).await.expect("there is a free port")
}
