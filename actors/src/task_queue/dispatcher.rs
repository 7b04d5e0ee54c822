//! The task router: fetches tasks for this node's workers, never more than they have hands for.
//!
//! One consumer for each capability, shared by all nodes; one attempt for each delivery. A task waits in the queue
//! until a worker is free, so a slow worker never keeps work from a fast one.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use connectome_codecs::message::{self, Body};
use connectome_codecs::{AgentName, Capability, Envelope, Fact, MessageId, TaskRecord};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::unrecorded::RECORD_AFTER;
use super::worker::{Attempting, Verdict};
use super::{TASK_ROUTING, count, record, subject_token};
use crate::cell::AgentCell;
use crate::event_dispatcher::error_event;
use crate::port::{Consumer, ConsumerConfig, Delivery, Publish, Start, StreamError};
use crate::protocol::restart::{ChildSpec, Restart};
use crate::router::Router;
use crate::service::{Service, ServiceStart};
use crate::streams::DEAD_LETTERS;
use crate::supervisor::SupervisorSlot;

/// How long one fetch waits: only how soon a stopping node notices is at stake, arrivals end it at once.
const FETCH_WAIT: Duration = Duration::from_secs(5);

/// How long a delivery waits after the store failed in the middle of an attempt.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// How long a node without the keys of a pool waits before it looks again whether it has them now.
const AFTER_REFUSAL: Duration = Duration::from_secs(5);

/// Keeps a queue open for each capability that agents of this node have.
pub(crate) struct TaskRouter {
    pub(crate) router: Router,
    pub(crate) queues: SupervisorSlot,
}

impl Service for TaskRouter {
    async fn run(self, stop: CancellationToken) -> Result<(), String> {
        let mut served: BTreeMap<Capability, CancellationToken> = BTreeMap::new();
        loop {
            let wanted = self.wanted();
            served.retain(|capability, close| wanted.contains(capability) || cancel(close));
            for capability in wanted {
                if let Entry::Vacant(place) = served.entry(capability) {
                    let close = CancellationToken::new();
                    self.open(place.key(), &close).await?;
                    place.insert(close);
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = self.router.inner().tasks.workers.notified() => {}
            }
        }
    }
}

fn cancel(close: &CancellationToken) -> bool {
    close.cancel();
    false
}

impl TaskRouter {
    /// What this node's agents can do; nothing once the node drains.
    fn wanted(&self) -> BTreeSet<Capability> {
        if self.router.is_draining() {
            return BTreeSet::new();
        }
        self.router.registry().capabilities_here()
    }

    /// Opens a queue. One that was closed lives on until what it has in hand is done, so each has a name of its own.
    async fn open(&self, capability: &Capability, close: &CancellationToken) -> Result<(), String> {
        let opened = self.router.inner().tasks.opened.fetch_add(1, Ordering::Relaxed);
        let child = ChildSpec::worker(format!("{capability}-{opened}").as_str()).restart(Restart::Transient);
        let (router, capability, close) = (self.router.clone(), capability.clone(), close.clone());
        let start = ServiceStart::shared(move || Queue::new(&router, &capability, &close));
        let queues = self.queues.current().map_err(|error| error.to_string())?;
        queues.add(child, start).await.map_err(|error| error.to_string())
    }
}

/// The work of one capability on this node.
struct Queue {
    router: Router,
    capability: Capability,
    hands: Arc<Hands>,
    /// Nothing new is fetched any more; what is in hand goes on.
    close: CancellationToken,
}

/// How many tasks each worker has in hand.
#[derive(Default)]
struct Hands {
    full: Mutex<BTreeMap<AgentName, usize>>,
    /// One was put down.
    freed: Notify,
}

impl Service for Queue {
    async fn run(self, stop: CancellationToken) -> Result<(), String> {
        let ending = self.close.child_token();
        let serving = self.serve(&ending);
        tokio::pin!(serving);
        tokio::select! {
            biased;
            ended = &mut serving => return ended.map_err(|error| error.to_string()),
            () = stop.cancelled() => ending.cancel(),
        }
        serving.await.map_err(|error| error.to_string())
    }
}

impl Queue {
    fn new(router: &Router, capability: &Capability, close: &CancellationToken) -> Queue {
        let (router, capability, hands) = (router.clone(), capability.clone(), Arc::default());
        Queue { router, capability, hands, close: close.clone() }
    }

    async fn serve(&self, ending: &CancellationToken) -> Result<(), StreamError> {
        if !self.attend(ending).await? {
            return Ok(());
        }
        let Some(consumer) = self.consumer(ending).await? else { return Ok(()) };
        let mut attempts = JoinSet::new();
        while !ending.is_cancelled() {
            while attempts.try_join_next().is_some() {}
            let free = self.free();
            if free == 0 {
                tokio::select! {
                    biased;
                    () = ending.cancelled() => break,
                    () = self.hands.freed.notified() => {}
                    () = tokio::time::sleep(FETCH_WAIT) => {}
                }
                continue;
            }
            let fetched = tokio::select! {
                biased;
                () = ending.cancelled() => break,
                fetched = consumer.fetch(free, FETCH_WAIT) => fetched,
            };
            for delivery in self.unless_away(fetched, ending).await?.unwrap_or_default() {
                self.begin(&mut attempts, &consumer, delivery).await?;
            }
        }
        // What is in hand goes on; its agents are stopped after it, or with it at the deadline.
        while attempts.join_next().await.is_some() {}
        Ok(())
    }

    /// Waits until this node has the keys of its pool: what it took without them would be lost for those who have them.
    /// `false`: it is to end.
    async fn attend(&self, ending: &CancellationToken) -> Result<bool, StreamError> {
        let mut is_told = false;
        while !ending.is_cancelled() {
            let attended = match self.router.inner().seals.attend(&self.capability).await {
                Err(StreamError::Invalid(why)) => {
                    if !std::mem::replace(&mut is_told, true) {
                        self.tell_foreign(&why).await;
                    }
                    drop(timeout(AFTER_REFUSAL, ending.cancelled()).await);
                    continue;
                }
                attended => attended,
            };
            if self.unless_away(attended, ending).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn tell_foreign(&self, why: &str) {
        tracing::error!(capability = %self.capability, why, "this node's workers get no tasks; trying again");
        let text = format!("workers for {} get no tasks: {why}", self.capability);
        self.router.say(Fact::ErrorOccurred(error_event(&text, None))).await;
    }

    /// Opens the consumer, however long its store is away. `None`: it is to end.
    async fn consumer(&self, ending: &CancellationToken) -> Result<Option<Arc<dyn Consumer>>, StreamError> {
        while !ending.is_cancelled() {
            let opened =
                self.router.streams().consumer(TASK_ROUTING, consumer(&self.router, &self.capability));
            if let Some(consumer) = self.unless_away(opened.await, ending).await? {
                return Ok(Some(consumer.into()));
            }
        }
        Ok(None)
    }

    /// A store that is away is waited for: failing at it would end a node whose broker is only being restarted.
    async fn unless_away<T>(
        &self,
        asked: Result<T, StreamError>,
        ending: &CancellationToken,
    ) -> Result<Option<T>, StreamError> {
        match asked {
            Err(error @ (StreamError::Unavailable(_) | StreamError::Unknown(_))) => {
                tracing::warn!(%error, capability = %self.capability, "tasks can't be fetched; trying again");
                // Whoever ends meanwhile looks at that next.
                drop(timeout(AFTER_FAILURE, ending.cancelled()).await);
                Ok(None)
            }
            asked => asked.map(Some),
        }
    }

    async fn begin(
        &self,
        attempts: &mut JoinSet<()>,
        consumer: &Arc<dyn Consumer>,
        delivery: Delivery,
    ) -> Result<(), StreamError> {
        if delivery.attempt > 1 {
            count(&self.router.inner().tasks.counts.redelivered);
        }
        let Some(worker) = self.least_busy() else {
            return consumer.nak(delivery.tag, Duration::ZERO).await;
        };
        let hand = Hand::take(&self.hands, &worker.name);
        let (router, consumer) = (self.router.clone(), consumer.clone());
        attempts.spawn(async move {
            attempt(&router, &*consumer, delivery, &worker, hand).await;
        });
        Ok(())
    }

    fn workers(&self) -> Vec<Arc<AgentCell>> {
        let here =
            self.router.registry().able(&self.capability).into_iter().filter(|(_, node)| node.is_none());
        here.filter_map(|(name, _)| self.router.registry().local(&name)).collect()
    }

    fn free(&self) -> usize {
        let each = self.router.inner().config.tasks_per_worker;
        let hands = self.hands.full.lock();
        self.workers().iter().map(|w| each.saturating_sub(hands.get(&w.name).copied().unwrap_or(0))).sum()
    }

    fn least_busy(&self) -> Option<Arc<AgentCell>> {
        let workers = self.workers();
        let hands = self.hands.full.lock();
        workers.into_iter().min_by_key(|w| (hands.get(&w.name).copied().unwrap_or(0), w.mailbox.pending()))
    }
}

/// One task in one worker's hand, for as long as this lives.
struct Hand(Arc<Hands>, AgentName);

impl Hand {
    fn take(hands: &Arc<Hands>, worker: &AgentName) -> Hand {
        *hands.full.lock().entry(worker.clone()).or_default() += 1;
        Hand(hands.clone(), worker.clone())
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let mut hands = self.0.full.lock();
        if let Some(count) = hands.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                hands.remove(&self.1);
            }
        }
        self.0.freed.notify_one();
    }
}

fn consumer(router: &Router, capability: &Capability) -> ConsumerConfig {
    let token = subject_token(capability);
    ConsumerConfig {
        name: format!("workers-{token}"),
        filter: router.subject(&format!("task.{token}.>")),
        start: Start::First,
        ack_wait: router.inner().config.task_lease,
        // The record counts attempts; the queue only knows deliveries.
        max_deliver: None,
        max_ack_pending: router.inner().config.ack_pending_max,
        backoff: Vec::new(),
    }
}

/// One delivery, from its bytes to its acknowledgement. The worker is free once the record says what came of it: the queue is
/// told while the next task begins, and what it may still be told is bounded by `ack_pending_max`.
async fn attempt(
    router: &Router,
    consumer: &dyn Consumer,
    delivery: Delivery,
    worker: &Arc<AgentCell>,
    hand: Hand,
) {
    let tag = delivery.tag;
    let done = async {
        let (envelope, task) = match read(&delivery) {
            Ok(read) => read,
            Err(problem) => {
                bury(router, &delivery, "malformed", ("malformed", &problem), None).await?;
                return consumer.terminate(tag).await;
            }
        };
        let is_fresh = is_fresh(router, &delivery);
        let attempting =
            Attempting { router, consumer, tag, is_fresh, task: &task, envelope: &envelope, worker };
        let verdict = attempting.run().await;
        drop(hand);
        settle(router, consumer, &delivery, verdict?).await
    };
    if let Err(error) = done.await {
        tracing::warn!(%error, "the store failed in the middle of an attempt at a task; it comes again");
        // If this fails too, the delivery comes again when its time is over.
        drop(consumer.nak(tag, AFTER_FAILURE).await);
    }
}

/// Whether neither a worker nor its requester's node is likely to have written its record. A wrong guess costs a refused write.
fn is_fresh(router: &Router, delivery: &Delivery) -> bool {
    delivery.attempt == 1 && router.now().since(delivery.message.at) < RECORD_AFTER
}

/// Tells the queue what came of a delivery.
async fn settle(
    router: &Router,
    consumer: &dyn Consumer,
    delivery: &Delivery,
    verdict: Verdict,
) -> Result<(), StreamError> {
    match verdict {
        Verdict::Done => consumer.ack(delivery.tag).await,
        Verdict::Again(after) => consumer.nak(delivery.tag, after).await,
        Verdict::Leave => Ok(()),
        Verdict::Dead(record) => {
            let state = record.state.to_string();
            let (code, cause) = match &record.error {
                Some(error) => (error.code.as_str(), error.to_string()),
                None => (state.as_str(), state.clone()),
            };
            bury(router, delivery, "task", (code, &cause), Some(&record)).await?;
            consumer.terminate(delivery.tag).await
        }
    }
}

fn read(delivery: &Delivery) -> Result<(Envelope, message::Task), String> {
    let envelope = Envelope::decode(delivery.message.body.clone()).map_err(|error| error.to_string())?;
    let body = envelope.plain_body().map_err(|error| error.to_string())?;
    let task = message::Task::decode(&body).map_err(|error| error.to_string())?;
    Ok((envelope, task))
}

/// Copies a task into the dead letters, whole: cause, history and payload.
async fn bury(
    router: &Router,
    delivery: &Delivery,
    kind: &str,
    (code, cause): (&str, &str),
    record: Option<&TaskRecord>,
) -> Result<(), StreamError> {
    let record_kept = record.map(|record| record::encode(router, record.clone())).transpose()?;
    let letter = crate::dead_letters::Buried {
        code: code.to_owned(),
        cause: cause.to_owned(),
        attempts: record.map_or(delivery.attempt, |record| record.attempt.0),
        stream: TASK_ROUTING.to_owned(),
        subject: delivery.message.subject.clone(),
        payload: delivery.message.body.clone(),
        record: record_kept,
        sealed: None,
    };
    let name =
        record.map_or_else(|| format!("{}", delivery.message.sequence), |record| record.id.to_string());
    let body = router.inner().seals.seal_letter(letter)?.encode()?;
    let id: Option<MessageId> = delivery.message.id;
    let subject = router.subject(&format!("dead.{kind}.{name}"));
    router.streams().publish(DEAD_LETTERS, Publish { subject, id, body }).await?;
    Ok(())
}
