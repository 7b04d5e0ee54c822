//! Bounds by number, bytes and age, and what a full stream does.

use super::bench::*;

fn bounded(
    max_messages: Option<u64>,
    max_bytes: Option<u64>,
    discard: Discard,
) -> impl FnOnce(&mut StreamConfig) {
    move |config| {
        (config.max_messages, config.max_bytes, config.discard) = (max_messages, max_bytes, discard);
    }
}

/// Room for two bodies of this size with their subjects, whatever a store adds, but not for three.
const BODY: usize = 4_096;
const TWO_BODIES: u64 = 10_000;

fn body(letter: &str) -> String {
    letter.repeat(BODY)
}

pub(super) async fn the_newest_are_kept_by_number(bench: Bench) {
    bench.stream(bounded(Some(3), None, Discard::Old)).await;
    bench.put_many(5).await;
    assert_eq!(bench.kept().await, ["3", "4", "5"]);
    let info = bench.info().await;
    assert_eq!((info.messages, info.first, info.last), (3, Sequence(3), Sequence(5)));
}

pub(super) async fn the_newest_are_kept_by_bytes(bench: Bench) {
    bench.stream(bounded(None, Some(TWO_BODIES), Discard::Old)).await;
    for letter in ["a", "b", "c"] {
        bench.put("s.a", &body(letter)).await;
    }
    assert_eq!(bench.kept().await, [body("b"), body("c")]);
    assert!(bench.info().await.bytes <= TWO_BODIES);
}

pub(super) async fn a_full_stream_refuses_by_number(bench: Bench) {
    bench.stream(bounded(Some(2), None, Discard::New)).await;
    bench.put_many(2).await;
    assert_full(bench.try_put("s.a", "3").await);
    assert_eq!(bench.kept().await, ["1", "2"]);
}

pub(super) async fn a_full_stream_refuses_by_bytes(bench: Bench) {
    bench.stream(bounded(None, Some(TWO_BODIES), Discard::New)).await;
    bench.put("s.a", &body("a")).await;
    bench.put("s.a", &body("b")).await;
    assert_full(bench.try_put("s.a", &body("c")).await);
    assert_eq!(bench.kept().await, [body("a"), body("b")]);
}

pub(super) async fn removing_makes_room(bench: Bench) {
    bench.stream(bounded(Some(1), None, Discard::New)).await;
    bench.put("s.a", "1").await;
    assert_full(bench.try_put("s.a", "2").await);
    bench.streams.delete("S", Sequence(1)).await.unwrap();
    bench.put("s.a", "3").await;
    assert_eq!(bench.kept().await, ["3"]);
}

pub(super) async fn what_never_fits_removes_nothing(bench: Bench) {
    bench.stream(bounded(None, Some(TWO_BODIES), Discard::Old)).await;
    bench.put("s.a", &body("a")).await;
    assert_full(bench.try_put("s.a", &body("abc")).await);
    assert_eq!(bench.kept().await, [body("a")]);
}

pub(super) async fn a_smaller_bound_applies_at_once(bench: Bench) {
    bench.limits().await;
    bench.put_many(5).await;
    bench.stream(bounded(Some(2), None, Discard::Old)).await;
    assert_eq!(bench.kept().await, ["4", "5"]);
}

pub(super) async fn old_messages_leave(bench: Bench) {
    let age = bench.short * 10;
    bench.stream(|config| config.max_age = Some(age)).await;
    bench.put("s.a", "old").await;
    bench.let_pass(age + bench.short).await;
    bench.put("s.a", "young").await;
    assert_eq!(bench.kept().await, ["young"]);
    let info = bench.info().await;
    assert_eq!((info.messages, info.first), (1, Sequence(2)));
    assert_eq!(bench.streams.count("S", "s.a").await, Ok(1));
}

pub(super) async fn an_old_message_is_not_delivered(bench: Bench) {
    let age = bench.short * 2;
    bench.stream(|config| config.max_age = Some(age)).await;
    let consumer = bench.consumer().await;
    bench.put("s.a", "old").await;
    bench.let_pass(age * 2).await;
    assert_eq!(take_all(&*consumer).await, []);
}
