//! Agents of other nodes: what leaves this node for them, and what arrives from there.
//!
//! An envelope leaves by the transport and nothing is remembered of a cast; of a call, who waits. What arrives goes to
//! a mailbox, to a caller that waits, or to the membership keeper. A full mailbox never holds up the others: whoever
//! writes to it from another node is told to pause (`pressure`).

mod asking;
mod pressure;
mod sending;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::message::{self, Body, Control, Response};
use connectome_codecs::signature::Evidence;
use connectome_codecs::{
    Address, AgentName, CorrelationId, Encoding, Envelope, Kind, MessageName, NodeId, wire as codec,
};
use dashmap::DashMap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::agent_ref::{bury_displaced, refuse_full};
use crate::dead_letters::Reason;
use crate::deadline;
use crate::error::{CallError, HandlerError};
use crate::mail::Handed;
use crate::mailbox::{Overflow, Pushed};
use crate::message::{Message, Streaming};
use crate::monitor::{Down, DownReason, MonitorId, Watcher};
use crate::parcel::{Answer, Chain, Encoded, Meta, Named, message_name};
use crate::peers::Taken;
use crate::registry::Place;
use crate::reply::{Grant, ItemStream, Limit, RemoteItems, STREAM_WINDOW};
use crate::router::{Router, STOPPING};
use crate::scope;

pub(crate) use pressure::Paused;
use pressure::Pauses;
pub(crate) use wire::exit_reason;
use wire::{call_error, local_reason, wire_error, wire_reason};

/// Calls to other nodes that wait for an answer at the most: a node that is this far behind should refuse.
pub const CALLS_MAX: usize = 65_536;

/// Heartbeats and discovery messages that wait for the membership keeper at the most; more are dropped, since the next
/// heartbeat says the same.
pub(crate) const GOSSIP_WAITING_MAX: usize = 1_024;

/// How much a new answer counts in the smoothed latency of a node: one part in this many.
const LATENCY_WEIGHT: u64 = 8;

/// What this node knows of its conversations with others.
#[derive(Default)]
pub(crate) struct Remote {
    calls: DashMap<CorrelationId, Waiting>,
    serving: DashMap<(NodeId, CorrelationId), Serving>,
    watching: DashMap<u64, Watching>,
    watchers: AtomicU64,
    peers: DashMap<NodeId, Peer>,
    /// Mailboxes of other nodes that are full.
    pauses: Pauses,
    gossip: parking_lot::Mutex<Option<mpsc::Sender<Gossip>>>,
}

/// What the membership keeper is told.
pub(crate) enum Gossip {
    Heartbeat(NodeId, message::Heartbeat),
    Discovery(NodeId, message::Discovery),
    Disconnected(NodeId),
    /// Its keys are known, and were not before.
    Met(NodeId),
}

/// A call that waits for its answer.
struct Waiting {
    node: NodeId,
    within: Duration,
    items: Option<Items>,
    end: oneshot::Sender<Result<Bytes, CallError>>,
}

/// Where the items of a streamed answer go, and the number of the next one.
struct Items {
    sink: mpsc::Sender<Bytes>,
    next: u64,
}

impl Waiting {
    /// Takes an answer, or one item of it. `Some`: nothing follows.
    fn take(&mut self, response: Response) -> Option<Result<Bytes, CallError>> {
        let Response { result, item, last } = response;
        let Some(items) = &mut self.items else { return last.then_some(Ok(result)) };
        // The end is numbered as well, so that nothing that was lost before it goes unseen.
        if let Some(number) = item
            && number != items.next
        {
            return Some(Err(CallError::BadReply(format!(
                "items from {} to {number} were lost on the way",
                items.next
            ))));
        }
        if last {
            return Some(Ok(result));
        }
        items.next += 1;
        match items.sink.try_send(result) {
            // Its reader may have gone away; then it says so itself.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => None,
            Err(mpsc::error::TrySendError::Full(_)) => {
                Some(Err(CallError::BadReply("the writer sent more items than it had credit for".to_owned())))
            }
        }
    }
}

/// A call that is being answered here.
#[derive(Clone)]
struct Serving {
    cancelled: CancellationToken,
    credit: Arc<Semaphore>,
    /// Items sent so far.
    number: Arc<AtomicU64>,
}

/// An agent of another node that somebody here watches.
struct Watching {
    node: NodeId,
    agent: AgentName,
    watcher: Watcher,
    monitor: MonitorId,
}

#[derive(Default)]
struct Peer {
    in_flight: AtomicU64,
    latency_us: AtomicU64,
    /// What the peer can read, the best of which is used.
    encoding: parking_lot::Mutex<Encoding>,
}

impl Remote {
    /// Calls to this node that wait for an answer.
    pub(crate) fn in_flight(&self, node: NodeId) -> u64 {
        self.peers.get(&node).map_or(0, |peer| peer.in_flight.load(Ordering::Relaxed))
    }

    /// How long this node takes to answer, smoothed; zero before its first answer.
    pub(crate) fn latency(&self, node: NodeId) -> Duration {
        let micros = self.peers.get(&node).map_or(0, |peer| peer.latency_us.load(Ordering::Relaxed));
        Duration::from_micros(micros)
    }

    /// Notes which encodings a peer reads.
    pub(crate) fn negotiated(&self, node: NodeId, encoding: Encoding) {
        *self.peers.entry(node).or_default().encoding.lock() = encoding;
    }

    fn encoding(&self, node: NodeId) -> Encoding {
        self.peers.get(&node).map_or(Encoding::Identity, |peer| *peer.encoding.lock())
    }

    fn began(&self, node: NodeId) {
        self.peers.entry(node).or_default().in_flight.fetch_add(1, Ordering::Relaxed);
    }

    fn ended(&self, node: NodeId, took: Option<Duration>) {
        let Some(peer) = self.peers.get(&node) else { return };
        peer.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some(took) = took {
            let (old, new) = (peer.latency_us.load(Ordering::Relaxed), took.as_micros() as u64);
            let smoothed = if old == 0 { new } else { (old * (LATENCY_WEIGHT - 1) + new) / LATENCY_WEIGHT };
            peer.latency_us.store(smoothed, Ordering::Relaxed);
        }
    }

    /// Where the membership keeper listens.
    pub(crate) fn listen(&self) -> mpsc::Receiver<Gossip> {
        let (gossip, heard) = mpsc::channel(GOSSIP_WAITING_MAX);
        *self.gossip.lock() = Some(gossip);
        heard
    }

    fn tell_keeper(&self, gossip: Gossip) {
        if let Some(keeper) = &*self.gossip.lock() {
            // Full or gone: the next heartbeat says it again.
            drop(keeper.try_send(gossip));
        }
    }
}

/// Outgoing.
impl Router {
    pub(crate) async fn cast_to<M: Message>(
        &self,
        node: NodeId,
        to: &Address,
        message: M,
        meta: Meta,
    ) -> Result<(), CallError> {
        let envelope = self.envelope(to, &message, &meta)?;
        self.transmit_cast(node, envelope).await
    }

    pub(crate) async fn call_to<M: Message>(
        &self,
        node: NodeId,
        to: &Address,
        message: M,
        meta: Meta,
        within: Duration,
    ) -> Result<M::Reply, CallError> {
        let envelope = self.request(to, &message, &meta, within)?;
        let body = self.ask(node, envelope, within).await?;
        scope::binding(self, || codec::decode(&body)).map_err(|error| CallError::BadReply(error.to_string()))
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn ask(
        &self,
        node: NodeId,
        request: Envelope,
        within: Duration,
    ) -> Result<Bytes, CallError> {
        let started = Instant::now();
        let (end, answer) = oneshot::channel();
        let call = self.open_call(&request, node, within, None, end)?;
        self.transmit(node, request).await?;
        call.wait(started, within, answer).await
    }

    pub(crate) async fn stream_to<M: Streaming>(
        &self,
        node: NodeId,
        to: &Address,
        message: M,
        meta: Meta,
        within: Duration,
    ) -> Result<ItemStream<M::Item, M::Reply>, CallError> {
        let envelope = self.request(to, &message, &meta, within)?;
        let correlation = CorrelationId::from(envelope.id);
        // Twice the window: the items in flight, and those that a grant was sent for while they were.
        let (sink, items) = mpsc::channel(2 * STREAM_WINDOW);
        let (end, answer) = oneshot::channel();
        let call = self.open_call(&envelope, node, within, Some(sink), end)?;
        self.transmit(node, envelope).await?;
        call.keep_open();
        let grant = Grant { router: self.clone(), writer: node, correlation, owed: 0, ended: false };
        let limit = Limit { until: deadline::after(within), within };
        Ok(ItemStream::far(items, answer, grant, limit))
    }

    pub(crate) fn envelope<M: Message>(
        &self,
        to: &Address,
        message: &M,
        meta: &Meta,
    ) -> Result<Envelope, CallError> {
        let body = codec::encode(message).map_err(|error| CallError::BadMessage {
            message: M::NAME.to_owned(),
            problem: error.to_string(),
        })?;
        let mut envelope = Envelope::new(self.message_id(), Kind::Typed, to.clone(), self.now(), body)
            .named(Named::<M>::NAME);
        envelope.from = meta.from.clone();
        envelope.trace = self.trace_of(meta);
        if let Some(chain) = &meta.chain {
            envelope.call_chain =
                chain.agents().take(connectome_codecs::limits::CALL_CHAIN_MAX).cloned().collect();
        }
        Ok(envelope)
    }

    fn request<M: Message>(
        &self,
        to: &Address,
        message: &M,
        meta: &Meta,
        within: Duration,
    ) -> Result<Envelope, CallError> {
        Ok(self.asking(self.envelope(to, message, meta)?, within))
    }

    /// The same envelope as a request that is answered within this time.
    pub(crate) fn asking(&self, envelope: Envelope, within: Duration) -> Envelope {
        let (id, expires) = (envelope.id, envelope.sent.after(within));
        envelope.correlated(id).reply_to(self.node_id()).expires_at(expires)
    }

    fn open_call(
        &self,
        envelope: &Envelope,
        node: NodeId,
        within: Duration,
        items: Option<mpsc::Sender<Bytes>>,
        end: oneshot::Sender<Result<Bytes, CallError>>,
    ) -> Result<OpenCall, CallError> {
        let remote = &self.inner().remote;
        if remote.calls.len() >= CALLS_MAX {
            return Err(CallError::NotSent(format!(
                "{CALLS_MAX} calls to other nodes wait for an answer already"
            )));
        }
        let correlation = CorrelationId::from(envelope.id);
        let items = items.map(|sink| Items { sink, next: 0 });
        remote.calls.insert(correlation, Waiting { node, within, items, end });
        remote.began(node);
        Ok(OpenCall { router: self.clone(), correlation, node, open: true })
    }

    /// A caller no longer waits.
    pub(crate) fn forget_call(&self, correlation: CorrelationId, node: NodeId) {
        if self.inner().remote.calls.remove(&correlation).is_some() {
            self.inner().remote.ended(node, None);
            self.control(node, correlation, &Control::Cancel);
        }
    }

    /// Lets the writer of a stream write on.
    pub(crate) fn grant_credit(&self, node: NodeId, correlation: CorrelationId, items: u32) {
        self.control(node, correlation, &Control::Credit { items });
    }

    pub(crate) async fn send_item(&self, way: &RemoteItems, body: Bytes) -> Result<(), HandlerError> {
        let number = way.number.fetch_add(1, Ordering::Relaxed);
        let response = Response { result: body, item: Some(number), last: false };
        let envelope = self.about(way.reader, way.correlation, Kind::Response, &response)?;
        Ok(self.transmit(way.reader, envelope).await?)
    }

    fn control(&self, node: NodeId, correlation: CorrelationId, control: &Control) {
        let to = Address::Id(connectome_codecs::AgentId(*node.as_bytes()));
        self.control_at(node, to, correlation, control);
    }

    /// A control message about an agent of another node.
    fn control_at(&self, node: NodeId, to: Address, correlation: CorrelationId, control: &Control) {
        let sent = self.about(node, correlation, Kind::Control, control).and_then(|mut envelope| {
            envelope.to = to;
            Ok(self.transmit_later(node, envelope)?)
        });
        if let Err(error) = sent {
            tracing::error!(%error, "a control message could not be encoded");
        }
    }

    /// An envelope from machinery to machinery.
    fn about<B: Body>(
        &self,
        node: NodeId,
        correlation: CorrelationId,
        kind: Kind,
        body: &B,
    ) -> Result<Envelope, HandlerError> {
        let body = body.encode()?;
        let to = Address::Id(connectome_codecs::AgentId(*node.as_bytes()));
        Ok(Envelope::new(self.message_id(), kind, to, self.now(), body).correlated(correlation))
    }

    /// Watches an agent of another node, under the number that is returned.
    pub(crate) async fn watch_remote(
        &self,
        node: NodeId,
        agent: &AgentName,
        watcher: Watcher,
        monitor: MonitorId,
    ) -> u64 {
        let remote = &self.inner().remote;
        let number = remote.watchers.fetch_add(1, Ordering::Relaxed);
        remote.watching.insert(number, Watching { node, agent: agent.clone(), watcher, monitor });
        let watch = Control::Watch { watcher: number };
        let envelope = self.about(node, CorrelationId::from(self.message_id()), Kind::Control, &watch);
        let sent = match envelope {
            Ok(mut envelope) => {
                envelope.to = Address::Agent(agent.clone());
                self.transmit(node, envelope).await.is_ok()
            }
            Err(_) => false,
        };
        if !sent {
            self.watched_down(number, 0, DownReason::NodeLost(node));
        }
        number
    }

    /// Takes a watcher back, here and there.
    pub(crate) fn unwatch_remote(&self, number: u64) {
        let Some((_, Watching { node, agent, .. })) = self.inner().remote.watching.remove(&number) else {
            return;
        };
        let correlation = CorrelationId::from(self.message_id());
        self.control_at(node, Address::Agent(agent), correlation, &Control::Unwatch { watcher: number });
    }

    pub(crate) fn tell_remote(&self, node: NodeId, watcher: u64, down: &Down) {
        let (reason, detail) = wire_reason(&down.reason);
        let control = Control::Down { watcher, incarnation: down.incarnation, reason, detail };
        self.control(node, CorrelationId::from(self.message_id()), &control);
    }

    fn watched_down(&self, number: u64, incarnation: u64, reason: DownReason) {
        if let Some((_, watching)) = self.inner().remote.watching.remove(&number) {
            let Watching { agent, watcher, monitor, .. } = watching;
            self.tell(watcher, &Down { agent, incarnation, reason, monitor });
        }
    }

    /// A node can't be reached any more: whoever waits for it is told.
    pub(crate) fn node_lost(&self, node: NodeId) {
        self.inner().peers.lost(node);
        let remote = &self.inner().remote;
        remote.pauses.lost(node);
        let mut calls: Vec<_> =
            remote.calls.iter().filter(|call| call.node == node).map(|call| *call.key()).collect();
        calls.sort_unstable();
        for correlation in calls {
            if let Some((_, call)) = remote.calls.remove(&correlation) {
                remote.ended(node, None);
                // Its caller may have gone away.
                drop(call.end.send(Err(CallError::PathLost(node))));
            }
        }
        let mut watched: Vec<_> =
            remote.watching.iter().filter(|w| w.node == node).map(|w| *w.key()).collect();
        watched.sort_unstable();
        for number in watched {
            self.watched_down(number, 0, DownReason::NodeLost(node));
        }
        let mut served: Vec<_> =
            remote.serving.iter().map(|s| *s.key()).filter(|(from, _)| *from == node).collect();
        served.sort_unstable();
        for key in served {
            if let Some((_, serving)) = remote.serving.remove(&key) {
                serving.cancelled.cancel();
                serving.credit.close();
            }
        }
    }
}

/// A call that waits; however the waiting ends, its entry goes, and the other side is told when it was given up.
struct OpenCall {
    router: Router,
    correlation: CorrelationId,
    node: NodeId,
    open: bool,
}

impl OpenCall {
    async fn wait(
        self,
        started: Instant,
        within: Duration,
        answer: oneshot::Receiver<Result<Bytes, CallError>>,
    ) -> Result<Bytes, CallError> {
        match timeout_at(deadline::after(within), answer).await {
            Ok(Ok(result)) => self.closed(started.elapsed(), result),
            Ok(Err(_)) => Err(CallError::PathLost(self.node)),
            Err(_) => Err(CallError::TimedOut(within)),
        }
    }

    fn closed<T>(mut self, took: Duration, result: Result<T, CallError>) -> Result<T, CallError> {
        self.open = false;
        let answered = !matches!(result, Err(CallError::PathLost(_)));
        if answered {
            self.router.inner().remote.ended(self.node, Some(took));
        }
        result
    }

    /// Its stream closes it.
    fn keep_open(mut self) {
        self.open = false;
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if self.open {
            self.router.forget_call(self.correlation, self.node);
        }
    }
}

/// Incoming.
impl Router {
    /// Takes one frame from another node to where it belongs.
    pub(crate) fn receive(&self, from: NodeId, frame: Bytes) {
        let (payload, evidence) = match self.inner().peers.hear(from, frame) {
            Ok(Taken::Message(payload, evidence)) => (payload, evidence),
            Ok(Taken::Met) => return self.inner().remote.tell_keeper(Gossip::Met(from)),
            Ok(Taken::Nothing) => return,
            Err(refusal) => return self.malformed(from, &refusal.to_string()),
        };
        let envelope = match Envelope::decode(payload) {
            Ok(envelope) => envelope,
            Err(error) => return self.malformed(from, &error.to_string()),
        };
        let _hop = hop("receive", from, &envelope).entered();
        match envelope.kind {
            Kind::Response | Kind::Error if envelope.correlation.is_some() => self.answered(from, envelope),
            Kind::Control => self.controlled(from, envelope),
            Kind::Heartbeat => self.gossip(from, &envelope, Gossip::Heartbeat),
            Kind::Discovery => self.gossip(from, &envelope, Gossip::Discovery),
            Kind::Text
            | Kind::Task
            | Kind::Status
            | Kind::Typed
            | Kind::Response
            | Kind::Error
            | Kind::Unknown(_) => {
                self.deliver(from, envelope, evidence);
            }
        }
    }

    pub(crate) fn disconnected(&self, node: NodeId) {
        self.node_lost(node);
        self.inner().remote.tell_keeper(Gossip::Disconnected(node));
    }

    fn malformed(&self, from: NodeId, problem: &str) {
        let to = Address::Id(connectome_codecs::AgentId(*self.node_id().as_bytes()));
        let cause = format!("from {from}: {problem}");
        self.letter(to, None, MessageName::from_static("-"), Reason::Malformed, &cause);
    }

    fn gossip<B: Body>(&self, from: NodeId, envelope: &Envelope, wrap: fn(NodeId, B) -> Gossip) {
        match body::<B>(envelope) {
            Ok(body) => self.inner().remote.tell_keeper(wrap(from, body)),
            Err(problem) => self.malformed(from, &problem),
        }
    }

    fn answered(&self, from: NodeId, envelope: Envelope) {
        let Some(correlation) = envelope.correlation else { return };
        let calls = &self.inner().remote.calls;
        let end = match calls.get_mut(&correlation) {
            Some(mut call) if call.node == from => match answer_in(&envelope, call.within) {
                Ok(response) => call.take(response),
                Err(error) => Some(Err(error)),
            },
            // Its caller no longer waits, or it is not this node's to answer.
            Some(_) | None => None,
        };
        let Some(response) = end else { return };
        if let Some((_, call)) = calls.remove(&correlation) {
            if call.items.is_some() {
                self.inner().remote.ended(from, None);
            }
            if let Err(CallError::BadReply(_)) = &response {
                self.control(from, correlation, &Control::Cancel);
            }
            // Its caller may have gone away.
            drop(call.end.send(response));
        }
    }

    fn controlled(&self, from: NodeId, envelope: Envelope) {
        let control = match body::<Control>(&envelope) {
            Ok(control) => control,
            Err(problem) => return self.malformed(from, &problem),
        };
        let remote = &self.inner().remote;
        let served = || envelope.correlation.and_then(|c| remote.serving.get(&(from, c)).map(|s| s.clone()));
        match control {
            Control::Cancel => {
                if let Some(serving) = served() {
                    serving.cancelled.cancel();
                    serving.credit.close();
                }
            }
            Control::Credit { items } => {
                if let Some(serving) = served() {
                    let room = Semaphore::MAX_PERMITS - serving.credit.available_permits();
                    serving.credit.add_permits((items as usize).min(room));
                }
            }
            Control::Watch { watcher } => self.watched_from(from, watcher, &envelope.to),
            Control::Unwatch { watcher } => self.unwatched_from(from, watcher, &envelope.to),
            Control::Down { watcher, incarnation, reason, detail } => {
                if remote.watching.get(&watcher).is_some_and(|watching| watching.node == from) {
                    self.watched_down(watcher, incarnation, local_reason(from, reason, detail));
                }
            }
            Control::Hold => remote.pauses.begin(from, envelope.to),
            Control::Resume => remote.pauses.end(from, &envelope.to),
            Control::MailKeys => self.furnish_mail(&envelope.to),
            Control::Keep { outbox, sequence, envelope: message } => {
                self.take_handed(from, &envelope, Handed { outbox, sequence, envelope: message });
            }
            Control::Unknown { action } => {
                tracing::debug!(%from, action, "a control message of a newer node")
            }
        }
    }

    /// Asks a node to publish the mail keys of an agent of its own.
    pub(crate) fn ask_for_mail_keys(&self, node: NodeId, agent: &AgentName) {
        let correlation = CorrelationId::from(self.message_id());
        self.control_at(node, Address::Agent(agent.clone()), correlation, &Control::MailKeys);
    }

    fn watched_from(&self, from: NodeId, watcher: u64, to: &Address) {
        let Address::Agent(name) = to else { return };
        let cell = self.registry().local(name);
        let set = cell.and_then(|cell| cell.watch(Watcher::Remote { node: from, watcher }).ok());
        if set.is_none() {
            let reason = DownReason::NoAgent;
            let down = Down { agent: name.clone(), incarnation: 0, reason, monitor: MonitorId::default() };
            self.tell_remote(from, watcher, &down);
        }
    }

    fn unwatched_from(&self, from: NodeId, watcher: u64, to: &Address) {
        let Address::Agent(name) = to else { return };
        if let Some(cell) = self.registry().local(name) {
            cell.unwatch(|watchers| watchers.remove_remote(from, watcher));
        }
    }

    /// Puts an envelope from another node into the mailbox it is for.
    fn deliver(&self, from: NodeId, envelope: Envelope, evidence: Option<Arc<Evidence>>) {
        let answer = self.answer_to(from, &envelope);
        let meta = Meta { evidence, ..meta_of(&envelope) };
        let Some(Place::Here(cell)) = self.locate_here(&envelope.to) else {
            return refuse(answer, self.no_agent(&envelope.to, meta.from, message_name(&envelope)));
        };
        if meta.chain.as_ref().is_some_and(|chain| chain.agents().any(|waiting| *waiting == cell.name)) {
            return refuse(
                answer,
                CallError::Cycle(format!("{} -> {}", join(&envelope.call_chain), cell.name)),
            );
        }
        let turned_away = self.turns_away(&meta);
        if cell.mailbox.is_crowded() {
            self.pause(from, &envelope.to, &cell);
        }
        let parcel =
            Box::new(Encoded { envelope, answer: answer.map(|answer| answer as Box<dyn Answer>), meta });
        if turned_away {
            let error = CallError::Stopped(STOPPING.to_owned());
            return self.dead_letter(&cell.name, parcel, Reason::Stopped, error);
        }
        match cell.push_arrived(parcel) {
            Pushed::Queued { displaced, .. } => {
                bury_displaced(self, &cell, displaced);
            }
            Pushed::Full(back) => {
                debug_assert_ne!(
                    cell.mailbox.config().overflow,
                    Overflow::DropOldest,
                    "the oldest makes room"
                );
                let error = refuse_full(self, &cell, &*back);
                back.refuse(error);
            }
            Pushed::Closed(back, why) => {
                self.dead_letter(&cell.name, back, Reason::Stopped, CallError::Stopped(why))
            }
        }
    }

    fn answer_to(&self, from: NodeId, envelope: &Envelope) -> Option<Box<RemoteAnswer>> {
        let correlation = envelope.correlation?;
        envelope.reply_to?;
        // The answer goes to the node the transport authenticated, whatever the envelope says.
        let serving = Serving {
            cancelled: CancellationToken::new(),
            credit: Arc::new(Semaphore::new(STREAM_WINDOW)),
            number: Arc::default(),
        };
        self.inner().remote.serving.insert((from, correlation), serving.clone());
        Some(Box::new(RemoteAnswer { router: self.clone(), to: from, correlation, serving, given: false }))
    }
}

fn refuse(answer: Option<Box<RemoteAnswer>>, error: CallError) {
    if let Some(answer) = answer {
        answer.give(Err(error), None);
    }
}

/// One hop of a message, in the log.
fn hop(what: &'static str, peer: NodeId, envelope: &Envelope) -> tracing::Span {
    tracing::debug_span!(
        "hop",
        what,
        %peer,
        to = %envelope.to,
        kind = %envelope.kind,
        trace = envelope.trace.as_ref().map(tracing::field::display),
    )
}

fn meta_of(envelope: &Envelope) -> Meta {
    // The sender's own two times are compared, so its clock may differ from ours.
    let deadline = envelope.expires.map(|expires| deadline::after(expires.since(envelope.sent)));
    Meta {
        from: envelope.from.clone(),
        deadline,
        attempt: envelope.attempt.0,
        chain: Chain::from_wire(&envelope.call_chain),
        trace: envelope.trace.clone().map(Arc::new),
        evidence: None,
    }
}

fn join(chain: &[AgentName]) -> String {
    chain.iter().rev().map(AgentName::as_str).collect::<Vec<_>>().join(" -> ")
}

fn answer_in(envelope: &Envelope, within: Duration) -> Result<Response, CallError> {
    let failed = |error| call_error(error, within);
    match envelope.kind {
        Kind::Error => Err(body::<message::Error>(envelope).map_or_else(CallError::BadReply, failed)),
        _ => body::<Response>(envelope).map_err(CallError::BadReply),
    }
}

fn body<B: Body>(envelope: &Envelope) -> Result<B, String> {
    let plain = envelope.plain_body().map_err(|error| error.to_string())?;
    B::decode(&plain).map_err(|error| error.to_string())
}

/// The answer to a call of another node.
struct RemoteAnswer {
    router: Router,
    to: NodeId,
    correlation: CorrelationId,
    serving: Serving,
    given: bool,
}

impl RemoteAnswer {
    fn answer(&mut self, result: Result<Bytes, CallError>) {
        self.given = true;
        self.router.inner().remote.serving.remove(&(self.to, self.correlation));
        if let Err(error) = result.and_then(|body| self.respond(body))
            && let Err(error) = self.send(Kind::Error, &wire_error(&error))
        {
            tracing::error!(%error, "an answer could not be encoded");
        }
    }

    fn respond(&self, result: Bytes) -> Result<(), CallError> {
        let sent = self.serving.number.load(Ordering::Relaxed);
        let response = Response { result, item: (sent > 0).then_some(sent), last: true };
        let refused = |why| HandlerError::rejected(format!("the answer could not be sent: {why}"));
        self.send(Kind::Response, &response).map_err(|why| CallError::Handler(refused(why)))
    }

    fn send<B: Body>(&self, kind: Kind, body: &B) -> Result<(), HandlerError> {
        let envelope = self.router.about(self.to, self.correlation, kind, body)?;
        Ok(self.router.transmit_later(self.to, envelope)?)
    }
}

impl Answer for RemoteAnswer {
    fn give(mut self: Box<Self>, result: Result<Bytes, CallError>, _: Option<Bytes>) {
        self.answer(result);
    }

    fn is_gone(&self) -> bool {
        self.serving.cancelled.is_cancelled()
    }

    fn gone(&self) -> BoxFuture<'static, ()> {
        self.serving.cancelled.clone().cancelled_owned().boxed()
    }

    fn items(&self) -> Option<RemoteItems> {
        Some(RemoteItems {
            router: self.router.clone(),
            reader: self.to,
            correlation: self.correlation,
            credit: self.serving.credit.clone(),
            number: self.serving.number.clone(),
        })
    }
}

impl Drop for RemoteAnswer {
    fn drop(&mut self) {
        if !self.given {
            self.answer(Err(CallError::Crashed("it ended without an answer".to_owned())));
        }
    }
}
