//! Reading and changing task records: decide, compare, set, and decide again when somebody was faster.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::{Revision, TaskId, TaskRecord};

use super::TASKS;
use crate::port::{Bucket, BucketConfig, Entry, Expect, Storage, StreamError};
use crate::protocol::task::{Outcome, Policy, Refusal, Step, apply};
use crate::router::Router;

/// Changes of one record that may lose against others before this one gives up: every loss is another's progress.
const ROUNDS_MAX: usize = 64;

/// How long a record is kept after its last change: as long as the work queue keeps the task itself.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// The bucket, opened once: opening it asks the store how it is kept.
pub(super) async fn bucket(router: &Router) -> Result<Arc<dyn Bucket>, StreamError> {
    let opened = router.inner().tasks.records.lock().clone();
    if let Some(bucket) = opened {
        return Ok(bucket);
    }
    let bucket: Arc<dyn Bucket> = router.streams().bucket(tasks_bucket()).await?.into();
    *router.inner().tasks.records.lock() = Some(bucket.clone());
    Ok(bucket)
}

/// After a failure it is opened anew: a store that came back empty has no bucket until somebody makes it.
fn noted<T>(router: &Router, done: Result<T, StreamError>) -> Result<T, StreamError> {
    if matches!(&done, Err(error) if !matches!(error, StreamError::WrongRevision { .. })) {
        *router.inner().tasks.records.lock() = None;
    }
    done
}

/// The bucket of task records, for those who look into a store without a node.
pub fn tasks_bucket() -> BucketConfig {
    BucketConfig { name: TASKS.to_owned(), ttl: Some(KEPT), storage: Storage::File }
}

pub(super) fn policy(router: &Router) -> Policy {
    let config = &router.inner().config;
    Policy { lease: config.task_lease, attempt_max: Some(config.task_attempt_max), ..Policy::default() }
}

/// The record as its owner reads it.
pub(super) fn decode(router: &Router, value: &[u8]) -> Result<TaskRecord, StreamError> {
    let record = TaskRecord::decode(value)
        .map_err(|error| StreamError::Invalid(format!("a task record can't be read: {error}")))?;
    router.inner().seals.open_record(record)
}

/// The record as it is kept.
pub(super) fn encode(router: &Router, record: TaskRecord) -> Result<Bytes, StreamError> {
    let record = router.inner().seals.seal_record(record);
    record.encode().map_err(|error| StreamError::Invalid(error.to_string()))
}

/// A record, and the revision that it was read at or written with.
pub(super) type Found = (TaskRecord, Revision);

pub(super) async fn load(router: &Router, id: TaskId) -> Result<Option<Found>, StreamError> {
    let entry = noted(router, bucket(router).await?.get(&id.to_string()).await)?;
    let Some(Entry { value: Some(value), revision, .. }) = entry else { return Ok(None) };
    Ok(Some((decode(router, &value)?, revision)))
}

/// Writes a record where none is; `None`: there is one.
pub(super) async fn create(router: &Router, record: &TaskRecord) -> Result<Option<Revision>, StreamError> {
    store(router, record, Expect::Absent).await
}

/// A step that was taken, or why it was not.
#[expect(clippy::large_enum_variant, reason = "it is matched where it is made, and never kept")]
pub(super) enum Stepped {
    /// The record as it is now, and what came of the step.
    Done(Found, Outcome),
    /// The protocol said no.
    Refused(Refusal),
    /// There is no such record.
    Unknown,
}

/// What is thought of a record before a step on it. Should it be out of date, the write says so.
pub(super) enum Known {
    /// Nothing: it has to be read.
    Nothing,
    /// It is this.
    Found(Found),
    /// There is none; it would begin like this.
    Absent(TaskRecord),
}

impl Known {
    /// The record, and what must hold for the next one to be written.
    async fn look(self, router: &Router, id: TaskId) -> Result<Option<(TaskRecord, Expect)>, StreamError> {
        Ok(match self {
            Known::Found((record, revision)) => Some((record, Expect::Revision(revision))),
            Known::Absent(record) => Some((record, Expect::Absent)),
            Known::Nothing => {
                load(router, id).await?.map(|(record, revision)| (record, Expect::Revision(revision)))
            }
        })
    }
}

impl From<Option<Found>> for Known {
    fn from(found: Option<Found>) -> Known {
        found.map_or(Known::Nothing, Known::Found)
    }
}

/// Takes a step on the record: reads, unless it is known, decides and writes, until the write is the first after the read.
pub(super) async fn step(
    router: &Router,
    id: TaskId,
    step: &Step,
    mut known: Known,
) -> Result<Stepped, StreamError> {
    for _ in 0..ROUNDS_MAX {
        let known = std::mem::replace(&mut known, Known::Nothing);
        let Some((mut record, expect)) = known.look(router, id).await? else {
            return Ok(Stepped::Unknown);
        };
        let outcome = match apply(&mut record, router.now(), step.clone(), &policy(router)) {
            Ok(outcome @ (Outcome::AlreadyCompleted | Outcome::Unchanged { .. })) => {
                return Ok(Stepped::Done((record, revision_of(expect)), outcome));
            }
            Ok(outcome @ Outcome::Completed) => {
                // Nobody does it again, so what it was made from need not be kept.
                record.input = Bytes::new();
                outcome
            }
            #[cfg(feature = "planted-bugs")]
            Ok(Outcome::Claimed { attempt, until, .. })
                if router.has_bug(crate::planted::Planted::ReusesTerm) =>
            {
                record.term = connectome_codecs::Term(record.term.0.saturating_sub(1).max(1));
                Outcome::Claimed { term: record.term, attempt, until }
            }
            Ok(outcome) => outcome,
            Err(refusal) => return Ok(Stepped::Refused(refusal)),
        };
        if let Some(revision) = store(router, &record, expect).await? {
            return Ok(Stepped::Done((record, revision), outcome));
        }
    }
    Err(StreamError::Unavailable(format!(
        "the record of task {id} was changed by others {ROUNDS_MAX} times in a row"
    )))
}

/// Where a record stands that is not written again.
fn revision_of(expect: Expect) -> Revision {
    match expect {
        Expect::Revision(revision) => revision,
        Expect::Absent | Expect::Any => Revision(0),
    }
}

/// `None`: somebody else was first.
async fn store(
    router: &Router,
    record: &TaskRecord,
    expect: Expect,
) -> Result<Option<Revision>, StreamError> {
    let value = encode(router, record.clone())?;
    let written = bucket(router).await?.put(&record.id.to_string(), value, expect, None).await;
    match noted(router, written) {
        Ok(revision) => Ok(Some(revision)),
        Err(StreamError::WrongRevision { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
