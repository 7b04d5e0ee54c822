//! The bucket of leases: reading, writing, watching, each within a deadline.

use std::time::Duration;

use connectome_codecs::{AgentName, Revision, wire};
use tokio::time::{sleep, timeout};

use super::LEASES;
use crate::port::{Bucket, BucketConfig, Entry, Expect, Storage, StreamError, Watch};
use crate::protocol::lease::{Answer, LeaseRecord};
use crate::router::Router;

/// How long one request may take: a third of what is left of a default lease when it is renewed.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long after a failure its answer waits: what is asked again at once would be asked in a circle.
const RETRY: Duration = Duration::from_millis(200);

async fn bucket(router: &Router) -> Result<Box<dyn Bucket>, StreamError> {
    let config = BucketConfig { name: LEASES.to_owned(), ttl: None, storage: Storage::File };
    router.streams().bucket(config).await
}

/// What an entry says. One that can't be read is taken for none: the write that follows is refused.
pub(super) fn record_of(entry: &Entry) -> Option<LeaseRecord> {
    let value = entry.value.as_ref()?;
    wire::decode(value)
        .inspect_err(|error| tracing::error!(key = entry.key, %error, "a lease can't be read"))
        .ok()
}

/// The entry of a name. `Err`: it could not be read in time.
pub(super) async fn read(router: &Router, name: &AgentName) -> Result<Option<(LeaseRecord, Revision)>, ()> {
    let reading = async { bucket(router).await?.get(name.as_str()).await };
    match timeout(PATIENCE, reading).await {
        Ok(Ok(entry)) => Ok(entry.and_then(|entry| Some((record_of(&entry)?, entry.revision)))),
        Ok(Err(error)) => {
            tracing::debug!(agent = %name, %error, "a lease could not be looked at");
            sleep(RETRY).await;
            Err(())
        }
        Err(_) => Err(()),
    }
}

/// Writes the entry of a name over that revision.
pub(super) async fn write(
    router: &Router,
    name: &AgentName,
    record: LeaseRecord,
    over: Option<Revision>,
) -> Answer {
    let writing = async {
        let value = wire::encode(&record).map_err(|error| StreamError::Invalid(error.to_string()))?;
        let expect = over.map_or(Expect::Absent, Expect::Revision);
        bucket(router).await?.put(name.as_str(), value, expect, None).await
    };
    match timeout(PATIENCE, writing).await {
        Ok(Ok(revision)) => Answer::Written(revision),
        Ok(Err(StreamError::WrongRevision { .. })) => Answer::Conflict,
        Ok(Err(error)) => {
            tracing::debug!(agent = %name, %error, "a lease may not have been written");
            sleep(RETRY).await;
            Answer::Unknown
        }
        Err(_) => Answer::Unknown,
    }
}

/// Follows all leases.
pub(super) async fn watch(router: &Router) -> Result<Box<dyn Watch>, StreamError> {
    bucket(router).await?.watch("").await
}
