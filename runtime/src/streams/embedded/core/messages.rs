//! The messages of one stream, by sequence and by subject.
//!
//! A message costs under 300 bytes of memory beside its body; a body on disk is held only while it is recent. It
//! knows no bounds and no consumers: see `stream.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;

use super::record::MessageHead;
use crate::streams::subject::Filter;

/// A message; its body too, if it is held in memory.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) head: MessageHead,
    pub(crate) body: Option<Bytes>,
}

impl Message {
    /// What it counts for in the stream's bound by size.
    pub(crate) fn charge(&self) -> u64 {
        charge(&self.head.subject, self.head.size as usize)
    }
}

/// What a message counts for in a stream's bound by size, in bytes.
pub(crate) fn charge(subject: &str, body_len: usize) -> u64 {
    (subject.len() + body_len) as u64
}

/// The messages of one stream.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    by_sequence: BTreeMap<u64, Message>,
    by_subject: BTreeMap<Arc<str>, BTreeSet<u64>>,
    bytes: u64,
}

impl Messages {
    /// The subject as it is already held, so that a million messages share one.
    pub(crate) fn share(&self, subject: &str) -> Arc<str> {
        let held = self.by_subject.get_key_value(subject);
        held.map_or_else(|| Arc::from(subject), |(held, _)| Arc::clone(held))
    }

    pub(crate) fn insert(&mut self, sequence: u64, message: Message) {
        self.bytes += message.charge();
        self.by_subject.entry(Arc::clone(&message.head.subject)).or_default().insert(sequence);
        self.by_sequence.insert(sequence, message);
    }

    pub(crate) fn remove(&mut self, sequence: u64) -> Option<Message> {
        let message = self.by_sequence.remove(&sequence)?;
        self.bytes -= message.charge();
        if let Some(sequences) = self.by_subject.get_mut(&message.head.subject) {
            sequences.remove(&sequence);
            if sequences.is_empty() {
                self.by_subject.remove(&message.head.subject);
            }
        }
        Some(message)
    }

    /// Drops the body from memory; the disk has it.
    pub(crate) fn let_go(&mut self, sequence: u64) {
        if let Some(message) = self.by_sequence.get_mut(&sequence) {
            message.body = None;
        }
    }

    pub(crate) fn get(&self, sequence: u64) -> Option<&Message> {
        self.by_sequence.get(&sequence)
    }

    pub(crate) fn oldest(&self) -> Option<(u64, &Message)> {
        self.by_sequence.first_key_value().map(|(&sequence, message)| (sequence, message))
    }

    pub(crate) fn newest(&self) -> Option<u64> {
        self.by_sequence.last_key_value().map(|(&sequence, _)| sequence)
    }

    pub(crate) fn len(&self) -> u64 {
        self.by_sequence.len() as u64
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many have exactly this subject.
    pub(crate) fn count(&self, subject: &str) -> u64 {
        self.by_subject.get(subject).map_or(0, |sequences| sequences.len() as u64)
    }

    /// All messages in `range`, in order.
    pub(crate) fn range(&self, range: RangeInclusive<u64>) -> impl Iterator<Item = (u64, &Message)> {
        let range = (!range.is_empty()).then_some(range);
        range.into_iter().flat_map(|range| self.by_sequence.range(range)).map(|(&s, message)| (s, message))
    }

    /// The first message in `range` that `filter` matches. By index for one subject and for all of them; other
    /// patterns look at each message once, since whoever asks goes on behind it.
    pub(crate) fn next(&self, filter: &Filter, range: RangeInclusive<u64>) -> Option<(u64, &Message)> {
        if range.is_empty() {
            return None;
        }
        if let Some(subject) = filter.literal() {
            let &sequence = self.by_subject.get(subject)?.range(range).next()?;
            return self.get(sequence).map(|message| (sequence, message));
        }
        self.range(range).find(|(_, message)| filter.matches(&message.head.subject))
    }

    /// How many messages from `from` on `filter` matches.
    pub(crate) fn matching(&self, filter: &Filter, from: u64) -> u64 {
        if let Some(subject) = filter.literal() {
            return self
                .by_subject
                .get(subject)
                .map_or(0, |sequences| sequences.range(from..).count() as u64);
        }
        let from_here = self.by_sequence.range(from..);
        from_here.filter(|(_, message)| filter.matches(&message.head.subject)).count() as u64
    }
}
