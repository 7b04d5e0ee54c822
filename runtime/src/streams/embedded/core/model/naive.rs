//! The naive model: what the store should do, in the plainest words.

use std::collections::BTreeMap;
use std::time::Duration;

use connectome_actors::port::*;
use connectome_codecs::{MessageId, Revision};

use crate::streams::subject::Filter;

const WINDOW_MS: u64 = 50;
const ACK_WAIT_MS: u64 = 20;

/// How the stream and its consumer are configured in one trial.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) max_messages: Option<u64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) max_age_ms: Option<u64>,
    pub(super) max_deliver: Option<u32>,
    pub(super) max_pending: usize,
    pub(super) is_queue: bool,
    pub(super) refuses: bool,
    pub(super) on_disk: bool,
    pub(super) filter: Filter,
}

impl Rules {
    pub(super) fn stream(&self) -> StreamConfig {
        StreamConfig {
            name: "S".into(),
            subjects: vec!["s.>".into()],
            retention: if self.is_queue { Retention::WorkQueue } else { Retention::Limits },
            storage: Storage::File,
            max_age: self.max_age_ms.map(Duration::from_millis),
            max_bytes: self.max_bytes,
            max_messages: self.max_messages,
            discard: if self.refuses { Discard::New } else { Discard::Old },
            duplicate_window: Duration::from_millis(WINDOW_MS),
        }
    }

    pub(super) fn consumer(&self) -> ConsumerConfig {
        ConsumerConfig {
            name: "c".into(),
            filter: self.filter.as_str().into(),
            start: Start::First,
            ack_wait: Duration::from_millis(ACK_WAIT_MS),
            max_deliver: self.max_deliver,
            max_ack_pending: self.max_pending,
            backoff: vec![],
        }
    }
}

#[derive(Debug, Clone)]
struct Message {
    sequence: u64,
    subject: String,
    charge: u64,
    at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    InHand(u64),
    Waiting(u64),
    Due,
    Exhausted { told: bool },
    Done,
}

/// What the store should be.
#[derive(Debug, Clone)]
pub(super) struct Model {
    rules: Rules,
    now: u64,
    messages: Vec<Message>,
    last: u64,
    visible: u64,
    ids: Vec<(MessageId, u64, u64)>,
    /// What became of each message that was ever delivered: the attempt and the state.
    delivered: BTreeMap<u64, (u32, State)>,
    entries: BTreeMap<String, (Revision, Option<u64>)>,
    last_revision: u64,
}

impl Model {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            now: 0,
            messages: vec![],
            last: 0,
            visible: 0,
            ids: vec![],
            delivered: BTreeMap::new(),
            entries: BTreeMap::new(),
            last_revision: 0,
        }
    }

    pub(super) fn pass_to(&mut self, now: u64) {
        self.now = now;
        self.ids.retain(|(_, _, at)| at + WINDOW_MS > now);
        if let Some(age) = self.rules.max_age_ms {
            let old: Vec<u64> =
                self.messages.iter().filter(|m| m.at + age <= now).map(|m| m.sequence).collect();
            old.into_iter().for_each(|sequence| self.remove(sequence));
        }
        let (max_deliver, is_over) = (self.rules.max_deliver, |until: u64| until <= now);
        for (attempt, state) in self.delivered.values_mut() {
            match *state {
                State::InHand(until) if is_over(until) => *state = again(*attempt, max_deliver),
                State::Waiting(until) if is_over(until) => *state = State::Due,
                State::InHand(_) | State::Waiting(_) | State::Due | State::Exhausted { .. } | State::Done => {
                }
            }
        }
        let expired =
            self.entries.iter().filter_map(|(key, (_, expires))| expires.map(|at| (at, key.clone())));
        let mut expired: Vec<(u64, String)> = expired.filter(|(at, _)| *at <= now).collect();
        expired.sort();
        for (_, key) in expired {
            self.entries.remove(&key);
            self.last_revision += 1;
        }
    }

    pub(super) fn publish(&mut self, message: &Publish) -> Option<(u64, bool)> {
        if !message.subject.starts_with("s.") {
            return None;
        }
        if let Some((_, sequence, _)) = self.ids.iter().find(|(id, _, _)| Some(*id) == message.id) {
            return Some((*sequence, true));
        }
        let charge = (message.subject.len() + message.body.len()) as u64;
        while self.is_full(charge) {
            if self.rules.refuses || self.rules.max_bytes.is_some_and(|max| charge > max) {
                return None;
            }
            self.remove(self.messages[0].sequence);
        }
        self.last += 1;
        if !self.rules.on_disk {
            self.visible = self.last;
        }
        let (sequence, subject, at) = (self.last, message.subject.clone(), self.now);
        self.messages.push(Message { sequence, subject, charge, at });
        self.ids.extend(message.id.map(|id| (id, sequence, at)));
        Some((sequence, false))
    }

    fn is_full(&self, charge: u64) -> bool {
        let (messages, bytes, _) = self.totals();
        self.rules.max_messages.is_some_and(|max| messages + 1 > max)
            || self.rules.max_bytes.is_some_and(|max| bytes + charge > max)
    }

    pub(super) fn remove(&mut self, sequence: u64) {
        self.messages.retain(|message| message.sequence != sequence);
        self.delivered.remove(&sequence);
    }

    pub(super) fn take(&mut self, max: usize) -> Vec<(u64, u32)> {
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some(sequence) = self.next() else { break };
            let attempt = self.delivered.get(&sequence).map_or(0, |(attempt, _)| *attempt) + 1;
            self.delivered.insert(sequence, (attempt, State::InHand(self.now + ACK_WAIT_MS)));
            taken.push((sequence, attempt));
        }
        taken
    }

    fn next(&self) -> Option<u64> {
        if let Some((sequence, _)) = self.delivered.iter().find(|(_, (_, state))| *state == State::Due) {
            return Some(*sequence);
        }
        let has_room = (self.standing().1 as usize) < self.rules.max_pending;
        let fresh = |m: &&Message| m.sequence <= self.visible && self.is_waiting(m);
        self.messages.iter().find(fresh).filter(|_| has_room).map(|m| m.sequence)
    }

    fn is_waiting(&self, message: &Message) -> bool {
        self.rules.filter.matches(&message.subject) && !self.delivered.contains_key(&message.sequence)
    }

    /// A message that the consumer is not done with, by number.
    pub(super) fn nth_pending(&self, nth: usize) -> Option<u64> {
        let pending = self.delivered.iter().filter(|(_, (_, state))| *state != State::Done);
        pending.map(|(sequence, _)| *sequence).nth(nth)
    }

    pub(super) fn settle(&mut self, sequence: u64) {
        if let Some((_, state)) = self.delivered.get_mut(&sequence) {
            *state = State::Done;
            if self.rules.is_queue {
                self.remove(sequence);
            }
        }
    }

    pub(super) fn refuse(&mut self, sequence: u64, delay_ms: u64) {
        let (max_deliver, until) = (self.rules.max_deliver, self.now + delay_ms);
        let Some((attempt, state)) = self.delivered.get_mut(&sequence) else {
            return;
        };
        *state = match (*state, again(*attempt, max_deliver)) {
            (State::Exhausted { told }, _) => State::Exhausted { told },
            (State::Done, _) => State::Done,
            (_, State::Due) if delay_ms > 0 => State::Waiting(until),
            (_, again) => again,
        };
    }

    pub(super) fn extend(&mut self, sequence: u64) {
        let until = self.now + ACK_WAIT_MS;
        if let Some((_, state @ (State::InHand(_) | State::Due))) = self.delivered.get_mut(&sequence) {
            *state = State::InHand(until);
        }
    }

    pub(super) fn tell_exhausted(&mut self) -> Vec<u64> {
        let mut untold = Vec::new();
        for (sequence, (_, state)) in &mut self.delivered {
            if *state == (State::Exhausted { told: false }) {
                *state = State::Exhausted { told: true };
                untold.push(*sequence);
            }
        }
        untold
    }

    pub(super) fn put(&mut self, key: &str, expect: Expect, ttl_ms: Option<u64>) -> Option<Revision> {
        self.holds(key, expect).then(|| {
            self.last_revision += 1;
            let revision = Revision(self.last_revision);
            self.entries.insert(key.to_owned(), (revision, ttl_ms.map(|ttl| self.now + ttl)));
            revision
        })
    }

    pub(super) fn remove_key(&mut self, key: &str, expect: Expect) -> bool {
        let holds = self.holds(key, expect);
        if holds && self.entries.remove(key).is_some() {
            self.last_revision += 1;
        }
        holds
    }

    fn holds(&self, key: &str, expect: Expect) -> bool {
        match expect {
            Expect::Any => true,
            Expect::Absent => self.revision(key).is_none(),
            Expect::Revision(revision) => self.revision(key) == Some(revision),
        }
    }

    pub(super) fn revision(&self, key: &str) -> Option<Revision> {
        self.entries.get(key).map(|(revision, _)| *revision)
    }

    pub(super) fn ids_without_message(&self) -> usize {
        let has_message = |sequence: u64| self.messages.iter().any(|m| m.sequence == sequence);
        self.ids.iter().filter(|(_, sequence, _)| !has_message(*sequence)).count()
    }

    pub(super) fn keys(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn commit(&mut self) {
        self.visible = self.last;
    }

    /// Whoever had a message in hand is gone, and what was told is not known.
    pub(super) fn restart(&mut self, now: u64) {
        self.visible = self.last;
        for (attempt, state) in self.delivered.values_mut() {
            *state = match *state {
                State::InHand(_) => again(*attempt, self.rules.max_deliver),
                State::Exhausted { .. } => State::Exhausted { told: false },
                State::Waiting(_) | State::Due | State::Done => *state,
            };
        }
        self.pass_to(now);
    }

    pub(super) fn visible(&self) -> Vec<u64> {
        self.messages.iter().map(|m| m.sequence).filter(|sequence| *sequence <= self.visible).collect()
    }

    pub(super) fn totals(&self) -> (u64, u64, u64) {
        (self.messages.len() as u64, self.messages.iter().map(|m| m.charge).sum(), self.last)
    }

    pub(super) fn count(&self, subject: &str) -> u64 {
        self.messages.iter().filter(|m| m.subject == subject).count() as u64
    }

    /// Waiting, pending, exhausted.
    pub(super) fn standing(&self) -> (u64, u64, u64) {
        let waiting = self.messages.iter().filter(|m| self.is_waiting(m)).count();
        let states = || self.delivered.values().map(|(_, state)| *state);
        let exhausted = states().filter(|state| matches!(state, State::Exhausted { .. })).count();
        let done = states().filter(|state| *state == State::Done).count();
        (waiting as u64, (self.delivered.len() - exhausted - done) as u64, exhausted as u64)
    }
}

/// What becomes of a message that comes back from its worker.
fn again(attempt: u32, max_deliver: Option<u32>) -> State {
    if max_deliver.is_some_and(|max| attempt >= max) { State::Exhausted { told: false } } else { State::Due }
}
