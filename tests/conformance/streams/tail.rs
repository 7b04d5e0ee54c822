//! Live readers.

use super::bench::*;

pub(super) async fn it_gives_what_is_there_and_then_what_comes(bench: Bench) {
    bench.limits().await;
    bench.put_many(2).await;
    let mut tail = bench.tail(">", Start::First).await;
    assert_eq!([next(&mut *tail).await, next(&mut *tail).await], ["1", "2"]);
    bench.put("s.a", "3").await;
    assert_eq!(next(&mut *tail).await, "3");
}

pub(super) async fn it_begins_with_the_next(bench: Bench) {
    bench.limits().await;
    bench.put("s.a", "before").await;
    let mut tail = bench.tail(">", Start::New).await;
    bench.put("s.a", "after").await;
    assert_eq!(next(&mut *tail).await, "after");
}

pub(super) async fn it_begins_at_a_sequence(bench: Bench) {
    bench.limits().await;
    bench.put_many(3).await;
    let mut tail = bench.tail(">", Start::At(Sequence(2))).await;
    let message = tail.next().await.unwrap();
    assert_eq!((message.sequence, text(&message.body)), (Sequence(2), "2".to_owned()));
}

pub(super) async fn it_filters(bench: Bench) {
    bench.limits().await;
    let mut tail = bench.tail("s.*.x", Start::First).await;
    for subject in ["s.a", "s.a.x", "s.b.y", "s.b.x"] {
        bench.put(subject, subject).await;
    }
    assert_eq!([next(&mut *tail).await, next(&mut *tail).await], ["s.a.x", "s.b.x"]);
}

pub(super) async fn it_waits_for_a_message(bench: Bench) {
    bench.limits().await;
    let mut tail = bench.tail(">", Start::First).await;
    let (came, _) = tokio::join!(biased; next(&mut *tail), bench.put("s.a", "came"));
    assert_eq!(came, "came");
}

pub(super) async fn two_tails_see_everything(bench: Bench) {
    bench.queue().await;
    let (mut one, mut other) = (bench.tail(">", Start::First).await, bench.tail("s.a", Start::First).await);
    bench.put_many(20).await;
    for i in 1..=20 {
        let expected = i.to_string();
        assert_eq!(next(&mut *one).await, expected);
        assert_eq!(next(&mut *other).await, expected);
    }
}

pub(super) async fn a_dropped_wait_loses_nothing(bench: Bench) {
    bench.limits().await;
    let mut tail = bench.tail(">", Start::First).await;
    for round in 1..=20 {
        tokio::select! {
            biased;
            message = tail.next() => panic!("there is nothing yet: {message:?}"),
            () = std::future::ready(()) => {}
        }
        bench.put("s.a", &round.to_string()).await;
        assert_eq!(next(&mut *tail).await, round.to_string());
    }
}

pub(super) async fn what_was_removed_before_it_came_is_a_gap(bench: Bench) {
    bench.stream(|config| config.max_messages = Some(2)).await;
    let mut tail = bench.tail(">", Start::First).await;
    bench.put_many(5).await;
    let gap = StreamError::Gap { from: Sequence(1), to: Sequence(3) };
    assert_eq!(tail.next().await, Err(gap));
    assert_eq!([next(&mut *tail).await, next(&mut *tail).await], ["4", "5"]);
}

pub(super) async fn what_was_removed_before_it_began_is_a_gap(bench: Bench) {
    bench.stream(|config| config.max_messages = Some(2)).await;
    bench.put_many(5).await;
    let mut resumed = bench.tail(">", Start::At(Sequence(2))).await;
    assert_eq!(resumed.next().await, Err(StreamError::Gap { from: Sequence(2), to: Sequence(3) }));
    assert_eq!(next(&mut *resumed).await, "4");
    let mut first = bench.tail(">", Start::First).await;
    assert_eq!(next(&mut *first).await, "4");
}

pub(super) async fn a_gap_lies_where_the_messages_were(bench: Bench) {
    bench.limits().await;
    let mut tail = bench.tail(">", Start::First).await;
    bench.put_many(5).await;
    for sequence in [4, 3] {
        bench.streams.delete("S", Sequence(sequence)).await.unwrap();
    }
    assert_eq!([next(&mut *tail).await, next(&mut *tail).await], ["1", "2"]);
    assert_eq!(tail.next().await, Err(StreamError::Gap { from: Sequence(3), to: Sequence(4) }));
    assert_eq!(next(&mut *tail).await, "5");
}

pub(super) async fn what_it_does_not_want_is_no_gap(bench: Bench) {
    bench.stream(|config| config.max_messages = Some(2)).await;
    let mut tail = bench.tail("s.wanted", Start::First).await;
    bench.put_many(9).await;
    bench.put("s.wanted", "wanted").await;
    assert_eq!(next(&mut *tail).await, "wanted");
}

pub(super) async fn a_long_stream_is_read_in_order(bench: Bench) {
    bench.limits().await;
    bench.put_many(300).await;
    let mut tail = bench.tail(">", Start::First).await;
    for i in 1..=300 {
        assert_eq!(next(&mut *tail).await, i.to_string());
    }
}
