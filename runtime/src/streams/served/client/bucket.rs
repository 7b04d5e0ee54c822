//! A handle to a bucket of the store that is served.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connectome_actors::port::{Bucket, BucketConfig, Entry, Expect, StreamError, Watch};
use connectome_codecs::Revision;

use super::asking::{Question, Repeat};
use super::place::Place;
use super::watch;
use crate::streams::checks;
use crate::streams::served::mirror::nanos;
use crate::streams::served::said::Ask;

/// A handle to a bucket.
pub(super) struct Handle {
    place: Arc<Place>,
    config: BucketConfig,
}

impl Handle {
    pub(super) fn new(place: Arc<Place>, config: BucketConfig) -> Handle {
        Handle { place, config }
    }
}

#[async_trait]
impl Bucket for Handle {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StreamError> {
        let get = |handle| Ask::Get { handle, key: key.to_owned() };
        Ok(self.place.ask(Repeat::Reads, get).await?.entries().pop())
    }

    async fn put(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
        ttl: Option<Duration>,
    ) -> Result<Revision, StreamError> {
        checks::check_entry(key, &value, ttl)?;
        let (length, ttl) = (value.len() as u32, ttl.map(nanos));
        let put = |handle| Ask::Put { handle, key: key.to_owned(), length, expect: expect.into(), ttl };
        // Done twice it would fail, or undo what somebody wrote in between.
        let (repeat, place, wait) = (Repeat::Twice, Some(&*self.place), Duration::ZERO);
        let question = Question { repeat, place, ask: Some(&put), body: Some(value), wait };
        self.place.client.ask(question).await?.number().map(Revision)
    }

    async fn delete(&self, key: &str, expect: Expect) -> Result<(), StreamError> {
        let remove = |handle| Ask::Remove { handle, key: key.to_owned(), expect: expect.into() };
        self.place.ask(Repeat::Twice, remove).await.map(drop)
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>, StreamError> {
        let keys = |handle| Ask::Keys { handle, prefix: prefix.to_owned() };
        Ok(self.place.ask(Repeat::Reads, keys).await?.names())
    }

    async fn watch(&self, prefix: &str) -> Result<Box<dyn Watch>, StreamError> {
        Ok(Box::new(watch::open(&self.place.client, &self.config, prefix).await?))
    }
}
