//! Publishing: sequences, ids, what is refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use connectome_codecs::limits::FRAME_MAX;
use tokio::task::JoinSet;

use super::bench::*;

pub(super) async fn sequences_begin_at_one_and_rise_by_one(bench: Bench) {
    bench.limits().await;
    for expected in 1..=20 {
        assert_eq!(bench.put("s.a", "").await, expected);
    }
}

pub(super) async fn a_message_is_kept_as_it_was_given(bench: Bench) {
    bench.limits().await;
    let body: Vec<u8> = (0..=255).collect();
    let given = Publish { subject: "s.A-z_0/9:x".into(), id: Some(message_id(7)), body: body.into() };
    let published = bench.streams.publish("S", given.clone()).await.unwrap();
    assert_eq!(published, Published { sequence: Sequence(1), duplicate: false });
    let stored = bench.streams.read("S", ">", Sequence(1), 10).await.unwrap();
    let [Stored { sequence, subject, id, at, body }] = &stored[..] else { panic!("one message") };
    assert_eq!((*sequence, subject, *id, body), (Sequence(1), &given.subject, given.id, &given.body));
    assert!(at.0 > 0);
}

pub(super) async fn an_empty_body_is_a_body(bench: Bench) {
    bench.limits().await;
    bench.put("s.a", "").await;
    assert_eq!(bench.kept().await, [""]);
    let consumer = bench.consumer().await;
    assert_eq!(take(&*consumer).await.message.body, Bytes::new());
}

pub(super) async fn the_largest_body_fits_and_a_larger_is_refused(bench: Bench) {
    bench.limits().await;
    let body = |len| Publish { subject: "s.a".into(), id: None, body: vec![7; len].into() };
    bench.streams.publish("S", body(FRAME_MAX)).await.unwrap();
    assert_invalid(bench.streams.publish("S", body(FRAME_MAX + 1)).await);
    let stored = bench.streams.read("S", ">", Sequence(1), 10).await.unwrap();
    assert_eq!(stored[0].body.len(), FRAME_MAX);
}

pub(super) async fn an_id_is_stored_once(bench: Bench) {
    bench.limits().await;
    let first = bench.put_id(1, "first").await;
    assert_eq!(first, Published { sequence: Sequence(1), duplicate: false });
    bench.put_id(2, "other").await;
    let again = bench.put_id(1, "again").await;
    assert_eq!(again, Published { sequence: Sequence(1), duplicate: true });
    assert_eq!(bench.kept().await, ["first", "other"]);
}

pub(super) async fn an_id_in_another_stream_is_another_message(bench: Bench) {
    bench.limits().await;
    bench.streams.create_stream(stream_config("T", "t.>")).await.unwrap();
    bench.put_id(1, "").await;
    let other = bench.streams.publish("T", message("t.a", Some(1), "")).await.unwrap();
    assert_eq!(other, Published { sequence: Sequence(1), duplicate: false });
}

pub(super) async fn messages_without_an_id_are_all_stored(bench: Bench) {
    bench.limits().await;
    bench.put("s.a", "same").await;
    bench.put("s.a", "same").await;
    assert_eq!(bench.kept().await, ["same", "same"]);
}

pub(super) async fn an_id_is_forgotten_after_its_window(bench: Bench) {
    let window = bench.short;
    bench.stream(|config| config.duplicate_window = window).await;
    bench.put_id(1, "first").await;
    bench.let_pass(window * 2).await;
    let again = bench.put_id(1, "again").await;
    assert_eq!(again, Published { sequence: Sequence(2), duplicate: false });
    assert_eq!(bench.kept().await, ["first", "again"]);
}

pub(super) async fn an_id_outlives_its_deleted_message(bench: Bench) {
    bench.limits().await;
    bench.put_id(1, "").await;
    bench.streams.delete("S", Sequence(1)).await.unwrap();
    assert_eq!(bench.put_id(1, "").await, Published { sequence: Sequence(1), duplicate: true });
    assert_eq!(bench.info().await.messages, 0);
}

pub(super) async fn an_id_outlives_its_acknowledged_task(bench: Bench) {
    bench.queue().await;
    bench.put_id(1, "").await;
    let consumer = bench.consumer().await;
    consumer.ack(take(&*consumer).await.tag).await.unwrap();
    assert!(bench.put_id(1, "").await.duplicate);
    assert_eq!(take_all(&*consumer).await, []);
}

pub(super) async fn a_refused_id_is_not_remembered(bench: Bench) {
    bench.stream(|config| (config.max_messages, config.discard) = (Some(1), Discard::New)).await;
    bench.put_id(1, "fills it").await;
    assert_full(bench.streams.publish("S", message("s.a", Some(2), "")).await);
    bench.streams.delete("S", Sequence(1)).await.unwrap();
    assert!(!bench.put_id(2, "now it fits").await.duplicate);
    assert_eq!(bench.kept().await, ["now it fits"]);
}

pub(super) async fn a_duplicate_is_known_even_when_full(bench: Bench) {
    bench.stream(|config| (config.max_messages, config.discard) = (Some(1), Discard::New)).await;
    bench.put_id(1, "").await;
    assert!(bench.put_id(1, "").await.duplicate);
}

pub(super) async fn a_subject_outside_the_stream_is_refused(bench: Bench) {
    bench.stream(|config| config.subjects = vec!["s.*.x".into(), "t".into()]).await;
    bench.put("s.a.x", "").await;
    bench.put("t", "").await;
    for subject in ["s.a", "s.a.y", "s.a.x.z", "t.a", "u"] {
        assert_invalid(bench.try_put(subject, "").await);
    }
}

pub(super) async fn a_bad_subject_is_refused(bench: Bench) {
    bench.stream(|config| config.subjects = vec![">".into()]).await;
    for subject in ["", ".", "a.", "a..b", "a.*", ">", "a b", "\u{e9}", &"a".repeat(257)] {
        assert_invalid(bench.try_put(subject, "").await);
    }
    bench.put(&"a".repeat(256), "").await;
}

pub(super) async fn a_refused_message_takes_no_sequence(bench: Bench) {
    bench.limits().await;
    assert_eq!(bench.put("s.a", "").await, 1);
    assert_invalid(bench.try_put("elsewhere", "").await);
    assert_eq!(bench.put("s.a", "").await, 2);
}

pub(super) async fn many_publishers_get_every_sequence_once(bench: Bench) {
    bench.limits().await;
    let mut publishers = JoinSet::new();
    for publisher in 0..20 {
        let streams = Arc::clone(&bench.streams);
        publishers.spawn(async move {
            let mut sequences = Vec::new();
            for i in 0..20 {
                let body = format!("{publisher}/{i}");
                let published = streams.publish("S", message("s.a", None, &body)).await.unwrap();
                sequences.push((published.sequence.0, body));
            }
            sequences
        });
    }
    let mut published: Vec<(u64, String)> = publishers.join_all().await.into_iter().flatten().collect();
    published.sort();
    let stored = bench.streams.read("S", ">", Sequence(1), 1_000).await.unwrap();
    let stored: Vec<(u64, String)> = stored.iter().map(|m| (m.sequence.0, text(&m.body))).collect();
    assert_eq!(published, stored);
    assert!(published.iter().map(|(sequence, _)| *sequence).eq(1..=400));
}

pub(super) async fn many_publishers_of_one_id_store_it_once(bench: Bench) {
    bench.limits().await;
    let mut publishers = JoinSet::new();
    for publisher in 0..20 {
        let streams = Arc::clone(&bench.streams);
        let body = format!("by {publisher}");
        publishers.spawn(async move { streams.publish("S", message("s.a", Some(1), &body)).await.unwrap() });
    }
    let published = publishers.join_all().await;
    assert_eq!(published.iter().filter(|published| !published.duplicate).count(), 1);
    let sequences: BTreeSet<Sequence> = published.iter().map(|published| published.sequence).collect();
    assert_eq!(sequences.into_iter().collect::<Vec<_>>(), [Sequence(1)]);
    assert_eq!(bench.kept().await.len(), 1);
}

pub(super) async fn one_publisher_keeps_its_order(bench: Bench) {
    bench.limits().await;
    bench.put_many(50).await;
    let expected: Vec<String> = (1..=50).map(|i| i.to_string()).collect();
    assert_eq!(bench.kept().await, expected);
}

pub(super) async fn moments_do_not_fall(bench: Bench) {
    bench.limits().await;
    bench.put_many(20).await;
    let stored = bench.streams.read("S", ">", Sequence(1), 100).await.unwrap();
    assert!(stored.is_sorted_by_key(|message| message.at));
}
