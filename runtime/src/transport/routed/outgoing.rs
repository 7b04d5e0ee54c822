//! The sender's side of one peer: which way its frames go, and how it changes without losing or doubling one.
//!
//! ```text
//! Ada                                            Bob
//!  │ ── begin stint 1, frames 1 to 9 ── direct ──► │  reads 1 to 7, then the link is cut
//!  │ ── ask: stint 2, after 9 of stint 1 ─ broker ─► │  waits until nothing more of the link can come
//!  │ ◄─ answer: 7 were read ─────────────────────── │
//!  │ ── 8, 9 again, and what follows ───── broker ──► │
//! ```
//!
//! Between the asking and the answer `send` is refused as by a full queue. When the better way is back, the question goes over the
//! way that is left, behind its last frame, so nothing has to be sent again.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use connectome_actors::port::TransportError;
use connectome_codecs::NodeId;
use tokio::time::Instant;

use super::kept::Kept;
use super::mark::{Ask, Mark, Stint};
use super::way::{Way, Ways};

/// A question that is not answered is asked again after this.
const ASK_EVERY: Duration = Duration::from_millis(300);

/// After this the way is changed without an answer. What was under way may then be lost.
const ASK_MAX: Duration = Duration::from_secs(2);

/// What happened to frames on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sent {
    /// By way.
    pub(super) frames: [u64; 2],
    pub(super) changes: u64,
    pub(super) again: u64,
    pub(super) lost: u64,
}

impl Sent {
    pub(super) fn add(&mut self, other: Sent) {
        let Sent { frames, changes, again, lost } = other;
        self.frames.iter_mut().zip(frames).for_each(|(sum, more)| *sum += more);
        self.changes += changes;
        self.again += again;
        self.lost += lost;
    }
}

/// Where the frames for one peer go.
#[derive(Debug)]
pub(super) struct Outgoing {
    peer: NodeId,
    life: u64,
    way: Option<Way>,
    /// The number of what is sent now; `None`: the peer does not count it.
    stint: Option<Stint>,
    last: Stint,
    /// The way has ended since the stint began, even if it is there again.
    torn: bool,
    kept: Kept,
    /// To be sent before anything else.
    again: VecDeque<Bytes>,
    changing: Option<Changing>,
    pub(super) sent: Sent,
}

#[derive(Debug, Clone, Copy)]
struct Changing {
    to: Way,
    stint: Stint,
    since: Instant,
    asked: Option<Instant>,
}

impl Outgoing {
    pub(super) fn new(peer: NodeId, life: u64) -> Outgoing {
        Outgoing {
            peer,
            life,
            way: None,
            stint: None,
            last: 0,
            torn: false,
            kept: Kept::default(),
            again: VecDeque::new(),
            changing: None,
            sent: Sent::default(),
        }
    }

    pub(super) fn send(
        &mut self,
        ways: &impl Ways,
        frame: Bytes,
        now: Instant,
    ) -> Result<(), TransportError> {
        let unreachable = TransportError::Unreachable { to: self.peer };
        // Twice: a way that turns out to have ended is left for the other one.
        for _ in 0..2 {
            self.tend(ways, now);
            let Some(way) = self.open() else {
                let is_there = ways.best().is_some();
                return Err(if is_there { self.full() } else { unreachable });
            };
            match ways.send(way, frame.clone()) {
                Ok(()) => {
                    self.note(way, frame, now);
                    return Ok(());
                }
                Err(TransportError::Unreachable { .. }) => self.torn = true,
                Err(other) => return Err(other),
            }
        }
        Err(unreachable)
    }

    /// The way that frames may take now.
    pub(super) fn open(&self) -> Option<Way> {
        let is_open = self.changing.is_none() && self.again.is_empty() && !self.torn;
        self.way.filter(|_| is_open)
    }

    /// Does what is due: chooses a way, asks, sends again.
    pub(super) fn tend(&mut self, ways: &impl Ways, now: Instant) {
        if self.way == Some(Way::Direct) && self.stint.is_some() && self.open().is_some() {
            // The usual case; that the link is gone shows when it is sent over.
            return self.kept.tend(now);
        }
        let Some(best) = ways.best() else { return self.changing = None };
        self.choose(best, ways, now);
        self.ask(ways, now);
        self.begin(ways);
        self.repeat(ways, now);
    }

    /// A link of this way has ended.
    pub(super) fn ended(&mut self, way: Way) {
        self.torn |= self.way == Some(way);
    }

    /// The peer is gone: what is under way is nobody's any more.
    pub(super) fn gone(&mut self) {
        self.sent.lost += self.again.len() as u64;
        self.again.clear();
        self.kept.forget();
    }

    pub(super) fn answered(
        &mut self,
        life: u64,
        stint: Stint,
        read: Option<u64>,
        ways: &impl Ways,
        now: Instant,
    ) {
        let Some(Changing { to, .. }) =
            self.changing.filter(|asked| asked.stint == stint && life == self.life)
        else {
            return;
        };
        self.sent.changes += u64::from(self.way != Some(to));
        let read = read.filter(|_| self.stint.is_some());
        let (unread, missing) = self.kept.unread(read.unwrap_or(u64::MAX));
        self.sent.lost += missing;
        let later = std::mem::replace(&mut self.again, unread);
        self.again.extend(later);
        self.settle(to, Some(stint));
        self.repeat(ways, now);
    }

    fn settle(&mut self, way: Way, stint: Option<Stint>) {
        (self.way, self.stint) = (Some(way), stint);
        (self.torn, self.changing) = (false, None);
    }

    fn choose(&mut self, best: Way, ways: &impl Ways, now: Instant) {
        match (self.way, self.stint) {
            (None, _) => self.settle(best, None),
            // Nobody counts, and the way keeps its own order.
            (Some(way), None) if way == best => self.settle(best, None),
            (Some(way), Some(_)) if way == best && !self.torn && self.changing.is_none() => {}
            (Some(_), _) => self.change(best, ways, now),
        }
    }

    fn change(&mut self, to: Way, ways: &impl Ways, now: Instant) {
        match self.changing {
            Some(asked) if now.duration_since(asked.since) >= ASK_MAX => {
                // Read before the frames that follow it, so that what comes the old way is not taken for newer.
                let asked = Changing { to, ..asked };
                if self.way.is_some_and(|from| ways.send(to, self.question(&asked, from)).is_err()) {
                    return;
                }
                self.kept.unread(u64::MAX);
                self.sent.lost += self.again.len() as u64;
                self.again.clear();
                self.sent.changes += u64::from(self.way != Some(to));
                self.settle(to, None);
            }
            Some(asked) if asked.to == to => {}
            Some(Changing { since, .. }) => self.changing = Some(self.next(to, since)),
            None => self.changing = Some(self.next(to, now)),
        }
    }

    fn next(&mut self, to: Way, since: Instant) -> Changing {
        self.last += 1;
        Changing { to, stint: self.last, since, asked: None }
    }

    /// Over the way that is left, as long as it is there: behind its last frame.
    fn ask(&mut self, ways: &impl Ways, now: Instant) {
        let (Some(changing), Some(from)) = (self.changing, self.way) else { return };
        if changing.asked.is_some_and(|asked| now.duration_since(asked) < ASK_EVERY) {
            return;
        }
        let over = if ways.reach(from) { from } else { changing.to };
        if ways.send(over, self.question(&changing, from)).is_ok() {
            self.changing = Some(Changing { asked: Some(now), ..changing });
        }
    }

    fn question(&self, changing: &Changing, from: Way) -> Bytes {
        let (left, sent) = (self.stint.unwrap_or(0), self.kept.sent());
        let Changing { to, stint, .. } = *changing;
        Mark::Ask(Ask { life: self.life, stint, left, sent, from, to }).encode()
    }

    /// Has the peer count, once it is known to have both ways.
    fn begin(&mut self, ways: &impl Ways) {
        let Some(way) = self.way.filter(|_| self.changing.is_none() && self.stint.is_none()) else { return };
        if !Way::BOTH.into_iter().all(|way| ways.reach(way)) {
            return;
        }
        let stint = self.last + 1;
        if ways.send(way, Mark::Begin { life: self.life, stint }.encode()).is_ok() {
            (self.last, self.stint, self.kept) = (stint, Some(stint), Kept::default());
        }
    }

    /// Sends again what was not read.
    fn repeat(&mut self, ways: &impl Ways, now: Instant) {
        let Some(way) = self.way.filter(|_| self.changing.is_none() && !self.torn) else { return };
        while let Some(frame) = self.again.front().cloned() {
            match ways.send(way, frame.clone()) {
                Ok(()) => {
                    self.again.pop_front();
                    self.sent.again += 1;
                    self.note(way, frame, now);
                }
                Err(TransportError::Unreachable { .. }) => return self.torn = true,
                Err(_) => return,
            }
        }
    }

    fn note(&mut self, way: Way, frame: Bytes, now: Instant) {
        self.sent.frames[way.at()] += 1;
        if self.stint.is_some() {
            self.kept.add(frame, now);
        }
    }

    fn full(&self) -> TransportError {
        TransportError::Full { to: self.peer, bound: self.again.len() }
    }
}
