//! A handle to a consumer of the store that is served.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connectome_actors::port::{
    Consumer, ConsumerConfig, ConsumerInfo, Delivery, DeliveryTag, Stored, StreamError,
};
use tokio::time::Instant;

use super::asking::{Client, Question, Repeat, nonsense};
use super::place::Place;
use crate::streams::embedded::sleeper::later;
use crate::streams::served::mirror::{ConsumerHead, nanos};
use crate::streams::served::said::{Answer, Ask, How};

/// A handle to a consumer.
pub(super) struct Handle {
    place: Place,
}

/// Opens a consumer, making it if it is new.
pub(super) async fn open(
    client: &Arc<Client>,
    stream: &str,
    config: ConsumerConfig,
) -> Result<Handle, StreamError> {
    let (stream, config) = (stream.to_owned(), ConsumerHead::from(config));
    let place = Place::new(client, move |handle| Ask::OpenConsumer {
        handle,
        stream: stream.clone(),
        config: config.clone(),
    });
    place.open().await?;
    Ok(Handle { place })
}

impl Handle {
    async fn settle(&self, tag: DeliveryTag, how: How) -> Result<(), StreamError> {
        self.place.ask(Repeat::Same, |handle| Ask::Settle { handle, tag: tag.into(), how }).await.map(drop)
    }
}

#[async_trait]
impl Consumer for Handle {
    async fn fetch(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, StreamError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let (max, end) = (u32::try_from(max).unwrap_or(u32::MAX), later(Instant::now(), wait));
        // Asked again, it waits for the rest of the time.
        let ask = move |handle| {
            let wait = nanos(end.saturating_duration_since(Instant::now()));
            Ask::Fetch { handle, max, wait }
        };
        let (repeat, place) = (Repeat::Same, Some(&self.place));
        let question = Question { repeat, place, ask: Some(&ask), body: None, wait };
        Ok(self.place.client.ask(question).await?.deliveries())
    }

    async fn ack(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.settle(tag, How::Ack).await
    }

    async fn nak(&self, tag: DeliveryTag, delay: Duration) -> Result<(), StreamError> {
        self.settle(tag, How::Nak { delay: nanos(delay) }).await
    }

    async fn in_progress(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.settle(tag, How::InProgress).await
    }

    async fn terminate(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.settle(tag, How::Terminate).await
    }

    async fn exhausted(&self) -> Result<Vec<Stored>, StreamError> {
        let answered = self.place.ask(Repeat::Same, |handle| Ask::Exhausted { handle }).await?;
        Ok(answered.messages())
    }

    async fn info(&self) -> Result<ConsumerInfo, StreamError> {
        let answered = self.place.ask(Repeat::Reads, |handle| Ask::ConsumerInfo { handle }).await?;
        match answered.answer {
            Answer::Consumer(row) => Ok(row.into()),
            other => Err(nonsense(&other)),
        }
    }
}
