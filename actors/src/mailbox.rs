//! An agent's mailbox: bounded, first in first out, and older than any incarnation of its agent.
//!
//! It belongs to the name, not to the process: when an agent crashes its queue stays, and the next incarnation goes
//! on with it. It counts every message exactly once, so that
//! `accepted = handled + dead-lettered + pending` can be checked from outside.
//!
//! It does not know types, supervision or nodes; see `incarnation.rs` for who empties it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::parcel::Parcel;

/// Messages a mailbox holds unless it is told otherwise: a second's work for an agent that takes 1 ms each.
pub const MAILBOX_CAPACITY: usize = 1_024;

/// Bytes of encoded messages a mailbox holds: eight of the largest frames.
pub const MAILBOX_BYTES: usize = 8 * connectome_codecs::limits::FRAME_MAX;

/// Messages of other nodes that wait beside a full mailbox until their senders have heard that it is full: what four nodes have
/// under way at the most. What comes beyond is refused.
pub const ARRIVED_MAX: usize = 16_384;

/// The same in bytes.
pub const ARRIVED_BYTES_MAX: usize = 16 * connectome_codecs::limits::FRAME_MAX;

/// What happens to a message that finds the mailbox full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The sender waits for room. One on another node is told to wait; what it has under way by then is taken, up to
    /// [`ARRIVED_MAX`] messages and [`ARRIVED_BYTES_MAX`].
    #[default]
    Block,
    /// The sender is told so at once.
    Fail,
    /// The oldest message in the queue becomes a dead letter. Control signals are never dropped.
    DropOldest,
}

/// A mailbox's bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxConfig {
    /// Messages in the queue at the most; 0 means 1, since a mailbox that holds nothing could pass nothing on.
    pub capacity: usize,
    /// Bytes of messages that came encoded, at the most.
    pub bytes: usize,
    /// What a full mailbox does.
    pub overflow: Overflow,
}

impl Default for MailboxConfig {
    fn default() -> MailboxConfig {
        MailboxConfig { capacity: MAILBOX_CAPACITY, bytes: MAILBOX_BYTES, overflow: Overflow::default() }
    }
}

/// What became of every message that a mailbox, or a whole node, ever took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Accounts {
    /// Taken into a mailbox.
    pub accepted: u64,
    /// Handled to the end, successfully or with an error of the handler.
    pub handled: u64,
    /// Accepted, but given up with a reason.
    pub dead_lettered: u64,
    /// In a queue, in a handler, or in a pipe, now.
    pub pending: u64,
}

impl Accounts {
    /// Whether nothing is missing: `accepted = handled + dead-lettered + pending`.
    pub fn balance(&self) -> bool {
        self.accepted == self.handled + self.dead_lettered + self.pending
    }
}

impl std::ops::AddAssign for Accounts {
    fn add_assign(&mut self, other: Accounts) {
        self.accepted += other.accepted;
        self.handled += other.handled;
        self.dead_lettered += other.dead_lettered;
        self.pending += other.pending;
    }
}

/// How a message that was taken out ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The handler ran to its end.
    Handled,
    /// It was given up.
    Dead,
    /// It moved into a pipe, where it is settled later.
    Piped,
    /// Its durable lane took it back, to deliver it again.
    Returned,
}

/// What a push came to.
pub(crate) enum Pushed {
    /// It is in the queue under this ticket. `wake`: nobody is at work, so the agent must be woken.
    /// `displaced`: the oldest ones, which made room.
    Queued { ticket: u64, wake: bool, displaced: Vec<Box<dyn Parcel>> },
    /// There is no room; the parcel comes back.
    Full(Box<dyn Parcel>),
    /// The agent has stopped for good, for this reason; the parcel comes back.
    Closed(Box<dyn Parcel>, String),
}

pub(crate) struct Mailbox {
    config: MailboxConfig,
    queue: Mutex<Queue>,
    /// What `Queue::closed` says, for those who only look.
    closed: AtomicBool,
    /// Messages of other nodes wait beside it.
    crowded: AtomicBool,
    room: Notify,
    eased: Notify,
    idle: Notify,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    tickets: u64,
    /// An incarnation is awake, or about to be.
    scheduled: bool,
    waiting_senders: usize,
    /// What `Mailbox::crowded` says.
    crowded: bool,
    /// Those who wait until nothing is pending.
    watchers: usize,
    closed: Option<String>,
    in_hand: u64,
    piped: u64,
    accepted: u64,
    handled: u64,
    dead: u64,
}

struct Item {
    ticket: u64,
    parcel: Box<dyn Parcel>,
}

impl Mailbox {
    pub(crate) fn new(config: MailboxConfig) -> Mailbox {
        let config = MailboxConfig { capacity: config.capacity.max(1), ..config };
        Mailbox {
            config,
            queue: Mutex::default(),
            closed: AtomicBool::new(false),
            crowded: AtomicBool::new(false),
            room: Notify::new(),
            eased: Notify::new(),
            idle: Notify::new(),
        }
    }

    pub(crate) fn config(&self) -> MailboxConfig {
        self.config
    }

    /// Takes a parcel in, or hands it back.
    pub(crate) fn push(&self, parcel: Box<dyn Parcel>) -> Pushed {
        self.push_within(&self.config, parcel).1
    }

    /// The same for one that another node has sent, which can't wait there any more.
    pub(crate) fn push_arrived(&self, parcel: Box<dyn Parcel>) -> Pushed {
        let MailboxConfig { capacity, bytes, overflow } = self.config;
        if overflow != Overflow::Block {
            return self.push(parcel);
        }
        let (capacity, bytes) =
            (capacity.saturating_add(ARRIVED_MAX), bytes.saturating_add(ARRIVED_BYTES_MAX));
        let (mut queue, pushed) = self.push_within(&MailboxConfig { capacity, bytes, overflow }, parcel);
        if !queue.has_room(&self.config, 0) {
            self.crowded.store(true, Ordering::Release);
            queue.crowded = true;
        }
        pushed
    }

    fn push_within(
        &self,
        bounds: &MailboxConfig,
        parcel: Box<dyn Parcel>,
    ) -> (MutexGuard<'_, Queue>, Pushed) {
        let mut queue = self.queue.lock();
        if let Some(why) = &queue.closed {
            let why = why.clone();
            return (queue, Pushed::Closed(parcel, why));
        }
        let mut displaced = Vec::new();
        while !queue.has_room(bounds, parcel.size()) {
            match bounds.overflow {
                Overflow::Block | Overflow::Fail => return (queue, Pushed::Full(parcel)),
                Overflow::DropOldest => displaced.extend(queue.drop_oldest()),
            }
        }
        let ticket = queue.append(parcel);
        let wake = !std::mem::replace(&mut queue.scheduled, true);
        (queue, Pushed::Queued { ticket, wake, displaced })
    }

    /// Whether messages of other nodes wait beside it: whoever sends another one is to wait.
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Acquire)
    }

    /// Ends when half of it is free again.
    pub(crate) async fn eased(&self) {
        loop {
            let eased = self.eased.notified();
            tokio::pin!(eased);
            eased.as_mut().enable();
            if !self.is_crowded() {
                return;
            }
            eased.await;
        }
    }

    /// Something has left the queue.
    fn left(&self, queue: &mut Queue) {
        if queue.waiting_senders > 0 {
            self.room.notify_one();
        }
        if queue.crowded && queue.is_eased(&self.config) {
            queue.crowded = false;
            self.crowded.store(false, Ordering::Release);
            self.eased.notify_waiters();
        }
    }

    /// Waits until a push has a chance again; the caller tries in a loop.
    pub(crate) async fn wait_for_room(&self, size: usize) {
        let room = self.room.notified();
        tokio::pin!(room);
        room.as_mut().enable();
        {
            let mut queue = self.queue.lock();
            if queue.closed.is_some() || queue.has_room(&self.config, size) {
                return;
            }
            queue.waiting_senders += 1;
        }
        let _left = Leaving(self);
        room.await;
    }

    /// Settles the message before, and takes the next. `None`: the queue is empty, and the next push wakes.
    pub(crate) fn next(&self, settled: Option<Settled>) -> Option<Box<dyn Parcel>> {
        let mut queue = self.queue.lock();
        queue.settle(settled);
        let Some(item) = queue.items.pop_front() else {
            queue.scheduled = false;
            let is_watched = queue.watchers > 0;
            drop(queue);
            if is_watched {
                self.idle.notify_waiters();
            }
            return None;
        };
        queue.bytes -= item.parcel.size();
        queue.in_hand += 1;
        self.left(&mut queue);
        Some(item.parcel)
    }

    /// Settles a message without taking another.
    pub(crate) fn settle(&self, settled: Settled) {
        self.queue.lock().settle(Some(settled));
        self.idle.notify_waiters();
    }

    /// The message in hand goes on in a pipe; it is settled there.
    pub(crate) fn begin_pipe(&self) {
        let mut queue = self.queue.lock();
        if queue.let_go() {
            queue.piped += 1;
        }
    }

    /// A piped message ended.
    pub(crate) fn settle_pipe(&self, handled: bool) {
        let mut queue = self.queue.lock();
        if let Some(others) = queue.piped.checked_sub(1) {
            queue.piped = others;
            if handled { queue.handled += 1 } else { queue.dead += 1 }
        }
        drop(queue);
        self.idle.notify_waiters();
    }

    /// The incarnation was taken away where it hung: what it had in hand and in pipes is given up. Says how many.
    pub(crate) fn abandon(&self) -> u64 {
        let mut queue = self.queue.lock();
        let lost = std::mem::take(&mut queue.in_hand) + std::mem::take(&mut queue.piped);
        queue.dead += lost;
        drop(queue);
        self.idle.notify_waiters();
        lost
    }

    /// Takes one message back out of the queue, if it is still there: then it certainly had no effect.
    pub(crate) fn withdraw(&self, ticket: u64) -> Option<Box<dyn Parcel>> {
        let mut queue = self.queue.lock();
        let at = queue.items.binary_search_by_key(&ticket, |item| item.ticket).ok()?;
        let item = queue.items.remove(at)?;
        queue.bytes -= item.parcel.size();
        queue.dead += 1;
        self.left(&mut queue);
        drop(queue);
        self.idle.notify_waiters();
        Some(item.parcel)
    }

    /// A new incarnation begins, and looks at what is queued without being woken for it.
    pub(crate) fn begin(&self) {
        self.queue.lock().scheduled = true;
    }

    /// The agent has stopped for good: nothing more comes in, and what was queued comes out.
    pub(crate) fn close(&self, why: &str) -> Vec<Box<dyn Parcel>> {
        let mut queue = self.queue.lock();
        queue.closed.get_or_insert_with(|| why.to_owned());
        self.closed.store(true, Ordering::Release);
        let left: Vec<_> = queue.items.drain(..).map(|item| item.parcel).collect();
        queue.bytes = 0;
        queue.dead += left.len() as u64;
        self.left(&mut queue);
        drop(queue);
        self.room.notify_waiters();
        self.idle.notify_waiters();
        left
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn accounts(&self) -> Accounts {
        let queue = self.queue.lock();
        Accounts {
            accepted: queue.accepted,
            handled: queue.handled,
            dead_lettered: queue.dead,
            pending: queue.items.len() as u64 + queue.in_hand + queue.piped,
        }
    }

    /// Messages in the queue, in a handler or in a pipe.
    pub(crate) fn pending(&self) -> u64 {
        self.accounts().pending
    }

    /// Messages in a handler now: at most one.
    pub(crate) fn in_hand(&self) -> u64 {
        self.queue.lock().in_hand
    }

    /// Ends when nothing is pending.
    pub(crate) async fn idle(&self) {
        self.queue.lock().watchers += 1;
        let _watching = Watching(self);
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.pending() == 0 {
                return;
            }
            idle.await;
        }
    }
}

impl Queue {
    /// An empty queue has room for any one message: what is longer than all of its bytes could never pass otherwise.
    fn has_room(&self, config: &MailboxConfig, size: usize) -> bool {
        let fits = self.bytes + size <= config.bytes;
        self.items.is_empty() || (self.items.len() < config.capacity && fits)
    }

    /// Whether senders that were told to wait may go on: not at the first room, or each message would be told of.
    fn is_eased(&self, config: &MailboxConfig) -> bool {
        self.items.len() <= config.capacity / 2 && self.bytes <= config.bytes / 2
    }

    fn append(&mut self, parcel: Box<dyn Parcel>) -> u64 {
        let ticket = self.tickets;
        self.tickets += 1;
        self.accepted += 1;
        self.bytes += parcel.size();
        self.items.push_back(Item { ticket, parcel });
        ticket
    }

    fn drop_oldest(&mut self) -> Option<Box<dyn Parcel>> {
        let item = self.items.pop_front()?;
        self.bytes -= item.parcel.size();
        self.dead += 1;
        Some(item.parcel)
    }

    /// The message in hand is no longer. `false`: it was given up meanwhile, and counted.
    fn let_go(&mut self) -> bool {
        let held = self.in_hand > 0;
        self.in_hand -= u64::from(held);
        held
    }

    fn settle(&mut self, settled: Option<Settled>) {
        let Some(settled) = settled else { return };
        if settled != Settled::Piped && !self.let_go() {
            return;
        }
        match settled {
            Settled::Handled => self.handled += 1,
            Settled::Dead => self.dead += 1,
            Settled::Piped => {}
            Settled::Returned => self.accepted -= 1,
        }
    }
}

/// A sender stops waiting, whether it got room or gave up.
struct Leaving<'a>(&'a Mailbox);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.queue.lock().waiting_senders -= 1;
    }
}

/// Somebody stops waiting for nothing to be pending.
struct Watching<'a>(&'a Mailbox);

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.queue.lock().watchers -= 1;
    }
}
