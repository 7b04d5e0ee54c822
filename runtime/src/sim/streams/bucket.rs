//! A node's side of a bucket.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connectome_actors::port::{Bucket, Entry, Expect, StreamError, Watch};
use connectome_codecs::Revision;
use tokio::sync::Mutex;

use super::reader::SimWatch;
use super::{Client, Lent};

pub(super) struct SimBucket {
    pub(super) client: Client,
    pub(super) name: String,
    pub(super) bucket: Arc<Lent<dyn Bucket>>,
}

impl SimBucket {
    fn handle(&self) -> Arc<dyn Bucket> {
        Arc::clone(&self.bucket)
    }
}

#[async_trait]
impl Bucket for SimBucket {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StreamError> {
        let (bucket, key) = (self.handle(), key.to_owned());
        self.client.ask(format!("get {} {key}", self.name), async move { bucket.get(&key).await }).await
    }

    async fn put(
        &self,
        key: &str,
        value: Bytes,
        expect: Expect,
        ttl: Option<Duration>,
    ) -> Result<Revision, StreamError> {
        let (bucket, key) = (self.handle(), key.to_owned());
        let what = format!("put {} {key} ({} B, {expect:?})", self.name, value.len());
        self.client.ask(what, async move { bucket.put(&key, value, expect, ttl).await }).await
    }

    async fn delete(&self, key: &str, expect: Expect) -> Result<(), StreamError> {
        let (bucket, key) = (self.handle(), key.to_owned());
        let what = format!("delete {} {key} ({expect:?})", self.name);
        self.client.ask(what, async move { bucket.delete(&key, expect).await }).await
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>, StreamError> {
        let (bucket, prefix) = (self.handle(), prefix.to_owned());
        self.client
            .ask(format!("keys {} {prefix}", self.name), async move { bucket.keys(&prefix).await })
            .await
    }

    async fn watch(&self, prefix: &str) -> Result<Box<dyn Watch>, StreamError> {
        let (bucket, prefix, wire) = (self.handle(), prefix.to_owned(), self.client.wire.clone());
        let what = format!("watch {} {prefix}", self.name);
        let open = async move {
            let watch = bucket.watch(&prefix).await?;
            Ok(Lent { handle: Arc::new(Mutex::new(watch)), wire })
        };
        let watch = self.client.ask(what.clone(), open).await?;
        Ok(Box::new(SimWatch::new(self.client.clone(), what, watch)))
    }
}
