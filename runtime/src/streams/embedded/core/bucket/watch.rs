//! Who watches a bucket, and what each has seen.
//!
//! A watch is a place in the order of revisions, not a queue: however slow its reader, it costs the same, and a key
//! that changed many times meanwhile comes once, as it is.

use std::sync::Arc;

use connectome_actors::port::StreamError;
use connectome_codecs::Sequence;

use super::super::effects::Bell;
use super::super::record::EntryHead;
use super::{BucketState, Found, Value};

/// One watch.
#[derive(Debug)]
pub(crate) struct Watcher {
    prefix: String,
    /// The next revision it has not seen.
    next: u64,
    /// Marks up to here are from before it began: it never saw the keys.
    began: u64,
    /// Marks that were forgotten before it came to them.
    missed: Option<(u64, u64)>,
}

/// A change, as a watch is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) key: Arc<str>,
    pub(crate) head: EntryHead,
    /// `None`: the key has no value any more.
    pub(crate) found: Option<Found>,
}

impl Watcher {
    pub(super) fn wants(&self, key: &str) -> bool {
        key.starts_with(&self.prefix)
    }

    pub(super) fn forgotten(&mut self, revision: u64, key: &str) {
        if revision >= self.next && revision > self.began && self.wants(key) {
            let from = self.missed.map_or(revision, |(from, _)| from);
            self.missed = Some((from, revision));
        }
    }
}

impl BucketState {
    /// Adds a watch under its bell.
    pub(crate) fn watch(&mut self, prefix: String, bell: Bell) {
        self.watchers.insert(bell, Watcher { prefix, next: 1, began: self.last, missed: None });
    }

    /// Removes a watch.
    pub(crate) fn unwatch(&mut self, bell: Bell) {
        self.watchers.remove(&bell);
    }

    /// The next change for a watch.
    ///
    /// # Errors
    /// [`StreamError::Gap`] once, when removals were forgotten before it came to them.
    pub(crate) fn next_change(&mut self, bell: Bell) -> Result<Option<Change>, StreamError> {
        let Some(watcher) = self.watchers.get_mut(&bell) else {
            return Ok(None);
        };
        if let Some((from, to)) = watcher.missed.take() {
            return Err(StreamError::Gap { from: Sequence(from), to: Sequence(to) });
        }
        let revisions = watcher.next..self.visible.saturating_add(1).max(watcher.next);
        let (began, prefix) = (watcher.began, watcher.prefix.as_str());
        let next = self.order.range(revisions).find(|&(&revision, key)| {
            key.starts_with(prefix) && (revision > began || !self.marks.contains(&revision))
        });
        watcher.next = next.map_or(self.visible, |(&revision, _)| revision) + 1;
        let key = next.map(|(_, key)| Arc::clone(key));
        Ok(key.and_then(|key| self.change(key)))
    }

    fn change(&self, key: Arc<str>) -> Option<Change> {
        let slot = self.slots.get(&key)?;
        let found = match slot.value {
            Value::Gone => None,
            Value::Held(_) | Value::Kept => Some(self.found(slot)),
        };
        Some(Change { key, head: slot.head, found })
    }
}
