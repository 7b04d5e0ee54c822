//! Nodes that meet over one real nats-server; each cluster has a namespace of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use connectome::keystore::{MemoryKeys, NodeIdentity};
use connectome::transport::nats::{NatsConnection, NatsOptions, NatsTransport};

use super::member::{Member, Network};
use crate::support::nats::NatsServer;

/// Nodes of one namespace.
pub(super) struct Nats;

impl Network for Nats {
    async fn cluster(size: usize) -> Vec<Member> {
        static CLUSTERS: AtomicU64 = AtomicU64::new(0);
        let namespace = format!("cluster-{}", CLUSTERS.fetch_add(1, Ordering::Relaxed));
        let mut nodes = Vec::new();
        for at in 0..size {
            nodes.push(node(&namespace, at).await);
        }
        for node in &nodes {
            for peer in nodes.iter().filter(|peer| peer.node_id() != node.node_id()) {
                node.met(peer.node_id()).await;
            }
        }
        nodes.into_iter().map(|node| Member { id: node.node_id(), transport: Arc::new(node) }).collect()
    }
}

async fn node(namespace: &str, at: usize) -> NatsTransport {
    let options = NatsOptions::new(&server().url()).expect("it is a URL");
    let connection = NatsConnection::open(&options).await.expect("the server is there");
    let keys = MemoryKeys::from_seed([7; 32], &format!("{namespace}/{at}"));
    let identity = Arc::new(NodeIdentity::new(Arc::new(keys)));
    NatsTransport::open(connection, namespace, identity).await.expect("the subjects are free to use")
}

/// One for all cases, as a new one comes: it carries 1 MB, so the largest frames go in parts.
pub(super) fn server() -> &'static NatsServer {
    static SERVER: OnceLock<NatsServer> = OnceLock::new();
    SERVER.get_or_init(|| NatsServer::start_with("max_payload: 1048576"))
}
