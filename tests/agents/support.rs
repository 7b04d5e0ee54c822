//! An agent that does what it is told, and the nodes to run it on.

use std::time::Duration;

use std::sync::Arc;

use connectome::keystore::MemoryKeys;
use connectome::port::{KeyStore, Transport};
use connectome::prelude::*;
use connectome::streams::Embedded;
use connectome::transport::local::Hub;
use connectome::world::SystemWorld;
use connectome::{LocalCluster, NodeOptions, Ports};

#[derive(Message, Serialize, Deserialize, Clone)]
#[message(name = "add", reply = u64)]
pub(crate) struct Add(pub(crate) u64);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "crash", reply = ())]
pub(crate) struct Crash(pub(crate) String);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "seen", reply = Vec<u64>)]
pub(crate) struct Seen;

/// Waits until somebody releases it, or for ever.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "hang", reply = ())]
pub(crate) struct Hang;

/// Answers later, from a pipe.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "later", reply = u64)]
pub(crate) struct Later(pub(crate) u64);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "count-to", reply = u64, item = u64)]
pub(crate) struct CountTo(pub(crate) u64);

/// Calls another agent with `Add`.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "relay", reply = u64)]
pub(crate) struct Relay {
    pub(crate) to: AgentRef,
    pub(crate) amount: u64,
}

/// Calls another agent with a `Relay` back to this one.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "ring", reply = u64)]
pub(crate) struct Ring(pub(crate) AgentRef);

#[derive(Default)]
pub(crate) struct Tester {
    total: u64,
    seen: Vec<u64>,
}

impl Agent for Tester {
    fn handles(table: &mut Table<Self>) {
        table.on::<Add>();
        table.on::<Crash>();
        table.on::<Seen>();
        table.on::<Hang>();
        table.on::<Later>();
        table.on::<CountTo>();
        table.on::<Relay>();
        table.on::<Ring>();
    }
}

impl Handle<Add> for Tester {
    async fn handle(&mut self, Add(more): Add, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        self.seen.push(more);
        self.total += more;
        Ok(self.total)
    }
}

impl Handle<Crash> for Tester {
    async fn handle(&mut self, Crash(why): Crash, _: &mut Context<'_>) -> Result<(), HandlerError> {
        panic!("{why}")
    }
}

impl Handle<Seen> for Tester {
    async fn handle(&mut self, _: Seen, _: &mut Context<'_>) -> Result<Vec<u64>, HandlerError> {
        Ok(self.seen.clone())
    }
}

impl Handle<Hang> for Tester {
    async fn handle(&mut self, _: Hang, _: &mut Context<'_>) -> Result<(), HandlerError> {
        std::future::pending().await
    }
}

impl Handle<Later> for Tester {
    async fn handle(&mut self, Later(n): Later, ctx: &mut Context<'_>) -> Result<u64, HandlerError> {
        ctx.pipe(async move {
            tokio::task::yield_now().await;
            Ok(n)
        })
    }
}

impl Handle<CountTo> for Tester {
    async fn handle(&mut self, CountTo(n): CountTo, ctx: &mut Context<'_>) -> Result<u64, HandlerError> {
        let items = ctx.sink::<CountTo>();
        ctx.pipe(async move {
            for number in 1..=n {
                items.push(number).await?;
            }
            Ok(n)
        })
    }
}

impl Handle<Relay> for Tester {
    async fn handle(&mut self, relay: Relay, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        Ok(relay.to.call(Add(relay.amount)).await?)
    }
}

impl Handle<Ring> for Tester {
    async fn handle(&mut self, Ring(other): Ring, ctx: &mut Context<'_>) -> Result<u64, HandlerError> {
        Ok(other.call(Relay { to: ctx.me(), amount: 1 }).await?)
    }
}

/// One node, in memory.
pub(crate) async fn node() -> Node {
    Node::start(Config::in_memory()).await.expect("a node in memory starts")
}

/// Two nodes of one cluster that know each other's agents.
pub(crate) async fn two_nodes() -> (LocalCluster, Node, Node) {
    let cluster = LocalCluster::in_memory(NodeOptions::default()).expect("there is randomness");
    let one = cluster.start("one").await.expect("a node starts");
    let two = cluster.start("two").await.expect("a node starts");
    (cluster, one, two)
}

/// Waits until a node has heard of an agent of another one.
pub(crate) async fn knows(node: &Node, agent: &str) {
    until(|| node.router().remote_agents().iter().any(|(name, _)| name.as_str() == agent)).await;
}

/// Two nodes over one hub and one store, on the runtime and the clock of the test.
pub(crate) async fn pair() -> (Node, Node) {
    let hub = Hub::new();
    pair_over(&hub, |transport| transport).await
}

/// The same, with something around the transport of each.
pub(crate) async fn pair_over(
    hub: &Hub,
    wrap: impl Fn(Arc<dyn Transport>) -> Arc<dyn Transport>,
) -> (Node, Node) {
    pair_with(hub, &NodeOptions::default(), wrap).await
}

/// The same, told more.
pub(crate) async fn pair_with(
    hub: &Hub,
    options: &NodeOptions,
    wrap: impl Fn(Arc<dyn Transport>) -> Arc<dyn Transport>,
) -> (Node, Node) {
    let world = Arc::new(SystemWorld::new().expect("there is randomness"));
    let streams = Arc::new(Embedded::in_memory(world.clone()));
    let start = async |name: &str| {
        let keys = Arc::new(MemoryKeys::from_seed([7; 32], name));
        let transport = wrap(Arc::new(hub.join(keys.node_id()).expect("no node has this key")));
        let ports = Ports { world: world.clone(), keys, transport, streams: streams.clone() };
        Node::start_with(ports, options.clone()).await.expect("a node starts")
    };
    (start("one").await, start("two").await)
}

/// Looks every millisecond, real or virtual, until it is so: for what has no event of its own.
pub(crate) async fn until(so: impl Fn() -> bool) {
    for _ in 0..30_000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it did not come to that");
}
