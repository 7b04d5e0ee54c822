//! A node's side of a consumer.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use connectome_actors::port::{Consumer, ConsumerInfo, Delivery, DeliveryTag, Stored, StreamError};
use tokio::sync::{Mutex, oneshot};
use tokio::time::{Instant, timeout_at};

use super::super::store::Kind;
use super::{Client, Lent};

pub(super) struct SimConsumer {
    client: Client,
    name: String,
    consumer: Lent<dyn Consumer>,
    arriving: Mutex<Arriving>,
}

/// What a fetch brings, also when its future was dropped.
#[derive(Default)]
struct Arriving {
    under_way: Option<UnderWay>,
    arrived: VecDeque<Delivery>,
}

struct UnderWay {
    answer: oneshot::Receiver<Result<Vec<Delivery>, StreamError>>,
    deadline: Instant,
}

impl SimConsumer {
    pub(super) fn new(client: Client, name: String, consumer: Lent<dyn Consumer>) -> SimConsumer {
        SimConsumer { client, name, consumer, arriving: Mutex::default() }
    }

    fn begin_fetch(&self, max: usize, wait: Duration) -> Result<UnderWay, StreamError> {
        let Client { wire, node } = &self.client;
        let consumer = self.consumer.clone();
        let fate = wire.roll();
        let deadline = Instant::now() + wait + fate.timeout;
        let operation = Box::pin(async move { consumer.fetch(max, wait).await });
        let answer =
            wire.begin(node, &format!("fetch {} up to {max}", self.name), Kind::Once, &fate, operation)?;
        Ok(UnderWay { answer, deadline })
    }

    async fn ask(&self, verb: &str, tag: DeliveryTag, operation: Asked) -> Result<(), StreamError> {
        let what = format!("{verb} {} {}/{}", self.name, tag.sequence, tag.attempt);
        self.client.ask(what, operation).await
    }
}

type Asked = futures_util::future::BoxFuture<'static, Result<(), StreamError>>;

#[async_trait]
impl Consumer for SimConsumer {
    async fn fetch(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, StreamError> {
        let mut arriving = self.arriving.lock().await;
        if arriving.arrived.is_empty() {
            if arriving.under_way.is_none() {
                arriving.under_way = Some(self.begin_fetch(max, wait)?);
            }
            if let Some(UnderWay { answer, deadline }) = &mut arriving.under_way {
                let answered = timeout_at(*deadline, answer).await;
                arriving.under_way = None;
                let silence = || StreamError::Unknown(format!("fetch {}: no answer came in time", self.name));
                arriving.arrived.extend(answered.map_err(|_| silence())?.map_err(|_| silence())??);
            }
        }
        let taken = max.min(arriving.arrived.len());
        Ok(arriving.arrived.drain(..taken).collect())
    }

    async fn ack(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        let consumer = self.consumer.clone();
        self.ask("ack", tag, Box::pin(async move { consumer.ack(tag).await })).await
    }

    async fn nak(&self, tag: DeliveryTag, delay: Duration) -> Result<(), StreamError> {
        let consumer = self.consumer.clone();
        self.ask("nak", tag, Box::pin(async move { consumer.nak(tag, delay).await })).await
    }

    async fn in_progress(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        let consumer = self.consumer.clone();
        self.ask("extend", tag, Box::pin(async move { consumer.in_progress(tag).await })).await
    }

    async fn terminate(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        let consumer = self.consumer.clone();
        self.ask("terminate", tag, Box::pin(async move { consumer.terminate(tag).await })).await
    }

    async fn exhausted(&self) -> Result<Vec<Stored>, StreamError> {
        let consumer = self.consumer.clone();
        self.client.ask(format!("exhausted {}", self.name), async move { consumer.exhausted().await }).await
    }

    async fn info(&self) -> Result<ConsumerInfo, StreamError> {
        let consumer = self.consumer.clone();
        self.client.ask(format!("look at {}", self.name), async move { consumer.info().await }).await
    }
}
