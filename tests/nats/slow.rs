//! A reader that does not keep up with NATS: what the client drops is counted, and the node goes on.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connectome::codecs::NodeId;
use connectome::keystore::{MemoryKeys, NodeIdentity};
use connectome::transport::nats::{Identity, NatsConnection, NatsOptions, NatsTransport};
use tokio::time::timeout;

use super::trade::{PATIENCE, until};
use crate::support::nats::NatsServer;

/// More than the client keeps for a subscription that nobody reads.
const FLOOD: usize = 100_000;

/// The identity of a node whose reader stands still over the first stranger, until it is let go.
struct Hesitant {
    identity: NodeIdentity,
    go: Mutex<Option<Receiver<()>>>,
}

impl Identity for Hesitant {
    fn node_id(&self) -> NodeId {
        self.identity.node_id()
    }

    fn sign(&self, context: &str, message: &[u8]) -> [u8; 64] {
        self.identity.sign(context, message)
    }

    fn verify(&self, node: NodeId, context: &str, message: &[u8], signature: &[u8; 64]) -> bool {
        if let Some(go) = self.go.lock().unwrap().take() {
            let _ = go.recv_timeout(PATIENCE);
        }
        self.identity.verify(node, context, message, signature)
    }
}

fn identity(name: &str) -> NodeIdentity {
    NodeIdentity::new(Arc::new(MemoryKeys::from_seed([7; 32], name)))
}

async fn connect(server: &NatsServer) -> NatsConnection {
    NatsConnection::open(&NatsOptions::new(&server.url()).unwrap()).await.unwrap()
}

/// A flood while the reader stands still: its loss is counted, and afterwards nodes meet as ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_dropped_is_counted() {
    let server = NatsServer::start();
    let (let_go, go) = channel();
    let connection = connect(&server).await;
    let hesitant = Hesitant { identity: identity("ada"), go: Mutex::new(Some(go)) };
    let ada = NatsTransport::open(connection.clone(), "main", Arc::new(hesitant)).await.unwrap();
    let stranger = async_nats::connect(server.url()).await.unwrap();
    // An announcement with a signature that is none: the letter, the version, the kind, a node, its life, the signature.
    let announce = [&[0x43, 1, 1][..], &[9; 32], &[0; 8], &[0; 64]].concat();
    stranger.publish("main.nodes", announce.into()).await.unwrap();
    for _ in 0..FLOOD {
        stranger.publish("main.nodes", "flood".into()).await.unwrap();
    }
    stranger.flush().await.unwrap();
    until("the client says that it drops", async || connection.counts().slow_consumer > 0).await;
    let_go.send(()).unwrap();
    let bob = NatsTransport::open(connect(&server).await, "main", Arc::new(identity("bob"))).await.unwrap();
    let met = async { tokio::join!(ada.met(bob.node_id()), bob.met(ada.node_id())) };
    timeout(PATIENCE + Duration::from_secs(10), met).await.expect("they meet in time");
    println!(
        "{:?}; malformed {}, forged {}",
        connection.counts(),
        ada.counts().malformed,
        ada.counts().forged
    );
    assert!(ada.counts().malformed > 0 && ada.counts().forged == 1);
}
