//! Deliveries: taken, acknowledged, refused, come again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::bench::*;

pub(super) async fn the_oldest_come_first(bench: Bench) {
    bench.limits().await;
    bench.put_many(3).await;
    let consumer = bench.consumer().await;
    let taken = take_all(&*consumer).await;
    assert_eq!(texts(&taken), ["1", "2", "3"]);
    for (i, delivery) in taken.iter().enumerate() {
        let sequence = Sequence(i as u64 + 1);
        assert_eq!(delivery.tag, DeliveryTag { sequence, attempt: 1 });
        assert_eq!((delivery.attempt, delivery.message.sequence), (1, sequence));
    }
}

pub(super) async fn no_more_than_asked_are_taken(bench: Bench) {
    bench.limits().await;
    bench.put_many(5).await;
    let consumer = bench.consumer().await;
    assert_eq!(texts(&consumer.fetch(2, LONG).await.unwrap()), ["1", "2"]);
    assert_eq!(texts(&consumer.fetch(2, LONG).await.unwrap()), ["3", "4"]);
}

pub(super) async fn what_is_there_comes_at_once(bench: Bench) {
    bench.limits().await;
    bench.put_many(2).await;
    let consumer = bench.consumer().await;
    let begun = Instant::now();
    assert_eq!(consumer.fetch(10, LONG).await.unwrap().len(), 2);
    assert!(begun.elapsed() < LONG, "it does not wait until there are as many as asked");
}

pub(super) async fn nothing_comes_after_the_wait(bench: Bench) {
    bench.limits().await;
    let consumer = bench.consumer().await;
    let begun = Instant::now();
    assert_eq!(consumer.fetch(1, bench.short).await, Ok(vec![]));
    assert!(begun.elapsed() >= bench.short);
    assert_eq!(consumer.fetch(1, NOW).await, Ok(vec![]));
}

pub(super) async fn asking_for_none_gives_none(bench: Bench) {
    bench.limits().await;
    bench.put_many(1).await;
    let consumer = bench.consumer().await;
    assert_eq!(consumer.fetch(0, LONG).await, Ok(vec![]));
    assert_eq!(take(&*consumer).await.attempt, 1);
}

pub(super) async fn a_message_ends_the_wait(bench: Bench) {
    bench.limits().await;
    let consumer = bench.consumer().await;
    let (taken, _) = tokio::join!(biased; consumer.fetch(1, LONG), bench.put("s.a", "came"));
    assert_eq!(texts(&taken.unwrap()), ["came"]);
}

pub(super) async fn an_acknowledged_message_does_not_come_again(bench: Bench) {
    bench.limits().await;
    bench.put_many(2).await;
    let consumer = bench.consumer_with(|config| config.ack_wait = bench.short).await;
    let taken = take_all(&*consumer).await;
    consumer.ack(taken[0].tag).await.unwrap();
    let again = take(&*consumer).await;
    assert_eq!((text(&again.message.body).as_str(), again.attempt), ("2", 2));
    consumer.ack(again.tag).await.unwrap();
    assert_eq!(consumer.fetch(1, bench.short * 2).await, Ok(vec![]));
}

pub(super) async fn acknowledging_twice_is_no_error(bench: Bench) {
    bench.limits().await;
    bench.put_many(2).await;
    let consumer = bench.consumer().await;
    let tag = take(&*consumer).await.tag;
    consumer.ack(tag).await.unwrap();
    consumer.ack(tag).await.unwrap();
    consumer.nak(tag, NOW).await.unwrap();
    consumer.in_progress(tag).await.unwrap();
    consumer.terminate(tag).await.unwrap();
    assert_eq!(texts(&take_all(&*consumer).await), ["2"]);
}

pub(super) async fn acknowledging_what_was_never_delivered_is_no_error(bench: Bench) {
    bench.limits().await;
    bench.put_many(2).await;
    let consumer = bench.consumer().await;
    let never = DeliveryTag { sequence: Sequence(99), attempt: 1 };
    consumer.ack(never).await.unwrap();
    consumer.nak(never, NOW).await.unwrap();
    assert_eq!(texts(&take_all(&*consumer).await), ["1", "2"]);
}

pub(super) async fn a_refused_message_comes_again_at_once(bench: Bench) {
    bench.limits().await;
    bench.put_many(1).await;
    let consumer = bench.consumer().await;
    for attempt in 1..=5 {
        let delivery = take(&*consumer).await;
        assert_eq!((delivery.attempt, delivery.tag.attempt), (attempt, attempt));
        consumer.nak(delivery.tag, NOW).await.unwrap();
    }
}

pub(super) async fn a_refused_message_comes_again_after_its_delay(bench: Bench) {
    bench.limits().await;
    bench.put_many(1).await;
    let consumer = bench.consumer().await;
    let tag = take(&*consumer).await.tag;
    let begun = Instant::now();
    consumer.nak(tag, bench.short).await.unwrap();
    assert_eq!(take(&*consumer).await.attempt, 2);
    assert!(begun.elapsed() >= bench.short);
}

pub(super) async fn refusing_wakes_who_waits(bench: Bench) {
    bench.limits().await;
    bench.put_many(1).await;
    let consumer = bench.consumer().await;
    let tag = take(&*consumer).await.tag;
    let (taken, refused) = tokio::join!(biased; consumer.fetch(1, LONG), consumer.nak(tag, NOW));
    refused.unwrap();
    assert_eq!(taken.unwrap()[0].attempt, 2);
}

pub(super) async fn silence_brings_a_message_again(bench: Bench) {
    bench.limits().await;
    bench.put_many(1).await;
    let consumer = bench.consumer_with(|config| config.ack_wait = bench.short).await;
    let begun = Instant::now();
    assert_eq!(take(&*consumer).await.attempt, 1);
    assert_eq!(take(&*consumer).await.attempt, 2);
    assert!(begun.elapsed() >= bench.short);
}

pub(super) async fn a_sign_of_life_begins_the_wait_anew(bench: Bench) {
    bench.limits().await;
    bench.put_many(1).await;
    // A machine that is too busy to give the sign in time is asked again, with more time for it.
    let mut wait = bench.short * 5;
    for consumer in ["c1", "c2", "c3", "c4"] {
        let config = ConsumerConfig { ack_wait: wait, ..consumer_config(consumer, "s.>") };
        let consumer = bench.streams.consumer("S", config).await.unwrap();
        let taken = Instant::now();
        let tag = take(&*consumer).await.tag;
        bench.let_pass(bench.short).await;
        let alive = Instant::now();
        let told = consumer.in_progress(tag).await;
        if taken.elapsed() < wait {
            told.unwrap();
            assert_eq!(take(&*consumer).await.attempt, 2);
            assert!(alive.elapsed() >= wait);
            return;
        }
        wait *= 4;
    }
    panic!("no sign of life could be given within {:?}", wait / 4);
}

pub(super) async fn a_late_acknowledgement_is_honoured(bench: Bench) {
    bench.limits().await;
    bench.put_many(1).await;
    let consumer = bench.consumer_with(|config| config.ack_wait = bench.short).await;
    let late = take(&*consumer).await;
    let again = take(&*consumer).await;
    assert_eq!((late.attempt, again.attempt), (1, 2));
    consumer.ack(late.tag).await.unwrap();
    assert_eq!(consumer.fetch(1, bench.short * 2).await, Ok(vec![]));
    assert_eq!(consumer.info().await.unwrap().in_flight, 0);
}

pub(super) async fn a_terminated_message_does_not_come_again(bench: Bench) {
    bench.limits().await;
    bench.put_many(2).await;
    let consumer = bench.consumer().await;
    consumer.terminate(take(&*consumer).await.tag).await.unwrap();
    assert_eq!(texts(&take_all(&*consumer).await), ["2"]);
    assert_eq!(bench.info().await.messages, 2);
    let info = consumer.info().await.unwrap();
    assert_eq!((info.in_flight, info.exhausted), (1, 0));
}

pub(super) async fn no_more_are_in_hand_than_allowed(bench: Bench) {
    bench.limits().await;
    bench.put_many(5).await;
    let consumer = bench.consumer_with(|config| config.max_ack_pending = 2).await;
    assert_eq!(texts(&take_all(&*consumer).await), ["1", "2"]);
    let other = bench.consumer_with(|config| config.max_ack_pending = 2).await;
    assert_eq!(take_all(&*other).await, []);
}

pub(super) async fn an_acknowledgement_makes_room_for_who_waits(bench: Bench) {
    bench.limits().await;
    bench.put_many(2).await;
    let consumer = bench.consumer_with(|config| config.max_ack_pending = 1).await;
    let tag = take(&*consumer).await.tag;
    let (taken, acknowledged) = tokio::join!(biased; consumer.fetch(1, LONG), consumer.ack(tag));
    acknowledged.unwrap();
    assert_eq!(texts(&taken.unwrap()), ["2"]);
}

pub(super) async fn one_in_hand_keeps_the_order(bench: Bench) {
    bench.limits().await;
    bench.put_many(3).await;
    let consumer = bench.consumer_with(|config| config.max_ack_pending = 1).await;
    let mut seen = Vec::new();
    for turn in 0..6 {
        let delivery = take(&*consumer).await;
        seen.push(text(&delivery.message.body));
        match turn % 2 {
            0 => consumer.nak(delivery.tag, bench.short / 4).await.unwrap(),
            _ => consumer.ack(delivery.tag).await.unwrap(),
        }
    }
    assert_eq!(seen, ["1", "1", "2", "2", "3", "3"]);
}

pub(super) async fn what_is_due_again_comes_first(bench: Bench) {
    bench.limits().await;
    bench.put_many(3).await;
    let consumer = bench.consumer().await;
    consumer.nak(take(&*consumer).await.tag, NOW).await.unwrap();
    assert_eq!(texts(&take_all(&*consumer).await), ["1", "2", "3"]);
}

pub(super) async fn back_off_replaces_the_wait(bench: Bench) {
    bench.limits().await;
    bench.put_many(1).await;
    let steps = vec![bench.short, bench.short * 3];
    let consumer = bench.consumer_with(|config| config.backoff = steps.clone()).await;
    let mut moments = Vec::new();
    for attempt in 1..=4 {
        assert_eq!(take(&*consumer).await.attempt, attempt);
        moments.push(Instant::now());
    }
    let waits: Vec<_> = moments.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // A wait that is seen may be shorter than it was by as much as the delivery before it took to arrive.
    let slack = bench.short / 2;
    assert!(waits[0] + slack >= steps[0], "the first step: {waits:?}");
    assert!(waits[1] + slack >= steps[1], "the second step: {waits:?}");
    assert!(waits[2] + slack >= steps[1], "the last step repeats: {waits:?}");
}

pub(super) async fn who_waits_longest_is_served_first(bench: Bench) {
    bench.limits().await;
    let consumer = bench.consumer().await;
    let served = std::sync::Mutex::new(Vec::new());
    let wait = async |who: u32| {
        let taken = consumer.fetch(1, LONG).await.unwrap();
        served.lock().unwrap().push(who);
        (who, texts(&taken))
    };
    let publish = async {
        for i in 1..=3 {
            bench.put("s.a", &i.to_string()).await;
        }
    };
    let (a, b, c, ()) = tokio::join!(biased; wait(1), wait(2), wait(3), publish);
    for (who, taken) in [a, b, c] {
        assert_eq!(taken, [who.to_string()]);
    }
}

pub(super) async fn a_dropped_wait_loses_nothing(bench: Bench) {
    bench.limits().await;
    let consumer = bench.consumer().await;
    tokio::select! {
        biased;
        taken = consumer.fetch(1, LONG) => panic!("there is nothing to take: {taken:?}"),
        () = std::future::ready(()) => {}
    }
    bench.put("s.a", "1").await;
    let delivery = take(&*consumer).await;
    assert_eq!((text(&delivery.message.body).as_str(), delivery.attempt), ("1", 1));
}

pub(super) async fn dropped_fetches_lose_nothing(bench: Bench) {
    bench.limits().await;
    let consumer = bench.consumer().await;
    for round in 1..=50 {
        let mut fetch = Box::pin(consumer.fetch(1, LONG));
        let mut arrived = None;
        let body = round.to_string();
        let mut put = Box::pin(bench.put("s.a", &body));
        // The message comes while a fetch waits; the fetch is polled a few times more, and dropped wherever it is.
        loop {
            tokio::select! {
                biased;
                taken = &mut fetch, if arrived.is_none() => arrived = Some(taken.unwrap()),
                _ = &mut put => break,
            }
        }
        for _ in 0..round % 3 {
            tokio::select! {
                biased;
                taken = &mut fetch, if arrived.is_none() => arrived = Some(taken.unwrap()),
                () = tokio::task::yield_now() => {}
            }
        }
        drop(fetch);
        let delivery = match arrived {
            Some(mut taken) => taken.remove(0),
            None => take(&*consumer).await,
        };
        assert_eq!((text(&delivery.message.body), delivery.attempt), (round.to_string(), 1));
        consumer.ack(delivery.tag).await.unwrap();
    }
    assert_eq!(consumer.info().await.unwrap().in_flight, 0);
}

pub(super) async fn many_workers_get_each_message_once(bench: Bench) {
    const MESSAGES: usize = 300;
    bench.limits().await;
    let consumer: Arc<dyn Consumer> = bench.consumer().await.into();
    let taken = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..8 {
        let (consumer, taken, wait) = (Arc::clone(&consumer), Arc::clone(&taken), bench.short);
        workers.spawn(async move {
            let mut seen = Vec::new();
            while taken.load(Ordering::Relaxed) < MESSAGES {
                for delivery in consumer.fetch(7, wait).await.unwrap() {
                    assert_eq!(delivery.attempt, 1);
                    seen.push(delivery.message.sequence.0);
                    taken.fetch_add(1, Ordering::Relaxed);
                    consumer.ack(delivery.tag).await.unwrap();
                }
            }
            seen
        });
    }
    bench.put_many(MESSAGES).await;
    let seen: Vec<u64> = workers.join_all().await.into_iter().flatten().collect();
    assert_eq!(seen.len(), MESSAGES);
    assert!(seen.into_iter().collect::<BTreeSet<_>>().into_iter().eq(1..=MESSAGES as u64));
}
