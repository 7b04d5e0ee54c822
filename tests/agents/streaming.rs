//! Answers in pieces: in order, at the reader's pace, and never cut short unseen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connectome::codecs::frame::Frame;
use connectome::codecs::{Envelope, Kind, NodeId};
use connectome::port::{Inbound, Transport, TransportError};
use connectome::prelude::*;
use connectome::transport::local::Hub;
use connectome::{NodeOptions, RouterConfig};

use super::probe::*;
use super::support::*;

/// Items under way to a reader at the most.
const WINDOW: u64 = 32;

/// Counts up for ever, or until `fail_after`.
#[derive(Message, Serialize, Deserialize, Clone)]
#[message(name = "numbers", reply = u64, item = u64)]
struct Numbers {
    fail_after: Option<u64>,
}

const ENDLESS: Numbers = Numbers { fail_after: None };

#[derive(Clone, Default)]
struct Counter {
    log: Log,
    written: Arc<AtomicU64>,
}

impl Agent for Counter {
    fn handles(table: &mut Table<Self>) {
        table.on::<Numbers>();
        table.on::<CountTo>();
    }
}

impl Handle<Numbers> for Counter {
    async fn handle(&mut self, numbers: Numbers, ctx: &mut Context<'_>) -> Result<u64, HandlerError> {
        let (sink, written) = (ctx.sink::<Numbers>(), self.written.clone());
        let guard = OnDrop(self.log.clone(), "dropped");
        ctx.pipe(async move {
            let _guard = guard;
            for number in 0.. {
                if numbers.fail_after == Some(number) {
                    return Err(HandlerError::rejected("that is enough"));
                }
                sink.push(number).await?;
                written.fetch_add(1, Ordering::Relaxed);
            }
            Ok(0)
        })
    }
}

impl Handle<CountTo> for Counter {
    async fn handle(&mut self, CountTo(n): CountTo, ctx: &mut Context<'_>) -> Result<u64, HandlerError> {
        let sink = ctx.sink::<CountTo>();
        ctx.pipe(async move {
            for number in 0..n {
                sink.push(number).await?;
            }
            Ok(n)
        })
    }
}

/// A counter, seen from its own node and from another one.
async fn near_and_far(counter: &Counter) -> (Node, Node, [AgentRef; 2]) {
    near_and_far_over(counter, &NodeOptions::default(), |transport| transport).await
}

async fn near_and_far_over(
    counter: &Counter,
    options: &NodeOptions,
    wrap: impl Fn(Arc<dyn Transport>) -> Arc<dyn Transport>,
) -> (Node, Node, [AgentRef; 2]) {
    let (one, two) = pair_with(&Hub::new(), options, wrap).await;
    let counter = counter.clone();
    let near = one.spawn("counter", move || counter.clone()).await.unwrap();
    knows(&two, "counter").await;
    let far = two.agent("counter").unwrap();
    (one, two, [near, far])
}

/// Long streams arrive whole and in order, near and far, and end with the reply; both accounts balance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_streams_arrive_in_order() {
    let (one, two, both) = near_and_far(&Counter::default()).await;
    for agent in &both {
        let mut numbers = agent.stream(CountTo(20_000)).await.unwrap();
        for expected in 0..20_000 {
            assert_eq!(numbers.next().await.unwrap(), Some(expected));
        }
        assert_eq!(numbers.next().await.unwrap(), None);
        assert_eq!(numbers.reply(), Some(20_000));
        assert_eq!(numbers.next().await.unwrap(), None, "after the end nothing comes");
    }
    for node in [&one, &two] {
        node.router().quiet().await;
        assert!(node.accounts().balance());
    }
}

/// The writer is never more than the window ahead of its reader.
#[tokio::test(start_paused = true)]
async fn the_writer_waits_for_its_reader() {
    let counter = Counter::default();
    let (_one, _two, both) = near_and_far(&counter).await;
    for agent in &both {
        counter.written.store(0, Ordering::Relaxed);
        let mut numbers = agent.stream(ENDLESS).await.unwrap();
        for read in 1..=500 {
            numbers.next().await.unwrap();
            // On a paused clock this ends once nobody has anything more to do.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let written = counter.written.load(Ordering::Relaxed);
            assert!(written >= read && written <= read + WINDOW, "{written} written, {read} read");
        }
    }
}

/// A reader that goes away ends the writer, near and far.
#[tokio::test]
async fn a_reader_that_goes_away_ends_the_writer() {
    let counter = Counter::default();
    let (_one, _two, both) = near_and_far(&counter).await;
    for (times, agent) in both.iter().enumerate() {
        let mut numbers = agent.stream(ENDLESS).await.unwrap();
        assert_eq!(numbers.next().await.unwrap(), Some(0));
        drop(numbers);
        counter.log.until(|log| log.len() == times + 1).await;
    }
}

/// A failure in the middle comes after the items before it, once.
#[tokio::test]
async fn a_failure_comes_after_the_items_before_it() {
    let (_one, _two, both) = near_and_far(&Counter::default()).await;
    for agent in &both {
        let mut numbers = agent.stream(Numbers { fail_after: Some(100) }).await.unwrap();
        for expected in 0..100 {
            assert_eq!(numbers.next().await.unwrap(), Some(expected));
        }
        let error = numbers.next().await.unwrap_err();
        assert!(matches!(&error, CallError::Handler(why) if why.to_string() == "that is enough"), "{error}");
        assert_eq!(numbers.next().await.unwrap(), None);
    }
}

/// The deadline is for the whole answer: it ends the reader and the writer, near and far.
#[tokio::test(start_paused = true)]
async fn the_deadline_is_for_the_whole_answer() {
    let counter = Counter::default();
    let (_one, _two, both) = near_and_far(&counter).await;
    for (times, agent) in both.iter().enumerate() {
        let mut numbers = agent.stream_within(Duration::from_secs(1), ENDLESS).await.unwrap();
        let error = loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            match numbers.next().await {
                Ok(item) => assert!(item.is_some()),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, CallError::TimedOut(_)), "{error:?}");
        counter.log.until(|log| log.len() == times + 1).await;
    }
}

/// A stream does not wait for ever for room in a mailbox, nor for an agent that is busy.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_begun_ends_at_its_deadline() {
    let node = node().await;
    let config = MailboxConfig { capacity: 1, ..MailboxConfig::default() };
    let agent = node.spawn_with(AgentSpec::new("agent", Tester::default).mailbox(config)).await.unwrap();
    agent.cast(Hang).await.unwrap();
    tokio::task::yield_now().await;
    let mut queued = agent.stream_within(Duration::from_secs(1), CountTo(1)).await.unwrap();
    let full = agent.stream_within(Duration::from_secs(1), CountTo(1)).await;
    assert!(matches!(full, Err(CallError::NotStarted(_))));
    assert!(queued.next().await.is_err());
}

/// A crash of its agent ends a stream with an error, not with an end.
#[tokio::test]
async fn a_crash_ends_a_stream_with_an_error() {
    let (_one, two) = pair().await;
    let near = _one.spawn("tester", Tester::default).await.unwrap();
    knows(&two, "tester").await;
    for agent in [near.clone(), two.agent("tester").unwrap()] {
        let mut numbers = agent.stream(CountTo(1_000_000)).await.unwrap();
        assert_eq!(numbers.next().await.unwrap(), Some(1));
        near.call(Crash("boom".into())).await.unwrap_err();
        let error = loop {
            match numbers.next().await {
                Ok(item) => assert!(item.is_some(), "it ended as if it were whole"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, CallError::Crashed(_)), "{error:?}");
    }
}

/// Loses the answer of this number, from 0, that it is given to carry: between nodes that do not seal, or it would see none.
struct Lossy {
    inner: Arc<dyn Transport>,
    lost: u64,
    answers: AtomicU64,
}

#[async_trait]
impl Transport for Lossy {
    fn send(&self, to: NodeId, frame: Bytes) -> Result<(), TransportError> {
        let is_answer = match Frame::decode(frame.clone()) {
            Ok(Frame::Open(envelope)) => {
                Envelope::decode(envelope).is_ok_and(|envelope| envelope.kind == Kind::Response)
            }
            Ok(_) | Err(_) => false,
        };
        if is_answer && self.answers.fetch_add(1, Ordering::Relaxed) == self.lost {
            return Ok(());
        }
        self.inner.send(to, frame)
    }
    async fn ready(&self, to: NodeId) {
        self.inner.ready(to).await;
    }
    fn broadcast(&self, frame: Bytes) {
        self.inner.broadcast(frame);
    }
    async fn receive(&self) -> Option<Inbound> {
        self.inner.receive().await
    }
    fn reaches(&self, to: NodeId) -> bool {
        self.inner.reaches(to)
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}

/// An item that is lost on the way, the last one too, ends the stream with an error: never a gap unseen.
#[tokio::test]
async fn a_lost_item_is_seen() {
    for lost in [0, 3, 9] {
        let lossy = |inner| Arc::new(Lossy { inner, lost, answers: AtomicU64::new(0) }) as Arc<dyn Transport>;
        let router = RouterConfig { sealed: false, ..RouterConfig::default() };
        let options = NodeOptions { router, ..NodeOptions::default() };
        let (_one, _two, [_, far]) = near_and_far_over(&Counter::default(), &options, lossy).await;
        let mut numbers = far.stream(CountTo(10)).await.unwrap();
        for expected in 0..lost {
            assert_eq!(numbers.next().await.unwrap(), Some(expected));
        }
        let error = numbers.next().await.unwrap_err();
        assert!(error.to_string().contains("lost on the way"), "{error}");
    }
}
