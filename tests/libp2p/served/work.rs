//! What a cluster over NATS does, over three nodes that share one's store: with nodes that are away, killed, and started again.

use std::time::Duration;

use connectome::prelude::*;

use super::super::support::{soon, until};
use super::office::{KEEPER, Office};
pub(super) use crate::durable::mail::Ledger;
use crate::durable::mail::{Note, notes};

#[derive(Message, Serialize, Deserialize)]
#[message(name = "where", reply = (String, u64))]
pub(super) struct Where;

pub(super) struct Desk {
    pub(super) place: String,
}

impl Agent for Desk {
    fn handles(table: &mut Table<Self>) {
        table.on::<Where>();
    }
}

impl Handle<Where> for Desk {
    async fn handle(&mut self, _: Where, ctx: &mut Context<'_>) -> Result<(String, u64), HandlerError> {
        Ok((self.place.clone(), ctx.term().map_or(0, |term| term.0)))
    }
}

#[derive(Message, Serialize, Deserialize, Clone)]
#[message(name = "double", reply = u64)]
struct Double(u64);

#[derive(Agent)]
#[agent(handles(Double))]
struct Doubler;

impl Handle<Double> for Doubler {
    async fn handle(&mut self, Double(n): Double, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        Ok(2 * n)
    }
}

async fn send(from: &Node, notes: impl IntoIterator<Item = u64>) {
    for note in notes {
        from.agent("ledger").unwrap().send(Note(note)).await.unwrap();
    }
}

async fn stop(nodes: impl IntoIterator<Item = Node>) {
    for node in nodes {
        node.stop().await;
    }
}

/// What is sent to an agent whose node is away waits in the store that another one serves, and is handled in order, once, when
/// the node is back; what its agent kept is there too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_waits_for_a_node_that_is_away() {
    let office = Office::new();
    let (keeper, at) = office.keeper().await;
    let (east, west) = (office.member("east", &at).await, office.member("west", &at).await);
    east.spawn("ledger", Ledger::default).await.unwrap();
    send(&west, 0..10).await;
    assert_eq!(soon(notes(&west, 10)).await, (0..10).collect::<Vec<_>>());
    east.stop().await;
    drop(east);
    send(&west, 10..30).await;
    let east = office.member("east", &at).await;
    east.spawn("ledger", Ledger::default).await.unwrap();
    assert_eq!(soon(notes(&east, 30)).await, (0..30).collect::<Vec<_>>());
    stop([east, west, keeper]).await;
}

/// A task that one node hands over is done by a worker of another one, and its result and its events reach everybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_are_done_by_workers_of_other_nodes() {
    const TASKS: u64 = 40;
    let office = Office::new();
    let (keeper, at) = office.keeper().await;
    let (east, west) = (office.member("east", &at).await, office.member("west", &at).await);
    west.spawn_with(AgentSpec::new("doubler", || Doubler).capability("double")).await.unwrap();
    let mut tasks = Vec::new();
    for n in 0..TASKS {
        tasks.push(east.submit(Submit::new("double", Double(n))).await.unwrap());
    }
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(soon(task.result()).await.unwrap(), 2 * n as u64);
    }
    until(async || west.task_counts().completed == TASKS).await;
    let completed = connectome::EventFilter::default().of(EventType::TaskCompleted);
    let seen = async || {
        keeper.event_history(&completed, connectome::codecs::Sequence(1), usize::MAX).await.unwrap().len()
    };
    until(async || seen().await as u64 == TASKS).await;
    stop([east, west, keeper]).await;
}

/// The process that owns an agent which several offer is killed (SIGKILL): another one owns it, under the next term.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offered_agent_moves_when_its_owner_is_killed() {
    let office = Office::new();
    let (keeper, at) = office.keeper().await;
    let mut east = office.process("east", &at);
    let west = office.member("west", &at).await;
    let desk = soon(west.wait_for("desk")).await.unwrap();
    assert_eq!(soon(desk.call(Where)).await.unwrap(), ("east".to_owned(), 1));
    west.offer("desk", || Desk { place: "west".to_owned() }).await.unwrap();
    east.kill();
    let within = Duration::from_secs(1);
    until(async || {
        let answer = desk.call_within(within, Where).await;
        answer.is_ok_and(|(place, term)| place == "west" && term == 2)
    })
    .await;
    stop([west, keeper]).await;
}

/// The process that serves the store is killed (SIGKILL) in the middle of mail and tasks, and started again: nothing that was
/// acknowledged is lost, nothing is done twice, and no node has to be started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_that_serves_is_killed_and_started_again() {
    const NOTES: u64 = 300;
    let office = Office::new();
    let mut keeper = office.process(KEEPER, "");
    let at = keeper.at.clone();
    let (east, west) = (office.member("east", &at).await, office.member("west", &at).await);
    east.spawn("ledger", Ledger::default).await.unwrap();
    west.spawn_with(AgentSpec::new("doubler", || Doubler).capability("double")).await.unwrap();
    let sending = send(&west, 0..NOTES);
    let working = async {
        for n in 0..NOTES / 4 {
            let task = east.submit(Submit::new("double", Double(n))).await.unwrap();
            assert_eq!(soon(task.result()).await.unwrap(), 2 * n);
        }
    };
    let killing = async {
        for round in 1..=3 {
            soon(notes(&east, round * 50)).await;
            tokio::task::block_in_place(|| {
                keeper.kill();
                keeper = office.process(KEEPER, "");
            });
        }
    };
    tokio::join!(sending, working, killing);
    assert_eq!(soon(notes(&east, NOTES as usize)).await, (0..NOTES).collect::<Vec<_>>());
    for node in [&east, &west] {
        let figures = node.ports().streams.connection().expect("it is a client");
        assert!(figures.up && figures.disconnected == 3, "killed in the middle: {figures:?}");
    }
    stop([east, west]).await;
}
