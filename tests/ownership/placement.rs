//! A thousand names on three nodes: shared evenly, and moved without a storm.

use std::collections::BTreeMap;
use std::time::Duration;

use connectome::{LocalCluster, OwnershipCounts};
use tokio::time::Instant;

use super::support::{NODES, cluster, node, offer, until};

const NAMES: usize = 1_000;

/// The largest share of one node, as a multiple of the mean.
const SPREAD_MAX: f64 = 1.5;

fn counts(cluster: &LocalCluster) -> BTreeMap<String, usize> {
    cluster.nodes().into_iter().map(|(name, node)| (name, node.agents().len())).collect()
}

fn total(cluster: &LocalCluster) -> OwnershipCounts {
    cluster.nodes().iter().fold(OwnershipCounts::default(), |mut sum, (_, node)| {
        let counts = node.ownership_counts();
        sum.acquired += counts.acquired;
        sum.lost += counts.lost;
        sum.fenced += counts.fenced;
        sum.renewed += counts.renewed;
        sum
    })
}

/// No node has more than half as much again as the mean; a death moves a third of the names and no others, each by one
/// take-over; nobody is fenced, since nobody was wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_thousand_names_are_shared_and_move() {
    let cluster = cluster().await;
    for n in 0..NAMES {
        for place in NODES {
            offer(&node(&cluster, place), place, &format!("desk-{n}")).await;
        }
    }
    until(|| counts(&cluster).values().sum::<usize>() == NAMES).await;
    let shares = counts(&cluster);
    println!("shares {shares:?}");
    assert!(shares.values().all(|share| (*share as f64) <= SPREAD_MAX * (NAMES / 3) as f64), "{shares:?}");

    cluster.kill("two");
    let killed = Instant::now();
    until(|| counts(&cluster).values().sum::<usize>() == NAMES).await;
    let (after, took) = (total(&cluster), killed.elapsed());
    println!("{} names moved in {took:?}", shares["two"]);
    assert_eq!(
        after.acquired, NAMES as u64,
        "each of those that are left took its own, and what moved, once"
    );
    assert_eq!((after.lost, after.fenced), (0, 0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    cluster.stop().await;
}
