//! The end of a node: what is queued is handled, what is new is refused, and everything ends in order.

use std::time::Duration;

use connectome::prelude::*;
use connectome::{Reason, SupervisorError};

use super::probe::*;
use super::support::*;

/// A stopping node handles what is queued before it stops the agents.
#[tokio::test(start_paused = true)]
async fn what_is_queued_is_handled() {
    let node = node().await;
    let agent = probe(&node, "agent").await;
    for _ in 0..50 {
        let slow = work(|_| {
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok(0)
            })
        });
        agent.cast(slow).await.unwrap();
    }
    node.stop().await;
    let accounts = node.accounts();
    assert_eq!((accounts.handled, accounts.pending, accounts.dead_lettered), (50, 0, 0));
}

/// What is not handled by the drain deadline is reported: each message is a dead letter, each caller is told.
#[tokio::test(start_paused = true)]
async fn what_is_not_handled_in_time_is_reported() {
    let node = node().await;
    let agent = probe(&node, "agent").await;
    let _held = busy(&agent).await;
    agent.cast(Add(1)).await.unwrap();
    let call = tokio::spawn(async move { agent.call_within(Duration::from_secs(600), Add(2)).await });
    until(|| node.accounts().pending == 3).await;
    node.stop().await;
    assert!(matches!(call.await.unwrap(), Err(CallError::Stopped(_))));
    let counts = node.router().dead_letter_counts();
    assert_eq!((counts[&Reason::Stopped], counts[&Reason::Crashed]), (2, 1));
    assert!(node.accounts().balance());
    assert_eq!(node.accounts().pending, 0);
}

/// A stopping node refuses new work, near and far, and new agents; what its agents ask of each other goes on.
#[tokio::test(start_paused = true)]
async fn a_stopping_node_refuses_what_is_new() {
    let (one, two) = pair().await;
    let (agent, helper) = (probe(&one, "agent").await, probe(&one, "helper").await);
    knows(&two, "helper").await;
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let ends_with_help = work(move |_| {
        Box::pin(async move {
            gone.await.ok();
            Ok(helper.call(Add(7)).await?)
        })
    });
    let in_hand =
        tokio::spawn(async move { agent.call_within(Duration::from_secs(600), ends_with_help).await });
    until(|| one.accounts().pending == 1).await;
    let stopping = tokio::spawn({
        let one = one.clone();
        async move { one.stop().await }
    });
    until(|| one.router().is_draining()).await;
    for helper in [one.agent("helper").unwrap(), two.agent("helper").unwrap()] {
        let error = helper.call(Add(1)).await.unwrap_err();
        assert!(matches!(&error, CallError::Stopped(why) if why == "its node is stopping"), "{error:?}");
    }
    let refused = one.spawn("late", Plan::default().agent()).await.unwrap_err();
    assert!(matches!(refused, SupervisorError::Stopping), "{refused}");
    go.send(()).unwrap();
    assert_eq!(in_hand.await.unwrap().unwrap(), 7);
    stopping.await.unwrap();
    assert_eq!(one.router().dead_letter_counts()[&Reason::Stopped], 2);
}

/// Agents of a supervisor stop in reverse, each after the ones that were started later.
#[tokio::test]
async fn a_node_stops_in_reverse() {
    let (node, log) = (node().await, Log::default());
    let agent = |name: &str| AgentSpec::new(name, Plan::new(&log).agent());
    let inner = SupervisorSpec::new("inner").agent(agent("b")).agent(agent("c"));
    let outer = SupervisorSpec::new("outer").agent(agent("a")).supervisor(inner).agent(agent("d"));
    node.supervise(outer).await.unwrap();
    node.stop().await;
    let stops: Vec<_> =
        log.all().iter().filter(|e| e.contains("stopped")).map(|e| e[..1].to_owned()).collect();
    assert_eq!(stops, ["d", "c", "b", "a"]);
    node.ended().await;
}

/// Stopping twice, or at the same time, is stopping once; afterwards everything says so instead of waiting.
#[tokio::test(start_paused = true)]
async fn a_stopped_node_says_so() {
    let (node, log) = (node().await, Log::default());
    let agent = node.spawn("agent", Plan::new(&log).agent()).await.unwrap();
    tokio::join!(node.stop(), node.stop());
    node.stop().await;
    assert_eq!(log.all(), ["agent started 1", "agent stopped 1: shutdown"]);
    assert!(agent.call(Add(1)).await.is_err());
    assert!(agent.cast(Add(1)).await.is_err());
    assert!(node.spawn("late", Plan::default().agent()).await.is_err());
    assert!(node.stop_agent("agent").await.is_err());
}

/// A node that stops is noticed by the others at once, and its names are free for them.
#[tokio::test]
async fn others_notice_a_node_that_stops() {
    let (one, two) = pair().await;
    probe(&one, "agent").await;
    knows(&two, "agent").await;
    assert_eq!(two.nodes().len(), 1);
    one.stop().await;
    until(|| two.nodes().is_empty() && two.router().remote_agents().is_empty()).await;
    probe(&two, "agent").await;
}
