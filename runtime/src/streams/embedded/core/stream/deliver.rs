//! The consumers of a stream: made, given messages, told what became of them.

use std::time::Duration;

use connectome_actors::port::{ConsumerConfig, ConsumerInfo, Start, StreamError};

use super::super::Now;
use super::super::consumer::ConsumerState;
use super::super::effects::{Bell, Effects};
use super::super::reading::{READ_BYTES_MAX, Seen};
use super::super::record::{ConsumerNumber, Record, Write};
use super::Stream;
use crate::streams::checks;
use crate::streams::subject::Filter;

/// Consumers of one stream: one for each of 100,000 agents. A consumer costs about half a kilobyte.
const CONSUMERS_MAX: usize = 100_000;

/// Messages that one call tells as exhausted; the next call tells more.
const EXHAUSTED_MAX: usize = 1_024;

/// Deliveries that one fetch takes, whatever it asked for; the next fetch takes more.
const FETCH_MAX: usize = 1_024;

/// What a fetch took.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) handed: Vec<Handed>,
    /// When time alone will bring something, in ticks.
    pub(crate) deadline: Option<u64>,
    /// Whether a message ran out of deliveries meanwhile.
    pub(crate) exhausted: bool,
}

/// One delivery.
#[derive(Debug, Clone)]
pub(crate) struct Handed {
    pub(crate) seen: Seen,
    pub(crate) attempt: u32,
}

impl Stream {
    /// Opens a consumer, making it with `bell` if it is new; gives its number and its bell.
    pub(crate) fn open_consumer(
        &mut self,
        config: ConsumerConfig,
        bell: Bell,
        effects: &mut Effects,
    ) -> Result<(ConsumerNumber, Bell), StreamError> {
        let filter = checks::check_consumer(&config)?;
        match self.consumer_numbers.get(&config.name).copied() {
            Some(number) => self.reopen_consumer(number, config, effects),
            None => self.make_consumer(config, filter, bell, effects),
        }
    }

    /// Removes a consumer.
    pub(crate) fn delete_consumer(&mut self, name: &str, effects: &mut Effects) -> Result<Bell, StreamError> {
        let number = self.consumer_numbers.remove(name).ok_or_else(|| not_found(name))?;
        let consumer = self.consumers.remove(&number).ok_or_else(|| not_found(name))?;
        consumer.erase(&mut self.out(effects));
        self.unlist(&consumer);
        Ok(consumer.bell)
    }

    /// Takes up to `max` deliveries: those that are due again first, then new ones, each oldest first.
    pub(crate) fn take(
        &mut self,
        number: ConsumerNumber,
        max: usize,
        now: Now,
        effects: &mut Effects,
    ) -> Option<Taken> {
        self.expire(now, effects);
        let mut out = self.out(effects);
        let consumer = self.consumers.get_mut(&number)?;
        let exhausted = consumer.advance(now, &mut out);
        let (mut handed, mut bytes) = (Vec::new(), 0);
        while handed.len() < max.min(FETCH_MAX) && bytes < READ_BYTES_MAX {
            let Some(sequence) = next_for(consumer, &self.messages, self.visible) else {
                break;
            };
            let attempt = consumer.hand_out(sequence, now, &mut out);
            let Some(message) = self.messages.get(sequence) else {
                continue;
            };
            bytes += message.head.size as usize;
            let (head, body) = (message.head.clone(), message.body.clone());
            handed.push(Handed { seen: Seen { place: self.place, sequence, head, body }, attempt });
        }
        Some(Taken { handed, deadline: consumer.deadline(), exhausted })
    }

    /// Takes back deliveries that never reached their worker.
    pub(crate) fn take_back(&mut self, number: ConsumerNumber, handed: &[(u64, u32)], effects: &mut Effects) {
        let mut out = self.out(effects);
        let Some(consumer) = self.consumers.get_mut(&number) else {
            return;
        };
        for &(sequence, attempt) in handed {
            consumer.take_back(sequence, attempt, &mut out);
        }
    }

    /// Is done with a message: acknowledged, or given up.
    pub(crate) fn settle(
        &mut self,
        number: ConsumerNumber,
        sequence: u64,
        effects: &mut Effects,
    ) -> Option<()> {
        let mut out = self.out(effects);
        let was_ours = self.consumers.get_mut(&number)?.settle(sequence, &mut out);
        if was_ours && self.is_work_queue() {
            self.remove(sequence, effects);
        }
        Some(())
    }

    /// Wants a message delivered again.
    pub(crate) fn refuse(
        &mut self,
        number: ConsumerNumber,
        sequence: u64,
        delay: Duration,
        now: Now,
        effects: &mut Effects,
    ) -> Option<()> {
        let mut out = self.out(effects);
        let consumer = self.consumers.get_mut(&number)?;
        consumer.advance(now, &mut out);
        consumer.refuse(sequence, delay, now, &mut out);
        Some(())
    }

    /// Gives a worker more time.
    pub(crate) fn extend(
        &mut self,
        number: ConsumerNumber,
        sequence: u64,
        now: Now,
        effects: &mut Effects,
    ) -> Option<()> {
        let mut out = self.out(effects);
        let consumer = self.consumers.get_mut(&number)?;
        consumer.advance(now, &mut out);
        consumer.extend(sequence, now);
        Some(())
    }

    /// What ran out of deliveries since the last call.
    pub(crate) fn tell_exhausted(
        &mut self,
        number: ConsumerNumber,
        now: Now,
        effects: &mut Effects,
    ) -> Option<Vec<Seen>> {
        self.expire(now, effects);
        let mut out = self.out(effects);
        let consumer = self.consumers.get_mut(&number)?;
        consumer.advance(now, &mut out);
        let told = consumer.tell_exhausted(EXHAUSTED_MAX);
        let messages = told.into_iter().filter_map(|s| self.messages.get(s).map(|message| (s, message)));
        Some(messages.map(|(sequence, message)| self.see(sequence, message)).collect())
    }

    /// Tells these again, since nobody heard.
    pub(crate) fn untell_exhausted(&mut self, number: ConsumerNumber, sequences: &[u64]) {
        if let Some(consumer) = self.consumers.get_mut(&number) {
            consumer.untell_exhausted(sequences);
        }
    }

    /// Where a consumer stands.
    pub(crate) fn consumer_info(
        &mut self,
        number: ConsumerNumber,
        now: Now,
        effects: &mut Effects,
    ) -> Option<ConsumerInfo> {
        let mut out = self.out(effects);
        let consumer = self.consumers.get_mut(&number)?;
        consumer.advance(now, &mut out);
        let waiting = self.messages.matching(&consumer.filter, consumer.next());
        Some(consumer.info(waiting))
    }

    fn reopen_consumer(
        &mut self,
        number: ConsumerNumber,
        config: ConsumerConfig,
        effects: &mut Effects,
    ) -> Result<(ConsumerNumber, Bell), StreamError> {
        let mut out = self.out(effects);
        let consumer = self.consumers.get_mut(&number).ok_or_else(|| not_found(&config.name))?;
        if consumer.config.filter != config.filter {
            return Err(StreamError::Conflict {
                name: config.name,
                field: "filter",
                is: consumer.config.filter.clone(),
                wanted: config.filter,
            });
        }
        let config = ConsumerConfig { start: consumer.config.start, ..config };
        if consumer.config != config {
            consumer.reconfigure(config, &mut out);
        }
        Ok((number, consumer.bell))
    }

    fn make_consumer(
        &mut self,
        config: ConsumerConfig,
        filter: Filter,
        bell: Bell,
        effects: &mut Effects,
    ) -> Result<(ConsumerNumber, Bell), StreamError> {
        self.check_fits(&config, &filter)?;
        let number = ConsumerNumber(self.next_consumer);
        let next = match config.start {
            Start::First => 1,
            Start::New => self.last + 1,
            Start::At(sequence) => sequence.0,
        };
        let consumer = ConsumerState::new(number, bell, config, filter, next);
        let mut out = self.out(effects);
        consumer.write_config(&mut out);
        out.write(|place| Write::Put(Record::Cursor(place, number, next)));
        self.list(consumer);
        Ok((number, bell))
    }

    /// Whether a new consumer can be had beside the others.
    fn check_fits(&self, config: &ConsumerConfig, filter: &Filter) -> Result<(), StreamError> {
        let (stream, name) = (&self.config.name, &config.name);
        let invalid = |problem: String| Err(StreamError::Invalid(problem));
        if self.consumers.len() >= CONSUMERS_MAX {
            return invalid(format!(
                "stream {stream} has {CONSUMERS_MAX} consumers: delete one, or share one"
            ));
        }
        if !self.filters.iter().any(|subjects| subjects.overlaps(filter)) {
            let (wanted, subjects) = (filter.as_str(), &self.config.subjects);
            return invalid(format!(
                "consumer {name}: its filter {wanted:?} matches nothing in stream {stream}, which takes {subjects:?}"
            ));
        }
        if !self.is_work_queue() {
            return Ok(());
        }
        if config.start != Start::First {
            return invalid(format!("consumer {name}: on the work queue {stream} it must start at First"));
        }
        match self.consumers.values().find(|other| other.filter.overlaps(filter)) {
            Some(other) => invalid(format!(
                "consumer {name}: its filter {:?} overlaps {:?} of consumer {}; on the work queue {stream} each message has one consumer",
                filter.as_str(),
                other.filter.as_str(),
                other.config.name
            )),
            None => Ok(()),
        }
    }

    /// Puts a consumer into every index.
    pub(super) fn list(&mut self, consumer: ConsumerState) {
        let number = consumer.number;
        self.next_consumer = self.next_consumer.max(number.0.saturating_add(1));
        self.consumer_numbers.insert(consumer.config.name.clone(), number);
        match consumer.filter.literal() {
            Some(subject) => self.literal.entry(subject.to_owned()).or_default().insert(number),
            None => self.patterns.insert(number),
        };
        self.consumers.insert(number, consumer);
    }

    fn unlist(&mut self, consumer: &ConsumerState) {
        self.patterns.remove(&consumer.number);
        let Some(subject) = consumer.filter.literal() else {
            return;
        };
        if let Some(numbers) = self.literal.get_mut(subject) {
            numbers.remove(&consumer.number);
            if numbers.is_empty() {
                self.literal.remove(subject);
            }
        }
    }
}

/// What to deliver next: the oldest that is due again, else the oldest new one if one more may be pending.
fn next_for(consumer: &mut ConsumerState, messages: &super::Messages, visible: u64) -> Option<u64> {
    if let Some(sequence) = consumer.first_due() {
        return Some(sequence);
    }
    if !consumer.has_room() {
        return None;
    }
    let next = messages.next(&consumer.filter, consumer.next()..=visible).map(|(sequence, _)| sequence);
    consumer.looked_up_to(next.unwrap_or(visible + 1));
    next
}

fn not_found(name: &str) -> StreamError {
    StreamError::NotFound { what: "consumer", name: name.to_owned() }
}
