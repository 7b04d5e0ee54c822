//! Pressure between nodes: a mailbox that is full tells those who write to it from other nodes to pause, and to go on when half
//! of it is free. What they have under way by then waits beside the mailbox (see `mailbox.rs`).
//!
//! Nobody is held up for ever by a word that was lost: a pause is over by itself, and is said again to who goes on writing.
//! What is for other agents of the same node is not held up at all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use connectome_codecs::message::Control;
use connectome_codecs::{Address, CorrelationId, NodeId};
use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::cell::AgentCell;
use crate::peers::Unsent;
use crate::router::Router;

/// How long a pause lasts that nobody ends, as docs/wire.md says.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How soon somebody who goes on writing is told again: that its messages were under way explains less.
const SAID_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Mailboxes of other nodes that pause, at the most; others are written to, and refuse.
const PAUSES_MAX: usize = 16_384;

/// At the sender: the mailboxes that nothing is written to now.
#[derive(Default)]
pub(super) struct Pauses {
    paused: DashMap<(NodeId, Address), Arc<Pause>>,
    /// How many there are: mostly none, and no message pays for more than a look at this.
    count: AtomicUsize,
}

struct Pause {
    until: Mutex<Instant>,
    over: Notify,
}

impl Pauses {
    pub(super) fn begin(&self, node: NodeId, to: Address) {
        let now = Instant::now();
        if self.count.load(Ordering::Acquire) >= PAUSES_MAX {
            self.end_all(|_, pause| *pause.until.lock() <= now);
        }
        let is_known =
            self.paused.get(&(node, to.clone())).map(|pause| *pause.until.lock() = now + PAUSE_MAX);
        if is_known.is_none() && self.count.load(Ordering::Acquire) < PAUSES_MAX {
            let pause = Pause { until: Mutex::new(now + PAUSE_MAX), over: Notify::new() };
            if self.paused.insert((node, to), Arc::new(pause)).is_none() {
                self.count.fetch_add(1, Ordering::AcqRel);
            }
        }
    }

    pub(super) fn end(&self, node: NodeId, to: &Address) {
        if let Some((_, pause)) = self.paused.remove(&(node, to.clone())) {
            self.count.fetch_sub(1, Ordering::AcqRel);
            pause.over.notify_waiters();
        }
    }

    /// A node can't be reached any more: sending to it says so.
    pub(super) fn lost(&self, node: NodeId) {
        self.end_all(|paused, _| paused == node);
    }

    fn end_all(&self, which: impl Fn(NodeId, &Pause) -> bool) {
        self.paused.retain(|(node, _), pause| {
            let ends = which(*node, pause);
            if ends {
                self.count.fetch_sub(1, Ordering::AcqRel);
                pause.over.notify_waiters();
            }
            !ends
        });
    }

    /// Ends when something may be written there.
    pub(super) async fn over(&self, node: NodeId, to: &Address, limit: Instant) -> Result<(), Unsent> {
        while self.count.load(Ordering::Acquire) > 0 {
            let key = (node, to.clone());
            let Some(pause) = self.paused.get(&key).map(|pause| pause.clone()) else { return Ok(()) };
            let over = pause.over.notified();
            tokio::pin!(over);
            over.as_mut().enable();
            if !self.paused.contains_key(&key) {
                return Ok(());
            }
            let until = *pause.until.lock();
            if timeout_at(until.min(limit), over).await.is_ok() {
                return Ok(());
            }
            let now = Instant::now();
            if limit <= now {
                return Err(Unsent::StayedFull(to.clone(), node));
            }
            // It may have been said again meanwhile.
            if *pause.until.lock() <= now {
                self.end(node, to);
            }
        }
        Ok(())
    }
}

/// At the receiver: who was told to pause, and when.
#[derive(Default)]
pub(crate) struct Paused(Mutex<BTreeMap<(NodeId, Address), Instant>>);

/// Whether somebody is to be told.
enum Telling {
    /// It was a moment ago.
    Not,
    Again,
    /// The first of all: somebody must wait for the end of it.
    First,
}

impl Paused {
    fn telling(&self, writer: NodeId, to: &Address) -> Telling {
        let mut told = self.0.lock();
        let (now, is_first) = (Instant::now(), told.is_empty());
        let at = told.entry((writer, to.clone()));
        match at {
            std::collections::btree_map::Entry::Occupied(at) if now < *at.get() + SAID_AGAIN_AFTER => {
                Telling::Not
            }
            std::collections::btree_map::Entry::Occupied(mut at) => {
                at.insert(now);
                Telling::Again
            }
            std::collections::btree_map::Entry::Vacant(at) => {
                at.insert(now);
                if is_first { Telling::First } else { Telling::Again }
            }
        }
    }

    fn take(&self) -> BTreeMap<(NodeId, Address), Instant> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Router {
    /// Tells a node not to write to this agent, under the address that it uses, until there is room again.
    pub(super) fn pause(&self, writer: NodeId, to: &Address, cell: &Arc<AgentCell>) {
        let telling = cell.paused.telling(writer, to);
        if matches!(telling, Telling::Not) {
            return;
        }
        tracing::debug!(agent = %cell.name, node = %writer, "a mailbox is full: its writer is to pause");
        self.control_at(writer, to.clone(), CorrelationId::from(self.message_id()), &Control::Hold);
        if matches!(telling, Telling::First) {
            tokio::spawn(self.clone().resume(cell.clone()));
        }
    }

    /// Tells all of them to go on, once half of the mailbox is free, or nobody empties it any more.
    async fn resume(self, cell: Arc<AgentCell>) {
        cell.mailbox.eased().await;
        for (writer, to) in cell.paused.take().into_keys() {
            self.control_at(writer, to, CorrelationId::from(self.message_id()), &Control::Resume);
        }
    }
}
