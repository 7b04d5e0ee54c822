//! Messages that ran out of deliveries: told once, kept until someone removes them.

use super::bench::*;

async fn at_most(bench: &Bench, deliveries: u32) -> Box<dyn Consumer> {
    bench.consumer_with(|config| config.max_deliver = Some(deliveries)).await
}

/// Takes and refuses whatever there is, until nothing comes.
async fn refuse_all(consumer: &dyn Consumer) {
    loop {
        let taken = take_all(consumer).await;
        if taken.is_empty() {
            return;
        }
        for delivery in taken {
            consumer.nak(delivery.tag, NOW).await.unwrap();
        }
    }
}

async fn told(consumer: &dyn Consumer) -> Vec<String> {
    consumer.exhausted().await.unwrap().iter().map(|message| text(&message.body)).collect()
}

pub(super) async fn a_message_refused_too_often_is_told(bench: Bench) {
    bench.limits().await;
    bench.put_many(1).await;
    let consumer = at_most(&bench, 3).await;
    for attempt in 1..=3 {
        assert_eq!(told(&*consumer).await, [""; 0]);
        let delivery = take(&*consumer).await;
        assert_eq!(delivery.attempt, attempt);
        consumer.nak(delivery.tag, NOW).await.unwrap();
    }
    let exhausted = consumer.exhausted().await.unwrap();
    assert_eq!(exhausted, bench.streams.read("S", ">", Sequence(1), 1).await.unwrap());
}

pub(super) async fn a_message_kept_too_often_is_told(bench: Bench) {
    bench.limits().await;
    bench.put_many(1).await;
    let change = |config: &mut ConsumerConfig| (config.max_deliver, config.ack_wait) = (Some(2), bench.short);
    let consumer = bench.consumer_with(change).await;
    assert_eq!(take(&*consumer).await.attempt, 1);
    assert_eq!(take(&*consumer).await.attempt, 2);
    let mut exhausted = Vec::new();
    while exhausted.is_empty() {
        assert_eq!(consumer.fetch(1, bench.short).await, Ok(vec![]));
        exhausted = told(&*consumer).await;
    }
    assert_eq!(exhausted, ["1"]);
}

pub(super) async fn it_is_told_once(bench: Bench) {
    bench.limits().await;
    bench.put_many(2).await;
    let consumer = at_most(&bench, 1).await;
    consumer.nak(take(&*consumer).await.tag, NOW).await.unwrap();
    assert_eq!(told(&*consumer).await, ["1"]);
    assert_eq!(told(&*consumer).await, [""; 0]);
    consumer.nak(take(&*consumer).await.tag, NOW).await.unwrap();
    assert_eq!(told(&*consumer).await, ["2"]);
}

pub(super) async fn it_stays_in_its_stream(bench: Bench) {
    bench.queue().await;
    bench.put_many(1).await;
    let consumer = at_most(&bench, 1).await;
    refuse_all(&*consumer).await;
    assert_eq!(told(&*consumer).await, ["1"]);
    assert_eq!(bench.kept().await, ["1"]);
    let info = consumer.info().await.unwrap();
    assert_eq!((info.waiting, info.in_flight, info.exhausted), (0, 0, 1));
}

pub(super) async fn it_is_not_delivered_again(bench: Bench) {
    bench.limits().await;
    bench.put_many(1).await;
    let consumer = at_most(&bench, 2).await;
    refuse_all(&*consumer).await;
    assert_eq!(consumer.fetch(1, bench.short).await, Ok(vec![]));
    let consumer = at_most(&bench, 2).await;
    assert_eq!(take_all(&*consumer).await, []);
}

pub(super) async fn the_oldest_is_told_first(bench: Bench) {
    bench.limits().await;
    bench.put_many(3).await;
    let consumer = at_most(&bench, 1).await;
    for delivery in take_all(&*consumer).await.into_iter().rev() {
        consumer.nak(delivery.tag, NOW).await.unwrap();
    }
    assert_eq!(told(&*consumer).await, ["1", "2", "3"]);
}

pub(super) async fn it_leaves_room_for_others(bench: Bench) {
    bench.limits().await;
    bench.put_many(2).await;
    let change = |config: &mut ConsumerConfig| (config.max_deliver, config.max_ack_pending) = (Some(1), 1);
    let consumer = bench.consumer_with(change).await;
    let tag = take(&*consumer).await.tag;
    consumer.nak(tag, NOW).await.unwrap();
    let next = loop {
        // A wait may end early when a message runs out of deliveries.
        if let [next] = &consumer.fetch(1, LONG).await.unwrap()[..] {
            break next.clone();
        }
    };
    assert_eq!(texts(&[next]), ["2"]);
}

pub(super) async fn removing_it_ends_it(bench: Bench) {
    bench.limits().await;
    bench.put_many(1).await;
    let consumer = at_most(&bench, 1).await;
    refuse_all(&*consumer).await;
    assert_eq!(told(&*consumer).await, ["1"]);
    bench.streams.delete("S", Sequence(1)).await.unwrap();
    assert_eq!(consumer.info().await.unwrap().exhausted, 0);
    assert_eq!(bench.kept().await, [""; 0]);
}

pub(super) async fn acknowledging_it_late_ends_it(bench: Bench) {
    bench.queue().await;
    bench.put_many(1).await;
    let consumer = at_most(&bench, 1).await;
    let tag = take(&*consumer).await.tag;
    consumer.nak(tag, NOW).await.unwrap();
    assert_eq!(told(&*consumer).await, ["1"]);
    consumer.ack(tag).await.unwrap();
    assert_eq!(consumer.info().await.unwrap().exhausted, 0);
    assert_eq!(bench.kept().await, [""; 0]);
}

pub(super) async fn one_allowed_delivery_is_one_delivery(bench: Bench) {
    bench.limits().await;
    bench.put_many(2).await;
    let consumer = at_most(&bench, 1).await;
    let taken = take_all(&*consumer).await;
    consumer.ack(taken[0].tag).await.unwrap();
    consumer.nak(taken[1].tag, NOW).await.unwrap();
    assert_eq!(take_all(&*consumer).await, []);
    assert_eq!(told(&*consumer).await, ["2"]);
}
