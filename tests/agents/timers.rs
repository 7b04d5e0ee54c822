//! Timers: once, again and again, cancelled, and gone with the incarnation that set them.

use std::time::Duration;

use tokio::time::sleep;

use super::probe::*;
use super::support::*;

const SECOND: Duration = Duration::from_secs(1);

/// `after` sends once, after the delay and not before, with the agent as the sender.
#[tokio::test(start_paused = true)]
async fn after_sends_once() {
    let node = node().await;
    let agent = probe(&node, "agent").await;
    agent.call(work(|ctx| Box::pin(async move { ctx.after(SECOND, Add(1)).map(|_| 0) }))).await.unwrap();
    sleep(Duration::from_millis(999)).await;
    assert_eq!(agent.call(Seen).await.unwrap(), Vec::<u64>::new());
    sleep(60 * SECOND).await;
    assert_eq!(agent.call(Seen).await.unwrap(), [1]);
}

/// `every` sends once a period, until it is cancelled.
#[tokio::test(start_paused = true)]
async fn every_sends_until_cancelled() {
    let (node, log) = (node().await, Log::default());
    let agent = probe(&node, "agent").await;
    let (give, timer) = tokio::sync::oneshot::channel();
    let starts = work(|ctx| {
        Box::pin(async move {
            give.send(ctx.every(SECOND, Add(1))?).ok();
            Ok(0)
        })
    });
    agent.call(starts).await.unwrap();
    sleep(Duration::from_millis(3_500)).await;
    assert_eq!(agent.call(Seen).await.unwrap(), [1, 1, 1]);
    timer.await.unwrap().cancel();
    sleep(10 * SECOND).await;
    assert_eq!(agent.call(Seen).await.unwrap(), [1, 1, 1]);
    drop(log);
}

/// A slow agent is not flooded: while a tick waits to be handled no further one is sent.
#[tokio::test(start_paused = true)]
async fn a_slow_agent_is_not_flooded() {
    let node = node().await;
    let agent = probe(&node, "agent").await;
    agent.call(work(|ctx| Box::pin(async move { ctx.every(SECOND, Add(1)).map(|_| 0) }))).await.unwrap();
    let busy = busy(&agent).await;
    sleep(100 * SECOND).await;
    assert_eq!(node.accounts().pending, 2, "what it is busy with, and one tick");
    busy.release();
    sleep(Duration::from_millis(2_500)).await;
    assert_eq!(agent.call(Seen).await.unwrap(), [1, 1, 1]);
}

/// Timers belong to the incarnation that set them: after a restart they are gone.
#[tokio::test(start_paused = true)]
async fn timers_are_gone_after_a_restart() {
    let node = node().await;
    let agent = probe(&node, "agent").await;
    let sets = work(|ctx| {
        Box::pin(async move {
            ctx.every(SECOND, Add(1))?;
            ctx.after(SECOND, Add(2))?;
            Ok(0)
        })
    });
    agent.call(sets).await.unwrap();
    agent.call(Crash("boom".into())).await.unwrap_err();
    sleep(10 * SECOND).await;
    assert_eq!(agent.call(Seen).await.unwrap(), Vec::<u64>::new());
}

/// A timer outlives a restart where `pre_start` sets it.
#[tokio::test(start_paused = true)]
async fn pre_start_may_set_timers() {
    let node = node().await;
    let plan = Plan::default().pre_start(|ctx| Box::pin(async move { ctx.every(SECOND, Add(1)).map(drop) }));
    let agent = node.spawn("agent", plan.agent()).await.unwrap();
    agent.call(Crash("boom".into())).await.unwrap_err();
    sleep(Duration::from_millis(2_500)).await;
    assert_eq!(agent.call(Seen).await.unwrap(), [1, 1]);
}

/// A period of zero is refused; no delay is too long.
#[tokio::test(start_paused = true)]
async fn odd_durations_are_no_panic() {
    let node = node().await;
    let agent = probe(&node, "agent").await;
    let zero =
        agent.call(work(|ctx| Box::pin(async move { ctx.every(Duration::ZERO, Add(1)).map(|_| 0) }))).await;
    assert!(zero.unwrap_err().to_string().contains("longer than zero"));
    let long = work(|ctx| {
        Box::pin(async move {
            ctx.every(Duration::MAX, Add(1))?;
            ctx.after(Duration::MAX, Add(1))?;
            Ok(0)
        })
    });
    agent.call(long).await.unwrap();
    sleep(SECOND).await;
    assert_eq!(agent.call(Seen).await.unwrap(), Vec::<u64>::new());
}
