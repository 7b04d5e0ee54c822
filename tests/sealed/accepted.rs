//! Whom a node talks to where lists are kept: its owner's, whom it lists, whom somebody that it lists vouches for, and nobody
//! else.

use std::sync::Arc;
use std::time::Duration;

use connectome::codecs::AgentId;
use connectome::codecs::identity::Accept;
use connectome::keystore::MemoryKeys;
use connectome::port::KeyStore;
use connectome::prelude::*;
use connectome::streams::Embedded;
use connectome::transport::local::Hub;
use connectome::world::SystemWorld;
use connectome::{DEAD_LETTERS, NodeOptions, Ports};
use tokio::time::timeout;

use super::{PATIENCE, until};

const OURS: [u8; 32] = [1; 32];
const THEIRS: [u8; 32] = [2; 32];

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(3600);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "note", reply = ())]
struct Note(String);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "notes", reply = Vec<String>)]
struct Notes;

/// Writes to somebody, as itself: nothing, or what the error says.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "write", reply = Option<String>)]
struct Write(String, String);

#[derive(Default)]
struct Clerk(Vec<String>);

impl Agent for Clerk {
    fn handles(table: &mut Table<Self>) {
        table.on::<Note>();
        table.on::<Notes>();
        table.on::<Write>();
    }
}

impl Handle<Note> for Clerk {
    async fn handle(&mut self, Note(text): Note, _: &mut Context<'_>) -> Result<(), HandlerError> {
        self.0.push(text);
        Ok(())
    }
}

impl Handle<Notes> for Clerk {
    async fn handle(&mut self, _: Notes, _: &mut Context<'_>) -> Result<Vec<String>, HandlerError> {
        Ok(self.0.clone())
    }
}

impl Handle<Write> for Clerk {
    async fn handle(
        &mut self,
        Write(to, text): Write,
        ctx: &mut Context<'_>,
    ) -> Result<Option<String>, HandlerError> {
        let sent = ctx.agent(&to)?.send(Note(text)).await;
        Ok(sent.err().map(|error| error.to_string()))
    }
}

/// One store and one network, for nodes of several owners.
struct Town {
    world: Arc<SystemWorld>,
    streams: Arc<Embedded>,
    hub: Hub,
}

impl Town {
    fn new() -> Town {
        let world = Arc::new(SystemWorld::new().unwrap());
        Town { streams: Arc::new(Embedded::in_memory(world.clone())), world, hub: Hub::new() }
    }

    async fn node(&self, root: [u8; 32], name: &str, accept: Accept) -> Node {
        let keys = Arc::new(MemoryKeys::from_seed(root, name));
        let transport = Arc::new(self.hub.join(keys.node_id()).unwrap());
        let ports = Ports { world: self.world.clone(), keys, transport, streams: self.streams.clone() };
        let mut options = NodeOptions::default();
        options.router.accept = accept;
        Node::start_with(ports, options).await.unwrap()
    }

    async fn letters(&self) -> u64 {
        use connectome::port::Streams;
        self.streams.stream_info(DEAD_LETTERS).await.unwrap().messages
    }
}

fn listed(agents: &[AgentId], organisations: &[AgentId]) -> Accept {
    let [agents, organisations] = [agents, organisations].map(|ids| ids.iter().copied().collect());
    Accept::Listed { agents, organisations }
}

fn agent(root: [u8; 32], name: &str) -> AgentId {
    MemoryKeys::from_seed(root, "any").agent_id(&name.parse().unwrap()).unwrap()
}

fn node(root: [u8; 32], name: &str) -> AgentId {
    AgentId(*MemoryKeys::from_seed(root, name).node_id().as_bytes())
}

fn refused(node: &Node) -> u64 {
    node.router().seal_counts().refused.get("not-accepted").copied().unwrap_or_default()
}

async fn notes(of: &AgentRef) -> Vec<String> {
    of.call(Notes).await.unwrap()
}

async fn write(from: &AgentRef, to: &str, text: &str) -> Option<String> {
    from.call(Write(to.to_owned(), text.to_owned())).await.unwrap()
}

async fn found(on: &Node, name: &str) -> AgentRef {
    timeout(PATIENCE, on.wait_for(name)).await.unwrap().unwrap()
}

/// Nodes of one owner talk, also where nobody is listed.
#[tokio::test]
async fn an_owners_nodes_talk() {
    let town = Town::new();
    let (here, there) =
        (town.node(OURS, "here", listed(&[], &[])).await, town.node(OURS, "there", listed(&[], &[])).await);
    let desk = here.spawn("desk", Clerk::default).await.unwrap();
    there.spawn("author", Clerk::default).await.unwrap();
    let author = found(&here, "author").await;
    until("they call each other", async || author.call_within(SHORT, Notes).await.is_ok()).await;
    assert_eq!(write(&author, "desk", "from our own").await, None);
    until("mail arrives", async || notes(&desk).await == ["from our own"]).await;
    here.stop().await;
    there.stop().await;
}

/// An agent that is listed writes and is written to. Another one of the same node is not: what it writes is a dead letter, and
/// nothing is sealed for it.
#[tokio::test]
async fn who_is_listed_is_talked_to() {
    let town = Town::new();
    let accept = listed(&[node(THEIRS, "theirs"), agent(THEIRS, "friend")], &[]);
    let (ours, theirs) =
        (town.node(OURS, "ours", accept).await, town.node(THEIRS, "theirs", Accept::Anybody).await);
    let desk = ours.spawn("desk", Clerk::default).await.unwrap();
    let friend = theirs.spawn("friend", Clerk::default).await.unwrap();
    let other = theirs.spawn("other", Clerk::default).await.unwrap();
    for (on, name) in [(&ours, "friend"), (&ours, "other"), (&theirs, "desk")] {
        found(on, name).await;
    }
    assert_eq!(write(&other, "desk", "from a stranger").await, None);
    until("it is a dead letter", async || town.letters().await == 1).await;
    assert_eq!(refused(&ours), 1);
    assert_eq!(write(&friend, "desk", "from a friend").await, None);
    until("mail arrives", async || notes(&desk).await == ["from a friend"]).await;

    assert_eq!(write(&desk, "friend", "to a friend").await, None);
    until("and comes back", async || notes(&friend).await == ["to a friend"]).await;
    let error = write(&desk, "other", "to a stranger").await.unwrap();
    assert!(error.contains("nothing is sent to other") && error.contains("sealing.allow"), "{error}");
    assert_eq!((notes(&other).await.len(), refused(&ours)), (0, 2));
    ours.stop().await;
    theirs.stop().await;
}

/// A node that nobody vouches for is not talked to, nor are its agents. While an organisation that is listed vouches for them
/// they are, at once, and after it has taken that back they are not.
#[tokio::test]
async fn who_is_vouched_for_is_talked_to() {
    let town = Town::new();
    let organisation = MemoryKeys::from_seed(THEIRS, "any").organisation_id();
    let ours = town.node(OURS, "ours", listed(&[], &[organisation])).await;
    let theirs = town.node(THEIRS, "theirs", Accept::Anybody).await;
    let desk = ours.spawn("desk", Clerk::default).await.unwrap();
    let author = theirs.spawn("author", Clerk::default).await.unwrap();
    until("the node is refused", async || refused(&ours) > 0).await;
    let far_desk = theirs.agent("desk").unwrap();
    assert!(far_desk.call_within(SHORT, Notes).await.is_err());

    let ids = [node(THEIRS, "theirs"), agent(THEIRS, "author")];
    for id in ids {
        theirs.router().vouch_for(id, LONG).await.unwrap();
    }
    until("it calls us", async || far_desk.call_within(SHORT, Notes).await.is_ok()).await;
    assert_eq!(write(&author, "desk", "from somebody that is vouched for").await, None);
    until("mail arrives", async || notes(&desk).await.len() == 1).await;
    // A name that is not known yet is taken for an agent of one's own.
    found(&ours, "author").await;
    assert_eq!(write(&desk, "author", "an answer").await, None);
    until("the answer arrives", async || notes(&author).await == ["an answer"]).await;

    let letters = town.letters().await;
    theirs.router().withdraw_voucher(ids[1]).await.unwrap();
    let before = notes(&desk).await.len();
    until("its mail is refused again", async || {
        write(&author, "desk", "from a stranger again").await;
        town.letters().await > letters
    })
    .await;
    until("nothing is sealed for it", async || write(&desk, "author", "another one").await.is_some()).await;
    assert!(far_desk.call_within(LONG, Notes).await.is_ok(), "the node is still vouched for");
    assert!(notes(&desk).await.len() >= before);
    theirs.router().withdraw_voucher(ids[0]).await.unwrap();
    until("its calls are refused again", async || far_desk.call_within(SHORT, Notes).await.is_err()).await;
    ours.stop().await;
    theirs.stop().await;
}

/// A certificate with the name of an agent that is somebody else's does not make its holder that agent.
#[tokio::test]
async fn a_name_is_no_proof() {
    let town = Town::new();
    let ours = town.node(OURS, "ours", Accept::Anybody).await;
    let desk = ours.spawn("desk", Clerk::default).await.unwrap();
    ours.spawn("author", Clerk::default).await.unwrap();
    let theirs = town.node(THEIRS, "theirs", Accept::Anybody).await;
    let impostor = theirs.spawn("author", Clerk::default).await.unwrap();
    found(&theirs, "desk").await;
    assert_eq!(write(&impostor, "desk", "as the author").await, None);
    until("it is a dead letter", async || town.letters().await == 1).await;
    assert_eq!(ours.router().seal_counts().refused.get("identity-mismatch"), Some(&1));
    assert!(notes(&desk).await.is_empty());
    ours.stop().await;
    theirs.stop().await;
}
