//! Consumers: where they begin, what they see, how they are shared, changed and deleted.

use std::sync::Arc;

use super::bench::*;

async fn starting(bench: &Bench, name: &str, start: Start) -> Box<dyn Consumer> {
    let change = |config: &mut ConsumerConfig| (config.name, config.start) = (name.to_owned(), start);
    bench.consumer_with(change).await
}

pub(super) async fn it_begins_with_the_first(bench: Bench) {
    bench.limits().await;
    bench.put_many(2).await;
    let consumer = starting(&bench, "c", Start::First).await;
    assert_eq!(texts(&take_all(&*consumer).await), ["1", "2"]);
}

pub(super) async fn it_begins_with_the_next(bench: Bench) {
    bench.limits().await;
    bench.put("s.a", "before").await;
    let consumer = starting(&bench, "c", Start::New).await;
    assert_eq!(take_all(&*consumer).await, []);
    bench.put("s.a", "after").await;
    assert_eq!(texts(&take_all(&*consumer).await), ["after"]);
}

pub(super) async fn it_begins_at_a_sequence(bench: Bench) {
    bench.limits().await;
    bench.put_many(3).await;
    let consumer = starting(&bench, "c", Start::At(Sequence(2))).await;
    assert_eq!(texts(&take_all(&*consumer).await), ["2", "3"]);
    let ahead = starting(&bench, "ahead", Start::At(Sequence(5))).await;
    bench.put("s.a", "4").await;
    bench.put("s.a", "5").await;
    assert_eq!(texts(&take_all(&*ahead).await), ["5"]);
}

pub(super) async fn it_sees_only_what_its_filter_matches(bench: Bench) {
    bench.limits().await;
    for subject in ["s.a", "s.b", "s.a.x", "s.c", "s.a"] {
        bench.put(subject, subject).await;
    }
    for (name, filter, expected) in [
        ("one", "s.a", vec!["s.a", "s.a"]),
        ("star", "s.*", vec!["s.a", "s.b", "s.c", "s.a"]),
        ("arrow", "s.a.>", vec!["s.a.x"]),
    ] {
        let change =
            |config: &mut ConsumerConfig| (config.name, config.filter) = (name.to_owned(), filter.to_owned());
        let consumer = bench.consumer_with(change).await;
        assert_eq!(texts(&take_all(&*consumer).await), expected, "{filter}");
    }
}

pub(super) async fn each_consumer_gets_everything(bench: Bench) {
    bench.limits().await;
    let (a, b) = (starting(&bench, "a", Start::First).await, starting(&bench, "b", Start::First).await);
    bench.put_many(3).await;
    for consumer in [a, b] {
        for delivery in take_all(&*consumer).await {
            consumer.ack(delivery.tag).await.unwrap();
        }
        assert_eq!(consumer.info().await.unwrap().waiting, 0);
    }
    assert_eq!(bench.info().await.messages, 3);
}

pub(super) async fn opened_again_it_is_where_it_was(bench: Bench) {
    bench.limits().await;
    bench.put_many(3).await;
    let consumer = bench.consumer().await;
    consumer.ack(take(&*consumer).await.tag).await.unwrap();
    drop(consumer);
    let consumer = starting(&bench, "c", Start::First).await;
    assert_eq!(texts(&take_all(&*consumer).await), ["2", "3"]);
}

pub(super) async fn opened_twice_it_shares_its_work(bench: Bench) {
    bench.limits().await;
    bench.put_many(4).await;
    let (one, other) = (bench.consumer().await, bench.consumer().await);
    assert_eq!(texts(&one.fetch(2, NOW).await.unwrap()), ["1", "2"]);
    assert_eq!(texts(&other.fetch(9, NOW).await.unwrap()), ["3", "4"]);
    assert_eq!(one.info().await, other.info().await);
}

pub(super) async fn another_filter_is_a_conflict(bench: Bench) {
    bench.limits().await;
    bench.consumer().await;
    assert_conflict(bench.try_consumer(|config| config.filter = "s.a".into()).await, "filter");
}

pub(super) async fn other_bounds_are_taken_in_place(bench: Bench) {
    bench.limits().await;
    bench.put_many(3).await;
    let consumer = bench.consumer_with(|config| config.max_ack_pending = 1).await;
    assert_eq!(texts(&take_all(&*consumer).await), ["1"]);
    bench.consumer_with(|config| config.max_ack_pending = 2).await;
    assert_eq!(texts(&take_all(&*consumer).await), ["2"]);
}

pub(super) async fn bad_configurations_are_refused(bench: Bench) {
    bench.limits().await;
    let changes: [fn(&mut ConsumerConfig); 10] = [
        |config| config.name.clear(),
        |config| config.name = "a b".into(),
        |config| config.name = "a.b".into(),
        |config| config.name = "a".repeat(201),
        |config| config.filter.clear(),
        |config| config.filter = "s.>.a".into(),
        |config| config.max_ack_pending = 0,
        |config| config.max_deliver = Some(0),
        |config| config.ack_wait = NOW,
        |config| (config.max_deliver, config.backoff) = (Some(2), vec![LONG; 2]),
    ];
    for change in changes {
        assert_invalid(bench.try_consumer(change).await);
    }
    bench.consumer_with(|config| config.name = "a".repeat(200)).await;
}

pub(super) async fn a_filter_that_matches_nothing_is_refused(bench: Bench) {
    bench.limits().await;
    assert_invalid(bench.try_consumer(|config| config.filter = "t.a".into()).await);
}

pub(super) async fn an_unknown_stream_is_not_found(bench: Bench) {
    assert_not_found(bench.try_consumer(|_| {}).await);
    assert_not_found(bench.streams.delete_consumer("S", "c").await);
}

pub(super) async fn a_deleted_consumer_forgets(bench: Bench) {
    bench.limits().await;
    bench.put_many(2).await;
    let consumer = bench.consumer().await;
    consumer.ack(take(&*consumer).await.tag).await.unwrap();
    bench.streams.delete_consumer("S", "c").await.unwrap();
    assert!(bench.info().await.consumers.is_empty());
    let consumer = bench.consumer().await;
    let taken = take_all(&*consumer).await;
    assert_eq!(texts(&taken), ["1", "2"]);
    assert_eq!(taken[0].attempt, 1);
}

pub(super) async fn a_deleted_consumer_is_not_found(bench: Bench) {
    bench.limits().await;
    let consumer = bench.consumer().await;
    bench.streams.delete_consumer("S", "c").await.unwrap();
    assert_not_found(consumer.fetch(1, LONG).await);
    assert_not_found(consumer.info().await);
    assert_not_found(bench.streams.delete_consumer("S", "c").await);
}

pub(super) async fn deleting_wakes_who_waits(bench: Bench) {
    bench.limits().await;
    let consumer = bench.consumer().await;
    let waiting = consumer.fetch(1, LONG);
    let deleting = bench.streams.delete_consumer("S", "c");
    let (fetched, deleted) = tokio::join!(biased; waiting, deleting);
    deleted.unwrap();
    assert_not_found(fetched);
}

pub(super) async fn info_says_where_it_stands(bench: Bench) {
    bench.limits().await;
    bench.put_many(5).await;
    bench.put("s.other", "").await;
    let consumer = bench.consumer_with(|config| config.filter = "s.a".into()).await;
    let stands = async || {
        let info = consumer.info().await.unwrap();
        (info.waiting, info.in_flight, info.redelivered, info.exhausted)
    };
    assert_eq!(stands().await, (5, 0, 0, 0));
    let taken = consumer.fetch(3, NOW).await.unwrap();
    assert_eq!(stands().await, (2, 3, 0, 0));
    consumer.ack(taken[0].tag).await.unwrap();
    assert_eq!(stands().await, (2, 2, 0, 0));
    consumer.nak(taken[1].tag, NOW).await.unwrap();
    take(&*consumer).await;
    assert_eq!(stands().await, (2, 2, 1, 0));
}

pub(super) async fn removing_a_message_in_hand_frees_its_place(bench: Bench) {
    bench.limits().await;
    bench.put_many(2).await;
    let consumer = bench.consumer_with(|config| config.max_ack_pending = 1).await;
    let first = take(&*consumer).await;
    bench.streams.delete("S", first.message.sequence).await.unwrap();
    assert_eq!(texts(&[take(&*consumer).await]), ["2"]);
    consumer.ack(first.tag).await.unwrap();
    consumer.nak(first.tag, NOW).await.unwrap();
    assert_eq!(take_all(&*consumer).await, []);
}

pub(super) async fn many_consumers_of_one_subject_each(bench: Bench) {
    bench.limits().await;
    let mut consumers = Vec::new();
    for i in 0..50 {
        let config = consumer_config(&format!("agent/{i}"), &format!("s.{i}"));
        consumers.push(bench.streams.consumer("S", config).await.unwrap());
    }
    let consumers: Arc<[Box<dyn Consumer>]> = consumers.into();
    let waiting = tokio::spawn({
        let consumers = Arc::clone(&consumers);
        async move { take(&*consumers[17]).await }
    });
    for i in 0..50 {
        bench.put(&format!("s.{i}"), &i.to_string()).await;
    }
    assert_eq!(texts(&[waiting.await.unwrap()]), ["17"]);
    for (i, consumer) in consumers.iter().enumerate().filter(|(i, _)| *i != 17) {
        assert_eq!(texts(&take_all(&**consumer).await), [i.to_string()]);
    }
}
