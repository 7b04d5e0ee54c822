//! An agent that does what it is told, and the nodes to run it on.

use std::time::Duration;

use connectome::prelude::*;
use connectome::{LocalCluster, NodeOptions};

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
    let known = async {
        while !node.router().remote_agents().iter().any(|(name, _)| name.as_str() == agent) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), known).await.expect("the news of an agent arrives");
}
