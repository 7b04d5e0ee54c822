//! Whoever calls an agent that moves does not notice.

use std::time::Duration;

use connectome::prelude::*;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::support::{Slow, Where, cluster_about_to_run, cluster_offering, node, other_than, until};

/// What a hand-over may take here, where other tests run beside it: it is some milliseconds on a machine of its own.
const HANDED_OVER: Duration = Duration::from_secs(2);

/// A node that stops hands its agents over: of hundreds of calls at that time none fails, and another node answers soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_call_fails_when_a_node_stops() {
    let cluster = cluster_offering("desk").await;
    let (owner, _) = cluster.nodes()[0].1.agent("desk").unwrap().call(Where).await.unwrap();
    let caller = other_than(&cluster, &owner);
    let mut calls = JoinSet::new();
    for n in 0..300 {
        let desk = caller.agent("desk").unwrap();
        calls.spawn(async move { desk.call(Slow { ms: 1, piped: n % 3 == 0 }).await });
    }
    until(|| node(&cluster, &owner).accounts().accepted > 50).await;
    let (leaves, began) = (node(&cluster, &owner), Instant::now());
    let leaving = tokio::spawn(async move { leaves.stop().await });
    let (next, term) = caller.agent("desk").unwrap().call(Where).await.unwrap();
    println!("answered by {next} after {:?}", began.elapsed());
    assert!(next != owner && term == 2);
    assert!(began.elapsed() < HANDED_OVER, "{:?}", began.elapsed());
    let ends = timeout(Duration::from_secs(20), calls.join_all()).await.expect("all end");
    let failed: Vec<_> = ends.iter().filter_map(|end| end.as_ref().err()).map(ToString::to_string).collect();
    assert!(failed.is_empty(), "{} of 300 failed: {:?}", failed.len(), failed.first());
    leaving.await.unwrap();
    cluster.kill(&owner);
    cluster.stop().await;
}

/// A call waits for a name that is offered and that nobody runs yet, within its deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_call_waits_for_the_first_owner() {
    let cluster = cluster_about_to_run("desk").await;
    let calls = cluster.nodes().into_iter().map(|(_, node)| async move {
        let desk = node.agent("desk").unwrap();
        desk.cast(Slow { ms: 0, piped: false }).await.unwrap();
        desk.call(Where).await.unwrap()
    });
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    cluster.stop().await;
}

/// A call that its owner had begun when it was killed is not asked again: it may have happened, and is said to have.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_may_have_happened_is_not_sent_again() {
    let cluster = cluster_offering("desk").await;
    let (owner, _) = cluster.nodes()[0].1.agent("desk").unwrap().call(Where).await.unwrap();
    let caller = other_than(&cluster, &owner);
    let desk = caller.agent("desk").unwrap();
    let call = tokio::spawn(async move { desk.call(Slow { ms: 60_000, piped: false }).await });
    // The first call, and this one.
    until(|| node(&cluster, &owner).accounts().accepted == 2).await;
    cluster.kill(&owner);
    let error = timeout(Duration::from_secs(4), call).await.expect("it is told").unwrap().unwrap_err();
    assert!(matches!(error, CallError::PathLost(_)), "{error}");
    cluster.stop().await;
}
