//! One bucket: keys with revisions, compare-and-set, expiry, and who watches.
//!
//! Removed keys leave a mark with a revision of its own, so that a watch that is behind still hears of them.

mod slot;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome_actors::port::{BucketConfig, Expect, StreamError};
use connectome_codecs::{Revision, UnixMillis};

use super::Now;
use super::effects::{Bell, Effects, Out};
use super::record::{EntryHead, Key, Place, Record, Write};
use crate::streams::{checks, names};

pub(crate) use slot::{Found, Lookup};
use slot::{Slot, Value};
pub(crate) use watch::Change;
use watch::Watcher;

/// Keys in one bucket: a bucket is a table in memory, at about 300 bytes a key.
const KEYS_MAX: usize = 1_000_000;

/// Marks of removed keys that are kept for watches that are behind. A watch that is further behind is told of a gap.
const MARKS_MAX: usize = 4_096;

/// A bucket.
#[derive(Debug)]
pub(crate) struct BucketState {
    place: Place,
    on_disk: bool,
    config: BucketConfig,
    /// Entries, and the marks of removed ones.
    slots: BTreeMap<Arc<str>, Slot>,
    /// The same by revision.
    order: BTreeMap<u64, Arc<str>>,
    marks: BTreeSet<u64>,
    expiries: BTreeSet<(UnixMillis, Arc<str>)>,
    /// The highest revision ever given.
    last: u64,
    /// The highest revision that may be seen: on disk, those behind it are being written.
    visible: u64,
    watchers: BTreeMap<Bell, Watcher>,
}

impl BucketState {
    pub(crate) fn new(place: Place, on_disk: bool, config: BucketConfig) -> Self {
        Self {
            place,
            on_disk,
            config,
            slots: BTreeMap::new(),
            order: BTreeMap::new(),
            marks: BTreeSet::new(),
            expiries: BTreeSet::new(),
            last: 0,
            visible: 0,
            watchers: BTreeMap::new(),
        }
    }

    pub(crate) fn config(&self) -> &BucketConfig {
        &self.config
    }

    /// Takes a new configuration; entries that are there keep the expiry they were written with.
    pub(crate) fn reconfigure(&mut self, config: BucketConfig, effects: &mut Effects) {
        self.config = config;
        self.write_config(effects);
    }

    pub(crate) fn write_config(&self, effects: &mut Effects) {
        self.out(effects).write(|place| Write::Put(Record::Bucket(place, self.config.clone())));
    }

    pub(crate) fn get(&mut self, key: &str, now: Now, effects: &mut Effects) -> Result<Lookup, StreamError> {
        names::KEY.check(key)?;
        self.expire(now, effects);
        Ok(match self.slots.get(key) {
            Some(slot) if slot.head.revision > self.visible => Lookup::InFlight,
            Some(Slot { value: Value::Gone, .. }) | None => Lookup::Absent,
            Some(slot) => Lookup::Found(self.found(slot)),
        })
    }

    pub(crate) fn put(
        &mut self,
        key: &str,
        value: Bytes,
        expect: Expect,
        ttl: Option<Duration>,
        now: Now,
        effects: &mut Effects,
    ) -> Result<Revision, StreamError> {
        checks::check_entry(key, &value, ttl)?;
        self.expire(now, effects);
        self.check_expectation(key, expect)?;
        if self.live(key).is_none() && self.slots.len() - self.marks.len() >= KEYS_MAX {
            let (stream, bound) = (self.config.name.clone(), format!("{KEYS_MAX} keys"));
            return Err(StreamError::Full { stream, bound });
        }
        let expires = ttl.or(self.config.ttl).map(|ttl| now.wall.after(ttl));
        Ok(Revision(self.write(key, value, expires, now, effects)))
    }

    pub(crate) fn delete(
        &mut self,
        key: &str,
        expect: Expect,
        now: Now,
        effects: &mut Effects,
    ) -> Result<(), StreamError> {
        names::KEY.check(key)?;
        self.expire(now, effects);
        self.check_expectation(key, expect)?;
        if self.live(key).is_some() {
            self.mark(key, now, effects);
        }
        Ok(())
    }

    /// The keys that have a value and begin with `prefix`, sorted.
    pub(crate) fn keys(&mut self, prefix: &str, now: Now, effects: &mut Effects) -> Vec<String> {
        self.expire(now, effects);
        let from_prefix = (Bound::Included(prefix), Bound::Unbounded);
        let from_prefix =
            self.slots.range::<str, _>(from_prefix).take_while(|(key, _)| key.starts_with(prefix));
        from_prefix.filter(|(_, slot)| !slot.is_mark()).map(|(key, _)| key.as_ref().to_owned()).collect()
    }

    /// Lets time pass: what has expired leaves a mark.
    pub(crate) fn expire(&mut self, now: Now, effects: &mut Effects) {
        while let Some((_, key)) = self.expiries.first().filter(|(at, _)| *at <= now.wall).cloned() {
            self.mark(&key, now, effects);
        }
    }

    /// When the next entry expires.
    pub(crate) fn deadline(&self) -> Option<UnixMillis> {
        self.expiries.first().map(|&(at, _)| at)
    }

    /// What was written up to `revision` may be seen.
    pub(crate) fn show(&mut self, revision: u64, effects: &mut Effects) {
        let shown = self.order.range(self.visible + 1..revision + 1).map(|(_, key)| key);
        for key in shown {
            let watchers = self.watchers.iter().filter(|(_, watcher)| watcher.wants(key));
            effects.bells.extend(watchers.map(|(&bell, _)| bell));
        }
        self.visible = self.visible.max(revision);
    }

    /// Drops a value from memory; the disk has it.
    pub(crate) fn let_go(&mut self, revision: u64) {
        let Some(key) = self.order.get(&revision) else {
            return;
        };
        if let Some(slot) = self.slots.get_mut(key).filter(|slot| !slot.is_mark()) {
            slot.value = Value::Kept;
        }
    }

    pub(crate) fn restore_last(&mut self, last: u64) {
        self.last = self.last.max(last);
        self.visible = self.last;
    }

    pub(crate) fn restore_entry(&mut self, key: Arc<str>, head: EntryHead) {
        self.restore_last(head.revision);
        self.insert(key, Slot { head, value: Value::Kept });
    }

    fn check_expectation(&self, key: &str, expect: Expect) -> Result<(), StreamError> {
        let current = self.live(key).map(|slot| Revision(slot.head.revision));
        let holds = match expect {
            Expect::Any => true,
            Expect::Absent => current.is_none(),
            Expect::Revision(revision) => current == Some(revision),
        };
        if holds { Ok(()) } else { Err(StreamError::WrongRevision { key: key.to_owned(), current }) }
    }

    fn live(&self, key: &str) -> Option<&Slot> {
        self.slots.get(key).filter(|slot| !slot.is_mark())
    }

    fn write(
        &mut self,
        key: &str,
        value: Bytes,
        expires: Option<UnixMillis>,
        now: Now,
        effects: &mut Effects,
    ) -> u64 {
        let (key, size) = (self.clear(key, effects), value.len());
        self.last += 1;
        let head = EntryHead { revision: self.last, at: now.wall, expires };
        let mut out = self.out(effects);
        out.write(|place| Write::Put(Record::Entry(place, Arc::clone(&key), head)));
        out.write(|place| Write::PutBody(place, head.revision, value.clone()));
        self.insert(key, Slot { head, value: Value::Held(value) });
        self.appended(size, effects);
        self.last
    }

    /// Puts a mark in the place of an entry.
    fn mark(&mut self, key: &str, now: Now, effects: &mut Effects) {
        let key = self.clear(key, effects);
        self.last += 1;
        let head = EntryHead { revision: self.last, at: now.wall, expires: None };
        let mut out = self.out(effects);
        out.write(|place| Write::Remove(Key::Entry(place, Arc::clone(&key))));
        out.write(|place| Write::Put(Record::Last(place, head.revision)));
        self.marks.insert(head.revision);
        self.insert(key, Slot { head, value: Value::Gone });
        self.forget_marks();
        self.appended(0, effects);
    }

    /// Takes whatever stands at a key out of every index; gives the key as it is held.
    fn clear(&mut self, key: &str, effects: &mut Effects) -> Arc<str> {
        let Some((key, slot)) = self.slots.remove_entry(key) else {
            return Arc::from(key);
        };
        self.order.remove(&slot.head.revision);
        self.marks.remove(&slot.head.revision);
        if let Some(expires) = slot.head.expires {
            self.expiries.remove(&(expires, Arc::clone(&key)));
        }
        if !slot.is_mark() {
            self.out(effects).write(|place| Write::RemoveBody(place, slot.head.revision));
        }
        key
    }

    fn insert(&mut self, key: Arc<str>, slot: Slot) {
        self.order.insert(slot.head.revision, Arc::clone(&key));
        if let Some(expires) = slot.head.expires {
            self.expiries.insert((expires, Arc::clone(&key)));
        }
        self.slots.insert(key, slot);
    }

    fn forget_marks(&mut self) {
        while self.marks.len() > MARKS_MAX {
            let Some(revision) = self.marks.pop_first() else {
                return;
            };
            let Some(key) = self.order.remove(&revision) else {
                continue;
            };
            self.slots.remove(&key);
            self.watchers.values_mut().for_each(|watcher| watcher.forgotten(revision, &key));
        }
    }

    /// In memory a change is seen at once; on disk, when the disk has it.
    fn appended(&mut self, size: usize, effects: &mut Effects) {
        let revision = self.last;
        if self.on_disk {
            self.out(effects).appended(revision, size);
        } else {
            self.show(revision, effects);
        }
    }

    fn found(&self, slot: &Slot) -> Found {
        let value = match &slot.value {
            Value::Held(value) => Some(value.clone()),
            Value::Kept | Value::Gone => None,
        };
        Found { place: self.place, head: slot.head, value }
    }

    fn out<'a>(&self, effects: &'a mut Effects) -> Out<'a> {
        Out { place: self.place, on_disk: self.on_disk, effects }
    }
}
