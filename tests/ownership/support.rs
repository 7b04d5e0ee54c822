//! A desk that says where it stands, keeps what it is told, and takes its time; and three nodes that offer it.

use std::time::Duration;

use connectome::prelude::*;
use connectome::{LocalCluster, NodeOptions};
use tokio::time::{sleep, timeout};

/// The nodes of a cluster, by name.
pub(super) const NODES: [&str; 3] = ["one", "two", "three"];

/// Which node, under which term.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "where", reply = (String, u64))]
pub(super) struct Where;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "note", reply = ())]
pub(super) struct Note(pub(super) u64);

/// What was noted, each under the term it was noted in.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "read", reply = Vec<(u64, u64)>)]
pub(super) struct Read;

/// Answers after so many milliseconds: in its handler, or in a pipe.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "slow", reply = u64)]
pub(super) struct Slow {
    pub(super) ms: u64,
    pub(super) piped: bool,
}

pub(super) struct Desk {
    place: String,
    notes: Vec<(u64, u64)>,
}

impl Agent for Desk {
    const KEEPS_STATE: bool = true;

    fn handles(table: &mut Table<Self>) {
        table.on::<Where>();
        table.on::<Note>();
        table.on::<Read>();
        table.on::<Slow>();
    }

    fn save(&self) -> connectome::Bytes {
        connectome::codecs::wire::encode(&self.notes).expect("numbers can be encoded")
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), HandlerError> {
        self.notes = connectome::codecs::wire::decode(state)?;
        Ok(())
    }
}

fn term(ctx: &Context<'_>) -> u64 {
    ctx.term().map_or(0, |term| term.0)
}

impl Handle<Where> for Desk {
    async fn handle(&mut self, _: Where, ctx: &mut Context<'_>) -> Result<(String, u64), HandlerError> {
        Ok((self.place.clone(), term(ctx)))
    }
}

impl Handle<Note> for Desk {
    async fn handle(&mut self, Note(n): Note, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        self.notes.push((n, term(ctx)));
        Ok(())
    }
}

impl Handle<Read> for Desk {
    async fn handle(&mut self, _: Read, _: &mut Context<'_>) -> Result<Vec<(u64, u64)>, HandlerError> {
        Ok(self.notes.clone())
    }
}

impl Handle<Slow> for Desk {
    async fn handle(&mut self, slow: Slow, ctx: &mut Context<'_>) -> Result<u64, HandlerError> {
        let wait = Duration::from_millis(slow.ms);
        if slow.piped {
            return ctx.pipe(async move {
                sleep(wait).await;
                Ok(slow.ms)
            });
        }
        sleep(wait).await;
        Ok(slow.ms)
    }
}

/// A desk that several nodes offer.
pub(super) async fn offer(node: &Node, place: &str, name: &str) {
    let place = place.to_owned();
    node.offer(name, move || Desk { place: place.clone(), notes: Vec::new() }).await.unwrap();
}

/// A cluster of three whose nodes know each other.
pub(super) async fn cluster() -> LocalCluster {
    let cluster = LocalCluster::in_memory(NodeOptions::default()).unwrap();
    for name in NODES {
        cluster.start(name).await.unwrap();
    }
    for name in NODES {
        until(|| node(&cluster, name).nodes().len() == 2).await;
    }
    cluster
}

/// The same, and all of them offer this desk.
pub(super) async fn cluster_about_to_run(name: &str) -> LocalCluster {
    let cluster = cluster().await;
    for place in NODES {
        offer(&node(&cluster, place), place, name).await;
    }
    cluster
}

/// The same, and one of them runs it.
pub(super) async fn cluster_offering(name: &str) -> LocalCluster {
    let cluster = cluster_about_to_run(name).await;
    until(|| !runs_on(&cluster, name).is_empty()).await;
    cluster
}

pub(super) fn node(cluster: &LocalCluster, name: &str) -> Node {
    cluster.nodes().into_iter().find(|(known, _)| known == name).expect("it runs").1
}

/// Any other node than this one.
pub(super) fn other_than(cluster: &LocalCluster, name: &str) -> Node {
    cluster.nodes().into_iter().find(|(known, _)| known != name).expect("another one runs").1
}

/// The nodes on which an agent of this name runs.
pub(super) fn runs_on(cluster: &LocalCluster, name: &str) -> Vec<String> {
    let nodes = cluster.nodes().into_iter();
    nodes
        .filter(|(_, node)| node.agents().iter().any(|agent| agent.as_str() == name))
        .map(|(name, _)| name)
        .collect()
}

/// Waits for something that can only be asked for; 30 seconds at the most.
pub(super) async fn until(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), waiting).await.expect("it holds within 30 s");
}

/// What a desk has noted, once it is so much; within 30 seconds.
pub(super) async fn all_noted(desk: &AgentRef, count: usize) -> Vec<(u64, u64)> {
    let reading = async {
        loop {
            match desk.call(Read).await {
                Ok(notes) if notes.len() >= count => return notes,
                Ok(_) | Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(Duration::from_secs(30), reading).await.expect("all is noted within 30 s")
}
