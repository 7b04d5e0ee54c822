//! What one client has opened, by the numbers that it has given them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use connectome_actors::port::{Bucket, StreamError};
use parking_lot::Mutex;

use super::follower::Follower;
use crate::streams::embedded::consumer::Handle;
use crate::streams::served::said::Tag;

/// Things that one client has open at a time: a consumer, a reader or a bucket each. A node has some dozens.
const HANDLES_MAX: usize = 16_384;

/// Exhausted messages that are told again when their client is lost: those that it was told last.
const TOLD_MAX: usize = 4_096;

/// A consumer, as one client has it open.
pub(super) struct Shared {
    pub(super) consumer: Handle,
    /// Exhausted messages that the client was told. It may be gone before it has done anything about them.
    told: Mutex<VecDeque<u64>>,
}

impl Shared {
    pub(super) fn new(consumer: Handle) -> Shared {
        Shared { consumer, told: Mutex::default() }
    }

    pub(super) fn told(&self, sequences: &[u64]) {
        let mut told = self.told.lock();
        told.extend(sequences);
        let too_many = told.len().saturating_sub(TOLD_MAX);
        told.drain(..too_many);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let told: Vec<u64> = self.told.get_mut().drain(..).collect();
        if !told.is_empty() {
            self.consumer.untell(&told);
        }
    }
}

/// One thing that is open.
#[derive(Clone)]
pub(super) enum Open {
    Consumer(Arc<Shared>),
    Bucket(Arc<dyn Bucket>),
    Follower(Arc<Follower>),
    /// A follower of a bucket, and the bucket.
    Watch(Arc<Follower>, Arc<dyn Bucket>),
}

/// Consumers that were closed, and whose last deliveries may yet come back: as many as are closed while an answer is under way.
const CLOSED_MAX: usize = 256;

/// Everything that is open.
#[derive(Default)]
pub(super) struct Handles(Mutex<BTreeMap<u32, Open>>, Mutex<VecDeque<(u32, Arc<Shared>)>>);

impl Handles {
    /// Keeps what was opened under a number; what had it before is closed.
    pub(super) fn keep(&self, handle: u32, open: Open) -> Result<(), StreamError> {
        let mut handles = self.0.lock();
        if handles.len() >= HANDLES_MAX {
            let problem =
                format!("this node has {HANDLES_MAX} consumers, readers and buckets open: close some");
            return Err(StreamError::Unavailable(problem));
        }
        handles.insert(handle, open);
        Ok(())
    }

    pub(super) fn consumer(&self, handle: u32) -> Option<Arc<Shared>> {
        match self.0.lock().get(&handle) {
            Some(Open::Consumer(consumer)) => Some(consumer.clone()),
            Some(Open::Bucket(_) | Open::Follower(_) | Open::Watch(..)) | None => None,
        }
    }

    pub(super) fn bucket(&self, handle: u32) -> Option<Arc<dyn Bucket>> {
        match self.0.lock().get(&handle) {
            Some(Open::Bucket(bucket) | Open::Watch(_, bucket)) => Some(bucket.clone()),
            Some(Open::Consumer(_) | Open::Follower(_)) | None => None,
        }
    }

    pub(super) fn follower(&self, handle: u32) -> Option<Arc<Follower>> {
        match self.0.lock().get(&handle) {
            Some(Open::Follower(follower) | Open::Watch(follower, _)) => Some(follower.clone()),
            Some(Open::Consumer(_) | Open::Bucket(_)) | None => None,
        }
    }

    /// Its client has no use for it any more: what that was told it has dealt with.
    pub(super) fn close(&self, handle: u32) {
        let closed = self.0.lock().remove(&handle);
        match closed {
            Some(Open::Consumer(consumer)) => {
                consumer.told.lock().clear();
                let mut closed = self.1.lock();
                closed.push_back((handle, consumer));
                if closed.len() > CLOSED_MAX {
                    closed.pop_front();
                }
            }
            Some(Open::Follower(follower) | Open::Watch(follower, _)) => follower.close(),
            Some(Open::Bucket(_)) | None => {}
        }
    }

    /// A consumer that is open, or was a moment ago.
    fn late(&self, handle: u32) -> Option<Arc<Shared>> {
        let closed =
            || self.1.lock().iter().find(|(known, _)| *known == handle).map(|(_, shared)| shared.clone());
        self.consumer(handle).or_else(closed)
    }

    pub(super) fn take_back(&self, handle: u32, tags: Vec<Tag>) {
        if let Some(shared) = self.late(handle) {
            shared.consumer.take_back(&tags.into_iter().map(Into::into).collect::<Vec<_>>());
        }
    }

    pub(super) fn untell(&self, handle: u32, sequences: &[u64]) {
        if let Some(shared) = self.late(handle) {
            shared.consumer.untell(sequences);
        }
    }
}
