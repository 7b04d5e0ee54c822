//! Tasks that were handed over here, and have no record yet as far as this node knows.
//!
//! The first claim makes a task's record, so most tasks need none from their requester. For those that find no worker soon the
//! task keeper writes it, so that anybody can look at them and cancel them.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use connectome_codecs::{TaskId, TaskRecord};
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::record;
use crate::router::Router;

/// How long a task may wait for its first worker before its requester's node writes the record: a free worker claims within
/// milliseconds, and a person who asks for a record is slower than this.
pub(super) const RECORD_AFTER: Duration = Duration::from_millis(500);

/// How often it is looked for such tasks, while there may be any.
const LOOK: Duration = Duration::from_millis(250);

/// Tasks that are waited for: what a node hands over in [`RECORD_AFTER`] and [`LOOK`] at twenty thousand a second. Of one more
/// the record is written at once.
const UNRECORDED_MAX: usize = 16_384;

/// Bytes of their inputs, at the most: a store takes as much in some seconds.
const UNRECORDED_BYTES_MAX: usize = 16 << 20;

/// Records under way at a time: as many as one connection answers at once without others waiting long.
const AT_ONCE: usize = 64;

/// How long a node that stops writes what is left.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// What waits for a record.
#[derive(Default)]
pub(super) struct Unrecorded {
    waiting: Mutex<Waiting>,
    more: Notify,
}

#[derive(Default)]
struct Waiting {
    /// Oldest first; also those that have a record by now.
    order: VecDeque<(Instant, TaskId)>,
    records: HashMap<TaskId, TaskRecord>,
    bytes: usize,
}

impl Waiting {
    fn add(&mut self, record: &TaskRecord) -> bool {
        let bytes = self.bytes + record.input.len();
        if self.order.len() >= UNRECORDED_MAX || bytes > UNRECORDED_BYTES_MAX {
            return false;
        }
        self.remove(&record.id);
        self.bytes += record.input.len();
        self.order.push_back((Instant::now(), record.id));
        self.records.insert(record.id, record.clone());
        true
    }

    fn remove(&mut self, id: &TaskId) -> Option<TaskRecord> {
        let record = self.records.remove(id)?;
        self.bytes -= record.input.len();
        Some(record)
    }

    /// Those that have waited for so long.
    fn take(&mut self, age: Duration) -> Vec<TaskRecord> {
        let mut due = Vec::new();
        while let Some(&(since, id)) = self.order.front()
            && since.elapsed() >= age
        {
            self.order.pop_front();
            due.extend(self.remove(&id));
        }
        due
    }
}

impl Unrecorded {
    /// A record was heard of.
    pub(super) fn recorded(&self, id: &TaskId) {
        self.waiting.lock().remove(id);
    }

    fn is_empty(&self) -> bool {
        self.waiting.lock().order.is_empty()
    }
}

/// The queue has a task, and its record is to follow: the worker's, or this node's.
pub(super) async fn expect(router: &Router, record: &TaskRecord) {
    let unrecorded = &router.inner().tasks.unrecorded;
    if unrecorded.waiting.lock().add(record) {
        unrecorded.more.notify_one();
    } else {
        write(router, record).await;
    }
}

/// Writes the records of tasks that found no worker soon, for as long as it is polled.
pub(super) async fn follow(router: &Router) {
    let unrecorded = &router.inner().tasks.unrecorded;
    loop {
        if unrecorded.is_empty() {
            unrecorded.more.notified().await;
        }
        sleep(LOOK).await;
        write_those(router, RECORD_AFTER).await;
    }
}

/// Writes what is left, before the node is gone.
pub(super) async fn leave(router: &Router) {
    // What is not written in time its worker writes.
    drop(timeout(LEAVE_MAX, write_those(router, Duration::ZERO)).await);
}

async fn write_those(router: &Router, age: Duration) {
    let due = router.inner().tasks.unrecorded.waiting.lock().take(age);
    for some in due.chunks(AT_ONCE) {
        join_all(some.iter().map(|record| write(router, record))).await;
    }
}

/// The queue has the task, and that is the promise: should the record be missing, the first worker makes it.
async fn write(router: &Router, record: &TaskRecord) {
    if let Err(error) = record::create(router, record).await {
        tracing::debug!(%error, task = %record.id, "the record of a task is left to its worker");
    }
}
