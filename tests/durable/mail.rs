//! `send`: stored, delivered in order, applied once, also over crashes and the death of a node.

use connectome::codecs::Sequence;
use connectome::port::Start;
use connectome::prelude::*;
use connectome::{Buried, DEAD_LETTERS, LocalCluster, NodeOptions};

#[derive(Message, Serialize, Deserialize)]
#[message(name = "note", reply = ())]
pub(crate) struct Note(pub(crate) u64);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "poison", reply = ())]
struct Poison;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "read", reply = Vec<u64>)]
pub(super) struct Read;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "crash", reply = ())]
struct Crash;

/// Keeps every note it was ever sent.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Ledger {
    notes: Vec<u64>,
}

impl Agent for Ledger {
    const KEEPS_STATE: bool = true;

    fn handles(table: &mut Table<Self>) {
        table.on::<Note>();
        table.on::<Poison>();
        table.on::<Read>();
        table.on::<Crash>();
    }

    fn save(&self) -> connectome::Bytes {
        connectome::codecs::wire::encode(&self.notes).expect("numbers can be encoded")
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), HandlerError> {
        self.notes = connectome::codecs::wire::decode(state)?;
        Ok(())
    }
}

impl Handle<Note> for Ledger {
    async fn handle(&mut self, Note(n): Note, _: &mut Context<'_>) -> Result<(), HandlerError> {
        self.notes.push(n);
        Ok(())
    }
}

impl Handle<Poison> for Ledger {
    async fn handle(&mut self, _: Poison, _: &mut Context<'_>) -> Result<(), HandlerError> {
        panic!("poisoned")
    }
}

impl Handle<Crash> for Ledger {
    async fn handle(&mut self, _: Crash, _: &mut Context<'_>) -> Result<(), HandlerError> {
        panic!("on purpose")
    }
}

impl Handle<Read> for Ledger {
    async fn handle(&mut self, _: Read, _: &mut Context<'_>) -> Result<Vec<u64>, HandlerError> {
        Ok(self.notes.clone())
    }
}

pub(crate) async fn notes(node: &Node, count: usize) -> Vec<u64> {
    let ledger = node.agent("ledger").unwrap();
    loop {
        match ledger.call(Read).await {
            Ok(notes) if notes.len() >= count => return notes,
            Ok(_) | Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// Messages sent to an agent that is not running wait for it, and arrive in order.
#[tokio::test]
async fn mail_waits_for_its_agent() {
    let node = Node::start(Config::in_memory()).await.unwrap();
    let ledger = node.agent("ledger").unwrap();
    for n in 0..50 {
        ledger.send(Note(n)).await.unwrap();
    }
    node.spawn("ledger", Ledger::default).await.unwrap();
    assert_eq!(notes(&node, 50).await, (0..50).collect::<Vec<_>>());
    node.stop().await;
}

/// A crash between two messages loses nothing that was applied, and applies nothing twice.
#[tokio::test]
async fn kept_state_outlives_a_crash() {
    let node = Node::start(Config::in_memory()).await.unwrap();
    let ledger = node.spawn("ledger", Ledger::default).await.unwrap();
    for n in 0..20 {
        ledger.send(Note(n)).await.unwrap();
        if n % 7 == 3 {
            ledger.cast(Crash).await.unwrap();
        }
    }
    assert_eq!(notes(&node, 20).await, (0..20).collect::<Vec<_>>());
    node.stop().await;
}

/// A message that crashes its agent three times is set aside with its cause, and the agent goes on.
#[tokio::test]
async fn a_poisoned_message_is_quarantined() {
    let node = Node::start(Config::in_memory()).await.unwrap();
    let ledger = node.spawn("ledger", Ledger::default).await.unwrap();
    ledger.send(Note(1)).await.unwrap();
    ledger.send(Poison).await.unwrap();
    ledger.send(Note(2)).await.unwrap();
    assert_eq!(notes(&node, 2).await, [1, 2]);
    let store = node.ports().streams.clone();
    let letters = store.read(DEAD_LETTERS, ">", Sequence(1), 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    let sealed = Buried::decode(&letters[0].body).unwrap();
    assert_eq!((sealed.code.as_str(), sealed.cause.as_str(), sealed.attempts), ("crashed", "", 3));
    let letter = node.router().seals().open_letter(sealed).unwrap();
    assert_eq!(letter.cause, "poisoned");
    node.stop().await;
}

/// The same id is applied once, however often it is sent.
#[tokio::test]
async fn the_same_id_is_applied_once() {
    let node = Node::start(Config::in_memory()).await.unwrap();
    let ledger = node.spawn("ledger", Ledger::default).await.unwrap();
    let id = node.router().message_id();
    for _ in 0..3 {
        ledger.send_as(id, Note(1)).await.unwrap();
    }
    ledger.send(Note(2)).await.unwrap();
    assert_eq!(notes(&node, 2).await, [1, 2]);
    node.stop().await;
}

/// An agent whose node was killed goes on, elsewhere, where its state was left.
#[tokio::test]
async fn an_agent_moves_with_its_state() {
    let cluster = LocalCluster::in_memory(NodeOptions::default()).unwrap();
    let one = cluster.start("one").await.unwrap();
    let two = cluster.start("two").await.unwrap();
    one.spawn("ledger", Ledger::default).await.unwrap();
    let ledger = two.agent("ledger").unwrap();
    for n in 0..10 {
        ledger.send(Note(n)).await.unwrap();
    }
    notes(&one, 10).await;
    cluster.kill("one");
    for n in 10..20 {
        ledger.send(Note(n)).await.unwrap();
    }
    while two.spawn("ledger", Ledger::default).await.is_err() {
        tokio::task::yield_now().await; // its name is free once the other node is known to be gone
    }
    assert_eq!(notes(&two, 20).await, (0..20).collect::<Vec<_>>());
    cluster.stop().await;
}

/// Events tell of agents that come and go, live and from the past.
#[tokio::test]
async fn events_are_heard_live_and_later() {
    let node = Node::start(Config::in_memory()).await.unwrap();
    let wanted =
        connectome::EventFilter::default().of(EventType::AgentRegistered).of(EventType::AgentUnregistered);
    let mut live = node.listen(wanted.clone(), Start::New).await.unwrap();
    node.spawn("ledger", Ledger::default).await.unwrap();
    node.stop_agent("ledger").await.unwrap();
    let (first, second) = (live.next().await.unwrap(), live.next().await.unwrap());
    assert_eq!(first.event.fact.event_type(), EventType::AgentRegistered);
    assert_eq!(second.event.fact.event_type(), EventType::AgentUnregistered);
    let past = node.event_history(&wanted, Sequence(1), 10).await.unwrap();
    assert_eq!(past, [first, second]);
    node.stop().await;
}
