//! The raw work queue with an answer: what tasks are measured beside.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::{Client, HeaderMap, jetstream};
use bytes::Bytes;
use futures_util::StreamExt;
use jetstream::consumer::PullConsumer;
use tokio::sync::{Mutex, oneshot};

/// Workers, here and with us.
pub(super) const WORKERS: usize = 4;

/// What a worker fetches at a time, as our own task router does with a free worker each.
const BATCH: usize = 1;

/// Where a requester wants its answer, and which one it is.
const ANSWER: &str = "Answer-To";

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Bytes>>>>;

/// A requester of the raw queue, with one inbox for all its answers.
pub(super) struct Work {
    streams: jetstream::Context,
    inbox: String,
    waiting: Waiting,
    next: AtomicU64,
}

impl Work {
    pub(super) async fn begin(url: &str) -> Work {
        let worker = async_nats::connect(url).await.expect("the server is there");
        let streams = jetstream::new(worker.clone());
        let kept = jetstream::stream::Config {
            name: "RAW_WORK".into(),
            subjects: vec!["raw.work".into()],
            retention: jetstream::stream::RetentionPolicy::WorkQueue,
            ..jetstream::stream::Config::default()
        };
        let stream = streams.create_stream(kept).await.expect("no stream has this subject");
        let config =
            jetstream::consumer::pull::Config { durable_name: Some("workers".into()), ..Default::default() };
        let consumer = stream.create_consumer(config).await.expect("no consumer has this name");
        for _ in 0..WORKERS {
            tokio::spawn(serve(consumer.clone(), worker.clone()));
        }
        let client = async_nats::connect(url).await.expect("the server is there");
        let (inbox, waiting) = (client.new_inbox(), Waiting::default());
        let mut answers = client.subscribe(format!("{inbox}.*")).await.expect("the server is there");
        let told = waiting.clone();
        tokio::spawn(async move {
            while let Some(answer) = answers.next().await {
                if let Some(waits) = told.lock().await.remove(answer.subject.as_str()) {
                    waits.send(answer.payload).expect("it waits");
                }
            }
        });
        Work { streams: jetstream::new(client), inbox, waiting, next: AtomicU64::new(0) }
    }

    /// Hands work over, and waits for its answer.
    pub(super) async fn hand_over(&self, work: Bytes) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer_to, (answer, answered)) = (format!("{}.{number}", self.inbox), oneshot::channel());
        self.waiting.lock().await.insert(answer_to.clone(), answer);
        let mut headers = HeaderMap::new();
        headers.insert(ANSWER, answer_to.as_str());
        headers.insert("Nats-Msg-Id", answer_to.as_str());
        let sent = self.streams.publish_with_headers("raw.work", headers, work).await;
        sent.expect("the server is there").await.expect("the queue has room");
        answered.await.expect("a worker answers");
    }
}

async fn serve(consumer: PullConsumer, client: Client) {
    let mut work =
        consumer.stream().max_messages_per_batch(BATCH).messages().await.expect("the consumer is there");
    while let Some(Ok(message)) = work.next().await {
        let answer_to =
            message.headers.as_ref().and_then(|headers| headers.get(ANSWER)).map(ToString::to_string);
        client
            .publish(answer_to.expect("it says where"), message.payload.clone())
            .await
            .expect("it is connected");
        message.ack().await.expect("it is connected");
    }
}
