//! Reading without consuming, and deleting.

use super::bench::*;

async fn sequences(bench: &Bench, filter: &str, from: u64, max: usize) -> Vec<u64> {
    let stored = bench.streams.read("S", filter, Sequence(from), max).await.unwrap();
    stored.iter().map(|message| message.sequence.0).collect()
}

async fn five_subjects(bench: &Bench) {
    bench.limits().await;
    for subject in ["s.a", "s.b", "s.a.x", "s.b.x", "s.a"] {
        bench.put(subject, "").await;
    }
}

pub(super) async fn it_begins_where_it_is_told(bench: Bench) {
    bench.limits().await;
    bench.put_many(5).await;
    assert_eq!(sequences(&bench, ">", 0, 10).await, [1, 2, 3, 4, 5]);
    assert_eq!(sequences(&bench, ">", 1, 10).await, [1, 2, 3, 4, 5]);
    assert_eq!(sequences(&bench, ">", 4, 10).await, [4, 5]);
}

pub(super) async fn it_gives_at_most_what_was_asked(bench: Bench) {
    bench.limits().await;
    bench.put_many(5).await;
    assert_eq!(sequences(&bench, ">", 1, 0).await, [0; 0]);
    assert_eq!(sequences(&bench, ">", 2, 2).await, [2, 3]);
}

pub(super) async fn it_filters_by_one_subject(bench: Bench) {
    five_subjects(&bench).await;
    assert_eq!(sequences(&bench, "s.a", 1, 10).await, [1, 5]);
    assert_eq!(sequences(&bench, "s.a", 2, 10).await, [5]);
}

pub(super) async fn it_filters_by_a_star(bench: Bench) {
    five_subjects(&bench).await;
    assert_eq!(sequences(&bench, "s.*", 1, 10).await, [1, 2, 5]);
    assert_eq!(sequences(&bench, "s.*.x", 1, 10).await, [3, 4]);
}

pub(super) async fn it_filters_by_an_arrow(bench: Bench) {
    five_subjects(&bench).await;
    assert_eq!(sequences(&bench, "s.a.>", 1, 10).await, [3]);
    assert_eq!(sequences(&bench, "s.>", 1, 10).await, [1, 2, 3, 4, 5]);
}

pub(super) async fn it_takes_nothing_away(bench: Bench) {
    bench.queue().await;
    bench.put_many(3).await;
    assert_eq!(sequences(&bench, ">", 1, 10).await, [1, 2, 3]);
    assert_eq!(sequences(&bench, ">", 1, 10).await, [1, 2, 3]);
    let consumer = bench.consumer().await;
    assert_eq!(texts(&take_all(&*consumer).await), ["1", "2", "3"]);
}

pub(super) async fn past_the_end_there_is_nothing(bench: Bench) {
    bench.limits().await;
    assert_eq!(sequences(&bench, ">", 1, 10).await, [0; 0]);
    bench.put_many(2).await;
    assert_eq!(sequences(&bench, ">", 3, 10).await, [0; 0]);
    assert_eq!(sequences(&bench, ">", u64::MAX, 10).await, [0; 0]);
}

pub(super) async fn a_bad_filter_is_refused(bench: Bench) {
    bench.limits().await;
    for filter in ["", "a..b", "a.>.b", "a b", "a*"] {
        assert_invalid(bench.streams.read("S", filter, Sequence(1), 1).await);
    }
}

pub(super) async fn a_deleted_message_is_gone(bench: Bench) {
    bench.limits().await;
    bench.put_many(3).await;
    bench.streams.delete("S", Sequence(2)).await.unwrap();
    assert_eq!(bench.kept().await, ["1", "3"]);
    let consumer = bench.consumer().await;
    assert_eq!(texts(&take_all(&*consumer).await), ["1", "3"]);
}

pub(super) async fn deleting_twice_is_no_error(bench: Bench) {
    bench.limits().await;
    bench.put_many(1).await;
    for sequence in [1, 1, 99] {
        bench.streams.delete("S", Sequence(sequence)).await.unwrap();
    }
    assert_eq!(bench.info().await.messages, 0);
}

pub(super) async fn a_deleted_sequence_is_not_given_again(bench: Bench) {
    bench.limits().await;
    bench.put_many(3).await;
    bench.streams.delete("S", Sequence(3)).await.unwrap();
    assert_eq!(bench.put("s.a", "").await, 4);
}
