//! Two nodes: an agent is found, called, introduced to another and read from, wherever it lives.
//!
//! Nothing here says where an agent is. What crosses between the nodes is encoded as between two machines.

use connectome::prelude::*;
use connectome::{LocalCluster, NodeOptions};

#[derive(Message, Serialize, Deserialize)]
#[message(name = "ask", reply = String)]
struct Ask(String);

/// A reference in a message is bound to the node that receives it.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "consult", reply = String)]
struct Consult {
    whom: AgentRef,
    question: String,
}

#[derive(Message, Serialize, Deserialize)]
#[message(name = "recite", reply = usize, item = String)]
struct Recite(String);

#[derive(Agent)]
#[agent(handles(Ask, Consult, Recite))]
struct Scholar;

impl Handle<Ask> for Scholar {
    async fn handle(&mut self, Ask(question): Ask, ctx: &mut Context<'_>) -> Result<String, HandlerError> {
        Ok(format!("{} has thought about {question}", ctx.name()))
    }
}

impl Handle<Consult> for Scholar {
    async fn handle(&mut self, consult: Consult, ctx: &mut Context<'_>) -> Result<String, HandlerError> {
        let answer = consult.whom.call(Ask(consult.question)).await?;
        Ok(format!("{}, as {} was told", answer, ctx.name()))
    }
}

impl Handle<Recite> for Scholar {
    async fn handle(&mut self, Recite(verse): Recite, ctx: &mut Context<'_>) -> Result<usize, HandlerError> {
        let words = ctx.sink::<Recite>();
        // The mailbox is live while the verse is recited, at its listener's pace.
        ctx.pipe(async move {
            for word in verse.split(' ') {
                words.push(word.to_owned()).await?;
            }
            Ok(verse.split(' ').count())
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = LocalCluster::in_memory(NodeOptions::default())?;
    let (athens, alexandria) = (cluster.start("athens").await?, cluster.start("alexandria").await?);
    athens.spawn("plato", || Scholar).await?;
    let hypatia = alexandria.spawn("hypatia", || Scholar).await?;

    let plato = alexandria.wait_for("plato").await?;
    athens.wait_for("hypatia").await?;
    println!("{}", plato.call(Ask("the good".into())).await?);

    let consult = Consult { whom: hypatia, question: "cones".into() };
    println!("{}", plato.call(consult).await?);

    let mut words = plato.stream(Recite("sing goddess the wrath".into())).await?;
    while let Some(word) = words.next().await? {
        println!("  {word}");
    }
    println!("{} words from another node", words.reply().unwrap_or_default());
    Ok(cluster.stop().await)
}
