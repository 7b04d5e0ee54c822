//! Pipes: long work beside a live mailbox, and that it ends when nobody wants it any more.

use std::time::Duration;

use connectome::Reason;
use connectome::codecs::message::Effect;
use connectome::prelude::*;

use super::probe::*;
use super::support::*;

/// Pieces of work that an agent may have under way; see `Context::pipe`.
const BACKGROUND_MAX: u64 = 1_024;

/// A pipe that never ends of itself, and writes to the log when it is dropped.
fn endless(log: &Log) -> Do {
    let guard = OnDrop(log.clone(), "dropped");
    work(move |ctx| {
        Box::pin(async move {
            ctx.pipe(async move {
                let _guard = guard;
                std::future::pending().await
            })
        })
    })
}

/// The same for agents that are far away.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "endless", reply = u64)]
struct Endless;

struct Piper(Log);

impl Agent for Piper {
    fn handles(table: &mut Table<Self>) {
        table.on::<Endless>();
        table.on::<Add>();
    }
}

impl Handle<Endless> for Piper {
    async fn handle(&mut self, _: Endless, ctx: &mut Context<'_>) -> Result<u64, HandlerError> {
        let guard = OnDrop(self.0.clone(), "dropped");
        self.0.add("piping");
        ctx.pipe(async move {
            let _guard = guard;
            std::future::pending().await
        })
    }
}

impl Handle<Add> for Piper {
    async fn handle(&mut self, Add(number): Add, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        Ok(number)
    }
}

/// The mailbox is live while a pipe works, and the message counts as pending until the pipe ends.
#[tokio::test]
async fn the_mailbox_is_live_meanwhile() {
    let node = node().await;
    let agent = probe(&node, "agent").await;
    let (go, gone) = tokio::sync::oneshot::channel();
    let waits = work(move |ctx| Box::pin(async move { ctx.pipe(async move { Ok(gone.await?) }) }));
    let piped = tokio::spawn({
        let agent = agent.clone();
        async move { agent.call(waits).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(agent.call(Add(1)).await.unwrap(), 1);
    until(|| node.accounts().pending == 1).await;
    go.send(7).unwrap();
    assert_eq!(piped.await.unwrap().unwrap(), 7);
    node.router().quiet().await;
    assert_eq!(node.accounts().handled, 2);
}

/// A caller that goes away takes the pipe with it: it is dropped, and its message is a dead letter.
#[tokio::test]
async fn a_caller_that_goes_away_ends_the_pipe() {
    let (node, log) = (node().await, Log::default());
    let agent = probe(&node, "agent").await;
    let caller = tokio::spawn({
        let (agent, endless) = (agent.clone(), endless(&log));
        async move { agent.call(endless).await }
    });
    until(|| node.accounts().pending == 1).await;
    agent.call(Add(1)).await.unwrap();
    caller.abort();
    log.has("dropped").await;
    node.router().quiet().await;
    assert_eq!(node.router().dead_letter_counts()[&Reason::Abandoned], 1);
    assert!(node.accounts().balance());
}

/// A deadline ends the pipe, near and far.
#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_pipe() {
    let ((one, two), log) = (pair().await, Log::default());
    let heard = log.clone();
    let near = one.spawn("piper", move || Piper(heard.clone())).await.unwrap();
    knows(&two, "piper").await;
    for (times, agent) in [near, two.agent("piper").unwrap()].into_iter().enumerate() {
        let error = agent.call_within(Duration::from_secs(1), Endless).await.unwrap_err();
        assert_eq!(error.effect(), Effect::Possible);
        log.until(|log| log.iter().filter(|entry| *entry == "dropped").count() == times + 1).await;
    }
    one.router().quiet().await;
    assert_eq!(one.accounts().dead_lettered, 2);
}

/// A far caller that goes away ends the pipe as a near one does, and so does the loss of its node.
#[tokio::test]
async fn a_far_caller_that_goes_away_ends_the_pipe() {
    for loses_node in [false, true] {
        let (hub, log) = (connectome::transport::local::Hub::new(), Log::default());
        let (one, two) = pair_over(&hub, |transport| transport).await;
        let heard = log.clone();
        one.spawn("piper", move || Piper(heard.clone())).await.unwrap();
        knows(&two, "piper").await;
        let far = two.agent("piper").unwrap();
        let caller = tokio::spawn(async move { far.call_within(Duration::from_secs(60), Endless).await });
        log.has("piping").await;
        if loses_node {
            hub.cut(two.id());
        } else {
            caller.abort();
        }
        log.has("dropped").await;
    }
}

/// The end of its agent ends a pipe, by a stop and by a crash, and the caller is told.
#[tokio::test]
async fn the_end_of_its_agent_ends_the_pipe() {
    for crashes in [false, true] {
        let (node, log) = (node().await, Log::default());
        let agent = probe(&node, "agent").await;
        let caller = tokio::spawn({
            let (agent, endless) = (agent.clone(), endless(&log));
            async move { agent.call(endless).await }
        });
        until(|| node.accounts().pending == 1).await;
        if crashes {
            agent.call(Crash("boom".into())).await.unwrap_err();
        } else {
            node.stop_agent("agent").await.unwrap();
        }
        log.has("dropped").await;
        assert_eq!(caller.await.unwrap().unwrap_err().effect(), Effect::Possible);
        node.router().quiet().await;
        assert!(node.accounts().balance());
    }
}

/// A panic in a pipe fails its call; the agent goes on.
#[tokio::test]
async fn a_panic_in_a_pipe_is_not_the_agents() {
    let (node, log) = (node().await, Log::default());
    let agent = node.spawn("agent", Plan::new(&log).agent()).await.unwrap();
    let panics = work(|ctx| Box::pin(async move { ctx.pipe(async { panic!("in the pipe") }) }));
    let error = agent.call(panics).await.unwrap_err();
    assert!(matches!(&error, CallError::Crashed(why) if why == "in the pipe"), "{error}");
    assert_eq!(agent.call(Add(1)).await.unwrap(), 1);
    assert_eq!(log.all(), ["agent started 1"]);
}

/// An agent has a bounded number of pipes under way; one more is refused, and when one ends there is room again.
#[tokio::test]
async fn pipes_are_bounded() {
    let (node, log) = (node().await, Log::default());
    let agent = probe(&node, "agent").await;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..BACKGROUND_MAX {
        let (agent, endless) = (agent.clone(), endless(&log));
        callers.spawn(async move { agent.call_within(Duration::from_secs(60), endless).await });
    }
    until(|| node.accounts().pending == BACKGROUND_MAX).await;
    let quick = || work(|ctx| Box::pin(async move { ctx.pipe(async { Ok(3) }) }));
    until(|| true).await;
    let error = agent.call(quick()).await.unwrap_err();
    assert!(error.to_string().contains("1024 pipes"), "{error}");
    callers.shutdown().await;
    log.until(|log| log.len() as u64 == BACKGROUND_MAX).await;
    assert_eq!(agent.call(quick()).await.unwrap(), 3);
}
