//! From the first start to the last hook: what runs, in which order, and that `post_stop` always does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use connectome::prelude::*;
use connectome::{Reason, SupervisorError};
use tokio::time::Instant;

use super::probe::*;
use super::support::*;

fn stops() -> Do {
    work(|ctx| {
        ctx.stop();
        Box::pin(async { Ok(0) })
    })
}

/// A factory that fails, a hook that fails, panics or hangs: the start fails, says why, and leaves the name free.
#[tokio::test(start_paused = true)]
async fn a_start_that_fails_says_why() {
    let (node, log) = (node().await, Log::default());
    let fails = Plan::new(&log).pre_start(|_| Box::pin(async { Err(HandlerError::new("no database")) }));
    let panics = Plan::new(&log).pre_start(|_| Box::pin(async { panic!("no database") }));
    let hangs = Plan::new(&log).pre_start(|_| Box::pin(std::future::pending()));
    for (plan, why) in [(fails, "no database"), (panics, "no database"), (hangs, "longer than 30s")] {
        let began = Instant::now();
        let error = node.spawn("agent", plan.agent()).await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert!(began.elapsed() <= Duration::from_secs(31));
    }
    let error = node.spawn("agent", || -> Tester { panic!("no agent at all") }).await.unwrap_err();
    assert!(error.to_string().contains("no agent at all"), "{error}");
    assert_eq!(log.all(), Vec::<String>::new(), "what did not start is not stopped");
    assert!(node.agents().is_empty());
    assert_eq!(probe(&node, "agent").await.call(Add(1)).await.unwrap(), 1);
}

/// A start that stops itself declines: nothing runs, nothing is tried again, and the name is free.
#[tokio::test]
async fn a_start_may_be_declined() {
    let (node, log) = (node().await, Log::default());
    let declines = Plan::new(&log).pre_start(|ctx| {
        ctx.stop();
        Box::pin(async { Ok(()) })
    });
    let error = node.spawn("agent", declines.agent()).await.unwrap_err();
    assert!(matches!(&error, SupervisorError::Declined(name) if name == "agent"), "{error}");
    assert_eq!(log.all(), ["agent started 1"]);
    assert_eq!(probe(&node, "agent").await.call(Add(1)).await.unwrap(), 1);
}

/// `post_stop` runs after a stop, a crash, a normal end, a kill past the deadline, and the end of the node.
#[tokio::test(start_paused = true)]
async fn post_stop_always_runs() {
    let (node, log) = (node().await, Log::default());
    let agent = node.spawn("crashes", Plan::new(&log).agent()).await.unwrap();
    agent.call(Crash("boom".into())).await.unwrap_err();
    log.has("crashes stopped 1: crashed: boom").await;

    let agent = node.spawn("ends", Plan::new(&log).agent()).await.unwrap();
    agent.call(stops()).await.unwrap();
    log.has("ends stopped 1: normal").await;

    node.spawn("stops", Plan::new(&log).agent()).await.unwrap();
    node.stop_agent("stops").await.unwrap();
    log.has("stops stopped 1: shutdown").await;

    let agent = node.spawn("hangs", Plan::new(&log).agent()).await.unwrap();
    let held = busy(&agent).await;
    node.stop_agent("hangs").await.unwrap();
    log.has("hangs stopped 1: killed").await;
    held.release();

    node.spawn("last", Plan::new(&log).agent()).await.unwrap();
    node.stop().await;
    log.has("last stopped 1: shutdown").await;
}

/// A hook that hangs or panics at the end is left after its time, and the end goes on.
#[tokio::test(start_paused = true)]
async fn a_last_hook_that_hangs_is_left() {
    let (node, log) = (node().await, Log::default());
    let hangs = Plan::new(&log).post_stop(|_| Box::pin(std::future::pending()));
    let panics = Plan::new(&log).post_stop(|_| Box::pin(async { panic!("at the end") }));
    for plan in [hangs, panics] {
        node.spawn("agent", plan.agent()).await.unwrap();
        let began = Instant::now();
        node.stop_agent("agent").await.unwrap();
        assert!(began.elapsed() <= Duration::from_secs(6), "{:?}", began.elapsed());
        assert!(node.agents().is_empty());
    }
}

/// Past its deadline an agent is killed: what it was busy with is dropped where it stands and is a dead letter, what
/// waited is answered, and the caller knows which was which.
#[tokio::test(start_paused = true)]
async fn a_kill_says_what_it_took() {
    let (node, log) = (node().await, Log::default());
    let spec = AgentSpec::new("agent", Plan::new(&log).agent())
        .stop_within(StopWithin::Time(Duration::from_secs(1)));
    let agent = node.spawn_with(spec).await.unwrap();
    let guard = OnDrop(log.clone(), "dropped");
    let hangs = work(move |_| {
        Box::pin(async move {
            let _guard = guard;
            std::future::pending().await
        })
    });
    let call = |message: Do| {
        let agent = agent.clone();
        tokio::spawn(async move { agent.call_within(Duration::from_secs(60), message).await })
    };
    let (in_hand, queued) = (call(hangs), call(work(|_| Box::pin(async { Ok(1) }))));
    until(|| node.accounts().pending == 2).await;
    let began = Instant::now();
    node.stop_agent("agent").await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    assert!(matches!(in_hand.await.unwrap(), Err(CallError::Crashed(_))));
    assert!(matches!(queued.await.unwrap(), Err(CallError::Stopped(_))));
    assert_eq!(log.all(), ["agent started 1", "dropped", "agent stopped 1: killed"]);
    let counts = node.router().dead_letter_counts();
    assert_eq!((counts[&Reason::Crashed], counts[&Reason::Stopped]), (1, 1));
    assert!(node.accounts().balance());
    assert_eq!(node.accounts().pending, 0);
}

/// With no time to stop an agent is killed at once.
#[tokio::test(start_paused = true)]
async fn an_agent_without_time_is_killed_at_once() {
    let (node, log) = (node().await, Log::default());
    let spec = AgentSpec::new("agent", Plan::new(&log).agent()).stop_within(StopWithin::Kill);
    let agent = node.spawn_with(spec).await.unwrap();
    let held = busy(&agent).await;
    let began = Instant::now();
    node.stop_agent("agent").await.unwrap();
    assert_eq!((began.elapsed(), log.all().len()), (Duration::ZERO, 2));
    held.release();
}

/// Queued calls of an agent that stops are answered: they had no effect, and are dead letters.
#[tokio::test]
async fn queued_calls_of_an_agent_that_stops_are_answered() {
    let node = node().await;
    let agent = probe(&node, "agent").await;
    let held = busy(&agent).await;
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..10 {
        let agent = agent.clone();
        callers.spawn(async move { agent.call(Add(number)).await });
    }
    until(|| node.accounts().pending == 11).await;
    let stopping = tokio::spawn({
        let node = node.clone();
        async move { node.stop_agent("agent").await }
    });
    tokio::task::yield_now().await;
    held.release();
    stopping.await.unwrap().unwrap();
    // It may have come to some of them before it heard of the stop.
    for answer in callers.join_all().await {
        assert!(matches!(answer, Ok(_) | Err(CallError::Stopped(_))), "{answer:?}");
    }
    let stopped = node.router().dead_letter_counts().get(&Reason::Stopped).copied().unwrap_or_default();
    assert_eq!((node.accounts().pending, node.accounts().dead_lettered), (0, stopped));
}

/// A normal end: a permanent agent starts again, a transient and a temporary one do not, and their names are free.
#[tokio::test]
async fn a_normal_end_is_what_the_restart_type_says() {
    let (node, log) = (node().await, Log::default());
    let spec = |name: &str, restart| AgentSpec::new(name, Plan::new(&log).agent()).restart(restart);
    for (name, restart) in [
        ("permanent", Restart::Permanent),
        ("transient", Restart::Transient),
        ("temporary", Restart::Temporary),
    ] {
        let agent = node.spawn_with(spec(name, restart)).await.unwrap();
        agent.call(stops()).await.unwrap();
        log.has(&format!("{name} stopped 1: normal")).await;
    }
    log.has("permanent started 2").await;
    until(|| node.agents().len() == 1).await;
}

/// A stop that a hook asks for is heard without a message to wake the agent.
#[tokio::test]
async fn a_hook_may_stop_its_agent() {
    let (node, log) = (node().await, Log::default());
    let watched = probe(&node, "watched").await;
    let plan = Plan::new(&log)
        .pre_start(move |ctx| {
            let watched = watched.clone();
            Box::pin(async move { ctx.monitor(&watched).await.map(drop) })
        })
        .on_down(|ctx| {
            ctx.stop();
            Box::pin(async { Ok(()) })
        });
    node.spawn_with(AgentSpec::new("agent", plan.agent()).restart(Restart::Temporary)).await.unwrap();
    node.stop_agent("watched").await.unwrap();
    log.has("agent stopped 1: normal").await;
}

/// Whatever an agent says of its own end reaches its watchers and decides whether it starts again.
#[tokio::test]
async fn an_agent_may_say_how_it_ends() {
    let (node, log) = (node().await, Log::default());
    let spec = AgentSpec::new("agent", Plan::new(&log).agent()).restart(Restart::Transient);
    let agent = node.spawn_with(spec).await.unwrap();
    let ends = |exit: Exit| {
        work(move |ctx| {
            ctx.stop_as(exit);
            Box::pin(async { Ok(0) })
        })
    };
    agent.call(ends(Exit::Crashed("disk full".into()))).await.unwrap();
    log.has("agent started 2").await;
    agent.call(ends(Exit::Shutdown)).await.unwrap();
    until(|| node.agents().is_empty()).await;
    assert_eq!(log.all()[3], "agent stopped 2: shutdown");
    assert!(log.all().contains(&"agent stopped 1: crashed: disk full".to_owned()));
}

/// A panic of an agent beside its handlers (here in a decoder) is a crash like any other.
#[tokio::test]
async fn a_panic_beside_a_handler_is_a_crash() {
    let (one, two) = pair().await;
    let near = one.spawn("trap", || Trapped).await.unwrap();
    knows(&two, "trap").await;
    let error = two.agent("trap").unwrap().call(Trap(Sprung)).await.unwrap_err();
    assert!(matches!(error, CallError::Crashed(_)), "{error:?}");
    one.router().quiet().await;
    assert_eq!((one.accounts().dead_lettered, one.router().dead_letter_counts()[&Reason::Crashed]), (1, 1));
    assert_eq!(near.call(Add(1)).await.unwrap(), 1);
}

#[derive(Message, Serialize, Deserialize)]
#[message(name = "trap", reply = ())]
struct Trap(Sprung);

#[derive(Serialize)]
struct Sprung;

impl<'de> Deserialize<'de> for Sprung {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Sprung, D::Error> {
        panic!("a decoder that panics")
    }
}

struct Trapped;

impl Agent for Trapped {
    fn handles(table: &mut Table<Self>) {
        table.on::<Trap>();
        table.on::<Add>();
    }
}

impl Handle<Trap> for Trapped {
    async fn handle(&mut self, _: Trap, _: &mut Context<'_>) -> Result<(), HandlerError> {
        Ok(())
    }
}

impl Handle<Add> for Trapped {
    async fn handle(&mut self, Add(number): Add, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        Ok(number)
    }
}

/// A handler that blocks its thread can't be stopped, but it holds up nobody: its watchers are told, its name is
/// free, and whatever it does when it comes back changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[expect(clippy::disallowed_methods, reason = "a handler that blocks its thread is what is tested")]
async fn a_handler_that_blocks_its_thread_is_left_behind() {
    let (node, log) = (node().await, Log::default());
    let spec = AgentSpec::new("agent", Plan::new(&log).agent()).stop_within(StopWithin::Kill);
    let agent = node.spawn_with(spec).await.unwrap();
    let (is_free, entered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (free, inside) = (is_free.clone(), entered.clone());
    let blocks = work(move |_| {
        Box::pin(async move {
            // From here on no task that this thread has woken waits for it.
            tokio::task::yield_now().await;
            inside.fetch_add(1, Ordering::Release);
            while !free.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(0)
        })
    });
    let down = tokio::spawn({
        let agent = agent.clone();
        async move { agent.down().await.unwrap() }
    });
    agent.cast(blocks).await.unwrap();
    agent.cast(Add(1)).await.unwrap();
    until(|| entered.load(Ordering::Acquire) == 1).await;
    node.stop_agent("agent").await.unwrap();
    assert_eq!(down.await.unwrap().reason, connectome::DownReason::Exit(Exit::Killed));
    let next = probe(&node, "agent").await;
    assert_eq!(next.call(Add(2)).await.unwrap(), 2);
    is_free.store(true, Ordering::Release);
    node.router().quiet().await;
    assert_eq!(next.call(Seen).await.unwrap(), [2]);
    assert!(node.accounts().balance());
}
