//! Deadlines: who inherits them, and what became of the message when one passes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connectome::Reason;
use connectome::prelude::*;
use tokio::time::Instant;

use super::probe::*;
use super::support::*;

/// A call from inside a handler waits no longer than the handler's own caller does.
#[tokio::test(start_paused = true)]
async fn a_handler_inherits_the_deadline_of_its_caller() {
    let node = node().await;
    let outer = probe(&node, "outer").await;
    let inner = node.spawn("inner", Tester::default).await.unwrap();
    let (log, began) = (Log::default(), Instant::now());
    let heard = log.clone();
    let relay = work(move |ctx| {
        Box::pin(async move {
            assert_eq!(ctx.deadline(), Some(began + Duration::from_secs(1)));
            let error = inner.call_within(Duration::from_secs(60), Hang).await.unwrap_err();
            heard.add(format!("{} after {:?}", error.code(), began.elapsed()));
            Ok(0)
        })
    });
    outer.call_within(Duration::from_secs(1), relay).await.unwrap_err();
    log.has("timed_out after 1s").await;
}

/// A hook is nobody's call: the deadline of the message before it does not end what the hook asks for.
#[tokio::test(start_paused = true)]
async fn hooks_inherit_no_deadline() {
    let (node, log) = (node().await, Log::default());
    let helper = probe(&node, "helper").await;
    let asks = |log: &Log, what: &'static str| {
        let (log, helper) = (log.clone(), helper.clone());
        hook(move |_| {
            let (log, helper) = (log.clone(), helper.clone());
            Box::pin(async move {
                log.add(format!("{what}: {:?}", helper.call(Add(1)).await.is_ok()));
                Ok(())
            })
        })
    };
    let watched = probe(&node, "watched").await;
    let plan = Plan::new(&log).on_down(asks(&log, "down")).post_stop(asks(&log, "stop"));
    let agent = node.spawn("agent", plan.agent()).await.unwrap();
    let monitors = work(move |ctx| {
        Box::pin(async move {
            ctx.monitor(&watched).await?;
            tokio::time::sleep(Duration::from_secs(2)).await; // past the deadline of the caller
            Ok(0)
        })
    });
    agent.call_within(Duration::from_secs(1), monitors).await.unwrap_err();
    node.stop_agent("watched").await.unwrap();
    log.has("down: true").await;
    node.stop_agent("agent").await.unwrap();
    log.has("stop: true").await;
}

/// What a pipe asks for is for the same caller: with its deadline, its trace, and the agent as the sender.
#[tokio::test(start_paused = true)]
async fn a_pipe_asks_for_the_same_caller() {
    let (node, log, began) = (node().await, Log::default(), Instant::now());
    let outer = probe(&node, "outer").await;
    let inner = probe(&node, "inner").await;
    let heard = log.clone();
    let says = work(move |ctx| {
        let left = ctx.deadline().map(|deadline| deadline - began);
        heard.add(format!("from {:?} within {left:?}", ctx.sender().map(ToString::to_string)));
        Box::pin(async { Ok(5) })
    });
    let pipes = work(move |ctx| {
        Box::pin(async move {
            ctx.pipe(async move { Ok(inner.call_within(Duration::from_secs(60), says).await?) })
        })
    });
    assert_eq!(outer.call_within(Duration::from_secs(3), pipes).await.unwrap(), 5);
    assert_eq!(log.all(), [r#"from Some("outer") within Some(3s)"#]);
}

/// A pipe leaves the mailbox live, so a call back to the agent is no cycle; to an agent that waits it still is one.
#[tokio::test(start_paused = true)]
async fn a_call_back_to_a_piping_agent_is_no_cycle() {
    let node = node().await;
    let (piping, other) = (probe(&node, "piping").await, probe(&node, "other").await);
    let me = piping.clone();
    let there = other.clone();
    let round = work(move |ctx| {
        Box::pin(async move {
            ctx.pipe(async move {
                let back = work(move |_| Box::pin(async move { Ok(me.call(Add(7)).await?) }));
                Ok(there.call(back).await?)
            })
        })
    });
    assert_eq!(piping.call(round).await.unwrap(), 7);
    let (waits, piping) = (other.clone(), piping.clone());
    let round = work(move |_| {
        Box::pin(async move {
            let back = work(move |ctx| {
                Box::pin(async move { ctx.pipe(async move { Ok(waits.call(Add(7)).await?) }) })
            });
            Ok(piping.call(back).await?)
        })
    });
    let error = other.call(round).await.unwrap_err();
    assert!(error.to_string().contains("call cycle: other -> other"), "{error}");
}

/// A queued call whose caller has gone away is not run, and is a dead letter.
#[tokio::test]
async fn an_abandoned_call_is_not_run() {
    let node = node().await;
    let agent = probe(&node, "agent").await;
    let busy = busy(&agent).await;
    let accepted = node.accounts().accepted;
    let caller = tokio::spawn({
        let agent = agent.clone();
        async move { agent.call(Add(1)).await }
    });
    until(|| node.accounts().accepted > accepted).await;
    caller.abort();
    caller.await.unwrap_err();
    busy.release();
    assert_eq!(agent.call(Seen).await.unwrap(), Vec::<u64>::new());
    assert_eq!(node.router().dead_letter_counts()[&Reason::Abandoned], 1);
}

/// A far call whose caller has gone away is not run either.
#[tokio::test]
async fn an_abandoned_far_call_is_not_run() {
    let (one, two) = pair().await;
    let agent = probe(&one, "agent").await;
    knows(&two, "agent").await;
    let busy = busy(&agent).await;
    let far = two.agent("agent").unwrap();
    let accepted = one.accounts().accepted;
    let caller = tokio::spawn(async move { far.call(Add(1)).await });
    until(|| one.accounts().accepted > accepted).await;
    caller.abort();
    caller.await.unwrap_err();
    // The cancellation travels before whatever is sent after it.
    two.agent("agent").unwrap().cast(Add(2)).await.unwrap();
    until(|| one.accounts().accepted > accepted + 1).await;
    busy.release();
    assert_eq!(agent.call(Seen).await.unwrap(), [2]);
    assert_eq!(one.router().dead_letter_counts()[&Reason::Abandoned], 1);
}

/// No deadline is too long.
#[tokio::test]
async fn no_deadline_is_too_long() {
    let (one, two) = pair().await;
    let agent = one.spawn("agent", Tester::default).await.unwrap();
    knows(&two, "agent").await;
    for agent in [agent, two.agent("agent").unwrap()] {
        agent.call_within(Duration::MAX, Add(1)).await.unwrap();
        let mut numbers = agent.stream_within(Duration::MAX, CountTo(3)).await.unwrap();
        assert_eq!(numbers.next().await.unwrap(), Some(1));
    }
}

/// Of calls that give up at the moment their turn comes, each is withdrawn or started: none that was said not to
/// have started is handled, and none is counted twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_withdrawn_or_started() {
    let node = node().await;
    let handled = Arc::new(AtomicU64::new(0));
    let agent = probe(&node, "agent").await;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..8_u64 {
        let (agent, handled) = (agent.clone(), handled.clone());
        callers.spawn(async move {
            let mut not_started = BTreeSet::new();
            for n in 0..250 {
                let (id, handled) = (caller * 1_000 + n, handled.clone());
                let run = work(move |ctx| {
                    Box::pin(async move {
                        handled.fetch_add(1, Ordering::Relaxed);
                        ctx.me().cast(Add(id)).await?;
                        tokio::task::yield_now().await;
                        Ok(id)
                    })
                });
                match agent.call_within(Duration::from_micros(50 + n * 4), run).await {
                    Ok(answer) => assert_eq!(answer, id),
                    Err(CallError::NotStarted(_)) => drop(not_started.insert(id)),
                    Err(CallError::TimedOut(_) | CallError::MailboxFull { .. } | CallError::Handler(_)) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
            not_started
        });
    }
    let not_started: BTreeSet<u64> = callers.join_all().await.into_iter().flatten().collect();
    node.router().quiet().await;
    let started: BTreeSet<u64> = agent.call(Seen).await.unwrap().into_iter().collect();
    assert!(
        started.is_disjoint(&not_started),
        "{:?}",
        started.intersection(&not_started).collect::<Vec<_>>()
    );
    node.router().quiet().await;
    let accounts = node.accounts();
    assert!(accounts.balance(), "{accounts:?}");
    assert_eq!(handled.load(Ordering::Relaxed) as usize, started.len());
}
