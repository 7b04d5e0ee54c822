//! Consuming and acknowledging, through our port and with the raw client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use bytes::Bytes;
use connectome::port::{
    Consumer, ConsumerConfig, Discard, Publish, Retention, Start, Storage, StreamConfig, Streams,
};
use futures_util::StreamExt;
use futures_util::future::join_all;
use jetstream::consumer::PullConsumer;

use super::{BODY, CONSUMED};

/// Messages of one fetch, and of one round of publishing.
const BATCH: usize = 200;

/// Longer than a fetch of what is there takes.
const WAIT: Duration = Duration::from_secs(5);

/// Two streams, and a consumer of each.
pub(super) struct Queue {
    store: Arc<dyn Streams>,
    ours: Box<dyn Consumer>,
    streams: jetstream::Context,
    raw: PullConsumer,
}

impl Queue {
    pub(super) async fn begin(store: Arc<dyn Streams>, streams: jetstream::Context) -> Queue {
        let config = StreamConfig {
            name: "CONSUMED".into(),
            subjects: vec!["consumed.>".into()],
            retention: Retention::WorkQueue,
            storage: Storage::File,
            max_age: None,
            max_bytes: None,
            max_messages: None,
            discard: Discard::New,
            duplicate_window: Duration::from_secs(120),
        };
        store.create_stream(config).await.expect("no stream has this subject");
        let config = ConsumerConfig {
            name: "all".into(),
            filter: "consumed.>".into(),
            start: Start::First,
            ack_wait: Duration::from_secs(30),
            max_deliver: None,
            max_ack_pending: 4 * BATCH,
            backoff: Vec::new(),
        };
        let ours = store.consumer("CONSUMED", config).await.expect("no consumer has this name");
        let kept = jetstream::stream::Config {
            name: "RAW_CONSUMED".into(),
            subjects: vec!["raw.consumed".into()],
            retention: jetstream::stream::RetentionPolicy::WorkQueue,
            ..jetstream::stream::Config::default()
        };
        let stream = streams.create_stream(kept).await.expect("no stream has this subject");
        let config = jetstream::consumer::pull::Config {
            durable_name: Some("all".into()),
            max_ack_pending: 4 * BATCH as i64,
            ..Default::default()
        };
        let raw = stream.create_consumer(config).await.expect("no consumer has this name");
        Queue { store, ours, streams, raw }
    }

    /// Through the port, each acknowledgement confirmed.
    pub(super) async fn ours(&self) -> f64 {
        for _ in 0..CONSUMED / BATCH {
            let publish = |_| {
                let message = Publish { subject: "consumed.one".into(), id: None, body: body() };
                self.store.publish("CONSUMED", message)
            };
            for done in join_all((0..BATCH).map(publish)).await {
                done.expect("it has room");
            }
        }
        let (began, mut done) = (Instant::now(), 0);
        while done < CONSUMED {
            let taken = self.ours.fetch(BATCH, WAIT).await.expect("the server is there");
            let acks = join_all(taken.iter().map(|delivery| self.ours.ack(delivery.tag))).await;
            acks.into_iter().for_each(|ack| ack.expect("the server is there"));
            done += taken.len();
        }
        each(began)
    }

    /// With the raw client, each acknowledgement confirmed.
    pub(super) async fn confirmed(&self) -> f64 {
        self.raw(async |messages| {
            let acks = join_all(messages.iter().map(jetstream::Message::double_ack)).await;
            acks.into_iter().for_each(|ack| ack.expect("the server is there"));
        })
        .await
    }

    /// With the raw client, told and not confirmed.
    pub(super) async fn told(&self) -> f64 {
        self.raw(async |messages| {
            for message in messages {
                message.ack().await.expect("it is connected");
            }
        })
        .await
    }

    async fn raw(&self, acknowledge: impl AsyncFn(&[jetstream::Message])) -> f64 {
        for _ in 0..CONSUMED / BATCH {
            let sent = join_all((0..BATCH).map(|_| self.streams.publish("raw.consumed", body()))).await;
            let stored =
                join_all(sent.into_iter().map(|sent| sent.expect("the server is there").into_future()));
            for stored in stored.await {
                stored.expect("it has room");
            }
        }
        let (began, mut done) = (Instant::now(), 0);
        while done < CONSUMED {
            let taken = self.raw.fetch().max_messages(BATCH).messages().await.expect("the server is there");
            let taken: Vec<_> = taken.map(|message| message.expect("the server is there")).collect().await;
            acknowledge(&taken).await;
            done += taken.len();
        }
        each(began)
    }
}

fn body() -> Bytes {
    "x".repeat(BODY).into()
}

fn each(began: Instant) -> f64 {
    began.elapsed().as_nanos() as f64 / CONSUMED as f64
}
