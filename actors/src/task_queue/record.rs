//! Reading and changing task records: compare, set, and try again when somebody was faster.

use connectome_codecs::{Revision, TaskId, TaskRecord};

use super::TASKS;
use crate::port::{Bucket, BucketConfig, Expect, Storage, StreamError};
use crate::router::Router;

/// Changes of one record that may lose against others before this one gives up: every loss is another's progress.
const ROUNDS_MAX: usize = 64;

/// How long a record is kept after its last change.
const KEPT: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3600);

pub(super) fn config() -> BucketConfig {
    BucketConfig { name: TASKS.to_owned(), ttl: Some(KEPT), storage: Storage::File }
}

pub(super) async fn bucket(router: &Router) -> Result<Box<dyn Bucket>, StreamError> {
    router.streams().bucket(config()).await
}

pub(super) fn decode(value: &[u8]) -> Result<TaskRecord, StreamError> {
    TaskRecord::decode(value).map_err(|error| StreamError::Invalid(format!("a task record can't be read: {error}")))
}

pub(super) async fn load(router: &Router, id: TaskId) -> Result<Option<(TaskRecord, Revision)>, StreamError> {
    let Some(entry) = bucket(router).await?.get(&id.to_string()).await? else { return Ok(None) };
    let Some(value) = entry.value else { return Ok(None) };
    Ok(Some((decode(&value)?, entry.revision)))
}

/// Writes a record where none is, and says whether there was none.
pub(super) async fn create(router: &Router, record: &TaskRecord) -> Result<bool, StreamError> {
    store(router, record, Expect::Absent).await
}

/// Applies a decision to the record until it is stored, or the decision is no.
pub(super) async fn change<E>(
    router: &Router,
    id: TaskId,
    mut decide: impl FnMut(TaskRecord) -> Result<TaskRecord, E>,
) -> Result<Result<TaskRecord, Refused<E>>, StreamError> {
    for _ in 0..ROUNDS_MAX {
        let Some((record, revision)) = load(router, id).await? else { return Ok(Err(Refused::Unknown)) };
        let changed = match decide(record) {
            Ok(changed) => changed,
            Err(refusal) => return Ok(Err(Refused::Decided(refusal))),
        };
        if store(router, &changed, Expect::Revision(revision)).await? {
            return Ok(Ok(changed));
        }
    }
    Err(StreamError::Unavailable(format!("the record of task {id} was changed by others {ROUNDS_MAX} times in a row")))
}

/// Why a record was not changed.
#[derive(Debug)]
pub(super) enum Refused<E> {
    /// There is no such record.
    Unknown,
    /// The protocol said no.
    Decided(E),
}

async fn store(router: &Router, record: &TaskRecord, expect: Expect) -> Result<bool, StreamError> {
    let value = record.encode().map_err(|error| StreamError::Invalid(error.to_string()))?;
    match bucket(router).await?.put(&record.id.to_string(), value, expect, None).await {
        Ok(_) => Ok(true),
        Err(StreamError::WrongRevision { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
