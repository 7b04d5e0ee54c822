//! What every store refuses before it looks at what it keeps: one rule and one error for all of them.
//!
//! Pure. Names have their rules in `names`, subjects and filters in `subject`.

use std::time::Duration;

use bytes::Bytes;
use connectome_actors::port::{ConsumerConfig, Publish, StreamConfig, StreamError};
use connectome_codecs::limits::FRAME_MAX;

use super::names;
use super::subject::{Filter, check_subject};

/// Subjects of one stream: a stream that takes more wants a wildcard.
const SUBJECTS_MAX: usize = 256;

/// Steps of a back-off: after that many the last one repeats anyway.
const BACKOFF_MAX: usize = 64;

/// Passes a stream's configuration; gives its subjects as filters.
///
/// # Errors
/// [`StreamError::Invalid`].
pub(crate) fn check_stream(config: &StreamConfig) -> Result<Vec<Filter>, StreamError> {
    names::STREAM.check(&config.name)?;
    let invalid = |problem: &str| Err(StreamError::Invalid(format!("stream {}: {problem}", config.name)));
    if config.subjects.is_empty() || config.subjects.len() > SUBJECTS_MAX {
        return invalid("it must take 1 to 256 subjects; use wildcards to take more");
    }
    if config.max_messages == Some(0) || config.max_bytes == Some(0) {
        return invalid("a bound of 0 keeps nothing; use 1 or more, or none for no bound");
    }
    if config.max_age.is_some_and(|age| age.is_zero()) {
        return invalid("a max_age of zero keeps nothing; leave it out for no bound");
    }
    config.subjects.iter().map(|subject| Filter::parse(subject)).collect()
}

/// Passes what can't be changed in place.
///
/// # Errors
/// [`StreamError::Conflict`].
pub(crate) fn check_same<T: PartialEq + std::fmt::Debug>(
    field: &'static str,
    name: &str,
    is: T,
    wanted: T,
) -> Result<(), StreamError> {
    if is == wanted {
        return Ok(());
    }
    let (is, wanted) = (format!("{is:?}"), format!("{wanted:?}"));
    Err(StreamError::Conflict { name: name.to_owned(), field, is, wanted })
}

/// Passes a consumer's configuration; gives its filter.
///
/// # Errors
/// [`StreamError::Invalid`].
pub(crate) fn check_consumer(config: &ConsumerConfig) -> Result<Filter, StreamError> {
    names::CONSUMER.check(&config.name)?;
    let ConsumerConfig { name, ack_wait, max_deliver, max_ack_pending, backoff, .. } = config;
    let invalid = |problem: &str| Err(StreamError::Invalid(format!("consumer {name}: {problem}")));
    if ack_wait.is_zero() {
        return invalid("ack_wait is zero, so every delivery would be late; give the workers some time");
    }
    if *max_deliver == Some(0) {
        return invalid(
            "max_deliver is 0, so nothing would be delivered; use 1 or more, or none for no bound",
        );
    }
    if *max_ack_pending == 0 {
        return invalid("max_ack_pending is 0, so nothing would be delivered; use 1 or more");
    }
    if backoff.len() > BACKOFF_MAX {
        return invalid("backoff has more than 64 steps; the last one repeats, so leave the rest out");
    }
    if backoff.iter().any(Duration::is_zero) {
        return invalid("backoff has a step of zero, so that delivery would be late at once");
    }
    if max_deliver.is_some_and(|max| backoff.len() as u64 >= u64::from(max)) && !backoff.is_empty() {
        return invalid(
            "max_deliver must exceed the number of backoff steps, or the last ones are never used",
        );
    }
    Filter::parse(&config.filter)
}

/// Passes a message for a stream that takes anything.
///
/// # Errors
/// [`StreamError::Invalid`].
pub(crate) fn check_message(message: &Publish) -> Result<(), StreamError> {
    check_subject(&message.subject)?;
    let size = message.body.len();
    if size > FRAME_MAX {
        return Err(StreamError::Invalid(format!(
            "a body of {size} bytes is larger than the {FRAME_MAX} that a stream takes; split it, or store it and send its name"
        )));
    }
    Ok(())
}

/// Passes a message for a stream with these subjects.
///
/// # Errors
/// [`StreamError::Invalid`].
pub(crate) fn check_taken(
    config: &StreamConfig,
    filters: &[Filter],
    subject: &str,
) -> Result<(), StreamError> {
    if filters.iter().any(|filter| filter.matches(subject)) {
        return Ok(());
    }
    let StreamConfig { name, subjects, .. } = config;
    Err(StreamError::Invalid(format!(
        "stream {name} does not take subject {subject:?}; it takes {subjects:?}"
    )))
}

/// Passes an entry on its way into a bucket.
///
/// # Errors
/// [`StreamError::Invalid`].
pub(crate) fn check_entry(key: &str, value: &Bytes, ttl: Option<Duration>) -> Result<(), StreamError> {
    names::KEY.check(key)?;
    if value.len() > FRAME_MAX {
        let size = value.len();
        return Err(StreamError::Invalid(format!(
            "a value of {size} bytes is larger than the {FRAME_MAX} that a bucket takes"
        )));
    }
    check_ttl(ttl)
}

/// Refuses a time to live in which nothing lives.
pub(crate) fn check_ttl(ttl: Option<Duration>) -> Result<(), StreamError> {
    match ttl {
        Some(Duration::ZERO) => Err(StreamError::Invalid(
            "a TTL of zero expires at once; leave it out, or delete the key".to_owned(),
        )),
        Some(_) | None => Ok(()),
    }
}
