//! An agent that does nothing, a stranger who signs for itself, and what is asked of a store.

use std::time::Duration;

use connectome::codecs::message::AgentRecord;
use connectome::codecs::registration::{Presence, Registration, Signed};
use connectome::keystore::MemoryKeys;
use connectome::port::{Bucket, BucketConfig, KeyStore, Publish, Start, Storage, Streams, Tail};
use connectome::prelude::*;
use connectome::{AGENT_DISCOVERY, AGENTS, LocalCluster};
use connectome_codecs::registration::Refusal;
use connectome_codecs::{AgentName, UnixMillis};
use tokio::time::{sleep, timeout};

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Agent)]
#[agent(handles())]
pub(crate) struct Idler;

pub(crate) fn name(text: &str) -> AgentName {
    text.parse().unwrap()
}

pub(crate) fn node(cluster: &LocalCluster, name: &str) -> Node {
    cluster.nodes().into_iter().find(|(known, _)| known == name).expect("it runs").1
}

pub(crate) async fn all_met(nodes: &[Node]) {
    until(|| nodes.iter().all(|node| node.nodes().len() + 1 == nodes.len())).await;
}

/// Waits for something that can only be asked for.
pub(crate) async fn until(holds: impl FnMut() -> bool) {
    until_within(PATIENCE, holds).await;
}

/// The same, for what takes its time.
pub(crate) async fn until_within(patience: Duration, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(patience, waiting).await.unwrap_or_else(|_| panic!("it does not hold within {patience:?}"));
}

/// Waits until the bucket holds just what is expected of it.
pub(crate) async fn until_keys(store: &dyn Streams, holds: impl Fn(&[String]) -> bool) {
    let bucket = bucket(store).await;
    let waiting = async {
        while !holds(&bucket.keys("").await.unwrap()) {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("the bucket holds it within 30 s");
}

pub(crate) async fn bucket(store: &dyn Streams) -> Box<dyn Bucket> {
    let config = BucketConfig { name: AGENTS.to_owned(), ttl: None, storage: Storage::File };
    store.bucket(config).await.unwrap()
}

pub(crate) async fn keys_of(store: &dyn Streams) -> Vec<String> {
    bucket(store).await.keys("").await.unwrap()
}

pub(crate) async fn bucket_is_empty(store: &dyn Streams) -> bool {
    keys_of(store).await.is_empty()
}

/// A program that is no node, with a key of its own.
pub(crate) struct Stranger {
    keys: MemoryKeys,
    namespace: String,
}

impl Stranger {
    pub(crate) fn new(namespace: &str) -> Stranger {
        Stranger { keys: MemoryKeys::random("stranger").unwrap(), namespace: namespace.to_owned() }
    }

    pub(crate) fn id(&self) -> connectome_codecs::NodeId {
        self.keys.node_id()
    }

    /// A record of an agent that lives on no node, as of this moment.
    pub(crate) fn record(&self, agent: &str, now: UnixMillis) -> Registration {
        let agent = AgentRecord {
            name: name(agent),
            id: None,
            role: Some("guest".into()),
            capabilities: vec!["paint".parse().unwrap()],
            version: "7".into(),
            in_flight: 0,
            term: None,
        };
        let (node, presence) = (self.id(), Presence::Agent);
        Registration { agent, node, incarnation: 1, issued: now, ttl_s: 60, presence }
    }

    pub(crate) fn signed(&self, record: &Registration) -> Vec<u8> {
        self.signed_for("connectome/registration/v1", record)
    }

    pub(crate) fn signed_end(&self, record: &Registration) -> Vec<u8> {
        self.signed_for("connectome/unregistration/v1", record)
    }

    fn signed_for(&self, context: &str, record: &Registration) -> Vec<u8> {
        let record = record.encode().unwrap();
        let signature = self.keys.sign(&format!("{context}/{}", self.namespace), &record);
        Signed { record, signature: signature.to_vec().into() }.encode().unwrap().to_vec()
    }
}

/// Publishes bytes about an agent.
pub(crate) async fn say(node: &Node, what: &str, agent: &str, body: Vec<u8>) {
    let subject = format!("connectome.discovery.{what}.{agent}");
    let message = Publish { subject, id: Some(node.router().message_id()), body: body.into() };
    node.ports().streams.publish(AGENT_DISCOVERY, message).await.unwrap();
}

/// The refusals from now on.
pub(crate) async fn refusals(node: &Node) -> Refusals {
    let filter = "connectome.discovery.refused.>";
    Refusals(node.ports().streams.tail(AGENT_DISCOVERY, filter, Start::New).await.unwrap())
}

pub(crate) struct Refusals(Box<dyn Tail>);

impl Refusals {
    pub(crate) async fn next(&mut self) -> Refusal {
        let stored = timeout(PATIENCE, self.0.next()).await.expect("a refusal within 30 s").unwrap();
        Refusal::decode(&stored.body).unwrap()
    }
}
