//! Mailboxes: their bounds, what a full one does, and that nothing in them is lost unseen.

use std::time::Duration;

use connectome::Reason;
use connectome::codecs::message::Effect;
use connectome::prelude::*;
use connectome_actors::ARRIVED_MAX;

use super::probe::*;
use super::support::*;

async fn bounded(node: &Node, config: MailboxConfig) -> AgentRef {
    let spec = AgentSpec::new("bounded", Plan::default().agent()).mailbox(config);
    node.spawn_with(spec).await.unwrap()
}

fn of(capacity: usize, overflow: Overflow) -> MailboxConfig {
    MailboxConfig { capacity, overflow, ..MailboxConfig::default() }
}

/// Starts a call and returns once it is in the queue, or refused.
async fn queued_call(
    node: &Node,
    agent: &AgentRef,
    number: u64,
) -> tokio::task::JoinHandle<Result<u64, CallError>> {
    let (before, agent) = (node.accounts().accepted, agent.clone());
    let call = tokio::spawn(async move { agent.call(Add(number)).await });
    while node.accounts().accepted == before {
        tokio::task::yield_now().await;
    }
    call
}

/// Senders wait for room, and each one's messages keep their order, with a hundred of them and room for four.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn block_keeps_the_order_of_each_sender() {
    let node = node().await;
    let agent = bounded(&node, of(4, Overflow::Block)).await;
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..100 {
        let agent = agent.clone();
        senders.spawn(async move {
            for number in 0..20 {
                agent.cast(Add(sender * 1_000 + number)).await.unwrap();
            }
        });
    }
    senders.join_all().await;
    let seen = agent.call(Seen).await.unwrap();
    assert_eq!(seen.len(), 2_000);
    for sender in 0..100 {
        let mine: Vec<u64> = seen.iter().filter(|n| *n / 1_000 == sender).map(|n| n % 1_000).collect();
        assert_eq!(mine, (0..20).collect::<Vec<_>>(), "of sender {sender}");
    }
    node.router().quiet().await;
    assert_eq!(node.accounts().handled, 2_001);
}

/// A call that waits for room longer than it may was never queued, and had no effect.
#[tokio::test(start_paused = true)]
async fn block_waits_no_longer_than_the_deadline() {
    let node = node().await;
    let agent = bounded(&node, of(1, Overflow::Block)).await;
    let busy = busy(&agent).await;
    agent.cast(Add(1)).await.unwrap();
    let error = agent.call_within(Duration::from_secs(1), Add(2)).await.unwrap_err();
    assert!(matches!(error, CallError::NotStarted(_)), "{error}");
    busy.release();
    assert_eq!(agent.call(Seen).await.unwrap(), [1]);
    assert_eq!(node.router().dead_letter_counts()[&Reason::Expired], 1);
}

/// A full mailbox that fails says so at once: no effect, and a dead letter with the reason.
#[tokio::test]
async fn fail_says_so_at_once() {
    let node = node().await;
    let agent = bounded(&node, of(2, Overflow::Fail)).await;
    let busy = busy(&agent).await;
    agent.cast(Add(1)).await.unwrap();
    agent.cast(Add(2)).await.unwrap();
    for error in [agent.cast(Add(3)).await.unwrap_err(), agent.call(Add(4)).await.unwrap_err()] {
        assert!(matches!(&error, CallError::MailboxFull { capacity: 2, .. }), "{error}");
        assert_eq!(error.effect(), Effect::None);
    }
    busy.release();
    node.router().quiet().await;
    assert_eq!(agent.call(Seen).await.unwrap(), [1, 2]);
    assert_eq!(node.router().dead_letter_counts()[&Reason::MailboxFull], 2);
    assert_eq!(node.accounts().accepted, 4, "what was refused was not accepted");
}

/// The oldest message makes room: it is a dead letter, and its caller is told that it had no effect.
#[tokio::test]
async fn drop_oldest_tells_the_displaced_caller() {
    let node = node().await;
    let agent = bounded(&node, of(2, Overflow::DropOldest)).await;
    let busy = busy(&agent).await;
    let displaced = queued_call(&node, &agent, 1).await;
    agent.cast(Add(2)).await.unwrap();
    agent.cast(Add(3)).await.unwrap();
    let error = displaced.await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::MailboxFull { .. }), "{error}");
    assert_eq!(error.effect(), Effect::None);
    busy.release();
    node.router().quiet().await;
    assert_eq!(agent.call(Seen).await.unwrap(), [2, 3]);
    node.router().quiet().await;
    let letters = node.dead_letters();
    assert_eq!((letters.len(), letters[0].reason), (1, Reason::MailboxFull));
    assert_eq!(node.accounts().dead_lettered, 1);
    assert!(node.accounts().balance());
}

/// A timer's tick displaces like any other message, and the displaced caller is told.
#[tokio::test(start_paused = true)]
async fn a_tick_that_displaces_tells_the_caller() {
    let node = node().await;
    let agent = bounded(&node, of(1, Overflow::DropOldest)).await;
    agent
        .call(work(|ctx| Box::pin(async move { ctx.after(Duration::from_secs(1), Add(7)).map(|_| 0) })))
        .await
        .unwrap();
    let busy = busy(&agent).await;
    let displaced = queued_call(&node, &agent, 1).await;
    let error = displaced.await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::MailboxFull { .. }), "{error}");
    busy.release();
    node.router().quiet().await;
    assert_eq!(agent.call(Seen).await.unwrap(), [7]);
}

/// Far messages are bounded in bytes: with `DropOldest` as many of the oldest go as it takes.
#[tokio::test]
async fn drop_oldest_keeps_the_bound_in_bytes() {
    let (one, two) = pair().await;
    let config = MailboxConfig { bytes: 1_000, ..of(64, Overflow::DropOldest) };
    let agent = bounded(&one, config).await;
    knows(&two, "bounded").await;
    let far = two.agent("bounded").unwrap();
    let busy = busy(&agent).await;
    for _ in 0..2 {
        far.cast(Crash("x".repeat(450))).await.unwrap();
    }
    far.cast(Crash("y".repeat(900))).await.unwrap();
    let displaced = || one.router().dead_letter_counts().get(&Reason::MailboxFull).copied();
    until(|| displaced().is_some_and(|letters| letters >= 2)).await;
    assert_eq!((displaced(), one.accounts().pending), (Some(2), 2), "the one that works, and the largest");
    busy.release();
}

/// A far sender waits for room as a near one does: more than all that may wait beside the mailbox arrives, in order and without a
/// dead letter, and what is for others is not held up meanwhile.
#[tokio::test]
async fn a_far_sender_waits_for_room() {
    const CASTS: u64 = 2 * ARRIVED_MAX as u64;
    let (one, two) = pair().await;
    let agent = bounded(&one, of(4, Overflow::Block)).await;
    probe(&one, "other").await;
    knows(&two, "bounded").await;
    knows(&two, "other").await;
    let busy = busy(&agent).await;
    let far = two.agent("bounded").unwrap();
    let sending = tokio::spawn({
        let far = far.clone();
        async move {
            for number in 0..CASTS {
                far.cast(Add(number)).await.unwrap();
            }
        }
    });
    until(|| one.accounts().pending > 4).await;
    assert_eq!(two.agent("other").unwrap().call(Add(3)).await.unwrap(), 3);
    assert!(!sending.is_finished(), "it waits");
    busy.release();
    sending.await.unwrap();
    until(|| one.accounts().handled > CASTS).await;
    assert!(agent.call(Seen).await.unwrap().into_iter().eq(0..CASTS), "all of them, in order");
    assert_eq!((one.dead_letters(), two.dead_letters()), (Vec::new(), Vec::new()));
}

/// Who waits for room in a far mailbox waits no longer than its message lasts, and learns that it had no effect.
#[tokio::test(start_paused = true)]
async fn a_far_sender_waits_no_longer_than_its_message_lasts() {
    let (one, two) = pair().await;
    let agent = bounded(&one, of(1, Overflow::Block)).await;
    knows(&two, "bounded").await;
    let busy = busy(&agent).await;
    let far = two.agent("bounded").unwrap();
    let mut sent = 0;
    let error = loop {
        match far.call_within(Duration::from_millis(100), Add(sent)).await.unwrap_err() {
            error @ CallError::NotSent(_) => break error,
            // It waits beside the mailbox: its sender had not heard yet that it is full.
            CallError::TimedOut(_) | CallError::NotStarted(_) => sent += 1,
            other => panic!("{other}"),
        }
    };
    assert_eq!(error.effect(), Effect::None);
    assert!(error.to_string().contains("stayed full"), "{error}");
    busy.release();
}

/// A far sender to a full mailbox that fails is refused, with no effect.
#[tokio::test]
async fn a_far_sender_to_a_mailbox_that_fails_is_refused() {
    let (one, two) = pair().await;
    let agent = bounded(&one, of(1, Overflow::Fail)).await;
    knows(&two, "bounded").await;
    let busy = busy(&agent).await;
    agent.cast(Add(1)).await.unwrap();
    let far = two.agent("bounded").unwrap();
    let error = far.call(Add(2)).await.unwrap_err();
    assert!(matches!(&error, CallError::Refused { code, .. } if code == "mailbox_full"), "{error}");
    assert_eq!(error.effect(), Effect::None);
    busy.release();
    assert_eq!(far.call(Seen).await.unwrap(), [1]);
}

/// A far mailbox that is full of bytes refuses, while messages of its own node, which have none, go on.
#[tokio::test]
async fn the_bound_in_bytes_is_for_far_messages() {
    let (one, two) = pair().await;
    let agent = bounded(&one, MailboxConfig { bytes: 1_000, ..of(64, Overflow::Fail) }).await;
    knows(&two, "bounded").await;
    let far = two.agent("bounded").unwrap();
    let busy = busy(&agent).await;
    far.cast(Crash("x".repeat(800))).await.unwrap();
    let error = far.call(Crash("y".repeat(800))).await.unwrap_err();
    assert!(matches!(&error, CallError::Refused { code, .. } if code == "mailbox_full"), "{error}");
    agent.cast(Add(1)).await.unwrap();
    busy.release();
}

/// A mailbox for nothing holds one message, since none could pass otherwise.
#[tokio::test]
async fn a_capacity_of_zero_is_one() {
    for overflow in [Overflow::Block, Overflow::Fail, Overflow::DropOldest] {
        let node = node().await;
        let agent = bounded(&node, of(0, overflow)).await;
        assert_eq!(agent.call(Add(1)).await.unwrap(), 1);
    }
}

/// A handler that sends to itself while its mailbox is full is refused: only itself could make room.
#[tokio::test(start_paused = true)]
async fn an_agent_does_not_wait_for_itself() {
    let node = node().await;
    let agent = bounded(&node, of(1, Overflow::Block)).await;
    let casts = work(|ctx| {
        Box::pin(async move {
            let me = ctx.me();
            me.cast(Add(1)).await?;
            let refused = me.cast(Add(2)).await.unwrap_err();
            assert!(matches!(refused, CallError::MailboxFull { .. }), "{refused}");
            Ok(0)
        })
    });
    agent.call(casts).await.unwrap();
    assert_eq!(agent.call(Seen).await.unwrap(), [1]);
}

/// The queue outlives a crash, with its order and its callers.
#[tokio::test]
async fn the_queue_survives_a_crash() {
    let node = node().await;
    let agent = probe(&node, "agent").await;
    let busy = busy(&agent).await;
    agent.cast(Crash("boom".into())).await.unwrap();
    let call = queued_call(&node, &agent, 1).await;
    agent.cast(Add(2)).await.unwrap();
    busy.release();
    assert_eq!(call.await.unwrap().unwrap(), 1);
    assert_eq!(agent.call(Seen).await.unwrap(), [1, 2]);
}

/// A message that crashes its agent is a dead letter at once, with the cause and the sender; it is not tried again.
#[tokio::test]
async fn the_message_that_crashed_is_a_dead_letter() {
    let node = node().await;
    let agent = probe(&node, "agent").await;
    let sender = probe(&node, "sender").await;
    let to = agent.clone();
    let error = sender
        .call(work(move |_| Box::pin(async move { Ok(to.call(Crash("boom".into())).await.map(|()| 0)?) })));
    assert!(error.await.unwrap_err().to_string().contains("boom"));
    assert_eq!(agent.call(Seen).await.unwrap(), Vec::<u64>::new());
    let letters = node.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].reason, letters[0].cause.as_str()), (Reason::Crashed, "boom"));
    assert_eq!(letters[0].from.as_ref().unwrap().to_string(), "sender");
    node.router().quiet().await;
    assert_eq!(node.accounts().dead_lettered, 1);
}

/// `quiet` ends as soon as the last message is withdrawn, also where nobody runs who could handle it.
#[tokio::test(start_paused = true)]
async fn quiet_hears_of_what_was_withdrawn() {
    let node = node().await;
    let agent = probe(&node, "agent").await;
    agent.call(Crash("first".into())).await.unwrap_err();
    agent.call(Crash("second: now it waits before it is started again".into())).await.unwrap_err();
    let late = tokio::spawn(async move { agent.call_within(Duration::from_millis(5), Add(1)).await });
    until(|| node.accounts().pending == 1).await;
    let began = tokio::time::Instant::now();
    node.router().quiet().await;
    assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
    assert!(matches!(late.await.unwrap(), Err(CallError::NotStarted(_))));
}
