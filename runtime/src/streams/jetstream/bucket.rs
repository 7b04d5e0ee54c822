//! Buckets: a stream that keeps the last message of each key, written with the revision that is expected.
//!
//! Every write is a message of its own to the key's subject, with its own time to live: the client's table functions forget
//! one when a key is renewed. A removed key leaves a mark, as does an expired one.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_trait::async_trait;
use bytes::Bytes;
use connectome_actors::port::{Bucket, BucketConfig, Entry, Expect, StreamError, Watch};
use connectome_codecs::Revision;

use super::Store;
use super::api::{Refusal, WRONG_REVISION};
use super::attempts::{Repeat, Trouble};
use super::config::{self, MARK_TTL};
use super::publish::{Acknowledgement, Attempt, ID};
use super::read::{Raw, Which};
use super::requests::{Lost, Request};
use super::{names, watch};
use crate::streams::checks;
use crate::streams::names::{BUCKET, KEY};

/// Headers that the server reads.
const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";
const TTL: &str = "Nats-TTL";

/// The header of a mark: ours, as every client writes it, and the server's.
const OPERATION: &str = "KV-Operation";
const REASON: &str = "Nats-Marker-Reason";

/// Keys listed at once.
const CHUNK: usize = 1_024;

/// How often a write under [`Expect::Absent`] is tried on a key whose mark changes under it.
const MARK_TRIES: usize = 5;

/// A handle to a bucket.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    store: Arc<Store>,
    config: BucketConfig,
    there: String,
    /// What its subjects begin with.
    keys: String,
}

/// Opens a bucket, making it if it is new.
pub(super) async fn open(store: &Arc<Store>, config: BucketConfig) -> Result<Handle, StreamError> {
    BUCKET.check(&config.name)?;
    checks::check_ttl(config.ttl)?;
    let wanted = config::bucket(&store.names, &config, &store.options);
    let check =
        |kept: &config::Kept| checks::check_same("storage", &config.name, kept.storage(), config.storage);
    store.keep(&config.name, &wanted, check).await?;
    let (there, keys) = (store.names.bucket(&config.name), store.names.keys(&config.name));
    Ok(Handle { store: Arc::clone(store), config, there, keys })
}

/// What a write is.
struct Write<'w> {
    key: &'w str,
    value: Option<Bytes>,
    ttl: Option<Duration>,
}

impl Handle {
    pub(super) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(super) fn there(&self) -> &str {
        &self.there
    }

    /// The subject, or filter, of these tokens.
    pub(super) fn subject(&self, tokens: &str) -> String {
        format!("{}{tokens}", self.keys)
    }

    /// The key of a subject.
    pub(super) fn key(&self, subject: &str) -> String {
        names::key(subject.strip_prefix(&self.keys).unwrap_or(subject))
    }

    /// The last message of a key: a value or a mark.
    async fn last(&self, key: &str) -> Result<Option<Raw>, StreamError> {
        self.store.get(&self.there, Which::Last(&self.subject(&names::tokens(key)))).await
    }

    async fn current(&self, key: &str) -> Result<Option<Revision>, StreamError> {
        let last = self.last(key).await?.filter(|raw| !is_mark(&raw.headers));
        Ok(last.map(|raw| Revision(raw.sequence)))
    }

    async fn wrong(&self, key: &str) -> StreamError {
        match self.current(key).await {
            Ok(current) => StreamError::WrongRevision { key: key.to_owned(), current },
            Err(error) => error,
        }
    }

    async fn write(&self, write: Write<'_>, expect: Expect) -> Result<Revision, StreamError> {
        let written = match expect {
            Expect::Any => self.write_at(&write, None).await?,
            Expect::Revision(revision) => self.write_at(&write, Some(revision.0)).await?,
            Expect::Absent => self.write_absent(&write).await?,
        };
        match written {
            Some(revision) => Ok(revision),
            None => Err(self.wrong(write.key).await),
        }
    }

    /// Writes where there is nothing, or a mark.
    async fn write_absent(&self, write: &Write<'_>) -> Result<Option<Revision>, StreamError> {
        let mut expected = 0;
        for _ in 0..MARK_TRIES {
            if let Some(revision) = self.write_at(write, Some(expected)).await? {
                return Ok(Some(revision));
            }
            match self.last(write.key).await? {
                Some(raw) if is_mark(&raw.headers) => expected = raw.sequence,
                Some(_) => return Ok(None),
                None => expected = 0,
            }
        }
        Ok(None)
    }

    /// Writes if the last message of the key has this sequence; `None`: it has another.
    async fn write_at(
        &self,
        write: &Write<'_>,
        expected: Option<u64>,
    ) -> Result<Option<Revision>, StreamError> {
        let _room = self.store.room(write.value.as_ref().map_or(0, Bytes::len)).await?;
        let subject = self.subject(&names::tokens(write.key));
        let headers = Some(self.headers(write, expected));
        let request = Request { subject, headers, body: write.value.clone().unwrap_or_default() };
        let written = self.store.persist(Repeat::Same, |patience| self.write_once(&request, patience));
        match written.await? {
            Ok(Acknowledgement { seq, .. }) => Ok(Some(Revision(seq))),
            Err(refusal) if WRONG_REVISION.contains(&refusal.code) => Ok(None),
            Err(refusal) => Err(refusal.of_stream(&self.config.name)),
        }
    }

    async fn write_once(
        &self,
        request: &Request,
        patience: Duration,
    ) -> Result<Result<Acknowledgement, Refusal>, Trouble> {
        match self.store.write(request.clone(), patience).await {
            Err(Attempt::Lost(Lost::Nobody)) => match self.store.make_again(&self.there).await {
                Err(StreamError::Unavailable(problem)) => Err(Trouble::Passing(problem)),
                Err(error) => Err(error.into()),
                Ok(_) => Err(Lost::Nobody.into()),
            },
            Err(Attempt::Lost(Lost::Silent)) => {
                Err(self.store.why_silent(&self.config.name, &self.there).await)
            }
            written => Ok(written?),
        }
    }

    /// The id makes a write that is tried again the same write, whatever it expects.
    fn headers(&self, write: &Write<'_>, expected: Option<u64>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ID, format!("{:032x}", rand::random::<u128>()));
        if let Some(expected) = expected {
            headers.insert(EXPECTED, expected.to_string());
        }
        if let Some(ttl) = write.ttl {
            headers.insert(TTL, seconds(ttl).to_string());
        }
        if write.value.is_none() {
            headers.insert(OPERATION, "DEL");
        }
        headers
    }

    /// All entries whose keys begin with `prefix`, in the order of their revisions; marks among them.
    pub(super) async fn entries(&self, prefix: &str) -> Result<Vec<Entry>, StreamError> {
        let filter = self.subject(&names::keys_filter(prefix));
        let (mut entries, mut from) = (Vec::new(), 1);
        loop {
            let found =
                self.store.scan(&self.there, &filter, from, CHUNK).await?.ok_or_else(|| self.gone())?;
            let Some(last) = found.last() else { return Ok(entries) };
            from = last.sequence + 1;
            let found = found.into_iter().map(|raw| self.entry(raw));
            entries.extend(found.filter(|entry| entry.key.starts_with(prefix)));
        }
    }

    /// The newest revision that the bucket ever gave; one that the server has lost is made again.
    pub(super) async fn newest(&self) -> Result<u64, StreamError> {
        if let Some(info) = self.store.look_up(&self.there).await? {
            return Ok(info.state.last_seq);
        }
        self.store.make_again_slowly(&self.there).await?;
        let info = self.store.look_up(&self.there).await?.ok_or_else(|| self.gone())?;
        Ok(info.state.last_seq)
    }

    pub(super) fn entry(&self, raw: Raw) -> Entry {
        let value = (!is_mark(&raw.headers)).then_some(raw.body);
        Entry { key: self.key(&raw.subject), value, revision: Revision(raw.sequence), at: raw.at }
    }

    pub(super) fn gone(&self) -> StreamError {
        StreamError::NotFound { what: "bucket", name: self.config.name.clone() }
    }
}

/// Whether a message stands for a key that was removed or has expired.
pub(super) fn is_mark(headers: &HeaderMap) -> bool {
    let removes = |value: &async_nats::HeaderValue| value.as_str() != "PUT";
    headers.get(REASON).is_some() || headers.get(OPERATION).is_some_and(removes)
}

/// The server counts in whole seconds.
fn seconds(ttl: Duration) -> u64 {
    ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0)
}

#[async_trait]
impl Bucket for Handle {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StreamError> {
        KEY.check(key)?;
        let last = self.last(key).await?.map(|raw| self.entry(raw));
        Ok(last.filter(|entry| entry.value.is_some()))
    }

    async fn put(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
        ttl: Option<Duration>,
    ) -> Result<Revision, StreamError> {
        checks::check_entry(key, &value, ttl)?;
        self.write(Write { key, value: Some(value), ttl: ttl.or(self.config.ttl) }, expect).await
    }

    async fn delete(&self, key: &str, expect: Expect) -> Result<(), StreamError> {
        KEY.check(key)?;
        let mark = Write { key, value: None, ttl: Some(MARK_TTL) };
        if let Expect::Revision(_) = expect {
            return self.write(mark, expect).await.map(drop);
        }
        match (self.current(key).await?, expect) {
            (None, _) => Ok(()),
            (current @ Some(_), Expect::Absent) => {
                Err(StreamError::WrongRevision { key: key.to_owned(), current })
            }
            (Some(_), Expect::Any | Expect::Revision(_)) => self.write(mark, Expect::Any).await.map(drop),
        }
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>, StreamError> {
        let present = self.entries(prefix).await?.into_iter().filter(|entry| entry.value.is_some());
        let mut keys: Vec<String> = present.map(|entry| entry.key).collect();
        keys.sort();
        // A key that was written while its bucket was read may have been read twice.
        keys.dedup();
        Ok(keys)
    }

    async fn watch(&self, prefix: &str) -> Result<Box<dyn Watch>, StreamError> {
        Ok(Box::new(watch::open(self.clone(), prefix).await?))
    }
}
