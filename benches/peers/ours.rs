//! The counter as an agent.

use connectome::prelude::*;

use super::{Counter, Goal, Peer};

#[derive(Clone)]
pub(crate) struct Ours {
    agent: AgentRef,
    node: Node,
}

#[derive(Message, Serialize, Deserialize)]
#[message(name = "add", reply = u64)]
struct Add(u64);

impl Agent for Counter {
    fn handles(table: &mut Table<Self>) {
        table.on::<Add>();
    }
}

impl Handle<Add> for Counter {
    async fn handle(&mut self, Add(value): Add, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        Ok(self.add(value))
    }
}

impl Ours {
    /// One more on the same node.
    pub(crate) async fn another(self, number: usize, goal: Goal) -> Ours {
        let node = self.node;
        let name = format!("counter-{number}");
        let agent = node.spawn(&name, move || Counter::new(goal.clone())).await.expect("the name is free");
        Ours { agent, node }
    }
}

impl Peer for Ours {
    const NAME: &'static str = "connectome";

    async fn start(goal: Goal) -> Ours {
        let node = Node::start(Config::in_memory()).await.expect("a node in memory needs nothing");
        let agent =
            node.spawn("counter", move || Counter::new(goal.clone())).await.expect("the name is free");
        Ours { agent, node }
    }

    async fn cast(&self, value: u64) {
        self.agent.cast(Add(value)).await.expect("the agent runs");
    }

    async fn call(&self, value: u64) -> u64 {
        self.agent.call(Add(value)).await.expect("the agent answers")
    }
}
