//! Registration through the public door: an agent's signed record stands everywhere while it is there, and nowhere after.
//!
//! The bodies are in `cases.rs`, so that they run on nodes over any store; here they run over the embedded one.

mod cases;
pub(crate) mod support;

use connectome::prelude::*;
use connectome::{LocalCluster, NodeOptions};
use tokio::time::Instant;

pub(crate) use cases::{foreign, forged, registered, short_lives, stopped, taken};
use support::{Idler, bucket_is_empty, keys_of, name, until};

async fn three() -> (LocalCluster, Vec<Node>) {
    let cluster = LocalCluster::in_memory(NodeOptions::default()).unwrap();
    for name in ["one", "two", "three"] {
        cluster.start(name).await.unwrap();
    }
    let nodes: Vec<_> = ["one", "two", "three"].map(|name| support::node(&cluster, name)).into();
    support::all_met(&nodes).await;
    (cluster, nodes)
}

/// A registered agent is known everywhere, with what it said of itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn is_known_everywhere() {
    let (cluster, nodes) = three().await;
    registered(&nodes).await;
    cluster.stop().await;
}

/// A program that is no node registers an agent by publishing bytes, keeps it by heartbeats, and ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_program_that_is_no_node_registers() {
    let (cluster, nodes) = three().await;
    foreign(&nodes).await;
    cluster.stop().await;
}

/// What is forged, foreign, stale, too long or no record at all is refused and counted, and never shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_not_right_is_refused() {
    let (cluster, nodes) = three().await;
    forged(&nodes).await;
    cluster.stop().await;
}

/// A name that another live node has is refused, the refusal says who has it, and it is given when that one is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_taken_name_is_refused() {
    let (cluster, nodes) = three().await;
    taken(&nodes).await;
    cluster.stop().await;
}

/// A stopped agent, and those of a stopped node, are gone at once from lookups and from the bucket.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_graceful_stop_removes_at_once() {
    let (cluster, nodes) = three().await;
    stopped(&nodes).await;
    cluster.stop().await;
    assert!(bucket_is_empty(&*cluster.store()).await);
}

/// Agents that live some milliseconds leave nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn short_lives_leave_nothing() {
    let (cluster, nodes) = three().await;
    short_lives(&nodes).await;
    cluster.stop().await;
}

/// The agents of a killed node are gone within three seconds, from lookups on every node and from the bucket; those of
/// the others stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_killed_node_leaves_nothing() {
    let (cluster, nodes) = three().await;
    for n in 0..200 {
        nodes[n % 3].spawn(&format!("agent-{n}"), || Idler).await.unwrap();
    }
    until(|| nodes.iter().all(|node| node.registrations().len() == 200)).await;
    let (dead, left) = (nodes[0].id(), &nodes[1..]);
    cluster.kill("one");
    let killed = Instant::now();
    until(|| left.iter().all(|node| node.registrations().iter().all(|agent| agent.node != dead))).await;
    let hidden = killed.elapsed();
    let store = cluster.store();
    support::until_keys(&*store, |keys| keys.len() <= 133).await;
    println!("hidden after {hidden:?}, swept after {:?}", killed.elapsed());
    assert!(killed.elapsed().as_secs() < 3, "hidden {hidden:?}, swept {:?}", killed.elapsed());
    // Of 200 the second and third node have 67 and 66.
    let others = |node: &Node| node.router().remote_agents().len();
    assert_eq!(left.iter().map(others).collect::<Vec<_>>(), [66, 67]);
    until(|| left.iter().map(|node| node.registration_counts().swept).sum::<u64>() == 67).await;
    assert_eq!(keys_of(&*store).await.len(), 133);
    cluster.stop().await;
}

/// A node that is killed and started again finds its old entries, and ends with those that it wants.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_new_life_replaces_the_old_entries() {
    let (cluster, nodes) = three().await;
    for agent in ["kept", "dropped"] {
        nodes[0].spawn(agent, || Idler).await.unwrap();
        nodes[1].registered(&name(agent)).await.unwrap();
    }
    cluster.kill("one");
    let again = cluster.start("one").await.unwrap();
    again.spawn("kept", || Idler).await.unwrap();
    let life = again.router().incarnation();
    until(|| {
        let known = nodes[1].registrations();
        known.len() == 1 && known[0].agent.name.as_str() == "kept" && known[0].incarnation == life
    })
    .await;
    assert_eq!(keys_of(&*cluster.store()).await, ["kept"]);
    cluster.stop().await;
}
