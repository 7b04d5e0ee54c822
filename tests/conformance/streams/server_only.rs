//! What JetStream keeps when its server is killed with SIGKILL and started again, and that handles live on.

use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::time::timeout;

use super::backend::connect;
use super::bench::*;
use crate::support::nats::NatsServer;

/// A store on a server of its own.
struct Own {
    server: NatsServer,
    bench: Bench,
}

impl Own {
    async fn start() -> Own {
        let server = NatsServer::start();
        let bench = Own::bench(&server).await;
        Own { server, bench }
    }

    /// Lets the server write down what consumers did: with one replica it does so ten times a second.
    async fn settle(&self) {
        self.bench.let_pass(self.bench.short).await;
    }

    /// Kills the server, and starts it on what it left; all handles stay.
    fn restart(&mut self) {
        self.server.restart();
    }

    /// The same store, opened by somebody who knows nothing of before.
    async fn another(&self) -> Bench {
        Own::bench(&self.server).await
    }

    async fn bench(server: &NatsServer) -> Bench {
        let streams = Arc::new(connect(&server.url(), "own").await);
        Bench { streams, short: std::time::Duration::from_secs(1), directory: None }
    }
}

fn run(case: impl AsyncFnOnce(Own)) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let own = Own::start().await;
        timeout(LONG * 2, case(own)).await.expect("the case waits for something that never happens");
    });
}

/// Messages, what was deleted, and the stream's configuration are there again.
#[test]
fn messages_survive() {
    run(async |mut own: Own| {
        own.bench.limits().await;
        own.bench.put_id(7, "with an id").await;
        own.bench.put("s.b", "").await;
        own.bench.put("s.c", "gone").await;
        own.bench.streams.delete("S", Sequence(3)).await.unwrap();
        let before = own.bench.streams.read("S", ">", Sequence(1), 10).await.unwrap();
        let info = own.bench.info().await;
        own.restart();
        assert_eq!(own.bench.streams.read("S", ">", Sequence(1), 10).await.unwrap(), before);
        assert_eq!(own.bench.info().await, info);
        assert_eq!(own.bench.put("s.a", "").await, 4);
    });
}

/// A sequence is not given again, though nothing is left of what had it.
#[test]
fn sequences_go_on_when_nothing_is_left() {
    run(async |mut own: Own| {
        own.bench.queue().await;
        own.bench.put_many(3).await;
        let consumer = own.bench.consumer().await;
        for delivery in take_all(&*consumer).await {
            consumer.ack(delivery.tag).await.unwrap();
        }
        own.restart();
        assert_eq!((own.bench.info().await.messages, own.bench.info().await.last), (0, Sequence(3)));
        assert_eq!(own.bench.put("s.a", "").await, 4);
    });
}

/// Bounds that the server has no numbers for survive as well.
#[test]
fn streams_and_bounds_survive() {
    run(async |mut own: Own| {
        let config = StreamConfig {
            subjects: vec!["t.*".into(), "u.>".into()],
            retention: Retention::WorkQueue,
            max_age: Some(std::time::Duration::from_nanos(86_400_000_000_001)),
            max_bytes: Some(u64::MAX),
            max_messages: Some(9),
            discard: Discard::New,
            duplicate_window: std::time::Duration::from_millis(1_500),
            ..stream_config("T_1", "")
        };
        own.bench.streams.create_stream(config.clone()).await.unwrap();
        own.bench.limits().await;
        own.restart();
        assert_eq!(own.bench.streams.stream_names().await.unwrap(), ["S", "T_1"]);
        assert_eq!(own.bench.streams.stream_info("T_1").await.unwrap().config, config);
    });
}

/// What is in memory is gone, and is said to be gone.
#[test]
fn a_stream_in_memory_is_gone() {
    run(async |mut own: Own| {
        own.bench.stream(|config| config.storage = Storage::Memory).await;
        own.bench.put("s.a", "").await;
        own.restart();
        assert_eq!(own.bench.streams.stream_names().await, Ok(vec![]));
        assert_not_found(own.bench.try_put("s.a", "").await);
    });
}

/// A consumer goes on where it was, in the hands of whoever had it.
#[test]
fn a_consumer_is_where_it_was() {
    run(async |mut own: Own| {
        own.bench.limits().await;
        own.bench.put_many(4).await;
        let consumer = own.bench.consumer_with(|config| config.ack_wait = own.bench.short * 3).await;
        let taken = consumer.fetch(3, NOW).await.unwrap();
        consumer.ack(taken[0].tag).await.unwrap();
        consumer.ack(taken[2].tag).await.unwrap();
        own.settle().await;
        own.restart();
        let mut seen = Vec::new();
        while seen.len() < 2 {
            for delivery in consumer.fetch(10, LONG).await.unwrap() {
                seen.push((text(&delivery.message.body), delivery.attempt));
                consumer.ack(delivery.tag).await.unwrap();
            }
        }
        seen.sort();
        assert_eq!(seen, [("2".to_owned(), 2), ("4".to_owned(), 1)]);
    });
}

/// A fetch that waits is served after the restart.
#[test]
fn who_waits_is_served_afterwards() {
    run(async |mut own: Own| {
        own.bench.limits().await;
        let consumer = own.bench.consumer().await;
        let publish = async {
            own.server.restart();
            own.bench.put("s.a", "after").await;
        };
        let (taken, ()) = tokio::join!(biased; take(&*consumer), publish);
        assert_eq!(texts(&[taken]), ["after"]);
    });
}

/// What ran out of deliveries is told again, to whoever opens the consumer, and not when it was removed.
#[test]
fn what_is_exhausted_is_told_again() {
    run(async |mut own: Own| {
        own.bench.limits().await;
        own.bench.put_many(2).await;
        let change = |config: &mut ConsumerConfig| config.max_deliver = Some(1);
        let consumer = own.bench.consumer_with(change).await;
        for delivery in take_all(&*consumer).await {
            consumer.nak(delivery.tag, NOW).await.unwrap();
        }
        assert_eq!(consumer.exhausted().await.unwrap().len(), 2);
        own.bench.streams.delete("S", Sequence(1)).await.unwrap();
        own.settle().await;
        own.restart();
        let another = own.another().await;
        let info = another.info().await.consumers.remove(0);
        assert_eq!((info.in_flight, info.exhausted), (0, 1));
        let consumer = another.consumer_with(change).await;
        let told = consumer.exhausted().await.unwrap();
        assert_eq!(told.iter().map(|message| message.sequence.0).collect::<Vec<_>>(), [2]);
        assert_eq!(consumer.exhausted().await.unwrap(), []);
    });
}

/// A message that was refused with a delay comes when it is over, not before.
#[test]
fn a_delay_survives() {
    run(async |mut own: Own| {
        own.bench.limits().await;
        own.bench.put_many(2).await;
        let consumer = own.bench.consumer().await;
        let taken = take_all(&*consumer).await;
        consumer.nak(taken[0].tag, LONG).await.unwrap();
        consumer.nak(taken[1].tag, own.bench.short * 3).await.unwrap();
        own.settle().await;
        own.restart();
        assert_eq!(texts(&[take(&*consumer).await]), ["2"]);
        assert_eq!(take_all(&*consumer).await, []);
        assert_eq!(consumer.info().await.unwrap().in_flight, 2);
    });
}

/// An id is known while its message is kept.
#[test]
fn ids_survive() {
    run(async |mut own: Own| {
        own.bench.limits().await;
        own.bench.put_id(1, "").await;
        own.restart();
        assert_eq!(own.bench.put_id(1, "").await, Published { sequence: Sequence(1), duplicate: true });
    });
}

/// Entries keep their revisions, and revisions go on when nothing is left.
#[test]
fn entries_and_revisions_survive() {
    run(async |mut own: Own| {
        let bucket = own.bench.bucket().await;
        for (key, value) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")] {
            bucket.put(key, Bytes::from_static(value.as_bytes()), Expect::Any, None).await.unwrap();
        }
        bucket.delete("c", Expect::Any).await.unwrap();
        let before = (bucket.get("a").await, bucket.get("b").await);
        let last = before.0.clone().unwrap().unwrap().revision;
        own.restart();
        assert_eq!((bucket.get("a").await, bucket.get("b").await), before);
        assert_eq!(bucket.keys("").await.unwrap(), ["a", "b"]);
        assert!(bucket.put("c", Bytes::new(), Expect::Absent, None).await.unwrap() > last);
    });
}

/// An entry expires though its server was away meanwhile, and one whose time is longer stays.
#[test]
fn expiry_goes_on() {
    run(async |mut own: Own| {
        let bucket = own.bench.bucket_with(Some(own.bench.short * 3)).await;
        bucket.put("k", Bytes::new(), Expect::Any, None).await.unwrap();
        bucket.put("stays", Bytes::new(), Expect::Any, Some(LONG)).await.unwrap();
        own.restart();
        own.bench.let_pass(own.bench.short * 4).await;
        assert_eq!(bucket.keys("").await.unwrap(), ["stays"]);
    });
}

/// A tail and a watch go on behind what they have told, without a gap.
#[test]
fn who_follows_goes_on() {
    run(async |mut own: Own| {
        own.bench.limits().await;
        own.bench.put("s.a", "before").await;
        let mut tail = own.bench.tail(">", Start::First).await;
        assert_eq!(next(&mut *tail).await, "before");
        let bucket = own.bench.bucket().await;
        for key in ["stays", "goes"] {
            bucket.put(key, Bytes::new(), Expect::Any, None).await.unwrap();
        }
        let mut watch = bucket.watch("").await.unwrap();
        assert_eq!(watch.next().await.unwrap().key, "stays");
        assert_eq!(watch.next().await.unwrap().key, "goes");
        own.restart();
        own.bench.put("s.a", "after").await;
        assert_eq!(next(&mut *tail).await, "after");
        bucket.delete("goes", Expect::Any).await.unwrap();
        let gone = watch.next().await.unwrap();
        assert_eq!((gone.key.as_str(), gone.value), ("goes", None));
        bucket.put("new", Bytes::new(), Expect::Any, None).await.unwrap();
        assert_eq!(watch.next().await.unwrap().key, "new");
    });
}

/// While the server is away nothing is promised, and the caller hears within the deadline what is known.
#[test]
fn a_store_that_is_away_says_so() {
    run(async |mut own: Own| {
        own.bench.limits().await;
        let consumer = own.bench.consumer().await;
        let bucket = own.bench.bucket().await;
        own.server.kill();
        let (published, fetched, read, put) = tokio::join!(
            own.bench.try_put("s.a", ""),
            consumer.fetch(1, own.bench.short),
            own.bench.streams.read("S", ">", Sequence(1), 1),
            bucket.put("k", Bytes::new(), Expect::Any, None),
        );
        assert!(matches!(fetched, Err(StreamError::Unavailable(_))), "{fetched:?}");
        assert!(matches!(read, Err(StreamError::Unavailable(_))), "{read:?}");
        assert!(matches!(put, Err(StreamError::Unavailable(_) | StreamError::Unknown(_))), "{put:?}");
        own.restart();
        let again = own.bench.put("s.a", "again").await;
        match published {
            Err(StreamError::Unavailable(_)) => assert_eq!(again, 1, "nothing happened"),
            // It was on its way when the connection was lost.
            Err(StreamError::Unknown(_)) => assert!(again <= 2),
            other => panic!("a server that is away acknowledges nothing: {other:?}"),
        }
    });
}
