//! The receiver's side of one peer: what of two ways is passed on, in which order, and when the peer is gone.
//!
//! It counts what it reads of a stint. Asked to let the peer go on over another way, it waits until nothing more can come over
//! the one that was left, or for [`GRACE`], and says how much it has read; from then on that way is deaf.

use std::time::Duration;

use tokio::time::Instant;

use super::mark::{Ask, Mark, Stint};
use super::way::Way;

/// How long the end of a link that the sender has left may be news to us: what is in our queues is read before that in any
/// case, and what is read later would be out of order. The sender keeps it.
const GRACE: Duration = Duration::from_millis(250);

/// How long a peer that was lost by one way, and is not reached by the other, may have something unread there.
const HOLD: Duration = Duration::from_millis(200);

/// How long a broken stint is deaf: the sender asks well before. One that does not is a new process that does not count.
const TORN_MAX: Duration = Duration::from_secs(2);

/// The same for a way that was left.
const DEAF_MAX: Duration = Duration::from_secs(10);

/// What is read from one peer.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    life: Option<u64>,
    stint: Option<Counted>,
    /// The stint before, and how much of it was read.
    before: Option<(Stint, Option<u64>)>,
    /// Until when nothing is taken from a way that was left.
    deaf: [Option<Instant>; 2],
    ended: [bool; 2],
    asked: Option<(Ask, Instant)>,
    /// When to say that the peer is gone.
    farewell: Option<Instant>,
    /// It was said, and nothing was heard since.
    is_told: bool,
}

#[derive(Debug)]
struct Counted {
    stint: Stint,
    way: Way,
    read: u64,
    is_exact: bool,
    torn: Option<Instant>,
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is the next one.
    PassOn,
    /// It came too late. The sender knows, and sends it again if it still has it.
    Drop,
}

/// What time has brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) answer: Option<Mark>,
    pub(super) is_gone: bool,
}

impl Incoming {
    pub(super) fn frame(&mut self, way: Way, now: Instant) -> Fate {
        self.ended[way.at()] = false;
        self.farewell = self.farewell.map(|_| now + HOLD);
        self.is_told = false;
        if let Some((ask, _)) = self.asked.filter(|(ask, _)| ask.to == way) {
            // The sender has not waited for our answer: whatever comes the other way now is late.
            self.free(&ask, now);
        }
        if self.deaf[way.at()].is_some_and(|until| now < until) {
            return Fate::Drop;
        }
        match self.stint.as_mut().filter(|stint| stint.way == way) {
            Some(Counted { torn: Some(until), .. }) if now < *until => return Fate::Drop,
            Some(Counted { torn: Some(_), .. }) => self.stint = None,
            Some(counted) => counted.read += 1,
            None => {}
        }
        Fate::PassOn
    }

    /// Frames are missing.
    pub(super) fn gap(&mut self, way: Way, frames: Option<u64>) {
        if let Some(counted) = self.stint.as_mut().filter(|stint| stint.way == way) {
            counted.read += frames.unwrap_or(0);
            counted.is_exact &= frames.is_some();
        }
    }

    pub(super) fn begun(&mut self, way: Way, life: u64, stint: Stint, now: Instant) {
        self.meet(life);
        if self.stint.as_ref().is_none_or(|now| now.stint < stint) {
            self.leave(way.other(), now);
            self.begin(stint, way);
            self.before = None;
        }
    }

    /// Whether the way is free: then what to answer. Else the answer comes when the way that was left ends, or with time.
    pub(super) fn asked(&mut self, over: Way, ask: Ask, now: Instant) -> Option<Mark> {
        self.meet(ask.life);
        match &self.stint {
            Some(current) if current.stint == ask.stint => return Some(self.answer(&ask)),
            Some(current) if current.stint > ask.stint => return None,
            Some(_) | None => {}
        }
        if over == ask.from || self.has_all(&ask) {
            return Some(self.free(&ask, now));
        }
        let due = self.asked.filter(|(asked, _)| asked.stint == ask.stint).map(|(_, due)| due);
        self.asked = Some((ask, due.unwrap_or(now + GRACE)));
        None
    }

    /// A link has ended, and all that came over it was read. `is_reached`: the other way is there.
    pub(super) fn ended(&mut self, way: Way, is_reached: bool, now: Instant) -> Due {
        self.deaf[way.at()] = None;
        self.ended[way.at()] = true;
        if let Some(counted) = self.stint.as_mut().filter(|stint| stint.way == way && stint.torn.is_none()) {
            counted.torn = Some(now + TORN_MAX);
        }
        let answer = self.asked.filter(|(ask, _)| ask.from == way).map(|(ask, _)| self.free(&ask, now));
        let is_over = !is_reached && !self.is_told;
        let is_gone = is_over && self.ended[way.other().at()];
        if is_gone {
            self.part();
        } else if is_over && self.farewell.is_none() {
            self.farewell = Some(now + HOLD);
        }
        Due { answer, is_gone }
    }

    /// What is due now.
    pub(super) fn tick(&mut self, now: Instant) -> Due {
        let ask = self.asked.filter(|(_, due)| *due <= now);
        let answer = ask.map(|(ask, _)| self.free(&ask, now));
        let is_gone = self.farewell.is_some_and(|due| due <= now);
        if is_gone {
            self.part();
        }
        Due { answer, is_gone }
    }

    /// The peer is gone, and is told to be.
    fn part(&mut self) {
        *self = Incoming { life: self.life, ended: [true; 2], is_told: true, ..Incoming::default() };
    }

    /// A process of the peer that was not heard of before has counted nothing.
    fn meet(&mut self, life: u64) {
        if self.life != Some(life) {
            let Incoming { ended, farewell, is_told, .. } = *self;
            *self = Incoming { life: Some(life), ended, farewell, is_told, ..Incoming::default() };
        }
    }

    /// Whether nothing of what was left can still come.
    fn has_all(&self, ask: &Ask) -> bool {
        match self.stint.as_ref().filter(|stint| stint.stint == ask.left && stint.way == ask.from) {
            Some(counted) => counted.torn.is_some() || (counted.is_exact && counted.read >= ask.sent),
            None => self.ended[ask.from.at()] || self.before.is_some_and(|(stint, _)| stint == ask.left),
        }
    }

    fn free(&mut self, ask: &Ask, now: Instant) -> Mark {
        self.before = match &self.stint {
            Some(counted) if counted.stint == ask.left => {
                Some((counted.stint, counted.is_exact.then_some(counted.read)))
            }
            Some(_) | None => self.before.filter(|(stint, _)| *stint == ask.left),
        };
        if ask.from != ask.to {
            self.leave(ask.from, now);
        }
        self.begin(ask.stint, ask.to);
        self.answer(ask)
    }

    /// Nothing is taken from a way any more until its link has ended, or the sender goes back to it.
    fn leave(&mut self, way: Way, now: Instant) {
        if !self.ended[way.at()] {
            self.deaf[way.at()] = Some(now + DEAF_MAX);
        }
    }

    fn begin(&mut self, stint: Stint, way: Way) {
        self.asked = None;
        self.deaf[way.at()] = None;
        self.stint = Some(Counted { stint, way, read: 0, is_exact: true, torn: None });
    }

    fn answer(&self, ask: &Ask) -> Mark {
        let read = self.before.filter(|(stint, _)| *stint == ask.left).and_then(|(_, read)| read);
        Mark::Answer { life: ask.life, stint: ask.stint, read }
    }
}
