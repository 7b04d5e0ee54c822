//! Reading and changing task records: decide, compare, set, and decide again when somebody was faster.

use std::sync::Arc;
use std::time::Duration;

use connectome_codecs::{Revision, TaskId, TaskRecord};

use super::TASKS;
use crate::port::{Bucket, BucketConfig, Expect, Storage, StreamError};
use crate::protocol::task::{Outcome, Policy, Refusal, Step, apply};
use crate::router::Router;

/// Changes of one record that may lose against others before this one gives up: every loss is another's progress.
const ROUNDS_MAX: usize = 64;

/// How long a record is kept after its last change: as long as the work queue keeps the task itself.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// The bucket, opened once: opening it asks the store whether it is as it should be.
pub(super) async fn bucket(router: &Router) -> Result<Arc<dyn Bucket>, StreamError> {
    let kept = &router.inner().tasks.bucket;
    if let Some(bucket) = kept.lock().clone() {
        return Ok(bucket);
    }
    let opened: Arc<dyn Bucket> = router.streams().bucket(tasks_bucket()).await?.into();
    *kept.lock() = Some(opened.clone());
    Ok(opened)
}

/// A store that fails may have lost the bucket: it is opened again.
fn noted<T>(router: &Router, done: Result<T, StreamError>) -> Result<T, StreamError> {
    if done.as_ref().is_err_and(|error| !matches!(error, StreamError::WrongRevision { .. })) {
        *router.inner().tasks.bucket.lock() = None;
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

pub(super) fn decode(value: &[u8]) -> Result<TaskRecord, StreamError> {
    TaskRecord::decode(value)
        .map_err(|error| StreamError::Invalid(format!("a task record can't be read: {error}")))
}

/// A record as it stood in the bucket, and the revision to write over.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) record: TaskRecord,
    revision: Revision,
}

pub(super) async fn load(router: &Router, id: TaskId) -> Result<Option<Known>, StreamError> {
    let got = bucket(router).await?.get(&id.to_string()).await;
    let Some(entry) = noted(router, got)? else { return Ok(None) };
    let Some(value) = entry.value else { return Ok(None) };
    Ok(Some(Known { record: decode(&value)?, revision: entry.revision }))
}

/// Writes a record where none is, and says whether there was none.
pub(super) async fn create(router: &Router, record: &TaskRecord) -> Result<bool, StreamError> {
    store(router, record, Expect::Absent).await.map(|written| written.is_some())
}

/// A step that was taken, or why it was not.
#[expect(clippy::large_enum_variant, reason = "it is matched where it is made, and never kept")]
pub(super) enum Stepped {
    /// The record as it is now, and what came of the step.
    Done(Known, Outcome),
    /// The protocol said no.
    Refused(Refusal),
    /// There is no such record.
    Unknown,
}

/// Takes a step on the record: reads, decides and writes, until the write is the first after the read.
pub(super) async fn step(router: &Router, id: TaskId, step: &Step) -> Result<Stepped, StreamError> {
    step_from(router, id, step, None).await
}

/// The same, beginning with a record as it was a moment ago: where nobody else has written it, no read is needed.
pub(super) async fn step_from(
    router: &Router,
    id: TaskId,
    step: &Step,
    mut known: Option<Known>,
) -> Result<Stepped, StreamError> {
    for _ in 0..ROUNDS_MAX {
        let is_old = known.is_some();
        let now = match known.take() {
            Some(known) => Some(known),
            None => load(router, id).await?,
        };
        let Some(Known { mut record, revision }) = now else { return Ok(Stepped::Unknown) };
        let outcome = match apply(&mut record, router.now(), step.clone(), &policy(router)) {
            Ok(outcome @ (Outcome::AlreadyCompleted | Outcome::Unchanged { .. })) => {
                return Ok(Stepped::Done(Known { record, revision }, outcome));
            }
            Ok(outcome @ Outcome::Completed) => {
                // Nobody does it again, so what it was made from need not be kept.
                record.input = bytes::Bytes::new();
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
            // Only what stands there now may refuse.
            Err(_) if is_old => continue,
            Err(refusal) => return Ok(Stepped::Refused(refusal)),
        };
        if let Some(revision) = store(router, &record, Expect::Revision(revision)).await? {
            return Ok(Stepped::Done(Known { record, revision }, outcome));
        }
    }
    Err(StreamError::Unavailable(format!(
        "the record of task {id} was changed by others {ROUNDS_MAX} times in a row"
    )))
}

/// The revision that was written; `None`: there is another one than was expected.
async fn store(
    router: &Router,
    record: &TaskRecord,
    expect: Expect,
) -> Result<Option<Revision>, StreamError> {
    let value = record.encode().map_err(|error| StreamError::Invalid(error.to_string()))?;
    let put = bucket(router).await?.put(&record.id.to_string(), value, expect, None).await;
    match noted(router, put) {
        Ok(revision) => Ok(Some(revision)),
        Err(StreamError::WrongRevision { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
