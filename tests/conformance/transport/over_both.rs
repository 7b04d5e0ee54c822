//! Nodes that reach each other both directly and over one real nats-server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use connectome::keystore::{MemoryKeys, NodeIdentity};
use connectome::transport::libp2p::{Libp2pOptions, Libp2pTransport};
use connectome::transport::nats::{NatsConnection, NatsOptions, NatsTransport};
use connectome::transport::routed::Routed;

use super::member::{Member, Network};
use super::over_nats::server;

/// Nodes of one namespace.
pub(super) struct Both;

/// The two ways of one of them.
type Ways = (Arc<Libp2pTransport>, Arc<NatsTransport>);

impl Network for Both {
    async fn cluster(size: usize) -> Vec<Member> {
        static CLUSTERS: AtomicU64 = AtomicU64::new(0);
        let namespace = format!("both-{}", CLUSTERS.fetch_add(1, Ordering::Relaxed));
        let mut nodes: Vec<Ways> = Vec::new();
        for at in 0..size {
            let peers = nodes.first().map(|(direct, _)| direct.addresses()).unwrap_or_default();
            nodes.push(ways(&namespace, at, peers).await);
        }
        for (direct, broker) in &nodes {
            for (peer, _) in nodes.iter().filter(|(peer, _)| peer.node_id() != direct.node_id()) {
                tokio::join!(direct.linked(peer.node_id()), broker.met(peer.node_id()));
            }
        }
        let member = |(life, (direct, broker)): (u64, Ways)| {
            let id = direct.node_id();
            Member { id, transport: Arc::new(Routed::new(direct, broker, life)) }
        };
        (1..).zip(nodes).map(member).collect()
    }
}

async fn ways(namespace: &str, at: usize, peers: Vec<String>) -> Ways {
    let keys = MemoryKeys::from_seed([7; 32], &format!("{namespace}/{at}"));
    let listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    let options = Libp2pOptions { listen, peers, ..Libp2pOptions::default() };
    let direct =
        Libp2pTransport::open(keys.peer_key(), namespace, &options).await.expect("there is a free port");
    let options = NatsOptions::new(&server().url()).expect("it is a URL");
    let connection = NatsConnection::open(&options).await.expect("the server is there");
    let identity = Arc::new(NodeIdentity::new(Arc::new(keys)));
    let broker =
        NatsTransport::open(connection, namespace, identity).await.expect("the subjects are free to use");
    (Arc::new(direct), Arc::new(broker))
}
