//! What `deploy/` promises, with real servers from its files: messages cross, and a link that was cut loses nothing durable.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream::{Config, External, Source};
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::support::nats::Deployed;

/// Messages published while a link is cut.
const MESSAGES: usize = 500;

/// Elections and reconnections take seconds; a busy machine is slower.
const PATIENCE: Duration = Duration::from_secs(60);

/// A stream on one server takes what is published.
#[tokio::test]
async fn one_server() {
    let deployed = Deployed::start("single", &["server"]);
    let stream = stream_of(&deployed.url("server"), "NOTES", 1).await;
    publish(&stream, "notes", 10).await;
    assert_eq!(stored(&stream, "NOTES").await, 10);
}

/// Three servers keep three copies, and a message published at one is read at another.
#[tokio::test]
async fn a_cluster_of_three() {
    let deployed = Deployed::start("cluster", &["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        deployed.wait_for_log(name, "metadata leader");
    }
    let stream = stream_of(&deployed.url("a"), "NOTES", 3).await;
    publish(&stream, "notes", MESSAGES).await;
    let elsewhere = jetstream::new(connect(&deployed.url("c")).await);
    assert_eq!(stored(&elsewhere, "NOTES").await, MESSAGES as u64);
    assert_eq!(deployed.urls().split(',').count(), 3);
}

/// A site goes on while its link to the centre is cut, and the centre has a copy of everything after it has healed.
#[tokio::test]
async fn a_leaf() {
    let deployed = Deployed::start("leaf", &["hub", "leaf"]);
    let (hub, leaf) = (connect(&deployed.url("hub")).await, connect(&deployed.url("leaf")).await);
    crosses(&leaf, &hub).await;
    let (centre, site) = (jetstream::new(hub.clone()), jetstream::new(leaf.clone()));
    create(&site, config("NOTES", 1)).await;
    let external = External { api_prefix: "$JS.leaf.API".into(), delivery_prefix: None };
    let source = Source { name: "NOTES".into(), external: Some(external), ..Source::default() };
    create(&centre, Config { name: "COPY".into(), sources: Some(vec![source]), ..Config::default() }).await;

    deployed.cut();
    publish(&site, "notes", MESSAGES).await;
    assert_eq!(stored(&centre, "COPY").await, 0, "the link is cut");
    deployed.heal();
    until(|| async { stored(&centre, "COPY").await == MESSAGES as u64 }).await;
    crosses(&leaf, &hub).await;
}

/// A region goes on while the other is cut off; a consumer there gets everything once the link has healed.
#[tokio::test]
async fn two_regions() {
    let deployed = Deployed::start("regions", &["east", "west"]);
    for name in ["east", "west"] {
        deployed.wait_for_log(name, "metadata leader");
    }
    let (east, west) = (connect(&deployed.url("east")).await, connect(&deployed.url("west")).await);
    crosses(&east, &west).await;
    let (here, there) = (jetstream::new(east.clone()), jetstream::new(west.clone()));
    create(&here, config("NOTES", 1)).await;
    let durable = pull::Config {
        durable_name: Some("reader".into()),
        ack_policy: AckPolicy::Explicit,
        // What was on its way when the link was cut comes again.
        ack_wait: Duration::from_secs(2),
        ..Default::default()
    };
    let reader = there.get_stream("NOTES").await.unwrap().create_consumer(durable).await.unwrap();

    deployed.cut();
    publish(&here, "notes", MESSAGES).await;
    deployed.heal();
    let mut read = BTreeSet::new();
    while read.len() < MESSAGES {
        // A fetch that was asked of a link that is not up yet ends without messages.
        let Ok(Ok(mut batch)) =
            timeout(Duration::from_secs(5), reader.fetch().max_messages(100).messages()).await
        else {
            continue;
        };
        while let Ok(Some(Ok(message))) = timeout(Duration::from_secs(5), batch.next()).await {
            message.ack().await.unwrap();
            read.insert(String::from_utf8(message.payload.to_vec()).unwrap());
        }
    }
}

async fn connect(url: &str) -> Client {
    timeout(PATIENCE, async_nats::connect(url)).await.unwrap().unwrap()
}

async fn stream_of(url: &str, name: &str, replicas: usize) -> Context {
    let context = jetstream::new(connect(url).await);
    create(&context, config(name, replicas)).await;
    context
}

fn config(name: &str, num_replicas: usize) -> Config {
    Config { name: name.into(), subjects: vec!["notes".into()], num_replicas, ..Config::default() }
}

/// Creates a stream; servers that are still electing are asked again.
async fn create(context: &Context, config: Config) {
    until(|| async { context.create_stream(config.clone()).await.is_ok() }).await;
}

/// Publishes numbers, each acknowledged, and asked again until it is.
async fn publish(context: &Context, subject: &'static str, messages: usize) {
    for number in 0..messages {
        let message = || {
            jetstream::message::PublishMessage::build()
                .payload(number.to_string().into())
                .message_id(number.to_string())
        };
        until(|| async {
            match context.send_publish(subject, message()).await {
                Ok(acknowledged) => acknowledged.await.is_ok(),
                Err(_) => false,
            }
        })
        .await;
    }
}

async fn stored(context: &Context, name: &str) -> u64 {
    context.get_stream(name).await.unwrap().get_info().await.unwrap().state.messages
}

/// A message published at one server reaches a subscriber at the other.
async fn crosses(from: &Client, to: &Client) {
    let mut heard = to.subscribe("hello").await.unwrap();
    to.flush().await.unwrap();
    let hear = async {
        loop {
            from.publish("hello", "hello".into()).await.unwrap();
            // The other side may not know of the subscription yet.
            if timeout(Duration::from_millis(100), heard.next()).await.is_ok() {
                return;
            }
        }
    };
    timeout(PATIENCE, hear).await.expect("it crosses in time");
}

/// Asks until it is so.
async fn until<F: Future<Output = bool>>(mut is_so: impl FnMut() -> F) {
    let asking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, asking).await.expect("it is so in time");
}
