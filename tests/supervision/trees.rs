//! Trees of supervisors and agents: what falls with what, who keeps its name and its mailbox, and who is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connectome::codecs::NodeId;
use connectome::port::{Inbound, Transport, TransportError};
use connectome::prelude::*;
use connectome::protocol::Backoff;
use connectome::transport::local::Hub;
use connectome::{DownReason, Flags, Intensity, Reason};
use tokio::time::Instant;

use crate::agents::probe::*;
use crate::agents::support::*;

fn agent(log: &Log, name: &str) -> AgentSpec<Probe> {
    AgentSpec::new(name, Plan::new(log).agent())
}

fn allows(restarts: u32) -> Flags {
    Flags { intensity: Intensity { restarts, ..Intensity::default() }, ..Flags::default() }
}

/// Waits of exactly a second before each restart but the first.
fn waits(strategy: Strategy) -> Flags {
    let second = Duration::from_secs(1);
    let backoff = Some(Backoff { initial: second, cap: second, jitter_percent: 0 });
    Flags { strategy, backoff, ..Flags::default() }
}

async fn crash(node: &Node, name: &str) {
    node.agent(name).unwrap().call(Crash("boom".into())).await.unwrap_err();
}

/// A supervisor whose children crash too often ends, and its own supervisor starts it again with all of them.
#[tokio::test(start_paused = true)]
async fn an_escalation_restarts_the_branch() {
    let (node, log) = (node().await, Log::default());
    let inner = SupervisorSpec::new("inner").flags(allows(1)).agent(agent(&log, "a")).agent(agent(&log, "b"));
    let outer = SupervisorSpec::new("outer").agent(agent(&log, "c")).supervisor(inner);
    node.supervise(outer).await.unwrap();
    crash(&node, "a").await;
    log.has("a started 2").await;
    assert!(!log.all().contains(&"b stopped 1: shutdown".to_owned()));
    crash(&node, "a").await;
    log.until(|log| log.iter().filter(|entry| *entry == "b started 1").count() == 2).await;
    assert_eq!(node.agent("a").unwrap().call(Add(1)).await.unwrap(), 1);
    assert!(!log.all().iter().any(|entry| entry.starts_with("c stopped")), "its sibling goes on");
}

/// An agent that crashes more often than it may is given up alone: its name is free, its watchers and callers are
/// told, and its siblings go on.
#[tokio::test(start_paused = true)]
async fn an_agent_is_given_up_alone() {
    let node = node().await;
    let (agent, sibling) = (probe(&node, "agent").await, probe(&node, "sibling").await);
    for _ in 0..5 {
        agent.call(Crash("boom".into())).await.unwrap_err();
        sibling.call(Crash("boom".into())).await.unwrap_err();
        agent.call(Add(1)).await.unwrap();
    }
    let busy = busy(&agent).await;
    let crashes = agent.clone();
    let last = tokio::spawn(async move { crashes.call(Crash("the last straw".into())).await });
    until(|| node.accounts().pending == 2).await;
    let queued = tokio::spawn({
        let agent = agent.clone();
        async move { agent.call(Add(2)).await }
    });
    until(|| node.accounts().pending == 3).await;
    let down = agent.down();
    tokio::pin!(down);
    tokio::select! {
        biased;
        _ = &mut down => panic!("it is not down yet"),
        () = std::future::ready(()) => busy.release(),
    }
    assert_eq!(down.await.unwrap().reason, DownReason::Exit(Exit::Crashed("the last straw".into())));
    assert!(matches!(last.await.unwrap(), Err(CallError::Crashed(_))));
    match queued.await.unwrap().unwrap_err() {
        CallError::Stopped(why) => assert_eq!(why, "gave up: too many restarts"),
        other => panic!("{other:?}"),
    }
    assert_eq!(sibling.call(Add(1)).await.unwrap(), 1);
    assert_eq!(agent.down().await.unwrap().reason, DownReason::NoAgent);
    probe(&node, "agent").await;
    assert_eq!(agent.call(Add(3)).await.unwrap(), 3);
}

/// Siblings that are restarted with a crashed one keep their names and their queues, also while the group waits.
#[tokio::test(start_paused = true)]
async fn a_group_that_waits_keeps_its_mailboxes() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let (node, log) = (node().await, Log::default());
        let spec = SupervisorSpec::new("group")
            .flags(waits(strategy))
            .agent(agent(&log, "a"))
            .agent(agent(&log, "b"));
        node.supervise(spec).await.unwrap();
        let (b, began) = (node.agent("b").unwrap(), Instant::now());
        crash(&node, "a").await;
        log.has("b started 2").await;
        crash(&node, "a").await;
        log.has("b stopped 2: shutdown").await;
        let queued = tokio::spawn(async move { b.call(Add(7)).await });
        assert_eq!(queued.await.unwrap().unwrap(), 7, "it is handled once the group runs again");
        assert_eq!(began.elapsed(), Duration::from_secs(1));
        log.has("b started 3").await;
        assert_eq!(node.accounts().dead_lettered, 2, "the two that crashed");
    }
}

/// A child that is terminated while it waits to be restarted is gone: its name is free and its callers are told.
#[tokio::test(start_paused = true)]
async fn a_child_terminated_while_it_waits_is_gone() {
    let (node, log) = (node().await, Log::default());
    let spec = SupervisorSpec::new("group").flags(waits(Strategy::OneForOne)).agent(agent(&log, "a"));
    let supervisor = node.supervise(spec).await.unwrap();
    crash(&node, "a").await;
    log.has("a started 2").await;
    crash(&node, "a").await;
    log.has("a stopped 2: crashed: boom").await;
    let a = node.agent("a").unwrap();
    let queued = tokio::spawn(async move { a.call(Add(7)).await });
    until(|| node.accounts().pending == 1).await;
    supervisor.terminate("a").await.unwrap();
    assert!(matches!(queued.await.unwrap(), Err(CallError::Stopped(_))));
    assert!(node.agents().is_empty());
    supervisor.restart("a").await.unwrap();
    assert_eq!(node.agent("a").unwrap().call(Add(1)).await.unwrap(), 1);
}

/// A supervisor that ends while a child waits to be restarted takes its name and its queue with it.
#[tokio::test(start_paused = true)]
async fn a_supervisor_leaves_no_names_behind() {
    let (node, log) = (node().await, Log::default());
    for strategy in [Strategy::OneForOne, Strategy::OneForAll] {
        let spec = SupervisorSpec::new("group")
            .flags(waits(strategy))
            .agent(agent(&log, "a"))
            .agent(agent(&log, "b"));
        let supervisor = node.router().start_supervisor(spec).await.unwrap();
        crash(&node, "a").await;
        node.agent("a").unwrap().call(Add(1)).await.unwrap();
        crash(&node, "a").await;
        let a = node.agent("a").unwrap();
        let queued = tokio::spawn(async move { a.call(Add(7)).await });
        until(|| node.accounts().pending == 1).await;
        supervisor.stop().await;
        assert!(matches!(queued.await.unwrap(), Err(CallError::Stopped(_))));
        assert!(node.agents().is_empty(), "{:?}", node.agents());
    }
}

/// The end of a supervisor is told as what it was.
#[tokio::test(start_paused = true)]
async fn a_supervisor_says_how_it_ended() {
    let (node, log) = (node().await, Log::default());
    let start = async |flags| {
        let spec = SupervisorSpec::new("group").flags(flags).agent(agent(&log, "a"));
        node.router().start_supervisor(spec).await.unwrap()
    };
    let supervisor = start(allows(0)).await;
    crash(&node, "a").await;
    assert_eq!(supervisor.ended().await, Exit::GaveUp);
    let supervisor = start(allows(0)).await;
    supervisor.stop().await;
    assert_eq!(supervisor.ended().await, Exit::Shutdown);
    assert!(supervisor.count().await.unwrap_err().to_string().contains("group has ended"));
}

/// A start of a tree that fails stops what had started, in reverse, and says which child and why.
#[tokio::test]
async fn a_tree_that_can_not_start_leaves_nothing() {
    let (node, log) = (node().await, Log::default());
    let fails = Plan::new(&log).pre_start(|_| Box::pin(async { Err(HandlerError::new("no database")) }));
    let inner =
        SupervisorSpec::new("inner").agent(agent(&log, "c")).agent(AgentSpec::new("d", fails.agent()));
    let outer =
        SupervisorSpec::new("outer").agent(agent(&log, "a")).agent(agent(&log, "b")).supervisor(inner);
    let error = node.supervise(outer).await.unwrap_err().to_string();
    assert!(error.contains("d could not be started: no database"), "{error}");
    let stops: Vec<_> = log.all().into_iter().filter(|entry| entry.contains("stopped")).collect();
    assert_eq!(stops, ["c stopped 1: shutdown", "b stopped 1: shutdown", "a stopped 1: shutdown"]);
    assert!(node.agents().is_empty());
}

/// Restarts wait longer each time, and an agent that can't start again is given up within its intensity.
#[tokio::test(start_paused = true)]
async fn a_restart_that_fails_is_tried_again_later() {
    let (node, log) = (node().await, Log::default());
    let (starts, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let (count, times) = (starts.clone(), log.clone());
    let plan = Plan::new(&log).pre_start(move |_| {
        let start = count.fetch_add(1, Ordering::Relaxed);
        times.add(format!("start {start} after {} ms", began.elapsed().as_millis() / 100 * 100));
        Box::pin(async move { if start == 0 { Ok(()) } else { Err(HandlerError::new("no database")) } })
    });
    let agent = node.spawn("agent", plan.agent()).await.unwrap();
    agent.call(Crash("boom".into())).await.unwrap_err();
    until(|| node.agents().is_empty()).await;
    assert_eq!(starts.load(Ordering::Relaxed), 6, "{:?}", log.all());
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(matches!(agent.call(Add(1)).await, Err(CallError::NoAgent(_))));
}

/// An agent whose start hangs is given up like one whose start fails.
#[tokio::test(start_paused = true)]
async fn a_restart_that_hangs_is_given_up() {
    let (node, starts) = (node().await, Arc::new(AtomicU64::new(0)));
    let count = starts.clone();
    let plan = Plan::default().pre_start(move |_| {
        let start = count.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move { if start == 0 { Ok(()) } else { std::future::pending().await } })
    });
    let spec = AgentSpec::new("agent", plan.agent()).restart(Restart::Transient);
    let agent = node.spawn_with(spec).await.unwrap();
    agent.call(Crash("boom".into())).await.unwrap_err();
    let late = agent.call_within(Duration::from_secs(20), Add(1)).await.unwrap_err();
    assert!(matches!(late, CallError::NotStarted(_)), "{late:?}");
    assert_eq!(node.router().dead_letter_counts()[&Reason::Expired], 1);
    node.stop_agent("agent").await.unwrap();
    assert!(node.agents().is_empty());
}

/// A transport that panics whenever it is asked what came.
struct Broken(Arc<dyn Transport>);

#[async_trait]
impl Transport for Broken {
    fn send(&self, to: NodeId, frame: Bytes) -> Result<(), TransportError> {
        self.0.send(to, frame)
    }
    async fn ready(&self, to: NodeId) {
        self.0.ready(to).await;
    }
    fn broadcast(&self, frame: Bytes) {
        self.0.broadcast(frame);
    }
    async fn receive(&self) -> Option<Inbound> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        panic!("a transport that is broken for good")
    }
    fn reaches(&self, to: NodeId) -> bool {
        self.0.reaches(to)
    }
    async fn close(&self) {
        self.0.close().await;
    }
}

/// Machinery that can't be mended by starting it again ends the node, and the agents end in order.
#[tokio::test(start_paused = true)]
async fn machinery_that_is_broken_for_good_ends_the_node() {
    let log = Log::default();
    let (one, _two) = pair_over(&Hub::new(), |transport| Arc::new(Broken(transport))).await;
    let agent = one.spawn("agent", Plan::new(&log).agent()).await.unwrap();
    one.ended().await;
    assert_eq!(log.all(), ["agent started 1", "agent stopped 1: shutdown"]);
    assert!(agent.call(Add(1)).await.is_err());
    one.stop().await;
}
