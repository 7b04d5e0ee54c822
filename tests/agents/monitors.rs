//! Monitors and links: everyone who watches hears of an end, once, and nobody else does.

use std::time::Duration;

use connectome::prelude::*;
use connectome::transport::local::Hub;
use connectome::{DownReason, LocalCluster, NodeOptions};

use super::probe::*;
use super::support::*;

/// Has one agent monitor another.
async fn monitors(watcher: &AgentRef, watched: &AgentRef) {
    let watched = watched.clone();
    let monitor = work(move |ctx| Box::pin(async move { ctx.monitor(&watched).await.map(|_| 0) }));
    watcher.call(monitor).await.unwrap();
}

async fn links(one: &AgentRef, other: &AgentRef) {
    let other = other.clone();
    one.call(work(move |ctx| Box::pin(async move { ctx.link(&other).map(|()| 0) }))).await.unwrap();
}

async fn traps_exits(agent: &AgentRef) {
    let traps = work(|ctx| {
        ctx.trap_exits(true);
        Box::pin(async { Ok(0) })
    });
    agent.call(traps).await.unwrap();
}

/// A watcher and what it hears.
async fn watcher(node: &Node, name: &str) -> (AgentRef, Log) {
    let log = Log::default();
    (node.spawn(name, Plan::new(&log).agent()).await.unwrap(), log)
}

fn heard(log: &[String]) -> Vec<&str> {
    log.iter().filter(|entry| entry.contains(" heard: ")).map(String::as_str).collect()
}

/// A monitor tells the end of one incarnation, exactly once; for the next one it must be set again.
#[tokio::test]
async fn a_monitor_tells_one_end() {
    let node = node().await;
    let agent = probe(&node, "agent").await;
    let (watcher, log) = watcher(&node, "watcher").await;
    monitors(&watcher, &agent).await;
    agent.call(Crash("first".into())).await.unwrap_err();
    log.has("watcher heard: agent 1: crashed: first").await;
    agent.call(Crash("second".into())).await.unwrap_err();
    until(|| node.dead_letters().len() == 2).await;
    watcher.call(Add(1)).await.unwrap();
    assert_eq!(heard(&log.all()).len(), 1, "{:?}", log.all());
}

/// Two monitors of one agent tell its end twice, each once.
#[tokio::test]
async fn each_monitor_tells_the_end() {
    let node = node().await;
    let agent = probe(&node, "agent").await;
    let (watcher, log) = watcher(&node, "watcher").await;
    monitors(&watcher, &agent).await;
    monitors(&watcher, &agent).await;
    node.stop_agent("agent").await.unwrap();
    log.until(|log| heard(log).len() == 2).await;
    assert_eq!(heard(&log.all()), ["watcher heard: agent 1: shutdown"; 2]);
}

/// Every way to end is told as what it was.
#[tokio::test(start_paused = true)]
async fn a_monitor_tells_how() {
    let node = node().await;
    let (watcher, log) = watcher(&node, "watcher").await;
    let spec = |name| AgentSpec::new(name, Tester::default).restart(Restart::Temporary);
    let hung = node.spawn_with(spec("killed")).await.unwrap();
    monitors(&watcher, &hung).await;
    hung.cast(Hang).await.unwrap();
    node.stop_agent("killed").await.unwrap();
    log.has("watcher heard: killed 1: killed").await;

    let spec = AgentSpec::new("normal", Plan::default().agent()).restart(Restart::Transient);
    let normal = node.spawn_with(spec).await.unwrap();
    monitors(&watcher, &normal).await;
    let stops = work(|ctx| {
        ctx.stop();
        Box::pin(async { Ok(0) })
    });
    normal.call(stops).await.unwrap();
    log.has("watcher heard: normal 1: normal").await;

    monitors(&watcher, &node.agent("nobody").unwrap()).await;
    log.has("watcher heard: nobody 0: no agent").await;
}

/// What is demonitored is not heard, also where its end came just before.
#[tokio::test]
async fn what_is_demonitored_is_not_heard() {
    let (one, two) = pair().await;
    let (near, far) = (probe(&one, "near").await, probe(&two, "far").await);
    knows(&one, "far").await;
    let (watcher, log) = watcher(&one, "watcher").await;
    let elsewhere = one.agent("far").unwrap();
    let ends = near.clone();
    let watches = work(move |ctx| {
        Box::pin(async move {
            let first = ctx.monitor(&ends).await?;
            let second = ctx.monitor(&elsewhere).await?;
            ends.call(Crash("before it is taken back".into())).await.unwrap_err();
            ends.call(Add(1)).await?;
            ctx.demonitor(first);
            ctx.demonitor(second);
            Ok(0)
        })
    });
    watcher.call(watches).await.unwrap();
    two.stop_agent("far").await.unwrap();
    until(|| one.router().remote_agents().is_empty()).await;
    watcher.call(Add(1)).await.unwrap();
    assert_eq!(heard(&log.all()), Vec::<&str>::new());
    drop((near, far));
}

/// A monitor belongs to the incarnation that set it: the next one does not hear of it.
#[tokio::test]
async fn monitors_end_with_their_watcher() {
    let (one, two) = pair().await;
    let (near, _far) = (probe(&one, "near").await, probe(&two, "far").await);
    knows(&one, "far").await;
    let (watcher, log) = watcher(&one, "watcher").await;
    monitors(&watcher, &near).await;
    monitors(&watcher, &one.agent("far").unwrap()).await;
    watcher.call(Crash("boom".into())).await.unwrap_err();
    near.call(Crash("boom".into())).await.unwrap_err();
    two.stop_agent("far").await.unwrap();
    until(|| one.router().remote_agents().is_empty()).await;
    watcher.call(Add(1)).await.unwrap();
    assert_eq!(heard(&log.all()), Vec::<&str>::new());
}

/// Between nodes: one end, told once; nobody there; and the loss of the node.
#[tokio::test]
async fn monitors_reach_other_nodes() {
    let hub = Hub::new();
    let (one, two) = pair_over(&hub, |transport| transport).await;
    let (a, _b) = (probe(&two, "a").await, probe(&two, "b").await);
    knows(&one, "a").await;
    knows(&one, "b").await;
    let (watcher, log) = watcher(&one, "watcher").await;
    monitors(&watcher, &one.agent("a").unwrap()).await;
    a.call(Crash("boom".into())).await.unwrap_err();
    log.has("watcher heard: a 1: crashed: boom").await;
    monitors(&watcher, &one.agent("b").unwrap()).await;
    hub.cut(two.id());
    log.has("watcher heard: b 0: node lost").await;
    assert_eq!(heard(&log.all()).len(), 2);
}

/// `down` is a future of the same: the end of the incarnation that runs, at once when none does.
#[tokio::test]
async fn down_is_a_future() {
    let node = node().await;
    let agent = probe(&node, "agent").await;
    let told = tokio::spawn({
        let agent = agent.clone();
        async move { agent.down().await }
    });
    tokio::task::yield_now().await;
    node.stop_agent("agent").await.unwrap();
    assert_eq!(told.await.unwrap().unwrap().reason, DownReason::Exit(Exit::Shutdown));
    assert_eq!(agent.down().await.unwrap().reason, DownReason::NoAgent);
    assert!(node.agent("can:tell").unwrap().down().await.is_err());
}

/// A node that is killed is noticed: calls to it fail at once, monitors tell, and its names can be taken over.
#[tokio::test]
async fn a_killed_node_is_noticed() {
    let cluster = LocalCluster::in_memory(NodeOptions::default()).unwrap();
    let one = cluster.start("one").await.unwrap();
    let two = cluster.start("two").await.unwrap();
    two.spawn("tester", Tester::default).await.unwrap();
    knows(&one, "tester").await;
    let id = two.id();
    drop(two);
    let tester = one.agent("tester").unwrap();
    let call = tokio::spawn({
        let tester = tester.clone();
        async move { tester.call_within(Duration::from_secs(60), Hang).await }
    });
    let down = tokio::spawn({
        let tester = tester.clone();
        async move { tester.down().await }
    });
    assert_eq!(tester.call(Later(3)).await.unwrap(), 3);
    cluster.kill("two");
    let error = call.await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::PathLost(_)), "{error:?}");
    assert_eq!(down.await.unwrap().unwrap().reason, DownReason::NodeLost(id));
    until(|| one.nodes().is_empty() && one.router().remote_agents().is_empty()).await;
    one.spawn("tester", Tester::default).await.unwrap();
    assert_eq!(tester.call(Add(1)).await.unwrap(), 1);
    cluster.stop().await;
}

/// A crash reaches both sides of a link, whichever side began it; a normal end reaches neither.
#[tokio::test]
async fn a_link_shares_a_crash_and_nothing_else() {
    for reversed in [false, true] {
        let node = node().await;
        let (a, log) = watcher(&node, "a").await;
        let b = probe(&node, "b").await;
        let c = node
            .spawn_with(AgentSpec::new("c", Plan::default().agent()).restart(Restart::Temporary))
            .await
            .unwrap();
        if reversed {
            links(&b, &a).await
        } else {
            links(&a, &b).await
        };
        links(&a, &c).await;
        let ends = c.clone();
        let normally = work(|ctx| {
            ctx.stop();
            Box::pin(async { Ok(0) })
        });
        ends.call(normally).await.unwrap();
        until(|| node.agents().len() == 2).await;
        assert_eq!(a.call(Add(1)).await.unwrap(), 1);
        b.call(Crash("boom".into())).await.unwrap_err();
        log.has("a stopped 1: crashed: linked to b, which ended: crashed: boom").await;
        log.has("a started 2").await;
        // The link ended with the incarnations that had it.
        b.call(Crash("again".into())).await.unwrap_err();
        b.call(Add(1)).await.unwrap();
        a.call(Add(1)).await.unwrap();
        assert_eq!(log.all().len(), 3, "{:?}", log.all());
    }
}

/// An agent that traps exits hears of the other's end, once, and goes on; its next incarnation is not linked.
#[tokio::test]
async fn a_trapped_exit_is_heard() {
    let node = node().await;
    let (a, log) = watcher(&node, "a").await;
    let b = probe(&node, "b").await;
    traps_exits(&a).await;
    links(&a, &b).await;
    links(&a, &b).await;
    links(&b, &a).await;
    b.call(Crash("boom".into())).await.unwrap_err();
    log.until(|log| !heard(log).is_empty()).await;
    a.call(Add(1)).await.unwrap();
    assert_eq!(heard(&log.all()), ["a heard: b 0: crashed: boom"]);
}

/// A link that was taken back shares nothing.
#[tokio::test]
async fn an_unlinked_agent_is_alone() {
    let node = node().await;
    let (a, log) = watcher(&node, "a").await;
    let b = probe(&node, "b").await;
    links(&a, &b).await;
    let other = b.clone();
    let unlinks = work(move |ctx| {
        ctx.unlink(&other);
        Box::pin(async { Ok(0) })
    });
    a.call(unlinks).await.unwrap();
    b.call(Crash("boom".into())).await.unwrap_err();
    b.call(Add(1)).await.unwrap();
    a.call(Crash("boom".into())).await.unwrap_err();
    assert_eq!(b.call(Seen).await.unwrap(), [1]);
    a.call(Add(1)).await.unwrap();
    assert_eq!(log.all(), ["a started 1", "a stopped 1: crashed: boom", "a started 2"]);
}

/// A link to an agent that crashed before reaches nobody later: an old incarnation's links are not the next one's.
#[tokio::test]
async fn links_end_with_their_incarnation() {
    let node = node().await;
    let (a, log) = watcher(&node, "a").await;
    let (b, b_log) = watcher(&node, "b").await;
    traps_exits(&b).await;
    links(&a, &b).await;
    a.call(Crash("boom".into())).await.unwrap_err();
    b_log.has("b heard: a 0: crashed: boom").await;
    b.call(Crash("later".into())).await.unwrap_err();
    b.call(Add(1)).await.unwrap();
    a.call(Add(1)).await.unwrap();
    assert_eq!(log.all(), ["a started 1", "a stopped 1: crashed: boom", "a started 2"]);
}

/// Links hold within a node.
#[tokio::test]
async fn links_to_other_nodes_are_refused() {
    let (one, two) = pair().await;
    let agent = probe(&one, "agent").await;
    probe(&two, "far").await;
    knows(&one, "far").await;
    let far = one.agent("far").unwrap();
    let error =
        agent.call(work(move |ctx| Box::pin(async move { ctx.link(&far).map(|()| 0) }))).await.unwrap_err();
    assert!(error.to_string().contains("monitor an agent of another node"), "{error}");
}
