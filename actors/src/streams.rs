//! The streams of a cluster, and how they are kept.

use std::time::Duration;

use bytes::Bytes;

use crate::event_dispatcher::SYSTEM_EVENTS;
use crate::mail::{AGENT_MESSAGES, AGENT_OUTBOX, OUTBOX_MESSAGES_MAX};
use crate::port::{BucketConfig, Discard, Expect, Retention, Storage, StreamConfig, StreamError, Streams};
use crate::registration::AGENT_DISCOVERY;
use crate::router::RouterConfig;
use crate::sealing::keys_bucket;
use crate::task_queue::TASK_ROUTING;

/// The stream of what could not be delivered, and why.
pub const DEAD_LETTERS: &str = "DEAD_LETTERS";

/// The bucket of what all nodes of a cluster must agree about.
pub const CLUSTER: &str = "cluster";

/// Registrations are decided within seconds, and what stands is in the bucket: an hour is for those who look.
const DISCOVERY_AGE: Duration = Duration::from_secs(3_600);

/// 100,000 registrations of usual size, twice.
const DISCOVERY_BYTES: u64 = 64_000_000;

/// The bounds of the streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamLimits {
    /// Older messages leave; tasks and unread mail too, so it is long.
    pub max_age: Option<Duration>,
    /// Bytes of each stream.
    pub max_bytes: Option<u64>,
    /// For how long an id is remembered, to store it once.
    pub duplicate_window: Duration,
    /// Where they are kept.
    pub storage: Storage,
}

impl Default for StreamLimits {
    fn default() -> StreamLimits {
        StreamLimits {
            max_age: Some(Duration::from_secs(7 * 24 * 3600)),
            max_bytes: Some(1_000_000_000),
            duplicate_window: Duration::from_secs(120),
            storage: Storage::File,
        }
    }
}

/// Makes the streams that are missing.
pub(crate) async fn create(
    store: &dyn Streams,
    config: &RouterConfig,
    limits: &StreamLimits,
) -> Result<(), StreamError> {
    for stream in configs(&config.namespace, limits) {
        store.create_stream(stream).await?;
    }
    if !config.store_is_shared {
        store.create_stream(outbox(&config.namespace, limits)).await?;
    }
    // Made now, so that no message is the first to need it when there is no room.
    store.bucket(keys_bucket()).await?;
    agree(store, "streams.shards", &config.shards.to_string(), limits.storage).await
}

/// The first node says what it is; one that says something else would look for mail where nobody puts it.
async fn agree(
    store: &dyn Streams,
    what: &'static str,
    mine: &str,
    storage: Storage,
) -> Result<(), StreamError> {
    let bucket = store.bucket(BucketConfig { name: CLUSTER.to_owned(), ttl: None, storage }).await?;
    let said = bucket.put(what, Bytes::copy_from_slice(mine.as_bytes()), Expect::Absent, None).await;
    let Err(StreamError::WrongRevision { .. }) = said else { return said.map(drop) };
    let entry = bucket.get(what).await?.and_then(|entry| entry.value).unwrap_or_default();
    let theirs = String::from_utf8_lossy(&entry).into_owned();
    if theirs == mine {
        return Ok(());
    }
    let name = "the cluster".to_owned();
    Err(StreamError::Conflict { name, field: what, is: theirs, wanted: mine.to_owned() })
}

/// What waits to leave is given up by whoever hands it over, with a letter: the stream forgets nothing by itself.
fn outbox(namespace: &str, limits: &StreamLimits) -> StreamConfig {
    StreamConfig {
        name: AGENT_OUTBOX.to_owned(),
        subjects: vec![format!("{namespace}.outbox.*")],
        retention: Retention::Limits,
        storage: limits.storage,
        max_age: None,
        max_bytes: limits.max_bytes,
        max_messages: Some(OUTBOX_MESSAGES_MAX),
        discard: Discard::New,
        duplicate_window: limits.duplicate_window,
    }
}

fn configs(namespace: &str, limits: &StreamLimits) -> [StreamConfig; 5] {
    let stream = |name: &str, subject: &str, retention, discard| StreamConfig {
        name: name.to_owned(),
        subjects: vec![format!("{namespace}.{subject}")],
        retention,
        storage: limits.storage,
        max_age: limits.max_age,
        max_bytes: limits.max_bytes,
        max_messages: None,
        discard,
        duplicate_window: limits.duplicate_window,
    };
    let least = |bound: Option<u64>, max| bound.map_or(max, |bound| bound.min(max));
    let discovery = stream(AGENT_DISCOVERY, "discovery.>", Retention::Limits, Discard::Old);
    let discovery = StreamConfig {
        max_age: Some(limits.max_age.map_or(DISCOVERY_AGE, |age| age.min(DISCOVERY_AGE))),
        max_bytes: Some(least(limits.max_bytes, DISCOVERY_BYTES)),
        ..discovery
    };
    // What nobody has read yet is not thrown away to make room: its sender is told. What is history makes room.
    [
        stream(AGENT_MESSAGES, "message.>", Retention::WorkQueue, Discard::New),
        stream(TASK_ROUTING, "task.>", Retention::WorkQueue, Discard::New),
        stream(SYSTEM_EVENTS, "event.>", Retention::Limits, Discard::Old),
        stream(DEAD_LETTERS, "dead.>", Retention::Limits, Discard::Old),
        discovery,
    ]
}
