//! One runs; when its node dies, leaves or takes its offer back, another one does; when it comes back, nothing moves.

use std::time::Duration;

use connectome::codecs::message::Effect;
use connectome::prelude::*;
use tokio::time::Instant;

use super::support::{Note, Where, all_noted, cluster_offering, node, offer, other_than, runs_on, until};

/// Offered on three nodes, an agent runs on exactly one of them, under the first term.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn offered_on_three_one_runs() {
    let cluster = cluster_offering("desk").await;
    for (_, node) in cluster.nodes() {
        let (place, term) = node.agent("desk").unwrap().call(Where).await.unwrap();
        assert_eq!((runs_on(&cluster, "desk"), term), (vec![place], 1));
    }
    let acquired: u64 = cluster.nodes().iter().map(|(_, node)| node.ownership_counts().acquired).sum();
    assert_eq!(acquired, 1);
    cluster.stop().await;
}

/// The owner is killed: the next answer comes within three seconds, from another node, under a newer term.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_killed_owner_is_replaced() {
    let cluster = cluster_offering("desk").await;
    let desk = cluster.nodes()[0].1.agent("desk").unwrap();
    let (owner, _) = desk.call(Where).await.unwrap();
    let desk = other_than(&cluster, &owner).agent("desk").unwrap();
    cluster.kill(&owner);
    let killed = Instant::now();
    let (next, term) = answered(&desk).await;
    println!("answered after {:?}", killed.elapsed());
    assert!(killed.elapsed() < Duration::from_secs(3), "{:?}", killed.elapsed());
    assert_ne!(next, owner);
    assert_eq!(term, 2);
    cluster.stop().await;
}

/// What was sent before, while and after its owner died is in the agent's state once, in order, and terms only rise.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn its_state_moves_with_it() {
    let cluster = cluster_offering("desk").await;
    let (owner, _) = cluster.nodes()[0].1.agent("desk").unwrap().call(Where).await.unwrap();
    let desk = other_than(&cluster, &owner).agent("desk").unwrap();
    for n in 0..60 {
        desk.send(Note(n)).await.unwrap();
        if n == 20 {
            cluster.kill(&owner);
        }
    }
    let notes = all_noted(&desk, 60).await;
    assert_eq!(notes.iter().map(|(n, _)| *n).collect::<Vec<_>>(), (0..60).collect::<Vec<_>>());
    assert!(notes.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{notes:?}");
    cluster.stop().await;
}

/// A node that comes back takes nothing that somebody owns.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_node_that_comes_back_steals_nothing() {
    let cluster = cluster_offering("desk").await;
    let (owner, _) = cluster.nodes()[0].1.agent("desk").unwrap().call(Where).await.unwrap();
    let desk = other_than(&cluster, &owner).agent("desk").unwrap();
    cluster.kill(&owner);
    let (next, term) = answered(&desk).await;
    let back = cluster.start(&owner).await.unwrap();
    offer(&back, &owner, "desk").await;
    until(|| back.nodes().len() == 2 && back.router().remote_agents().len() == 1).await;
    // What it offers after that and nobody owns, it takes: so it would have taken the desk, if it did.
    offer(&back, &owner, "lamp").await;
    until(|| runs_on(&cluster, "lamp") == [owner.clone()]).await;
    assert_eq!(back.agent("desk").unwrap().call(Where).await.unwrap(), (next, term));
    assert_eq!(back.ownership_counts().acquired, 1);
    cluster.stop().await;
}

/// An offer that is taken back goes to another node.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_offer_can_be_taken_back() {
    let cluster = cluster_offering("desk").await;
    let desk = cluster.nodes()[0].1.agent("desk").unwrap();
    let (owner, _) = desk.call(Where).await.unwrap();
    assert!(node(&cluster, &owner).withdraw("desk"));
    assert!(!node(&cluster, &owner).withdraw("desk"));
    until(|| runs_on(&cluster, "desk").iter().any(|place| *place != owner)).await;
    let (next, term) = desk.call(Where).await.unwrap();
    assert!(next != owner && term == 2, "{next} under term {term}");
    let counts = node(&cluster, &owner).ownership_counts();
    assert_eq!((counts.released, counts.lost, counts.fenced), (1, 0, 0));
    cluster.stop().await;
}

/// A name that nobody offers fails at once; a name that was offered a moment ago is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn unknown_names_fail_at_once() {
    let cluster = cluster_offering("desk").await;
    let node = cluster.nodes()[0].1.clone();
    let began = Instant::now();
    let error = node.agent("nobody").unwrap().call(Where).await.unwrap_err();
    assert!(matches!(error, CallError::NoAgent(_)), "{error}");
    assert!(began.elapsed() < Duration::from_secs(1));
    node.agent("desk").unwrap().call(Where).await.unwrap();
    cluster.nodes().iter().for_each(|(_, node)| assert!(node.withdraw("desk")));
    until(|| runs_on(&cluster, "desk").is_empty()).await;
    let within = Duration::from_millis(300);
    let error = node.agent("desk").unwrap().call_within(within, Where).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), ("not_sent", Effect::None), "{error}");
    cluster.stop().await;
}

/// The first answer, however many calls it takes.
pub(super) async fn answered(desk: &AgentRef) -> (String, u64) {
    loop {
        if let Ok(answer) = desk.call(Where).await {
            return answer;
        }
    }
}
