//! One till, three nodes: whichever owns it is killed, the next one leaves, and the money is all there.
//!
//! Each node offers the till; one runs it, under a term that rises with every owner. What it keeps moves along, and what
//! is sent meanwhile waits.

use std::time::Duration;

use connectome::prelude::*;
use connectome::{LocalCluster, NodeOptions};

#[derive(Message, Serialize, Deserialize)]
#[message(name = "sale", reply = ())]
struct Sale(u64);

/// How much is in it, where it stands, and under which term.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "total", reply = (u64, String, u64))]
struct Total;

struct Till {
    place: String,
    total: u64,
}

impl Agent for Till {
    const KEEPS_STATE: bool = true;

    fn handles(table: &mut Table<Self>) {
        table.on::<Sale>();
        table.on::<Total>();
    }

    fn save(&self) -> connectome::Bytes {
        self.total.to_be_bytes().to_vec().into()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), HandlerError> {
        self.total = u64::from_be_bytes(state.try_into()?);
        Ok(())
    }
}

impl Handle<Sale> for Till {
    async fn handle(&mut self, Sale(amount): Sale, _: &mut Context<'_>) -> Result<(), HandlerError> {
        self.total += amount;
        Ok(())
    }
}

impl Handle<Total> for Till {
    async fn handle(&mut self, _: Total, ctx: &mut Context<'_>) -> Result<(u64, String, u64), HandlerError> {
        Ok((self.total, self.place.clone(), ctx.term().map_or(0, |term| term.0)))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = LocalCluster::in_memory(NodeOptions::default())?;
    for place in ["north", "south", "west"] {
        let node = cluster.start(place).await?;
        node.offer("till", move || Till { place: place.into(), total: 0 }).await?;
    }
    let customer = cluster.start("street").await?;
    let till = customer.wait_for("till").await?;

    let owner = sell(&till, 10).await?;
    cluster.kill(&owner);
    println!("its node is killed");

    let owner = sell(&till, 20).await?;
    if let Some((_, node)) = cluster.nodes().into_iter().find(|(name, _)| *name == owner) {
        node.stop().await;
    }
    println!("its node leaves");

    sell(&till, 30).await?;
    Ok(cluster.stop().await)
}

/// Sells something for ten, and waits until that makes `sum`.
async fn sell(till: &AgentRef, sum: u64) -> Result<String, Box<dyn std::error::Error>> {
    till.send(Sale(10)).await?;
    loop {
        let (total, place, term) = till.call(Total).await?;
        if total == sum {
            println!("{total} in the till, under term {term}");
            return Ok(place);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
