//! Where one consumer stands: what it has looked at, what is in hand, what waits, what ran out of deliveries.
//!
//! Everything below `next` that matches and is neither pending nor exhausted is settled; so a consumer that keeps up
//! is one number, however long its stream. It does not know messages: `stream/deliver.rs` brings the two together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connectome_actors::port::{ConsumerConfig, ConsumerInfo};

use super::Now;
use super::effects::{Bell, Out};
use super::record::{ConsumerNumber, Key, PendingRecord, PendingState, Record, Write};
use crate::streams::subject::Filter;

/// A consumer.
#[derive(Debug)]
pub(crate) struct ConsumerState {
    pub(crate) number: ConsumerNumber,
    pub(crate) bell: Bell,
    pub(crate) config: ConsumerConfig,
    pub(crate) filter: Filter,
    next: u64,
    pending: BTreeMap<u64, Pending>,
    timers: BTreeSet<(u64, u64)>,
    due: BTreeSet<u64>,
    exhausted: BTreeSet<u64>,
    untold: BTreeSet<u64>,
    redelivered: u64,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    attempt: u32,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// With a worker, until this tick.
    InHand(u64),
    /// Not to be delivered before this tick.
    Waiting(u64),
    /// To be delivered again.
    Due,
}

impl ConsumerState {
    pub(crate) fn new(
        number: ConsumerNumber,
        bell: Bell,
        config: ConsumerConfig,
        filter: Filter,
        next: u64,
    ) -> Self {
        Self {
            number,
            bell,
            config,
            filter,
            next,
            pending: BTreeMap::new(),
            timers: BTreeSet::new(),
            due: BTreeSet::new(),
            exhausted: BTreeSet::new(),
            untold: BTreeSet::new(),
            redelivered: 0,
        }
    }

    /// The first sequence it has not looked at.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Nothing that matches is left below `next`.
    pub(crate) fn looked_up_to(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    /// Lets time pass. Gives whether a message ran out of deliveries.
    pub(crate) fn advance(&mut self, now: Now, out: &mut Out<'_>) -> bool {
        let exhausted_before = self.exhausted.len();
        while let Some(&(tick, sequence)) = self.timers.first() {
            if tick > now.tick {
                break;
            }
            self.timers.pop_first();
            self.make_due(sequence, out);
        }
        self.exhausted.len() > exhausted_before
    }

    /// When [`ConsumerState::advance`] will next have something to do, in ticks.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.timers.first().map(|&(tick, _)| tick)
    }

    /// The oldest message that is to be delivered again.
    pub(crate) fn first_due(&self) -> Option<u64> {
        self.due.first().copied()
    }

    /// Whether one more message may be pending.
    pub(crate) fn has_room(&self) -> bool {
        self.pending.len() < self.config.max_ack_pending
    }

    /// Puts a message into a worker's hands; gives the attempt.
    pub(crate) fn hand_out(&mut self, sequence: u64, now: Now, out: &mut Out<'_>) -> u32 {
        let attempt = self.pending.get(&sequence).map_or(0, |pending| pending.attempt).saturating_add(1);
        self.hold_for(sequence, attempt, now);
        self.write(sequence, PendingRecord { attempt, state: PendingState::InHand }, out);
        self.redelivered += u64::from(attempt > 1);
        if sequence >= self.next {
            self.next = sequence + 1;
            out.write(|place| Write::Put(Record::Cursor(place, self.number, self.next)));
        }
        attempt
    }

    /// Takes back a delivery that never reached its worker.
    pub(crate) fn take_back(&mut self, sequence: u64, attempt: u32, out: &mut Out<'_>) {
        let Some(pending) = self.pending.get(&sequence) else {
            return;
        };
        if pending.attempt != attempt || !matches!(pending.state, State::InHand(_)) {
            return;
        }
        let attempt = attempt.saturating_sub(1);
        self.redelivered -= u64::from(attempt > 0);
        self.set(sequence, Pending { attempt, state: State::Due });
        self.write(sequence, PendingRecord { attempt, state: PendingState::InHand }, out);
        out.ring(self.bell);
    }

    /// Is done with a message. Gives whether it was pending or exhausted.
    pub(crate) fn settle(&mut self, sequence: u64, out: &mut Out<'_>) -> bool {
        let was_full = !self.has_room();
        let was_pending = self.unset(sequence).is_some();
        let was_exhausted = self.exhausted.remove(&sequence);
        self.untold.remove(&sequence);
        if was_pending || was_exhausted {
            out.write(|place| Write::Remove(Key::Pending(place, self.number, sequence)));
        }
        if was_full && was_pending {
            out.ring(self.bell);
        }
        was_pending || was_exhausted
    }

    /// Wants a pending message delivered again, after `delay`.
    pub(crate) fn refuse(&mut self, sequence: u64, delay: Duration, now: Now, out: &mut Out<'_>) {
        let Some(&Pending { attempt, .. }) = self.pending.get(&sequence) else {
            return;
        };
        if delay.is_zero() || self.is_last(attempt) {
            self.make_due(sequence, out);
        } else {
            self.set(sequence, Pending { attempt, state: State::Waiting(now.tick_after(delay)) });
        }
        if self.pending.contains_key(&sequence) {
            let state = PendingState::Waiting(now.wall.after(delay));
            self.write(sequence, PendingRecord { attempt, state }, out);
        }
        out.ring(self.bell);
    }

    /// Gives the worker of a message more time; a late one too, if nobody else has the message yet.
    pub(crate) fn extend(&mut self, sequence: u64, now: Now) {
        let Some(&Pending { attempt, state }) = self.pending.get(&sequence) else {
            return;
        };
        match state {
            State::Waiting(_) => {}
            State::InHand(_) | State::Due => self.hold_for(sequence, attempt, now),
        }
    }

    /// What ran out of deliveries and was not told yet, oldest first, at most `max`.
    pub(crate) fn tell_exhausted(&mut self, max: usize) -> Vec<u64> {
        let told: Vec<u64> = self.untold.iter().copied().take(max).collect();
        self.untold.retain(|sequence| told.binary_search(sequence).is_err());
        told
    }

    /// Tells these again.
    pub(crate) fn untell_exhausted(&mut self, sequences: &[u64]) {
        self.untold.extend(sequences.iter().filter(|&sequence| self.exhausted.contains(sequence)));
    }

    /// Takes a new configuration whose filter is the same.
    pub(crate) fn reconfigure(&mut self, config: ConsumerConfig, out: &mut Out<'_>) {
        self.config = config;
        self.write_config(out);
        out.ring(self.bell);
    }

    pub(crate) fn write_config(&self, out: &mut Out<'_>) {
        out.write(|place| Write::Put(Record::Consumer(place, self.number, self.config.clone())));
    }

    /// Removes everything that was written down about it.
    pub(crate) fn erase(&self, out: &mut Out<'_>) {
        for &sequence in self.pending.keys().chain(&self.exhausted) {
            out.write(|place| Write::Remove(Key::Pending(place, self.number, sequence)));
        }
        out.write(|place| Write::Remove(Key::Cursor(place, self.number)));
        out.write(|place| Write::Remove(Key::Consumer(place, self.number)));
        out.ring(self.bell);
    }

    /// Where it stands; `waiting` is counted by who knows the messages.
    pub(crate) fn info(&self, waiting: u64) -> ConsumerInfo {
        ConsumerInfo {
            name: self.config.name.clone(),
            waiting,
            in_flight: self.pending.len() as u64,
            redelivered: self.redelivered,
            exhausted: self.exhausted.len() as u64,
        }
    }

    /// Takes what was written down before a restart: whoever had it in hand is gone.
    pub(crate) fn restore(&mut self, sequence: u64, record: PendingRecord, now: Now) {
        let PendingRecord { attempt, state } = record;
        let state = match state {
            PendingState::Exhausted => return self.mark_exhausted(sequence),
            PendingState::InHand if self.is_last(attempt) => return self.mark_exhausted(sequence),
            PendingState::InHand => State::Due,
            PendingState::Waiting(until) if until <= now.wall => State::Due,
            PendingState::Waiting(until) => State::Waiting(now.tick_after(until.since(now.wall))),
        };
        self.set(sequence, Pending { attempt, state });
    }

    /// Leaves a message with its worker for as long as this attempt may take.
    fn hold_for(&mut self, sequence: u64, attempt: u32, now: Now) {
        let state = State::InHand(now.tick_after(self.patience(attempt)));
        self.set(sequence, Pending { attempt, state });
    }

    fn make_due(&mut self, sequence: u64, out: &mut Out<'_>) {
        let Some(&Pending { attempt, .. }) = self.pending.get(&sequence) else {
            return;
        };
        if self.is_last(attempt) {
            self.unset(sequence);
            self.mark_exhausted(sequence);
            self.write(sequence, PendingRecord { attempt, state: PendingState::Exhausted }, out);
        } else {
            self.set(sequence, Pending { attempt, state: State::Due });
        }
    }

    fn mark_exhausted(&mut self, sequence: u64) {
        self.exhausted.insert(sequence);
        self.untold.insert(sequence);
    }

    fn is_last(&self, attempt: u32) -> bool {
        self.config.max_deliver.is_some_and(|max| attempt >= max)
    }

    /// How long a worker may keep this attempt without a word.
    fn patience(&self, attempt: u32) -> Duration {
        let step = (attempt.saturating_sub(1) as usize).min(self.config.backoff.len().saturating_sub(1));
        self.config.backoff.get(step).copied().unwrap_or(self.config.ack_wait)
    }

    fn set(&mut self, sequence: u64, pending: Pending) {
        self.unset(sequence);
        match pending.state {
            State::InHand(tick) | State::Waiting(tick) => self.timers.insert((tick, sequence)),
            State::Due => self.due.insert(sequence),
        };
        self.pending.insert(sequence, pending);
    }

    fn unset(&mut self, sequence: u64) -> Option<Pending> {
        let pending = self.pending.remove(&sequence)?;
        match pending.state {
            State::InHand(tick) | State::Waiting(tick) => self.timers.remove(&(tick, sequence)),
            State::Due => self.due.remove(&sequence),
        };
        Some(pending)
    }

    fn write(&self, sequence: u64, record: PendingRecord, out: &mut Out<'_>) {
        out.write(|place| Write::Put(Record::Pending(place, self.number, sequence, record)));
    }
}
