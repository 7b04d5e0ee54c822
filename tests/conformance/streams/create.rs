//! Streams: made, changed, counted.

use super::bench::*;

pub(super) async fn the_same_stream_twice_is_no_error(bench: Bench) {
    bench.limits().await;
    bench.put("s.a", "kept").await;
    bench.limits().await;
    assert_eq!(bench.kept().await, ["kept"]);
}

pub(super) async fn names_are_sorted(bench: Bench) {
    for (name, subject) in [("B", "b"), ("A", "a"), ("C_1", "c")] {
        bench.streams.create_stream(stream_config(name, subject)).await.unwrap();
    }
    assert_eq!(bench.streams.stream_names().await.unwrap(), ["A", "B", "C_1"]);
}

pub(super) async fn bounds_are_changed_in_place(bench: Bench) {
    bench.limits().await;
    bench.put("s.a", "kept").await;
    bench.stream(|config| config.max_messages = Some(7)).await;
    assert_eq!(bench.info().await.config.max_messages, Some(7));
    assert_eq!(bench.kept().await, ["kept"]);
}

pub(super) async fn a_subject_can_be_added(bench: Bench) {
    bench.limits().await;
    assert_invalid(bench.try_put("t.a", "").await);
    bench.stream(|config| config.subjects.push("t.>".to_owned())).await;
    bench.put("t.a", "").await;
}

pub(super) async fn another_retention_is_a_conflict(bench: Bench) {
    bench.limits().await;
    let changed = bench.try_stream(|config| config.retention = Retention::WorkQueue).await;
    assert_conflict(changed, "retention");
}

pub(super) async fn another_storage_is_a_conflict(bench: Bench) {
    bench.limits().await;
    assert_conflict(bench.try_stream(|config| config.storage = Storage::Memory).await, "storage");
}

pub(super) async fn bad_names_are_refused(bench: Bench) {
    for name in ["", "a", "A B", "A.B", "A*", "\u{c4}", &"A".repeat(65)] {
        assert_invalid(bench.try_stream(|config| config.name = name.to_owned()).await);
    }
    bench.stream(|config| config.name = "A".repeat(64)).await;
}

pub(super) async fn bad_subjects_are_refused(bench: Bench) {
    for subject in ["", ".", "a.", ".a", "a..b", "a b", "a.>.b", "a*", &"a".repeat(257)] {
        assert_invalid(bench.try_stream(|config| config.subjects = vec![subject.to_owned()]).await);
    }
}

pub(super) async fn no_subjects_are_refused(bench: Bench) {
    assert_invalid(bench.try_stream(|config| config.subjects.clear()).await);
}

pub(super) async fn bounds_of_zero_are_refused(bench: Bench) {
    assert_invalid(bench.try_stream(|config| config.max_messages = Some(0)).await);
    assert_invalid(bench.try_stream(|config| config.max_bytes = Some(0)).await);
    assert_invalid(bench.try_stream(|config| config.max_age = Some(NOW)).await);
}

pub(super) async fn subjects_of_another_stream_are_refused(bench: Bench) {
    bench.limits().await;
    let other = |subject| bench.streams.create_stream(stream_config("T", subject));
    assert_invalid(other("s.a").await);
    assert_invalid(other("*.a").await);
    other("t.>").await.unwrap();
}

pub(super) async fn info_counts_messages_and_bytes(bench: Bench) {
    bench.limits().await;
    bench.put("s.a", "12345").await;
    bench.put("s.bc", "").await;
    let info = bench.info().await;
    assert_eq!((info.messages, info.first, info.last), (2, Sequence(1), Sequence(2)));
    assert!(info.bytes >= 5, "bodies are counted");
    bench.streams.delete("S", Sequence(1)).await.unwrap();
    let less = bench.info().await;
    assert_eq!((less.messages, less.first, less.last), (1, Sequence(2), Sequence(2)));
    assert!(less.bytes < info.bytes);
}

pub(super) async fn an_empty_stream_begins_behind_its_last(bench: Bench) {
    bench.limits().await;
    let info = bench.info().await;
    assert_eq!((info.messages, info.bytes, info.first, info.last), (0, 0, Sequence(1), Sequence(0)));
    bench.put_many(3).await;
    for sequence in 1..=3 {
        bench.streams.delete("S", Sequence(sequence)).await.unwrap();
    }
    let info = bench.info().await;
    assert_eq!((info.messages, info.bytes, info.first, info.last), (0, 0, Sequence(4), Sequence(3)));
}

pub(super) async fn info_lists_consumers_by_name(bench: Bench) {
    bench.limits().await;
    bench.put_many(2).await;
    for name in ["b", "a/1", "c"] {
        bench.consumer_with(|config| config.name = name.to_owned()).await;
    }
    let consumers = bench.info().await.consumers;
    let names: Vec<&str> = consumers.iter().map(|consumer| consumer.name.as_str()).collect();
    assert_eq!(names, ["a/1", "b", "c"]);
    assert!(consumers.iter().all(|consumer| consumer.waiting == 2));
}

pub(super) async fn an_unknown_stream_is_not_found(bench: Bench) {
    assert_not_found(bench.try_put("s.a", "").await);
    assert_not_found(bench.streams.stream_info("S").await);
    assert_not_found(bench.streams.count("S", "s.a").await);
    assert_not_found(bench.streams.read("S", ">", Sequence(1), 1).await);
    assert_not_found(bench.streams.tail("S", ">", Start::First).await);
    assert_not_found(bench.streams.delete("S", Sequence(1)).await);
}

pub(super) async fn count_is_of_exactly_one_subject(bench: Bench) {
    bench.limits().await;
    for subject in ["s.a", "s.b", "s.a", "s.a.b"] {
        bench.put(subject, "").await;
    }
    assert_eq!(bench.streams.count("S", "s.a").await, Ok(2));
    assert_eq!(bench.streams.count("S", "s.a.b").await, Ok(1));
    assert_eq!(bench.streams.count("S", "s.none").await, Ok(0));
    bench.streams.delete("S", Sequence(1)).await.unwrap();
    assert_eq!(bench.streams.count("S", "s.a").await, Ok(1));
}
