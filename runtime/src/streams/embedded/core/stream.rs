//! One stream: its messages, its bounds, its consumers and its live readers.
//!
//! | file | what |
//! |---|---|
//! | this one | publish, remove, bounds |
//! | `stream/deliver.rs` | consumers: take, acknowledge, refuse |
//! | `stream/follow.rs` | live readers |
//! | `stream/restore.rs` | the state after a restart, from rows |

mod deliver;
mod follow;
mod restore;

use std::collections::{BTreeMap, BTreeSet};

use connectome_actors::port::{
    Discard, Publish, Published, Retention, StreamConfig, StreamError, StreamInfo,
};
use connectome_codecs::{Sequence, UnixMillis};

use super::Now;
use super::consumer::ConsumerState;
use super::duplicates::Duplicates;
use super::effects::{Bell, Effects, Out};
use super::follower::Follower;
use super::messages::{Message, Messages, charge};
use super::reading::{READ_BYTES_MAX, Seen};
use super::record::{ConsumerNumber, Key, MessageHead, Place, Record, Write};
use crate::streams::checks;
use crate::streams::subject::Filter;

pub(crate) use deliver::{Handed, Taken};

/// A stream.
#[derive(Debug)]
pub(crate) struct Stream {
    place: Place,
    on_disk: bool,
    config: StreamConfig,
    filters: Vec<Filter>,
    messages: Messages,
    duplicates: Duplicates,
    /// The highest sequence ever given.
    last: u64,
    /// The highest sequence that may be seen: on disk, those behind it are being written.
    visible: u64,
    /// The newest moment a message was given; it never falls, whatever the wall clock does.
    newest_at: UnixMillis,
    consumers: BTreeMap<ConsumerNumber, ConsumerState>,
    consumer_numbers: BTreeMap<String, ConsumerNumber>,
    next_consumer: u32,
    /// Consumers of exactly one subject, by that subject, so that a publish asks only those it concerns.
    literal: BTreeMap<String, BTreeSet<ConsumerNumber>>,
    /// All other consumers.
    patterns: BTreeSet<ConsumerNumber>,
    followers: BTreeMap<Bell, Follower>,
}

impl Stream {
    pub(crate) fn new(place: Place, on_disk: bool, config: StreamConfig) -> Result<Self, StreamError> {
        Ok(Self {
            place,
            on_disk,
            filters: parse_all(&config.subjects)?,
            config,
            messages: Messages::default(),
            duplicates: Duplicates::default(),
            last: 0,
            visible: 0,
            newest_at: UnixMillis(0),
            consumers: BTreeMap::new(),
            consumer_numbers: BTreeMap::new(),
            next_consumer: 0,
            literal: BTreeMap::new(),
            patterns: BTreeSet::new(),
            followers: BTreeMap::new(),
        })
    }

    pub(crate) fn config(&self) -> &StreamConfig {
        &self.config
    }

    pub(crate) fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Writes the configuration down.
    pub(crate) fn write_config(&self, effects: &mut Effects) {
        self.out(effects).write(|place| Write::Put(Record::Stream(place, self.config.clone())));
    }

    /// Takes a new configuration; what its bounds no longer allow leaves.
    pub(crate) fn reconfigure(
        &mut self,
        config: StreamConfig,
        now: Now,
        effects: &mut Effects,
    ) -> Result<(), StreamError> {
        self.filters = parse_all(&config.subjects)?;
        self.config = config;
        self.write_config(effects);
        self.expire(now, effects);
        if self.config.discard == Discard::Old {
            while self.exceeded(0, 0).is_some() && self.remove_oldest(effects) {}
        }
        Ok(())
    }

    /// Appends a message.
    pub(crate) fn publish(
        &mut self,
        message: Publish,
        now: Now,
        effects: &mut Effects,
    ) -> Result<Published, StreamError> {
        self.expire(now, effects);
        checks::check_message(&message)?;
        checks::check_taken(&self.config, &self.filters, &message.subject)?;
        if let Some(sequence) = message.id.and_then(|id| self.duplicates.find(id)) {
            return Ok(Published { sequence: Sequence(sequence), duplicate: true });
        }
        self.make_room(&message, effects)?;
        let sequence = self.append(message, now, effects);
        Ok(Published { sequence: Sequence(sequence), duplicate: false })
    }

    /// Removes a message; none there is no error.
    pub(crate) fn remove(&mut self, sequence: u64, effects: &mut Effects) {
        let Some(message) = self.messages.remove(sequence) else {
            return;
        };
        let mut out = self.out(effects);
        out.write(|place| Write::Remove(Key::Message(place, sequence)));
        out.write(|place| Write::RemoveBody(place, sequence));
        if self.messages.newest().unwrap_or(0) < sequence {
            out.write(|place| Write::Put(Record::Last(place, self.last)));
        }
        if let Some(id) = message.head.id.filter(|&id| self.duplicates.find(id) == Some(sequence)) {
            out.write(|place| Write::Put(Record::Remembered(place, id, sequence, message.head.at)));
        }
        for number in self.interested(&message.head.subject) {
            if let Some(consumer) = self.consumers.get_mut(&number) {
                consumer.settle(sequence, &mut out);
            }
        }
        for follower in self.followers.values_mut() {
            follower.removed(sequence, &message.head.subject, &self.messages);
        }
    }

    /// Lets time pass: old messages leave, old ids are forgotten.
    pub(crate) fn expire(&mut self, now: Now, effects: &mut Effects) {
        if let Some(max_age) = self.config.max_age {
            while self.messages.oldest().is_some_and(|(_, oldest)| oldest.head.at.after(max_age) <= now.wall)
            {
                self.remove_oldest(effects);
            }
        }
        while let Some((id, sequence)) = self.duplicates.forget_one(self.config.duplicate_window, now.wall) {
            if self.messages.get(sequence).is_none() {
                self.out(effects).write(|place| Write::Remove(Key::Remembered(place, id)));
            }
        }
    }

    /// What was appended up to `sequence` may be seen.
    pub(crate) fn show(&mut self, sequence: u64, effects: &mut Effects) {
        let shown = self.visible + 1..=sequence;
        self.visible = self.visible.max(sequence);
        for (_, message) in self.messages.range(shown) {
            let subject = &message.head.subject;
            let consumers = self.interested(subject).into_iter().filter_map(|n| self.consumers.get(&n));
            effects.bells.extend(consumers.map(|consumer| consumer.bell));
            let followers = self.followers.iter().filter(|(_, f)| f.filter().matches(subject));
            effects.bells.extend(followers.map(|(&bell, _)| bell));
        }
    }

    /// Up to `max` visible messages that match, from a sequence on.
    pub(crate) fn read(&self, filter: &Filter, from: u64, max: usize) -> Vec<Seen> {
        let (mut seen, mut next, mut bytes) = (Vec::new(), from, 0);
        while seen.len() < max && bytes < READ_BYTES_MAX {
            let Some((sequence, message)) = self.messages.next(filter, next..=self.visible) else {
                break;
            };
            bytes += message.head.size as usize;
            seen.push(self.see(sequence, message));
            next = sequence + 1;
        }
        seen
    }

    pub(crate) fn count(&self, subject: &str) -> u64 {
        self.messages.count(subject)
    }

    pub(crate) fn let_go(&mut self, sequence: u64) {
        self.messages.let_go(sequence);
    }

    pub(crate) fn info(&mut self, now: Now, effects: &mut Effects) -> StreamInfo {
        let numbers: Vec<ConsumerNumber> = self.consumer_numbers.values().copied().collect();
        StreamInfo {
            config: self.config.clone(),
            messages: self.messages.len(),
            bytes: self.messages.bytes(),
            first: Sequence(self.first()),
            last: Sequence(self.last),
            consumers: numbers.into_iter().filter_map(|n| self.consumer_info(n, now, effects)).collect(),
        }
    }

    fn first(&self) -> u64 {
        self.messages.oldest().map_or(self.last + 1, |(sequence, _)| sequence)
    }

    /// Makes room by the stream's rule, or says that it is full.
    fn make_room(&mut self, message: &Publish, effects: &mut Effects) -> Result<(), StreamError> {
        let bytes = charge(&message.subject, message.body.len());
        let can_ever_fit = self.config.max_bytes.is_none_or(|max| bytes <= max);
        while let Some(bound) = self.exceeded(1, bytes) {
            let made_room = match self.config.discard {
                Discard::Old => can_ever_fit && self.remove_oldest(effects),
                Discard::New => false,
            };
            if !made_room {
                return Err(StreamError::Full { stream: self.config.name.clone(), bound });
            }
        }
        Ok(())
    }

    /// The bound that this much more would exceed, in words.
    fn exceeded(&self, messages: u64, bytes: u64) -> Option<String> {
        let too_many = self.config.max_messages.filter(|&max| self.messages.len() + messages > max);
        let too_large = self.config.max_bytes.filter(|&max| self.messages.bytes() + bytes > max);
        match (too_many, too_large) {
            (Some(max), _) => Some(format!("{max} messages")),
            (None, Some(max)) => Some(format!("{max} bytes")),
            (None, None) => None,
        }
    }

    fn append(&mut self, message: Publish, now: Now, effects: &mut Effects) -> u64 {
        let Publish { subject, id, body } = message;
        self.last += 1;
        let sequence = self.last;
        self.newest_at = self.newest_at.max(now.wall);
        let size = u32::try_from(body.len()).expect("checked against FRAME_MAX");
        let head = MessageHead { subject: self.messages.share(&subject), id, at: self.newest_at, size };
        let mut out = self.out(effects);
        out.write(|place| Write::Put(Record::Message(place, sequence, head.clone())));
        out.write(|place| Write::PutBody(place, sequence, body.clone()));
        if let Some(id) = id {
            self.duplicates.remember(id, sequence, self.newest_at);
        }
        self.messages.insert(sequence, Message { head, body: Some(body) });
        self.appended(sequence, size as usize, effects);
        sequence
    }

    /// In memory a message is seen at once; on disk, when the disk has it.
    fn appended(&mut self, sequence: u64, size: usize, effects: &mut Effects) {
        if self.on_disk {
            self.out(effects).appended(sequence, size);
        } else {
            self.show(sequence, effects);
        }
    }

    fn remove_oldest(&mut self, effects: &mut Effects) -> bool {
        let oldest = self.messages.oldest().map(|(sequence, _)| sequence);
        if let Some(sequence) = oldest {
            self.remove(sequence, effects);
        }
        oldest.is_some()
    }

    /// The consumers whose filter matches a subject.
    fn interested(&self, subject: &str) -> Vec<ConsumerNumber> {
        let literal = self.literal.get(subject).into_iter().flatten();
        let matches = |n: &&ConsumerNumber| self.consumers.get(n).is_some_and(|c| c.filter.matches(subject));
        literal.chain(self.patterns.iter().filter(matches)).copied().collect()
    }

    fn see(&self, sequence: u64, message: &Message) -> Seen {
        Seen { place: self.place, sequence, head: message.head.clone(), body: message.body.clone() }
    }

    fn is_work_queue(&self) -> bool {
        match self.config.retention {
            Retention::WorkQueue => true,
            Retention::Limits => false,
        }
    }

    fn out<'a>(&self, effects: &'a mut Effects) -> Out<'a> {
        Out { place: self.place, on_disk: self.on_disk, effects }
    }
}

fn parse_all(subjects: &[String]) -> Result<Vec<Filter>, StreamError> {
    subjects.iter().map(|subject| Filter::parse(subject)).collect()
}
