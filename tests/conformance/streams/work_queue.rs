//! Work queues: one consumer for each message, gone when it is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::bench::*;

async fn named(bench: &Bench, name: &str, filter: &str) -> Result<Box<dyn Consumer>, StreamError> {
    bench.try_consumer(|config| (config.name, config.filter) = (name.into(), filter.into())).await
}

pub(super) async fn an_acknowledged_task_is_gone(bench: Bench) {
    bench.queue().await;
    bench.put_many(3).await;
    let consumer = bench.consumer().await;
    let taken = take_all(&*consumer).await;
    consumer.ack(taken[1].tag).await.unwrap();
    assert_eq!(bench.kept().await, ["1", "3"]);
    consumer.ack(taken[0].tag).await.unwrap();
    consumer.ack(taken[2].tag).await.unwrap();
    let info = bench.info().await;
    assert_eq!((info.messages, info.bytes, info.first, info.last), (0, 0, Sequence(4), Sequence(3)));
}

pub(super) async fn a_terminated_task_is_gone(bench: Bench) {
    bench.queue().await;
    bench.put_many(1).await;
    let consumer = bench.consumer().await;
    consumer.terminate(take(&*consumer).await.tag).await.unwrap();
    assert_eq!(bench.info().await.messages, 0);
}

pub(super) async fn a_refused_task_stays(bench: Bench) {
    bench.queue().await;
    bench.put_many(1).await;
    let consumer = bench.consumer().await;
    consumer.nak(take(&*consumer).await.tag, NOW).await.unwrap();
    assert_eq!(bench.kept().await, ["1"]);
    assert_eq!(take(&*consumer).await.attempt, 2);
}

pub(super) async fn a_late_acknowledgement_removes_it(bench: Bench) {
    bench.queue().await;
    bench.put_many(1).await;
    let consumer = bench.consumer_with(|config| config.ack_wait = bench.short).await;
    let late = take(&*consumer).await;
    let again = take(&*consumer).await;
    assert_eq!((late.attempt, again.attempt), (1, 2));
    consumer.ack(late.tag).await.unwrap();
    assert_eq!(bench.info().await.messages, 0);
    consumer.ack(again.tag).await.unwrap();
}

pub(super) async fn overlapping_filters_are_refused(bench: Bench) {
    bench.queue().await;
    named(&bench, "a", "s.a").await.unwrap();
    for filter in ["s.a", "s.*", "s.>"] {
        assert_invalid(named(&bench, "b", filter).await);
    }
    named(&bench, "a", "s.a").await.unwrap();
}

pub(super) async fn separate_filters_share_the_queue(bench: Bench) {
    bench.queue().await;
    let (a, b) = (named(&bench, "a", "s.a").await.unwrap(), named(&bench, "b", "s.b").await.unwrap());
    for subject in ["s.a", "s.b", "s.c"] {
        bench.put(subject, subject).await;
    }
    for (consumer, expected) in [(a, "s.a"), (b, "s.b")] {
        let taken = take_all(&*consumer).await;
        assert_eq!(texts(&taken), [expected]);
        consumer.ack(taken[0].tag).await.unwrap();
    }
    assert_eq!(bench.kept().await, ["s.c"]);
}

pub(super) async fn it_must_be_begun_at_the_first(bench: Bench) {
    bench.queue().await;
    for start in [Start::New, Start::At(Sequence(1))] {
        assert_invalid(bench.try_consumer(|config| config.start = start).await);
    }
}

pub(super) async fn a_deleted_consumer_makes_way(bench: Bench) {
    bench.queue().await;
    bench.put_many(2).await;
    let old = named(&bench, "old", "s.>").await.unwrap();
    old.ack(take(&*old).await.tag).await.unwrap();
    take(&*old).await;
    bench.streams.delete_consumer("S", "old").await.unwrap();
    let new = named(&bench, "new", "s.*").await.unwrap();
    assert_eq!(texts(&take_all(&*new).await), ["2"]);
}

pub(super) async fn a_full_queue_takes_more_after_an_acknowledgement(bench: Bench) {
    let change = |config: &mut StreamConfig| {
        (config.retention, config.max_messages, config.discard) =
            (Retention::WorkQueue, Some(2), Discard::New);
    };
    bench.stream(change).await;
    bench.put_many(2).await;
    let consumer = bench.consumer().await;
    let tag = take(&*consumer).await.tag;
    assert_full(bench.try_put("s.a", "3").await);
    consumer.ack(tag).await.unwrap();
    bench.put("s.a", "3").await;
    assert_eq!(bench.kept().await, ["2", "3"]);
}

pub(super) async fn each_task_is_done_once_by_many_workers(bench: Bench) {
    const TASKS: usize = 200;
    bench.queue().await;
    bench.put_many(TASKS).await;
    let mut workers = JoinSet::new();
    for worker in 0..6_u64 {
        let consumer: Arc<dyn Consumer> = bench.consumer().await.into();
        let (streams, wait) = (Arc::clone(&bench.streams), bench.short * 5);
        workers.spawn(async move {
            let mut done = Vec::new();
            // A message may be between two workers' hands: only an empty queue is the end.
            while streams.stream_info("S").await.unwrap().messages > 0 {
                for delivery in consumer.fetch(5, wait).await.unwrap() {
                    if (delivery.message.sequence.0 + worker) % 7 == 0 && delivery.attempt == 1 {
                        consumer.nak(delivery.tag, NOW).await.unwrap();
                    } else {
                        done.push(text(&delivery.message.body));
                        consumer.ack(delivery.tag).await.unwrap();
                    }
                }
            }
            done
        });
    }
    let mut done = BTreeMap::new();
    for body in workers.join_all().await.into_iter().flatten() {
        *done.entry(body).or_insert(0) += 1;
    }
    assert_eq!(done.len(), TASKS);
    assert!(done.values().all(|&times| times == 1));
}
