//! A crash, and who falls with it: three agents below one supervisor, and a message that no agent survives.
//!
//! The reader, the parser and the display depend on each other in that order, so `rest_for_one`: when the parser
//! crashes, it and the display begin anew, and the reader never notices. A call is promised at most once: its caller is
//! told. A durable message is tried three times, then set aside with its cause; everything else goes on.

use connectome::port::Start;
use connectome::prelude::*;
use connectome::{Buried, DEAD_LETTERS};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

#[derive(Message, Serialize, Deserialize)]
#[message(name = "reading", reply = f64)]
struct Reading(String);

struct Stage {
    diary: UnboundedSender<String>,
}

impl Agent for Stage {
    fn handles(table: &mut Table<Self>) {
        table.on::<Reading>();
    }

    async fn pre_start(&mut self, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        Ok(self.diary.send(format!("{} begins life {}", ctx.name(), ctx.incarnation()))?)
    }

    async fn post_stop(&mut self, exit: &Exit, ctx: &mut Context<'_>) {
        drop(self.diary.send(format!("{} ends: {exit}", ctx.name())));
    }
}

impl Handle<Reading> for Stage {
    async fn handle(&mut self, Reading(text): Reading, _: &mut Context<'_>) -> Result<f64, HandlerError> {
        Ok(text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Node::start(Config::in_memory()).await?;
    let (diary, mut lines) = unbounded_channel();
    let stage = |name| {
        let diary = diary.clone();
        AgentSpec::new(name, move || Stage { diary: diary.clone() })
    };
    let station = SupervisorSpec::new("station").strategy(Strategy::RestForOne);
    node.supervise(station.agent(stage("reader")).agent(stage("parser")).agent(stage("display"))).await?;
    print_until(&mut lines, "display begins life 1").await;

    let parser = node.agent("parser")?;
    println!("the parser reads {}", parser.call(Reading("21.5".into())).await?);
    let error = parser.call(Reading("cold".into())).await.expect_err("cold is no number");
    print_until(&mut lines, "display begins life 2").await;
    println!("the caller was told: {error}");

    parser.send(Reading("warm".into())).await?;
    print_until(&mut lines, "display begins life 5").await;

    let mut letters = node.ports().streams.tail(DEAD_LETTERS, ">", Start::First).await?;
    let letter = Buried::decode(&letters.next().await?.body)?;
    println!("a message was set aside after {} attempts: {}", letter.attempts, letter.cause);
    println!("the parser reads {}", parser.call(Reading("19.0".into())).await?);

    node.router().quiet().await;
    let accounts = node.accounts();
    let (accepted, handled, dead) = (accounts.accepted, accounts.handled, accounts.dead_lettered);
    println!("accepted {accepted} = handled {handled} + given up {dead} + pending {}", accounts.pending);
    Ok(node.stop().await)
}

async fn print_until(lines: &mut UnboundedReceiver<String>, last: &str) {
    while let Some(line) = lines.recv().await {
        println!("  {line}");
        if line == last {
            return;
        }
    }
}
