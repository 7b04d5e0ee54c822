//! Carries out what a client asks: each question is one call of the port.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome_actors::port::{Bucket, Consumer, Publish, Start, StreamError, Streams};
use connectome_codecs::Sequence;

use super::follower::{Follower, Source};
use super::handles::{Open, Shared};
use super::session::Session;
use super::taking::{self, Reply};
use crate::streams::Embedded;
use crate::streams::served::mirror::{BucketHead, StreamRow};
use crate::streams::served::parts::List;
use crate::streams::served::said::{Answer, Ask, How, Tag};

/// Names in one answer, in bytes: a million keys.
const NAMES_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Session {
    /// Does what is asked.
    pub(super) async fn carry_out(&self, ask: Ask, body: Bytes) -> Reply {
        Reply::from(self.try_to(ask, body).await)
    }

    async fn try_to(&self, ask: Ask, body: Bytes) -> Result<Reply, StreamError> {
        let store = &self.hall.store;
        match ask {
            Ask::CreateStream { config } => done(store.create_stream(config.into()).await),
            Ask::Publish { stream, subject, id, length } => {
                let message = Publish { subject, id, body: whole(body, length)? };
                let published = store.publish(&stream, message).await?;
                let (sequence, duplicate) = (published.sequence.0, published.duplicate);
                Ok(Answer::Published { sequence, duplicate }.into())
            }
            Ask::DeleteConsumer { stream, name } => done(store.delete_consumer(&stream, &name).await),
            Ask::Read { stream, filter, from, max } => {
                let _turn = self.gathering.acquire().await;
                taking::read(store, &stream, &filter, Sequence(from), max as usize).await
            }
            Ask::Delete { stream, sequence } => done(store.delete(&stream, Sequence(sequence)).await),
            Ask::StreamInfo { stream } => {
                let (row, consumers) = StreamRow::of(store.stream_info(&stream).await?);
                Ok(Reply { answer: Answer::Stream(Box::new(row)), ..Reply::from(List::Consumers(consumers)) })
            }
            Ask::Count { stream, subject } => number(store.count(&stream, &subject).await),
            Ask::StreamNames => names(store.stream_names().await?),
            Ask::OpenConsumer { .. }
            | Ask::OpenTail { .. }
            | Ask::OpenArrivals { .. }
            | Ask::OpenBucket { .. }
            | Ask::OpenWatch { .. } => self.open(ask).await,
            Ask::Fetch { handle, max, wait } => {
                let Some(shared) = self.handles.consumer(handle) else { return Ok(Answer::NotOpen.into()) };
                taking::fetch(shared, max as usize, Duration::from_nanos(wait)).await
            }
            Ask::Settle { handle, tag, how } => match self.handles.consumer(handle) {
                Some(shared) => done(settle(&shared, tag, how).await),
                None => Ok(Answer::NotOpen.into()),
            },
            Ask::Exhausted { handle } => {
                let Some(shared) = self.handles.consumer(handle) else { return Ok(Answer::NotOpen.into()) };
                taking::exhausted(shared).await
            }
            Ask::ConsumerInfo { handle } => match self.handles.consumer(handle) {
                Some(shared) => Ok(Answer::Consumer(shared.consumer.info().await?.into()).into()),
                None => Ok(Answer::NotOpen.into()),
            },
            Ask::Listen { handle, filter } => match self.handles.follower(handle) {
                Some(follower) => done(follower.listen(&filter)),
                None => Ok(Answer::NotOpen.into()),
            },
            Ask::Next { handle } => match self.handles.follower(handle) {
                Some(follower) => Ok(follower.next().await),
                None => Ok(Answer::NotOpen.into()),
            },
            Ask::Get { .. } | Ask::Put { .. } | Ask::Remove { .. } | Ask::Keys { .. } => {
                self.in_bucket(ask, body).await
            }
        }
    }

    /// What is asked of a bucket.
    async fn in_bucket(&self, ask: Ask, body: Bytes) -> Result<Reply, StreamError> {
        let (Ask::Get { handle, .. }
        | Ask::Put { handle, .. }
        | Ask::Remove { handle, .. }
        | Ask::Keys { handle, .. }) = &ask
        else {
            return Ok(Answer::NotOpen.into());
        };
        let Some(bucket) = self.handles.bucket(*handle) else { return Ok(Answer::NotOpen.into()) };
        match ask {
            Ask::Get { key, .. } => Ok(List::Entries(bucket.get(&key).await?.into_iter().collect()).into()),
            Ask::Put { key, length, expect, ttl, .. } => {
                let (value, ttl) = (whole(body, length)?, ttl.map(Duration::from_nanos));
                let written = bucket.put(&key, value, expect.into(), ttl).await;
                number(written.map(|revision| revision.0))
            }
            Ask::Remove { key, expect, .. } => done(bucket.delete(&key, expect.into()).await),
            Ask::Keys { prefix, .. } => names(bucket.keys(&prefix).await?),
            other => Err(StreamError::Invalid(format!("{other:?} is not asked of a bucket"))),
        }
    }

    /// Opens what is asked for. A reader's answer says where it begins, so that its client can go on there.
    async fn open(&self, ask: Ask) -> Result<Reply, StreamError> {
        let store = &self.hall.store;
        let (handle, open, begins) = match ask {
            Ask::OpenConsumer { handle, stream, config } => {
                let consumer = store.open_consumer(&stream, config.into()).await?;
                (handle, Open::Consumer(Arc::new(Shared::new(consumer))), 0)
            }
            Ask::OpenTail { handle, stream, filter, start } => {
                let begins = begins(store, &stream, start.into()).await?;
                let tail = store.tail(&stream, &filter, start.into()).await?;
                (handle, follower(Source::Tail(tail)), begins)
            }
            Ask::OpenArrivals { handle, stream } => {
                let begins = begins(store, &stream, Start::New).await?;
                (handle, follower(Source::Arrivals(store.arrivals(&stream).await?)), begins)
            }
            Ask::OpenBucket { handle, config } => (handle, Open::Bucket(bucket(store, config).await?), 0),
            Ask::OpenWatch { handle, config, prefix } => {
                let bucket = bucket(store, config).await?;
                let watch = Follower::new(Source::Watch(bucket.watch(&prefix).await?));
                (handle, Open::Watch(Arc::new(watch), bucket), 0)
            }
            other => return Err(StreamError::Invalid(format!("{other:?} opens nothing"))),
        };
        self.handles.keep(handle, open)?;
        Ok(Answer::Number(begins).into())
    }
}

fn follower(source: Source) -> Open {
    Open::Follower(Arc::new(Follower::new(source)))
}

async fn bucket(store: &Embedded, config: BucketHead) -> Result<Arc<dyn Bucket>, StreamError> {
    Ok(store.bucket(config.into()).await?.into())
}

/// The first sequence that a reader may be given.
async fn begins(store: &Embedded, stream: &str, start: Start) -> Result<u64, StreamError> {
    match start {
        Start::First => Ok(1),
        Start::At(sequence) => Ok(sequence.0),
        Start::New => Ok(store.stream_info(stream).await?.last.0 + 1),
    }
}

async fn settle(shared: &Shared, tag: Tag, how: How) -> Result<(), StreamError> {
    let (consumer, tag) = (&shared.consumer, tag.into());
    match how {
        How::Ack => consumer.ack(tag).await,
        How::Nak { delay } => consumer.nak(tag, Duration::from_nanos(delay)).await,
        How::InProgress => consumer.in_progress(tag).await,
        How::Terminate => consumer.terminate(tag).await,
    }
}

fn done(result: Result<(), StreamError>) -> Result<Reply, StreamError> {
    result.map(|()| Answer::Done.into())
}

fn number(result: Result<u64, StreamError>) -> Result<Reply, StreamError> {
    result.map(|number| Answer::Number(number).into())
}

fn names(names: Vec<String>) -> Result<Reply, StreamError> {
    if names.iter().map(String::len).sum::<usize>() > NAMES_BYTES_MAX {
        let problem =
            format!("the names take more than {NAMES_BYTES_MAX} bytes: ask for fewer, by a longer prefix");
        return Err(StreamError::Invalid(problem));
    }
    Ok(List::Names(names).into())
}

/// The one body of a request.
fn whole(body: Bytes, length: u32) -> Result<Bytes, StreamError> {
    match body.len() == length as usize {
        true => Ok(body),
        false => Err(StreamError::Invalid("the body is not as long as its head says".to_owned())),
    }
}
