//! A handle to a bucket.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connectome_actors::port::{Bucket, Entry, Expect, StreamError, Watch};
use connectome_codecs::Revision;

use super::commit::{Ticket, Urgency};
use super::core::effects::Effects;
use super::core::record::Place;
use super::core::{BucketState, Found, Lookup, Now};
use super::store::Store;
use super::watch;

/// A handle to a bucket.
pub(super) struct Handle {
    store: Arc<Store>,
    place: Place,
}

impl Handle {
    pub(super) fn new(store: Arc<Store>, place: Place) -> Self {
        Self { store, place }
    }

    fn apply<T>(
        &self,
        urgency: Urgency,
        operation: impl FnOnce(&mut BucketState, Now, &mut Effects) -> Result<T, StreamError>,
    ) -> Result<(T, Ticket), StreamError> {
        self.store.apply(urgency, |core, now, effects| operation(core.bucket_at(self.place), now, effects))
    }

    /// The value of an entry; `None` when it was overwritten meanwhile.
    fn value(&self, found: &Found) -> Result<Option<Bytes>, StreamError> {
        value(&self.store, found)
    }
}

#[async_trait]
impl Bucket for Handle {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StreamError> {
        let mut missing = None;
        loop {
            let (lookup, ticket) =
                self.apply(Urgency::Written, |bucket, now, effects| bucket.get(key, now, effects))?;
            let found = match lookup {
                Lookup::Absent => return Ok(None),
                Lookup::Found(found) => found,
                Lookup::InFlight => {
                    self.store.settled(ticket).await?;
                    continue;
                }
            };
            if let Some(value) = self.value(&found)? {
                return Ok(Some(entry(key, &found, value)));
            }
            if missing == Some(found.head.revision) {
                return Err(StreamError::Unavailable(format!(
                    "the value of key {key} is missing: the store is damaged"
                )));
            }
            missing = Some(found.head.revision);
        }
    }

    async fn put(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
        ttl: Option<Duration>,
    ) -> Result<Revision, StreamError> {
        self.store.room().await?;
        let (revision, ticket) = self.apply(Urgency::Durable, |bucket, now, effects| {
            bucket.put(key, value, expect, ttl, now, effects)
        })?;
        self.store.settled(ticket).await?;
        Ok(revision)
    }

    async fn delete(&self, key: &str, expect: Expect) -> Result<(), StreamError> {
        self.store.room().await?;
        let ((), ticket) =
            self.apply(Urgency::Durable, |bucket, now, effects| bucket.delete(key, expect, now, effects))?;
        self.store.settled(ticket).await
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>, StreamError> {
        let keys = self.apply(Urgency::Written, |bucket, now, effects| Ok(bucket.keys(prefix, now, effects)));
        keys.map(|(keys, _)| keys)
    }

    async fn watch(&self, prefix: &str) -> Result<Box<dyn Watch>, StreamError> {
        let (bell, _) = self.store.apply(Urgency::Written, |core, now, effects| {
            let bell = core.new_bell();
            let bucket = core.bucket_at(self.place);
            bucket.expire(now, effects);
            bucket.watch(prefix.to_owned(), bell);
            Ok(bell)
        })?;
        Ok(Box::new(watch::Handle::new(Arc::clone(&self.store), self.place, bell)))
    }
}

/// The value of an entry; `None` when it was overwritten meanwhile.
pub(super) fn value(store: &Store, found: &Found) -> Result<Option<Bytes>, StreamError> {
    match &found.value {
        Some(value) => Ok(Some(value.clone())),
        None => store.read(found.place, found.head.revision),
    }
}

fn entry(key: &str, found: &Found, value: Bytes) -> Entry {
    let (revision, at) = (Revision(found.head.revision), found.head.at);
    Entry { key: key.to_owned(), value: Some(value), revision, at }
}
