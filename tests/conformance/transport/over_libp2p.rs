//! Nodes that speak to each other over real sockets of this machine: each knows the first one's address, and hears of the
//! others from it.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use connectome::keystore::MemoryKeys;
use connectome::transport::libp2p::{Libp2pOptions, Libp2pTransport};

use super::member::{Member, Network};

/// Nodes that listen in one way.
pub(super) struct Libp2p<W>(PhantomData<W>);

/// Where nodes listen.
pub(super) trait Way: Send + Sync {
    const LISTEN: &'static str;
}

pub(super) struct Tcp;

impl Way for Tcp {
    const LISTEN: &'static str = "/ip4/127.0.0.1/tcp/0";
}

pub(super) struct Quic;

impl Way for Quic {
    const LISTEN: &'static str = "/ip6/::1/udp/0/quic-v1";
}

impl<W: Way> Network for Libp2p<W> {
    async fn cluster(size: usize) -> Vec<Member> {
        static CLUSTERS: AtomicU64 = AtomicU64::new(0);
        let namespace = format!("cluster-{}", CLUSTERS.fetch_add(1, Ordering::Relaxed));
        let mut nodes: Vec<Libp2pTransport> = Vec::new();
        for at in 0..size {
            let peers = nodes.first().map(Libp2pTransport::addresses).unwrap_or_default();
            let options =
                Libp2pOptions { listen: vec![W::LISTEN.to_owned()], peers, ..Libp2pOptions::default() };
            let key = MemoryKeys::from_seed([7; 32], &format!("{namespace}/{at}")).peer_key();
            nodes.push(Libp2pTransport::open(key, &namespace, &options).await.expect("there is a free port"));
        }
        for node in &nodes {
            for peer in nodes.iter().filter(|peer| peer.node_id() != node.node_id()) {
                node.linked(peer.node_id()).await;
            }
        }
        nodes.into_iter().map(|node| Member { id: node.node_id(), transport: Arc::new(node) }).collect()
    }
}
