//! An agent below the supervisor that every agent has.

use connectome::prelude::*;

use super::Phoenix;

pub(super) struct Ours(AgentRef);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "ask", reply = u64)]
struct Ask;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "crash")]
struct Crash;

struct Answerer;

impl Agent for Answerer {
    fn handles(table: &mut Table<Self>) {
        table.on::<Ask>();
        table.on::<Crash>();
    }
}

impl Handle<Ask> for Answerer {
    async fn handle(&mut self, _: Ask, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        Ok(1)
    }
}

impl Handle<Crash> for Answerer {
    async fn handle(&mut self, _: Crash, _: &mut Context<'_>) -> Result<(), HandlerError> {
        panic!("as it should");
    }
}

impl Phoenix for Ours {
    const NAME: &'static str = "connectome";
    type Nest = Node;

    async fn nest() -> Node {
        Node::start(Config::in_memory()).await.expect("a node in memory needs nothing")
    }

    async fn hatch(node: &mut Node, number: usize) -> Ours {
        Ours(node.spawn(&format!("answerer-{number}"), || Answerer).await.expect("the name is free"))
    }

    async fn crash_and_ask(&mut self) -> u64 {
        self.0.cast(Crash).await.expect("the agent runs");
        self.0.call(Ask).await.expect("the next incarnation answers")
    }

    async fn clear(node: Node) {
        node.stop().await;
    }
}
