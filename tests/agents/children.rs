//! Children: agents that live below another one, and end before it does.

use std::time::Duration;

use connectome::prelude::*;
use tokio::time::Instant;

use super::probe::*;
use super::support::*;

/// Starts children below an agent, in order.
async fn spawn_below(parent: &AgentRef, log: &Log, names: &'static [&'static str]) {
    let log = log.clone();
    let spawns = work(move |ctx| {
        Box::pin(async move {
            for name in names {
                ctx.spawn(name, Plan::new(&log).agent()).await?;
            }
            Ok(0)
        })
    });
    parent.call(spawns).await.unwrap();
}

async fn parent(node: &Node, log: &Log) -> AgentRef {
    node.spawn("parent", Plan::new(log).agent()).await.unwrap()
}

/// A child has its parent's name before its own, and is found by it from everywhere.
#[tokio::test]
async fn a_child_is_named_below_its_parent() {
    let ((one, two), log) = (pair().await, Log::default());
    let parent = parent(&one, &log).await;
    spawn_below(&parent, &log, &["child"]).await;
    knows(&two, "parent/child").await;
    assert_eq!(two.agent("parent/child").unwrap().call(Add(3)).await.unwrap(), 3);
    let again =
        work(|ctx| Box::pin(async move { ctx.spawn("child", Plan::default().agent()).await.map(|_| 0) }));
    assert!(parent.call(again).await.unwrap_err().to_string().contains("runs already"));
    let nameless =
        work(|ctx| Box::pin(async move { ctx.spawn("no name", Plan::default().agent()).await.map(|_| 0) }));
    parent.call(nameless).await.unwrap_err();
}

/// Children end before the `post_stop` of their parent runs, whatever ends it; their names are free again.
#[tokio::test]
async fn children_end_before_their_parent() {
    let (node, log) = (node().await, Log::default());
    let agent = parent(&node, &log).await;
    spawn_below(&agent, &log, &["a", "b"]).await;
    agent.call(Crash("boom".into())).await.unwrap_err();
    let all = log.until(|log| log.contains(&"parent started 2".to_owned())).await;
    let mut ended = all[3..5].to_vec();
    ended.sort();
    assert_eq!(ended, ["parent/a stopped 1: shutdown", "parent/b stopped 1: shutdown"]);
    assert_eq!(all[5], "parent stopped 1: crashed: boom");
    assert_eq!(node.agents(), ["parent".parse::<AgentName>().unwrap()]);
    spawn_below(&agent, &log, &["a"]).await;
    node.stop_agent("parent").await.unwrap();
    assert_eq!(log.all()[8..], ["parent/a stopped 1: shutdown", "parent stopped 2: shutdown"]);
    assert!(node.agents().is_empty());
}

/// A child that crashes is started again and its parent goes on; too many crashes are the parent's.
#[tokio::test(start_paused = true)]
async fn too_many_crashes_of_children_are_the_parents() {
    let (node, log) = (node().await, Log::default());
    let parent = parent(&node, &log).await;
    spawn_below(&parent, &log, &["child"]).await;
    let child = node.agent("parent/child").unwrap();
    for _ in 0..5 {
        child.call(Crash("boom".into())).await.unwrap_err();
        child.call(Add(1)).await.unwrap();
    }
    assert!(!log.all().contains(&"parent stopped 1: shutdown".to_owned()));
    child.call(Crash("boom".into())).await.unwrap_err();
    log.has("parent stopped 1: crashed: the supervisor of its children gave up").await;
    log.has("parent started 2").await;
    assert!(matches!(child.call(Add(1)).await, Err(CallError::NoAgent(_))));
}

/// Grandchildren end before children, and a whole branch that hangs is killed within the time of its top.
#[tokio::test(start_paused = true)]
async fn a_branch_that_hangs_is_killed_with_its_top() {
    let (node, log) = (node().await, Log::default());
    let spec =
        AgentSpec::new("top", Plan::new(&log).agent()).stop_within(StopWithin::Time(Duration::from_secs(1)));
    let top = node.spawn_with(spec).await.unwrap();
    let below = |log: &Log, name: &'static str| {
        let plan = Plan::new(log);
        work(move |ctx| {
            let patient = StopWithin::Time(Duration::from_secs(600));
            Box::pin(async move {
                ctx.spawn_with(AgentSpec::new(name, plan.agent()).stop_within(patient)).await.map(|_| 0)
            })
        })
    };
    top.call(below(&log, "middle")).await.unwrap();
    let middle = node.agent("top/middle").unwrap();
    middle.call(below(&log, "leaf")).await.unwrap();
    let _held = busy(&node.agent("top/middle/leaf").unwrap()).await;
    let began = Instant::now();
    node.stop_agent("top").await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    let ends =
        ["top/middle/leaf stopped 1: killed", "top/middle stopped 1: shutdown", "top stopped 1: shutdown"];
    assert_eq!(log.all()[3..], ends);
    assert!(node.agents().is_empty());
}

/// Children started in `pre_start` end with a start that fails.
#[tokio::test]
async fn children_of_a_failed_start_end() {
    let (node, log) = (node().await, Log::default());
    let children = log.clone();
    let plan = Plan::new(&log).pre_start(move |ctx| {
        let plan = Plan::new(&children);
        Box::pin(async move {
            ctx.spawn("child", plan.agent()).await?;
            Err(HandlerError::new("after all not"))
        })
    });
    node.spawn("parent", plan.agent()).await.unwrap_err();
    assert_eq!(log.all(), ["parent/child started 1", "parent/child stopped 1: shutdown"]);
    assert!(node.agents().is_empty());
}
