//! Our configurations in the server's words, and back.
//!
//! What the server can't keep as it is given stands in the stream's metadata: bounds past its numbers, and a duplicate window
//! longer than `max_age`. What others have set on a stream (compression, placement, ...) is left as it is.

use std::time::Duration;

use connectome_actors::port::{
    BucketConfig, ConsumerConfig, Discard, Retention, Start, Storage, StreamConfig, StreamError,
};
use connectome_codecs::Sequence;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::JetStreamOptions;
use super::names::{self, Names};
use crate::streams::subject::SUBJECT_MAX;

/// The longest namespace or prefix: it stands in every name and subject.
const NAMESPACE_MAX: usize = 32;

/// Consumers of one stream: the server's own bound is 1,000 where none is set, and each consumer of a replicated stream is a
/// group of its own that elects a leader.
const CONSUMERS_MAX: u64 = 10_000;

/// What a file store adds to a message beside its subject, headers and body.
const OVERHEAD: u64 = 34;

/// What messages of a stream that ran out of deliveries are noted at the most: each note takes some 300 bytes, and a stream
/// with more of them needs a person.
const EXHAUSTED_MAX: u64 = 100_000;

/// How long a removed key leaves a mark, for watches that are behind; a watch that is further behind compares.
pub(super) const MARK_TTL: Duration = Duration::from_secs(300);

/// How long the id of an entry's write is remembered: longer than it is tried again.
const WRITE_WINDOW: Duration = Duration::from_secs(30);

/// The server takes no shorter window or age.
const WINDOW_MIN: Duration = Duration::from_millis(100);

/// Keys of metadata.
const NAMESPACE: &str = "connectome.namespace";
const DUPLICATE_WINDOW: &str = "connectome.duplicate_window_ns";
const MAX_BYTES: &str = "connectome.max_bytes";
const MAX_MESSAGES: &str = "connectome.max_messages";
const START: &str = "connectome.start";
const TTL: &str = "connectome.ttl_ns";

/// What the server tells of a stream's configuration, as far as we look at it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Kept {
    #[serde(default)]
    pub(super) subjects: Vec<String>,
    retention: String,
    pub(super) storage: String,
    #[serde(default)]
    max_age: u64,
    #[serde(default)]
    max_bytes: i64,
    #[serde(default)]
    max_msgs: i64,
    discard: String,
    #[serde(default)]
    duplicate_window: u64,
    #[serde(default)]
    metadata: Map<String, Value>,
}

/// Passes the options of a store.
pub(super) fn check_options(options: &JetStreamOptions) -> Result<(), StreamError> {
    check_word("namespace", &options.namespace)?;
    options.subject_prefix.as_deref().map_or(Ok(()), |prefix| check_word("subject_prefix", prefix))?;
    if options.replicas == 0 || options.replicas > 5 {
        let wrong = format!("replicas: {} was given; use 1, or 3 or 5 in a cluster", options.replicas);
        return Err(StreamError::Invalid(wrong));
    }
    if options.request_timeout.is_zero() || options.deadline < options.request_timeout {
        let wrong = "request_timeout must be above zero, and deadline at least as long".to_owned();
        return Err(StreamError::Invalid(wrong));
    }
    Ok(())
}

fn check_word(key: &str, word: &str) -> Result<(), StreamError> {
    let fits = |c: u8| c.is_ascii_alphanumeric() || b"_-".contains(&c);
    if (1..=NAMESPACE_MAX).contains(&word.len()) && word.bytes().all(fits) {
        return Ok(());
    }
    let right = format!("use 1 to {NAMESPACE_MAX} of A-Z, a-z, 0-9, _ and -");
    Err(StreamError::Invalid(format!("{key} {word:?}: {right}")))
}

/// A stream.
pub(super) fn stream(names: &Names, config: &StreamConfig, options: &JetStreamOptions) -> Value {
    let window = config.max_age.map_or(config.duplicate_window, |age| config.duplicate_window.min(age));
    let subjects: Vec<String> = config.subjects.iter().map(|subject| names.subject(subject)).collect();
    let max_bytes = bound(config.max_bytes);
    let mut metadata = json!({ NAMESPACE: names.namespace() });
    let mut note = |key: &str, value: String| metadata[key] = value.into();
    note(DUPLICATE_WINDOW, config.duplicate_window.as_nanos().to_string());
    note(MAX_BYTES, config.max_bytes.map_or_else(String::new, |bytes| bytes.to_string()));
    note(MAX_MESSAGES, config.max_messages.map_or_else(String::new, |messages| messages.to_string()));
    json!({
        "name": names.stream(&config.name),
        "subjects": subjects,
        "retention": retention(config.retention),
        "storage": storage(config.storage),
        "max_age": config.max_age.map_or(0, nanos),
        "max_bytes": max_bytes,
        "max_msgs": bound(config.max_messages),
        "max_msg_size": largest(max_bytes),
        "discard": discard(config.discard),
        "duplicate_window": nanos(window.max(WINDOW_MIN)),
        "num_replicas": options.replicas,
        "allow_direct": true,
        "max_consumers": CONSUMERS_MAX,
        "metadata": metadata,
    })
}

/// The stream that notes which messages of a stream ran out of deliveries: the server's own advisories, kept.
pub(super) fn exhausted(names: &Names, config: &StreamConfig, options: &JetStreamOptions) -> Value {
    let stream = names.stream(&config.name);
    json!({
        "name": names.exhausted(&config.name),
        "subjects": [advisories(&stream, "*")],
        "retention": "limits",
        "storage": storage(config.storage),
        "max_msgs": EXHAUSTED_MAX,
        "discard": "old",
        "num_replicas": options.replicas,
        "allow_direct": true,
        "metadata": { NAMESPACE: names.namespace() },
    })
}

/// Where the server says that a message ran out of deliveries; both as the server names them.
pub(super) fn advisories(stream: &str, consumer: &str) -> String {
    format!("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{stream}.{consumer}")
}

/// A bucket: its time to live is each entry's own, so that another one of an entry can be longer.
pub(super) fn bucket(names: &Names, config: &BucketConfig, options: &JetStreamOptions) -> Value {
    let ttl = config.ttl.map_or_else(String::new, |ttl| ttl.as_nanos().to_string());
    json!({
        "name": names.bucket(&config.name),
        "subjects": [format!("{}>", names.keys(&config.name))],
        "retention": "limits",
        "storage": storage(config.storage),
        "max_msgs_per_subject": 1,
        "max_bytes": -1,
        "discard": "new",
        "duplicate_window": nanos(WRITE_WINDOW),
        "num_replicas": options.replicas,
        "allow_direct": true,
        "allow_rollup_hdrs": true,
        "deny_delete": true,
        "allow_msg_ttl": true,
        "subject_delete_marker_ttl": nanos(MARK_TTL),
        "max_consumers": CONSUMERS_MAX,
        "metadata": { NAMESPACE: names.namespace(), TTL: ttl },
    })
}

/// A durable consumer.
pub(super) fn consumer(names: &Names, config: &ConsumerConfig) -> Value {
    let name = names::consumer(&config.name);
    // The server puts the first step in the place of `ack_wait`; saying so spares a change at each opening.
    let ack_wait = config.backoff.first().copied().unwrap_or(config.ack_wait);
    let backoff: Vec<u64> = config.backoff.iter().copied().map(nanos).collect();
    let mut consumer = json!({
        "name": name,
        "durable_name": name,
        "ack_policy": "explicit",
        "ack_wait": nanos(ack_wait),
        "max_deliver": config.max_deliver.map_or(-1, i64::from),
        "max_ack_pending": i64::try_from(config.max_ack_pending).unwrap_or(i64::MAX),
        "filter_subject": names.subject(&config.filter),
        "replay_policy": "instant",
        "backoff": backoff,
    });
    start(&mut consumer, config.start);
    consumer
}

/// Where a reader begins. The server begins at once where one ahead of its last message wants to wait, so this stands in the
/// metadata too.
pub(super) fn start(consumer: &mut Value, start: Start) {
    match start {
        Start::First | Start::At(Sequence(0)) => consumer["deliver_policy"] = "all".into(),
        Start::New => consumer["deliver_policy"] = "new".into(),
        Start::At(Sequence(sequence)) => {
            consumer["deliver_policy"] = "by_start_sequence".into();
            consumer["opt_start_seq"] = sequence.into();
            consumer["metadata"] = json!({ START: sequence.to_string() });
        }
    }
}

/// The sequence that a consumer begins with at the earliest.
pub(super) fn started_at(consumer: &Value) -> u64 {
    consumer["metadata"][START].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Lays what we want over what there is; `None` when nothing changes.
pub(super) fn overlay(existing: &Value, wanted: &Value, kept: &[&str]) -> Option<Value> {
    let mut changed = existing.clone();
    for (key, value) in
        wanted.as_object().into_iter().flatten().filter(|(key, _)| !kept.contains(&key.as_str()))
    {
        match value {
            Value::Object(inner) => {
                for (key_within, value) in inner {
                    changed[key][key_within] = value.clone();
                }
            }
            value if is_nothing(value) && existing.get(key).is_none_or(is_nothing) => {}
            value => changed[key] = value.clone(),
        }
    }
    (changed != *existing).then_some(changed)
}

/// What the server leaves out of its answers.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(yes) => !yes,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// What cannot be changed once a stream is there, and so is left alone.
pub(super) const FIXED: &[&str] = &["max_consumers"];

impl Kept {
    /// Whether a store of this namespace made it.
    pub(super) fn belongs_to(&self, names: &Names) -> bool {
        self.note(NAMESPACE) == Some(names.namespace())
    }

    pub(super) fn namespace(&self) -> &str {
        self.note(NAMESPACE).unwrap_or("none")
    }

    /// The stream that we call `name`.
    pub(super) fn stream(&self, names: &Names, name: &str) -> StreamConfig {
        let window = self.note(DUPLICATE_WINDOW).and_then(|text| text.parse().ok());
        StreamConfig {
            name: name.to_owned(),
            subjects: self.subjects.iter().map(|subject| names.ours(subject).to_owned()).collect(),
            retention: self.retention(),
            storage: self.storage(),
            max_age: (self.max_age > 0).then(|| Duration::from_nanos(self.max_age)),
            max_bytes: self.bound(MAX_BYTES, self.max_bytes),
            max_messages: self.bound(MAX_MESSAGES, self.max_msgs),
            discard: if self.discard == "new" { Discard::New } else { Discard::Old },
            duplicate_window: Duration::from_nanos(window.unwrap_or(self.duplicate_window)),
        }
    }

    pub(super) fn retention(&self) -> Retention {
        if self.retention == "workqueue" { Retention::WorkQueue } else { Retention::Limits }
    }

    pub(super) fn storage(&self) -> Storage {
        if self.storage == "memory" { Storage::Memory } else { Storage::File }
    }

    /// Our own number if it is noted, and the server's otherwise.
    fn bound(&self, key: &str, theirs: i64) -> Option<u64> {
        let theirs = u64::try_from(theirs).ok().filter(|&bound| bound > 0);
        theirs.or_else(|| self.note(key)?.parse().ok())
    }

    fn note(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).and_then(Value::as_str)
    }
}

fn retention(retention: Retention) -> &'static str {
    match retention {
        Retention::Limits => "limits",
        Retention::WorkQueue => "workqueue",
    }
}

fn storage(storage: Storage) -> &'static str {
    match storage {
        Storage::File => "file",
        Storage::Memory => "memory",
    }
}

fn discard(discard: Discard) -> &'static str {
    match discard {
        Discard::Old => "old",
        Discard::New => "new",
    }
}

/// A bound past the server's numbers is none that could be met.
fn bound(bound: Option<u64>) -> i64 {
    bound.and_then(|bound| i64::try_from(bound).ok()).unwrap_or(-1)
}

/// The largest message with its headers, so that one that never fits removes none.
fn largest(max_bytes: i64) -> i64 {
    let around = OVERHEAD + (SUBJECT_MAX + NAMESPACE_MAX) as u64;
    match u64::try_from(max_bytes) {
        Ok(bytes) if bytes < i32::MAX as u64 => bytes.saturating_sub(around).max(1) as i64,
        Ok(_) | Err(_) => -1,
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    // The server counts in signed 64 bits: three centuries.
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min(i64::MAX as u64)
}
