//! What leaves this node for others, sealed, and what comes from them, opened: between the router and the transport.
//!
//! What is sealed with which key, and what is believed, is decided in `protocol/secrecy`, one [`Talk`] for each node. Here
//! are the queues in front of it: whatever waits for the same node when it is sealed shares a signature. A short message
//! that finds nobody waiting is sealed and handed over at once, by whoever brings it.

mod casting;
mod counts;
mod queue;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use connectome_codecs::frame::Frame;
use connectome_codecs::identity::{Accept, Acceptance, IdentityLog, Voucher};
use connectome_codecs::session::{Draft, Policy};
use connectome_codecs::signature::{Batch, Evidence};
use connectome_codecs::{AgentId, NodeId, Refusal, UnixMillis};
use dashmap::DashMap;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use self::counts::Counts;
pub use self::counts::SealCounts;
pub(crate) use self::queue::Unsent;
use self::queue::{Fate, Outgoing, Waiting};
use crate::port::{KeyStore, KeyStoreError, Transport, TransportError, Whose, World};
use crate::protocol::Now;
use crate::protocol::membership::NODES_MAX;
use crate::protocol::secrecy::{Own, Talk};

/// The conversations of a node with all others.
pub(crate) struct Peers {
    own: RwLock<Own>,
    world: Arc<dyn World>,
    transport: Arc<dyn Transport>,
    keys: Arc<dyn KeyStore>,
    peers: DashMap<NodeId, Arc<Peer>>,
    /// Whether nothing is sealed: for clients that have no keys, and to measure.
    open: bool,
    began: Instant,
    counts: Counts,
}

struct Peer {
    node: NodeId,
    /// When it was last sent to or heard, in milliseconds since the beginning.
    used: AtomicU64,
    talk: Mutex<Talk>,
    waiting: Mutex<Waiting>,
    room: Notify,
    /// When it was last cast to, in microseconds since the beginning.
    cast_at: AtomicU64,
}

/// Messages that have their keys.
enum Sealing {
    Done(VecDeque<(Bytes, Outgoing)>),
    Unsigned(Vec<(Draft, Outgoing)>),
}

impl Peers {
    /// `accept`: whom to talk to. `open`: nothing is sealed.
    pub(crate) fn new(
        keys: Arc<dyn KeyStore>,
        world: Arc<dyn World>,
        transport: Arc<dyn Transport>,
        (policy, accept): (Policy, Accept),
        open: bool,
    ) -> Result<Arc<Peers>, KeyStoreError> {
        let mut acceptance = Acceptance::new(accept);
        acceptance.trust(keys.organisation_id());
        let own = own(&*keys, &*world, policy)?.accepting(acceptance);
        let peers = Peers {
            own: RwLock::new(own),
            world,
            transport,
            keys,
            peers: DashMap::new(),
            open,
            began: Instant::now(),
            counts: Counts::default(),
        };
        Ok(Arc::new(peers))
    }

    /// Says to whomever the transport reaches that this node is there, and with which keys.
    pub(crate) fn here(&self) {
        let hash = self.own.read().hash();
        self.transport.broadcast(Frame::Here(hash).encode());
    }

    /// Makes new keys when it is time, and erases what is no longer needed.
    pub(crate) fn tend(&self) {
        let time = self.world.now();
        let keys = &self.keys;
        let mut fill = |bytes: &mut [u8]| self.world.fill(bytes);
        let renewed = self
            .own
            .write()
            .renew(time, &mut fill, |claims, instance| keys.certify(Whose::Node, claims, instance));
        if let Err(error) = renewed {
            tracing::error!(%error, "the keys of this node could not be renewed");
        }
        let own = self.own.read();
        self.peers.iter().for_each(|peer| peer.talk.lock().expire(&own, time));
    }

    /// Takes the log of a node's keys; an own instance that this node took back makes room for a new one.
    pub(crate) fn learn(&self, log: IdentityLog) {
        let node = NodeId(*log.agent().as_bytes());
        let mut held = self.own.write();
        held.learn(log);
        if held.is_revoked() {
            self.begin_anew(&mut held);
        } else if let Some(peer) = self.peers.get(&node) {
            peer.talk.lock().forget_revoked(&held);
        }
    }

    /// Takes a voucher for a node, or for somebody else: it is no matter here.
    pub(crate) fn learn_voucher(&self, voucher: Voucher, time: UnixMillis) {
        if let Err(refusal) = self.own.write().learn_voucher(voucher, time) {
            tracing::debug!(%refusal, "a voucher is not taken");
        }
    }

    /// A voucher was taken back.
    pub(crate) fn forget_voucher(&self, agent: AgentId, organisation: AgentId) {
        self.own.write().forget_voucher(agent, organisation);
    }

    /// With another instance, and therefore other sessions.
    fn begin_anew(&self, held: &mut Own) {
        let (logs, acceptance) = held.take_learned();
        match own(&*self.keys, &*self.world, held.policy().clone()) {
            Ok(fresh) => *held = fresh.accepting(acceptance),
            Err(error) => tracing::error!(%error, "this node's keys were taken back, and it has no others"),
        }
        logs.into_values().for_each(|log| held.learn(log));
        self.peers.iter().for_each(|peer| *peer.talk.lock() = Talk::new(held, peer.node));
    }

    /// The nodes whose keys are known, in order.
    pub(crate) fn known(&self) -> Vec<NodeId> {
        let known = self.peers.iter().filter(|peer| self.open || peer.talk.lock().is_known());
        let mut nodes: Vec<_> = known.map(|peer| *peer.key()).collect();
        nodes.sort_unstable();
        nodes
    }

    pub(crate) fn counts(&self) -> SealCounts {
        self.counts.read()
    }

    fn now(&self) -> Now {
        Now::new(self.began.elapsed())
    }

    /// The conversation with a node; `None`: there are as many as there may be.
    fn peer(&self, node: NodeId) -> Option<Arc<Peer>> {
        let now = self.began.elapsed().as_millis() as u64;
        if let Some(peer) = self.peers.get(&node) {
            peer.used.store(now, Ordering::Relaxed);
            return Some(peer.clone());
        }
        if self.peers.len() >= NODES_MAX {
            self.make_room(now);
        }
        if self.peers.len() >= NODES_MAX {
            return None;
        }
        // Never with the table's lock held: whoever writes there is waited for, and may wait for the table.
        let talk = Talk::new(&self.own.read(), node);
        let make = || {
            let (talk, used) = (Mutex::new(talk), AtomicU64::new(now));
            let (waiting, room, cast_at) = (Mutex::default(), Notify::new(), AtomicU64::new(0));
            Arc::new(Peer { node, used, talk, waiting, room, cast_at })
        };
        Some(self.peers.entry(node).or_insert_with(make).clone())
    }
}

impl Peers {
    /// Forgets nodes that were not heard of for so long that nothing of what they said can be said again.
    fn make_room(&self, now: u64) {
        let age = self.own.read().policy().retention.as_millis() as u64;
        self.peers.retain(|_, peer| now.saturating_sub(peer.used.load(Ordering::Relaxed)) <= age);
    }
}

/// Outgoing.
impl Peers {
    /// Sends a message, and returns when the transport has it. `busy`: others are likely to follow at once.
    pub(crate) async fn send(
        self: &Arc<Peers>,
        node: NodeId,
        payload: Bytes,
        until: Instant,
        busy: bool,
    ) -> Result<(), Unsent> {
        let peer = self.peer(node).ok_or(TransportError::Unreachable { to: node })?;
        let (told, mut outcome) = oneshot::channel();
        peer.queue(Outgoing { payload, fate: Fate::Awaited(told) }, until).await?;
        self.attend(&peer, busy);
        if let Ok(outcome) = outcome.try_recv() {
            return outcome;
        }
        match timeout_at(until, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Unsent::Gone(node)),
            Err(_) => Err(Unsent::TooLate(node)),
        }
    }

    /// Sends a message that nobody waits for. Gives it back when there is no room.
    pub(crate) fn post(self: &Arc<Peers>, node: NodeId, payload: Bytes, busy: bool) -> Result<(), Bytes> {
        let Some(peer) = self.peer(node) else { return Ok(()) };
        let added = peer.waiting.lock().add(Outgoing { payload, fate: Fate::Unheard });
        added.map_err(|back| back.payload)?;
        self.attend(&peer, busy);
        Ok(())
    }

    /// Sends what is only of use now: nothing, when the node's keys are not known.
    pub(crate) fn whisper(self: &Arc<Peers>, node: NodeId, payload: Bytes) {
        let Some(peer) = self.peer(node) else { return };
        if self.open || peer.talk.lock().is_known() {
            drop(self.post(node, payload, false));
        }
    }

    /// Sees that somebody takes out what waits: this task at once, or another one soon, so that more can gather.
    fn attend(self: &Arc<Peers>, peer: &Arc<Peer>, busy: bool) {
        {
            let mut waiting = peer.waiting.lock();
            if waiting.attended || waiting.messages.is_empty() {
                return;
            }
            waiting.attended = true;
        }
        if busy {
            self.clone().attend_later(peer.clone(), VecDeque::new());
        } else {
            self.empty(peer);
        }
    }

    fn attend_later(self: Arc<Peers>, peer: Arc<Peer>, sealed: VecDeque<(Bytes, Outgoing)>) {
        tokio::spawn(async move {
            self.push_on(&peer, sealed).await;
            self.empty(&peer);
        });
    }

    /// Seals and hands over what waits, until nothing does or the transport has no room: then another task goes on.
    fn empty(self: &Arc<Peers>, peer: &Arc<Peer>) {
        loop {
            let messages = {
                let mut waiting = peer.waiting.lock();
                waiting.attended = !waiting.messages.is_empty();
                if !waiting.attended {
                    return;
                }
                waiting.take()
            };
            peer.room.notify_waiters();
            let Some(mut sealed) = self.seal(peer, messages) else {
                if peer.talk.lock().is_known() {
                    // The keys came just now, and whoever brought them left the messages to us.
                    continue;
                }
                return;
            };
            while let Some((frame, message)) = sealed.pop_front() {
                match self.transport.send(peer.node, frame.clone()) {
                    Ok(()) => message.tell(Ok(())),
                    Err(TransportError::Full { .. }) => {
                        sealed.push_front((frame, message));
                        return self.clone().attend_later(peer.clone(), sealed);
                    }
                    Err(error) => message.tell(Err(error.into())),
                }
            }
        }
    }

    /// Hands over what is sealed, as the transport has room.
    async fn push_on(&self, peer: &Peer, sealed: VecDeque<(Bytes, Outgoing)>) {
        for (frame, message) in sealed {
            // What is not sent is a gap, which its receiver gets over.
            while message.is_wanted() {
                match self.transport.send(peer.node, frame.clone()) {
                    Err(TransportError::Full { .. }) => self.transport.ready(peer.node).await,
                    sent => {
                        message.tell(sent.map_err(Unsent::from));
                        break;
                    }
                }
            }
        }
    }

    /// Seals messages under one signature. `None`: the keys are not known; they were asked for, and the messages wait.
    fn seal(&self, peer: &Peer, messages: Vec<Outgoing>) -> Option<VecDeque<(Bytes, Outgoing)>> {
        let messages: Vec<_> = messages.into_iter().filter(Outgoing::is_wanted).collect();
        if self.open {
            let open = |message: Outgoing| (Frame::Open(message.payload.clone()).encode(), message);
            return Some(messages.into_iter().map(open).collect());
        }
        let own = self.own.read();
        let mut talk = peer.talk.lock();
        if !talk.is_known() {
            let ask = talk.ask(&own, self.now());
            drop((talk, own));
            self.wait_for_keys(peer, messages, ask);
            return None;
        }
        let sealed = self.seal_for(&own, &mut talk, messages);
        drop(talk);
        Some(match sealed {
            Sealing::Done(sealed) => sealed,
            Sealing::Unsigned(drafts) => self.sign(&own, drafts),
        })
    }

    /// Gives each message its key, while the conversation is held. What it costs to sign is paid afterwards.
    fn seal_for(&self, own: &Own, talk: &mut Talk, messages: Vec<Outgoing>) -> Sealing {
        let time = self.world.now();
        let mut fill = |bytes: &mut [u8]| self.world.fill(bytes);
        if own.signs_each() {
            let draft = |message: Outgoing| match talk.draft(own, message.payload.clone(), time, &mut fill) {
                Ok(draft) => Some((draft, message)),
                Err(error) => {
                    message.tell(Err(error.into()));
                    None
                }
            };
            return Sealing::Unsigned(messages.into_iter().filter_map(draft).collect());
        }
        let seal = |message: Outgoing| match talk.seal(own, message.payload.clone(), time, &mut fill) {
            Ok(sealed) => Some((sealed.bytes, message)),
            Err(error) => {
                message.tell(Err(error.into()));
                None
            }
        };
        let sealed: VecDeque<_> = messages.into_iter().filter_map(seal).collect();
        self.counts.sealed(sealed.len(), 0);
        Sealing::Done(sealed)
    }

    fn sign(&self, own: &Own, drafts: Vec<(Draft, Outgoing)>) -> VecDeque<(Bytes, Outgoing)> {
        let mut batch = Batch::default();
        let messages: Vec<_> = drafts
            .into_iter()
            .map(|(draft, message)| {
                batch.add(draft).expect("no more are taken at once than a batch holds");
                message
            })
            .collect();
        self.counts.sealed(messages.len(), usize::from(!batch.is_empty()));
        let sealed = batch.sign(&own.instance().keys().signing);
        sealed.into_iter().map(|sealed| sealed.bytes).zip(messages).collect()
    }

    fn wait_for_keys(&self, peer: &Peer, messages: Vec<Outgoing>, ask: Option<Frame>) {
        let asked = ask.map_or(Ok(()), |ask| self.transport.send(peer.node, ask.encode()));
        match asked {
            // It is asked again whenever something is sent, and each time that the node is heard of.
            Ok(()) | Err(TransportError::Full { .. }) => {
                let mut waiting = peer.waiting.lock();
                waiting.put_back(messages);
                waiting.attended = false;
            }
            Err(error) => {
                messages.into_iter().for_each(|message| message.tell(Err(error.clone().into())));
                peer.waiting.lock().attended = false;
            }
        }
    }

    /// Hands over what waits, without gathering more: the transport closes next.
    pub(crate) fn flush(self: &Arc<Peers>) {
        let peers: Vec<_> = self.peers.iter().map(|peer| peer.clone()).collect();
        peers.iter().for_each(|peer| self.empty(peer));
    }

    /// A node is gone: what waits for it does not leave.
    pub(crate) fn lost(&self, node: NodeId) {
        let Some(peer) = self.peers.get(&node).map(|peer| peer.clone()) else { return };
        let gone = {
            let mut waiting = peer.waiting.lock();
            waiting.bytes = 0;
            std::mem::take(&mut waiting.messages)
        };
        gone.into_iter().for_each(|message| message.tell(Err(Unsent::Gone(node))));
        peer.room.notify_waiters();
    }
}

/// What a frame was.
pub(crate) enum Taken {
    /// A message of the other node.
    Message(Bytes, Option<Arc<Evidence>>),
    /// Its keys are known now, and were not before.
    Met,
    /// Something between the two nodes.
    Nothing,
}

/// Incoming.
impl Peers {
    /// Takes a frame from another node.
    ///
    /// # Errors
    /// Why it is not believed.
    pub(crate) fn hear(self: &Arc<Peers>, from: NodeId, frame: Bytes) -> Result<Taken, Refusal> {
        let heard = self.take(from, frame);
        if let Err(refusal) = &heard {
            self.count_refusal(refusal);
        }
        heard
    }

    pub(crate) fn count_refusal(&self, refusal: &Refusal) {
        self.counts.refused(refusal);
    }

    fn take(self: &Arc<Peers>, from: NodeId, bytes: Bytes) -> Result<Taken, Refusal> {
        let frame = Frame::decode(bytes.clone())?;
        let peer = self.peer(from).ok_or(Refusal::Full { what: "node", max: NODES_MAX })?;
        if let (true, Frame::Open(payload)) = (self.open, &frame) {
            return Ok(Taken::Message(payload.clone(), None));
        }
        let (now, time) = (self.now(), self.world.now());
        let own = self.own.read();
        let mut talk = peer.talk.lock();
        let heard = talk.hear(&own, frame, now, time);
        let say = match &heard {
            Ok(heard) => heard.say.clone(),
            Err(refusal) => {
                let mut fill = |bytes: &mut [u8]| self.world.fill(bytes);
                talk.refused(&own, refusal, &bytes, now, time, &mut fill)
            }
        };
        drop((talk, own));
        // Lost, it is said again when the next frame needs it.
        say.iter().for_each(|frame| drop(self.transport.send(from, frame.encode())));
        let heard = heard?;
        if heard.met {
            self.attend(&peer, false);
            return Ok(Taken::Met);
        }
        let Some(message) = heard.message else { return Ok(Taken::Nothing) };
        self.counts.opened();
        Ok(Taken::Message(message.payload, message.evidence.map(Arc::new)))
    }
}

fn own(keys: &dyn KeyStore, world: &dyn World, policy: Policy) -> Result<Own, KeyStoreError> {
    let mut fill = |bytes: &mut [u8]| world.fill(bytes);
    Own::new(keys.node_id(), policy, world.now(), &mut fill, |claims, instance| {
        keys.certify(Whose::Node, claims, instance)
    })
}
