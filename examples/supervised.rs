//! A crash, and who falls with it: three agents below one supervisor, and a message that no agent survives.
//!
//! The reader, the parser and the display depend on each other in that order, so `rest_for_one`: when the parser
//! crashes, it and the display begin anew, and the reader never notices. A call is promised at most once: its caller is
//! told. A durable message is tried three times, then set aside with its cause; everything else goes on.

use connectome::port::Start;
use connectome::prelude::*;
use connectome::{Buried, DEAD_LETTERS};
use tokio::sync::mpsc::{self, Sender};

#[derive(Message, Serialize, Deserialize)]
#[message(name = "reading", reply = f64)]
struct Reading(String);

/// Lines that wait to be read: more than the agents have to say altogether.
const LINES_MAX: usize = 64;

struct Stage {
    diary: Sender<(AgentName, String)>,
}

impl Agent for Stage {
    fn handles(table: &mut Table<Self>) {
        table.on::<Reading>();
    }

    async fn pre_start(&mut self, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        let line = format!("life {}", ctx.incarnation());
        Ok(self.diary.send((ctx.name().clone(), line)).await?)
    }

    async fn post_stop(&mut self, exit: &Exit, ctx: &mut Context<'_>) {
        drop(self.diary.send((ctx.name().clone(), exit.to_string())).await);
    }
}

impl Handle<Reading> for Stage {
    #[expect(clippy::panic, reason = "this example is about what comes after")]
    async fn handle(&mut self, Reading(text): Reading, _: &mut Context<'_>) -> Result<f64, HandlerError> {
        Ok(text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Node::start(Config::in_memory()).await?;
    let (diary, mut lines) = mpsc::channel(LINES_MAX);
    let stage = |name| {
        let diary = diary.clone();
        AgentSpec::new(name, move || Stage { diary: diary.clone() })
    };
    let station = SupervisorSpec::new("station")
        .strategy(Strategy::RestForOne)
        .agent(stage("reader"))
        .agent(stage("parser"))
        .agent(stage("display"));
    node.supervise(station).await?;

    let parser = node.agent("parser")?;
    println!("the parser reads {}", parser.call(Reading("21.5".into())).await?);
    let told = parser.call(Reading("cold".into())).await;
    println!("the caller was told: {}", told.expect_err("cold is no number"));

    parser.send(Reading("warm".into())).await?;
    let mut letters = node.ports().streams.tail(DEAD_LETTERS, ">", Start::First).await?;
    let letter = node.router().seals().open_letter(Buried::decode(&letters.next().await?.body)?)?;
    let (attempts, cause) = (letter.attempts, letter.cause);
    println!("a message was set aside after {attempts} attempts: {cause}");
    println!("the parser reads {}", parser.call(Reading("19.0".into())).await?);

    let last: (AgentName, String) = ("display".parse()?, "life 5".to_owned());
    let mut story: Vec<(AgentName, String)> = Vec::new();
    while !story.contains(&last) {
        story.extend(lines.recv().await);
    }
    for name in ["reader", "parser", "display"] {
        let own = story.iter().filter(|(who, _)| who.as_str() == name);
        let own: Vec<&str> = own.map(|(_, line)| line.as_str()).collect();
        println!("{name}: {}", own.join(", "));
    }

    node.router().quiet().await;
    let it = node.accounts();
    print!("accepted {} = handled {} + ", it.accepted, it.handled);
    println!("given up {} + pending {}", it.dead_lettered, it.pending);
    Ok(node.stop().await)
}
