//! Nodes with another root key: they read nothing of what is kept, they say so, and they say what would be right.

use std::sync::Arc;

use connectome::codecs::{EventType, Fact, TaskState};
use connectome::keystore::MemoryKeys;
use connectome::port::{Expect, KeyStore, Start};
use connectome::prelude::*;
use connectome::streams::Embedded;
use connectome::transport::local::Hub;
use connectome::world::SystemWorld;
use connectome::{Bytes, DEAD_LETTERS, EventListener, NodeOptions, Ports, SendError, TaskError, keys_bucket};
use tokio::time::timeout;

use super::{PATIENCE, until};

#[derive(Message, Serialize, Deserialize)]
#[message(name = "keep", reply = ())]
struct Keep(u64);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "kept", reply = u64)]
struct Kept;

/// Keeps a number.
#[derive(Default)]
struct Keeper(u64);

impl Agent for Keeper {
    const KEEPS_STATE: bool = true;

    fn handles(table: &mut Table<Self>) {
        table.on::<Keep>();
        table.on::<Kept>();
    }

    fn save(&self) -> Bytes {
        connectome::codecs::wire::encode(&self.0).unwrap()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), HandlerError> {
        self.0 = connectome::codecs::wire::decode(state)?;
        Ok(())
    }
}

impl Handle<Keep> for Keeper {
    async fn handle(&mut self, Keep(number): Keep, _: &mut Context<'_>) -> Result<(), HandlerError> {
        self.0 = number;
        Ok(())
    }
}

impl Handle<Kept> for Keeper {
    async fn handle(&mut self, _: Kept, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        Ok(self.0)
    }
}

/// The root keys of the owner of a store and of a stranger.
const OURS: [u8; 32] = [1; 32];
const THEIRS: [u8; 32] = [2; 32];

/// A store that outlives its nodes.
struct Store {
    world: Arc<SystemWorld>,
    streams: Arc<Embedded>,
}

impl Store {
    fn new() -> Store {
        let world = Arc::new(SystemWorld::new().unwrap());
        Store { streams: Arc::new(Embedded::in_memory(world.clone())), world }
    }

    async fn node(&self, root: [u8; 32]) -> Node {
        let keys = Arc::new(MemoryKeys::from_seed(root, "node"));
        let transport = Arc::new(Hub::new().join(keys.node_id()).unwrap());
        let (world, streams) = (self.world.clone(), self.streams.clone());
        let ports = Ports { world, keys, transport, streams };
        Node::start_with(ports, NodeOptions::default()).await.unwrap()
    }
}

fn keeper() -> AgentSpec<Keeper> {
    AgentSpec::new("keeper", Keeper::default).capability("keep")
}

fn names_the_remedy(error: &str) {
    assert!(error.contains("root key") && error.contains("key_file"), "{error}");
}

/// A state is read by nodes of the root that kept it; another one is told why it can't, and leaves it as it is.
#[tokio::test]
async fn a_state_is_for_its_owner() {
    let store = Store::new();
    let ours = store.node(OURS).await;
    let agent = ours.spawn_with(keeper()).await.unwrap();
    agent.send(Keep(7)).await.unwrap();
    until("it is kept", async || agent.call(Kept).await.unwrap() == 7).await;
    ours.stop().await;

    let theirs = store.node(THEIRS).await;
    let error = theirs.spawn_with(keeper()).await.unwrap_err().to_string();
    assert!(error.contains("the kept state of keeper"), "{error}");
    names_the_remedy(&error);
    assert!(theirs.sealing_counts().foreign > 0);
    theirs.stop().await;

    let ours = store.node(OURS).await;
    let agent = ours.spawn_with(keeper()).await.unwrap();
    assert_eq!(agent.call(Kept).await.unwrap(), 7);
    ours.stop().await;
}

/// Strangers can't submit to a pool, read a result, or take what waits for its workers; it waits until these come.
#[tokio::test]
async fn a_task_is_for_its_pool() {
    let store = Store::new();
    let ours = store.node(OURS).await;
    ours.spawn_with(keeper()).await.unwrap();
    let done = ours.submit(Submit::new("keep", Kept)).await.unwrap();
    assert_eq!(done.result().await.unwrap(), 0);
    ours.stop_agent("keeper").await.unwrap();
    let waiting = ours.submit(Submit::new("keep", Kept)).await.unwrap();
    ours.stop().await;

    let theirs = store.node(THEIRS).await;
    let mut errors = errors_of(&theirs).await;
    theirs.spawn_with(AgentSpec::new("other", Keeper::default).capability("keep")).await.unwrap();
    names_the_remedy(&next_error(&mut errors).await);
    let Err(SendError::NotSent(error)) = theirs.submit(Submit::new("keep", Kept)).await else {
        panic!("a stranger submits")
    };
    names_the_remedy(&error);
    let Err(TaskError::Store(error)) = theirs.task::<Kept>(done.id()).result().await else {
        panic!("a stranger reads")
    };
    names_the_remedy(&error.to_string());
    theirs.stop().await;

    let ours = store.node(OURS).await;
    ours.spawn_with(keeper()).await.unwrap();
    let waiting = ours.task::<Kept>(waiting.id());
    assert_eq!(timeout(PATIENCE, waiting.result()).await.unwrap().unwrap(), 0);
    ours.stop().await;
}

/// A task whose keys are gone is tried as often as it may be, and ends as a dead letter that says why.
#[tokio::test]
async fn a_task_that_nobody_can_open_ends() {
    let store = Store::new();
    let ours = store.node(OURS).await;
    let task = ours.submit(Submit::new("keep", Kept).attempts(2)).await.unwrap();
    ours.stop().await;

    let theirs = store.node(THEIRS).await;
    let keys = theirs.ports().streams.bucket(keys_bucket()).await.unwrap();
    keys.delete("pool/keep", Expect::Any).await.unwrap();
    theirs.spawn_with(keeper()).await.unwrap();
    let ended = timeout(PATIENCE, theirs.task::<Kept>(task.id()).ended()).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.attempt.0), (TaskState::Failed, 2));
    let error = ended.error.unwrap();
    assert_eq!(error.code.as_str(), "not_opened");
    names_the_remedy(&error.message);
    until("it is a dead letter", async || {
        theirs.ports().streams.stream_info(DEAD_LETTERS).await.unwrap().messages == 1
    })
    .await;
    theirs.stop().await;
}

async fn errors_of(node: &Node) -> EventListener {
    let filter = connectome::EventFilter::default().of(EventType::ErrorOccurred);
    node.listen(filter, Start::New).await.unwrap()
}

async fn next_error(errors: &mut EventListener) -> String {
    let heard = timeout(PATIENCE, errors.next()).await.expect("it is told in time").unwrap();
    let Fact::ErrorOccurred(told) = heard.event.fact else { panic!("only errors are listened to") };
    told.error.message
}
