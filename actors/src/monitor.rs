//! Hearing of an agent's end: monitors and links.
//!
//! A monitor watches one incarnation and tells its end exactly once. Watching again is the watcher's choice.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use connectome_codecs::{AgentName, NodeId};
use tokio::sync::oneshot;

use crate::cell::AgentCell;
use crate::protocol::restart::Exit;

/// The end of one incarnation of an agent that was monitored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Down {
    /// Whose end it is.
    pub agent: AgentName,
    /// Which of its incarnations ended: 1 is the first; 0 where none was running.
    pub incarnation: u64,
    /// Why.
    pub reason: DownReason,
    /// What `Context::monitor` returned.
    pub monitor: MonitorId,
}

/// Why a monitored incarnation is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownReason {
    /// It ended like this.
    Exit(Exit),
    /// Nobody of that name was running when the monitor was set.
    NoAgent,
    /// Its node can't be reached any more; what became of it is unknown.
    NodeLost(NodeId),
}

/// Names a monitor within the agent that set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MonitorId(pub(crate) u64);

/// Who hears of an end.
pub(crate) enum Watcher {
    /// An incarnation of an agent of this node, by its `on_down`.
    Agent { who: Life, monitor: MonitorId },
    /// An incarnation of an agent of this node that shares the fate.
    Link(Life),
    /// A future.
    Future(oneshot::Sender<Down>),
    /// Another node, which has a watcher of this number.
    Remote { node: NodeId, watcher: u64 },
}

/// One incarnation of an agent of this node. What it watched does not concern the next one.
#[derive(Clone)]
pub(crate) struct Life {
    cell: Weak<AgentCell>,
    incarnation: u64,
}

impl Life {
    pub(crate) fn new(cell: &Arc<AgentCell>, incarnation: u64) -> Life {
        Life { cell: Arc::downgrade(cell), incarnation }
    }

    /// Tells it, if it still is.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(cell) = self.cell.upgrade() {
            cell.signal(self.incarnation, signal);
        }
    }

    pub(crate) fn is(&self, cell: &AgentCell, incarnation: u64) -> bool {
        std::ptr::eq(self.cell.as_ptr(), cell) && self.incarnation == incarnation
    }

    /// Takes back its side of a link.
    pub(crate) fn unlink(&self, other: &AgentCell, incarnation: u64) {
        if let Some(cell) = self.cell.upgrade() {
            cell.unwatch(|watchers| watchers.remove_link(other, incarnation));
        }
    }
}

/// Where a watcher was set, to take it back.
pub(crate) enum Watched {
    /// At an agent of this node.
    Here(Weak<AgentCell>),
    /// At an agent of another node, under this number.
    There(u64),
    /// Nobody was there; the watcher has been told.
    Nobody,
}

/// What an agent must hear beside its messages. Never bounded by the mailbox, never dropped: there is at most one for
/// each monitor or link that was set.
#[derive(Debug)]
pub(crate) enum Signal {
    Down(Down),
    LinkDown { agent: AgentName, exit: Exit },
}

/// The watchers of one incarnation.
#[derive(Default)]
pub(crate) struct Watchers {
    next: u64,
    list: BTreeMap<u64, Watcher>,
}

impl Watchers {
    pub(crate) fn add(&mut self, watcher: Watcher) {
        self.next += 1;
        self.list.insert(self.next, watcher);
    }

    pub(crate) fn take_all(&mut self) -> Vec<Watcher> {
        std::mem::take(&mut self.list).into_values().collect()
    }

    pub(crate) fn remove_agent(&mut self, watcher: &AgentCell, incarnation: u64, which: MonitorId) {
        self.list.retain(|_, entry| match entry {
            Watcher::Agent { who, monitor } => *monitor != which || !who.is(watcher, incarnation),
            Watcher::Link(_) | Watcher::Future(_) | Watcher::Remote { .. } => true,
        });
    }

    pub(crate) fn remove_link(&mut self, other: &AgentCell, incarnation: u64) {
        self.list.retain(|_, entry| match entry {
            Watcher::Link(who) => !who.is(other, incarnation),
            Watcher::Agent { .. } | Watcher::Future(_) | Watcher::Remote { .. } => true,
        });
    }

    pub(crate) fn remove_remote(&mut self, from: NodeId, number: u64) {
        self.list.retain(|_, entry| match entry {
            Watcher::Remote { node, watcher } => (*node, *watcher) != (from, number),
            Watcher::Agent { .. } | Watcher::Link(_) | Watcher::Future(_) => true,
        });
    }
}
