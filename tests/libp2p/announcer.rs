//! Another implementation of the distributed table's announcements, made from their description alone: to say what is true with
//! it, and what is not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use connectome_codecs::NodeId;
use futures_util::StreamExt;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::{Behaviour, Config, Event, QueryResult, Quorum, Record, RecordKey};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identity, noise, tcp, yamux};
use sha2::{Digest, Sha256};

/// A peer that takes part in the table, connected with one node of it.
pub(super) struct Announcer {
    key: identity::Keypair,
    swarm: Swarm<Behaviour<MemoryStore>>,
    peer: PeerId,
}

/// The moment, in milliseconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Where a capability of a namespace without a secret stands.
pub(super) fn key_of_capability(namespace: &str, capability: &str) -> [u8; 32] {
    let head = [&b"connectome/libp2p/subject/v1\0\x02"[..], &[namespace.len() as u8]].concat();
    Sha256::digest([&head, namespace.as_bytes(), capability.as_bytes()].concat()).into()
}

impl Announcer {
    pub(super) fn connect(address: &str) -> Announcer {
        let address: Multiaddr = address.parse().unwrap();
        let Some(Protocol::P2p(peer)) = address.iter().last() else { panic!("it says who is there") };
        let key = identity::Keypair::generate_ed25519();
        let mut config = Config::new(StreamProtocol::new("/connectome/kad/1"));
        config.set_max_packet_size(1 << 20);
        let mut swarm = SwarmBuilder::with_existing_identity(key.clone())
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|key| {
                let here = key.public().to_peer_id();
                Behaviour::with_config(here, MemoryStore::new(here), config)
            })
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
            .build();
        swarm.behaviour_mut().add_address(&peer, address);
        Announcer { key, swarm, peer }
    }

    pub(super) fn node(&self) -> NodeId {
        NodeId(self.key.public().try_into_ed25519().unwrap().to_bytes())
    }

    /// One announcement, as a record of its own.
    pub(super) fn announcement(&self, key: &[u8; 32], signed_at: u64, until: u64) -> Vec<u8> {
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/9".parse().unwrap();
        let mut body = [&self.node().0[..], &signed_at.to_be_bytes(), &until.to_be_bytes(), &[0, 1]].concat();
        body.extend((address.len() as u16).to_be_bytes());
        body.extend(address.as_ref());
        let signed = [&b"\xffconnectome/cxr1/announcement"[..], key, &body].concat();
        body.extend(self.key.sign(&signed).unwrap());
        [&(body.len() as u16).to_be_bytes(), &body[..]].concat()
    }

    /// Asks the node to keep this, and waits until it has answered. An answer does not say that it did.
    pub(super) async fn put(&mut self, key: &[u8], value: Vec<u8>) {
        let record = Record::new(RecordKey::new(&key), value);
        let peer = std::iter::once(self.peer).collect::<Vec<_>>();
        let put = self.swarm.behaviour_mut().put_record_to(record, peer.into_iter(), Quorum::One);
        loop {
            if let SwarmEvent::Behaviour(Event::OutboundQueryProgressed {
                id,
                result: QueryResult::PutRecord(_),
                ..
            }) = self.swarm.select_next_some().await
                && id == put
            {
                return;
            }
        }
    }
}
