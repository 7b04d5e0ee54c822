//! What has happened to links: told to those who watch, and counted.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use connectome_codecs::NodeId;
use tokio::sync::broadcast;

/// Events that wait for a watcher; one that is further behind is told how many it has missed.
pub const EVENTS_WAITING_MAX: usize = 256;

/// Why a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkEnd {
    /// The peer said farewell; in its words.
    Farewell(String),
    /// This node closed its transport.
    Closed,
    /// The connection was lost; in words of the operating system.
    Lost(String),
    /// Nothing was heard from the peer for too long: it hangs, or is cut off.
    Silent,
    /// The peer has begun another link.
    Replaced,
    /// The peer did not say what it must before a link can be.
    NotMet(String),
    /// The peer may not link with this node, or this node not with the peer.
    Refused(String),
    /// The peer broke the protocol.
    Broken(String),
    /// Whoever kept the link was killed.
    Crashed,
}

impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkEnd::Farewell(why) => write!(f, "the peer said farewell: {why}"),
            LinkEnd::Closed => f.write_str("this node closed its transport"),
            LinkEnd::Lost(why) => write!(f, "the connection was lost: {why}"),
            LinkEnd::Silent => f.write_str("the peer was silent for too long"),
            LinkEnd::Replaced => f.write_str("the peer began another link"),
            LinkEnd::NotMet(why) => write!(f, "the peer did not introduce itself: {why}"),
            LinkEnd::Refused(why) => write!(f, "refused: {why}"),
            LinkEnd::Broken(why) => write!(f, "the peer broke the protocol: {why}"),
            LinkEnd::Crashed => f.write_str("whoever kept the link was killed"),
        }
    }
}

/// What has happened to a link.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkEvent {
    /// Frames can be sent.
    Up {
        /// To whom.
        peer: NodeId,
    },
    /// No more.
    Down {
        /// To whom.
        peer: NodeId,
        /// Why.
        end: LinkEnd,
    },
    /// A link over a relay goes on, on a direct connection. Nothing was lost.
    Moved {
        /// To whom.
        peer: NodeId,
    },
    /// A relay carries connections for this node from now on.
    Reserved {
        /// Which.
        relay: NodeId,
    },
    /// It does not any more; it is asked again.
    Unreserved {
        /// Which.
        relay: NodeId,
    },
    /// A direct connection was tried with a peer that a relay connects us with.
    Punched {
        /// With whom.
        peer: NodeId,
        /// Whether it came to be.
        direct: bool,
    },
    /// A node has tried to dial this one at one of its addresses.
    Probed {
        /// Who.
        by: NodeId,
        /// Where.
        address: String,
        /// Whether it came through.
        reachable: bool,
    },
    /// So many events were missed by this watcher.
    Missed(u64),
}

/// Hears what happens to links from now on.
#[derive(Debug)]
pub struct LinkWatcher(pub(super) broadcast::Receiver<LinkEvent>);

impl LinkWatcher {
    /// The next event; `None` once the transport is gone. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<LinkEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(LinkEvent::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Totals since the transport was opened, and how many peers it has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Libp2pCounts {
    /// Peers that can be sent to now.
    pub linked: u64,
    /// Links that came up.
    pub met: u64,
    /// Links that ended after they had come up.
    pub ended: u64,
    /// Meetings that came to nothing, whoever's fault it was.
    pub not_met: u64,
    /// Of the links that ended, those whose peer was silent.
    pub silent: u64,
    /// Peers that broke the protocol.
    pub broken: u64,
    /// Connections that were turned away by a limit or a list.
    pub denied: u64,
    /// Handshakes of others that came to nothing.
    pub failed_inbound: u64,
    /// Dials that came to nothing.
    pub failed_dials: u64,
    /// Links that began over a relay and moved to a direct connection.
    pub moved: u64,
    /// Relays that carry connections for this node now.
    pub reserved: u64,
    /// Direct connections that were tried where a relay connects, and came to be.
    pub punched: u64,
    /// The same that did not.
    pub not_punched: u64,
    /// Times that somebody dialled an address of this node at its request, and came through.
    pub reachable: u64,
    /// The same that did not.
    pub unreachable: u64,
    /// Connections that this node has carried for others.
    pub circuits: u64,
    /// Connections and places that others asked of this node as a relay, and that it refused.
    pub circuits_refused: u64,
    /// Messages of topics that arrived, each as often as it did.
    pub copies: u64,
    /// Announcements of others that were not kept: forged, over, too many.
    pub announcements_refused: u64,
}

/// The same while they are counted.
#[derive(Debug, Default)]
pub(super) struct Counting {
    met: AtomicU64,
    ended: AtomicU64,
    not_met: AtomicU64,
    silent: AtomicU64,
    broken: AtomicU64,
    moved: AtomicU64,
    reserved: AtomicU64,
    unreserved: AtomicU64,
    punched: AtomicU64,
    not_punched: AtomicU64,
    reachable: AtomicU64,
    unreachable: AtomicU64,
    pub(super) circuits: AtomicU64,
    pub(super) circuits_refused: AtomicU64,
    pub(super) denied: AtomicU64,
    pub(super) failed_inbound: AtomicU64,
    pub(super) failed_dials: AtomicU64,
    announcements_refused: AtomicU64,
}

impl Counting {
    pub(super) fn refuse_announcements(&self, count: usize) {
        self.announcements_refused.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn met(&self) {
        self.met.fetch_add(1, Ordering::Relaxed);
    }

    /// A link has ended that `was_up`, or a meeting that never became one.
    pub(super) fn ended(&self, end: &LinkEnd, was_up: bool) {
        let one = |counter: &AtomicU64| {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        one(if was_up { &self.ended } else { &self.not_met });
        match end {
            LinkEnd::Silent => one(&self.silent),
            LinkEnd::Broken(_) => one(&self.broken),
            LinkEnd::Farewell(_)
            | LinkEnd::Closed
            | LinkEnd::Lost(_)
            | LinkEnd::Replaced
            | LinkEnd::NotMet(_)
            | LinkEnd::Refused(_)
            | LinkEnd::Crashed => {}
        }
    }

    /// Something else has happened that watchers are told.
    pub(super) fn told(&self, event: &LinkEvent) {
        let counter = match event {
            LinkEvent::Moved { .. } => &self.moved,
            LinkEvent::Reserved { .. } => &self.reserved,
            LinkEvent::Unreserved { .. } => &self.unreserved,
            LinkEvent::Punched { direct: true, .. } => &self.punched,
            LinkEvent::Punched { direct: false, .. } => &self.not_punched,
            LinkEvent::Probed { reachable: true, .. } => &self.reachable,
            LinkEvent::Probed { reachable: false, .. } => &self.unreachable,
            // Counted with their reasons, or never told here.
            LinkEvent::Up { .. } | LinkEvent::Down { .. } | LinkEvent::Missed(_) => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Libp2pCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (met, ended) = (of(&self.met), of(&self.ended));
        Libp2pCounts {
            linked: met.saturating_sub(ended),
            met,
            ended,
            not_met: of(&self.not_met),
            silent: of(&self.silent),
            broken: of(&self.broken),
            moved: of(&self.moved),
            reserved: of(&self.reserved).saturating_sub(of(&self.unreserved)),
            punched: of(&self.punched),
            not_punched: of(&self.not_punched),
            reachable: of(&self.reachable),
            unreachable: of(&self.unreachable),
            circuits: of(&self.circuits),
            circuits_refused: of(&self.circuits_refused),
            denied: of(&self.denied),
            failed_inbound: of(&self.failed_inbound),
            failed_dials: of(&self.failed_dials),
            copies: 0,
            announcements_refused: of(&self.announcements_refused),
        }
    }
}
