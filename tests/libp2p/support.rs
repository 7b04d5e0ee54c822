//! Transports and nodes on loopback.

use std::time::Duration;

use connectome::keystore::MemoryKeys;
use connectome::prelude::*;
use connectome::transport::libp2p::{
    Admission, Libp2pOptions, Libp2pTransport, LinkEnd, LinkEvent, LinkWatcher,
};

/// How long something that must happen may take: fifty nodes on a busy machine need a minute.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

pub(super) const LISTEN: &str = "/ip4/127.0.0.1/tcp/0";

/// A transport that listens on loopback and dials these.
pub(super) async fn open(name: &str, peers: Vec<String>, admission: Admission) -> Libp2pTransport {
    let listen = vec![LISTEN.to_owned()];
    open_with(name, Libp2pOptions { listen, peers, admission, ..Libp2pOptions::default() }).await
}

pub(super) async fn open_with(name: &str, options: Libp2pOptions) -> Libp2pTransport {
    Libp2pTransport::open(key(name), "main", &options).await.unwrap()
}

pub(super) fn key(name: &str) -> connectome::transport::libp2p::PeerKey {
    MemoryKeys::from_seed([7; 32], name).peer_key()
}

/// Two that are linked.
pub(super) async fn pair() -> (Libp2pTransport, Libp2pTransport) {
    let ada = open("ada", Vec::new(), Admission::default()).await;
    let bob = open("bob", ada.addresses(), Admission::default()).await;
    linked(&ada, &bob).await;
    (ada, bob)
}

pub(super) async fn linked(ada: &Libp2pTransport, bob: &Libp2pTransport) {
    soon(ada.linked(bob.node_id())).await;
    soon(bob.linked(ada.node_id())).await;
}

/// What must come to pass does so in time.
pub(super) async fn soon<T>(coming: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, coming).await.expect("it comes to pass in time")
}

/// Why the next link ended.
pub(super) async fn next_end(watcher: &mut LinkWatcher) -> LinkEnd {
    loop {
        if let LinkEvent::Down { end, .. } = soon(watcher.next()).await.expect("the transport is there") {
            return end;
        }
    }
}

/// Looks again until it is so.
pub(super) async fn until(mut so: impl AsyncFnMut() -> bool) {
    soon(async {
        while !so().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[derive(Message, Serialize, Deserialize)]
#[message(name = "add", reply = u64)]
pub(super) struct Add(pub(super) u64);

#[derive(Default)]
pub(super) struct Adder(u64);

impl Agent for Adder {
    fn handles(table: &mut Table<Self>) {
        table.on::<Add>();
    }
}

impl Handle<Add> for Adder {
    async fn handle(&mut self, Add(more): Add, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        self.0 += more;
        Ok(self.0)
    }
}

/// A node that reaches others directly, and has nothing else.
pub(super) async fn node(name: &str, peers: Option<String>) -> Node {
    let mut config = Config::in_memory();
    config.name = name.to_owned();
    config.libp2p.listen = Some(LISTEN.to_owned());
    config.libp2p.peers = peers;
    Node::start(config).await.unwrap()
}

pub(super) fn addresses(node: &Node) -> String {
    node.libp2p().expect("it reaches others directly").addresses().join(",")
}
