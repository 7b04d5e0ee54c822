//! Two nodes: the same call, from wherever it is made.

use connectome::prelude::*;
use connectome::{LocalCluster, NodeOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).init();
    let cluster = LocalCluster::in_memory(NodeOptions::default())?;
    let one = cluster.start("one").await?;
    let two = cluster.start("two").await?;
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    println!("{:?} {:?} {:?}", one.nodes(), two.nodes(), one.dead_letters());
    Ok(())
}
