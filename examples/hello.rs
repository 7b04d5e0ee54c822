//! The smallest agent: start a node, spawn an agent, ask it something.

use connectome::prelude::*;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "greet", reply = String)]
struct Greet(String);

#[derive(Agent)]
#[agent(handles(Greet))]
struct Greeter;

impl Handle<Greet> for Greeter {
    async fn handle(&mut self, Greet(name): Greet, ctx: &mut Context<'_>) -> Result<String, HandlerError> {
        Ok(format!("hello {name}, from {}", ctx.name()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Node::start(Config::in_memory()).await?;
    let greeter = node.spawn("greeter", || Greeter).await?;
    println!("{}", greeter.call(Greet("Ada".into())).await?);
    Ok(node.stop().await)
}
