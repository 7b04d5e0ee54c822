//! What a store on disk keeps over a restart, and which directories it refuses.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use connectome::streams::OpenError;

use super::backend::open;
use super::bench::*;

/// Closes the store and opens it again. No handle may be left.
fn reopen(bench: Bench) -> Bench {
    let Bench { streams, short, directory } = bench;
    drop(streams);
    let path = directory.clone().expect("a store on disk");
    Bench { streams: Arc::new(open(path).unwrap()), short, directory }
}

pub(super) async fn messages_survive(bench: Bench) {
    bench.limits().await;
    bench.put_id(7, "with an id").await;
    bench.put("s.b", "").await;
    bench.put("s.c", "gone").await;
    bench.streams.delete("S", Sequence(3)).await.unwrap();
    let before = bench.streams.read("S", ">", Sequence(1), 10).await.unwrap();
    let info = bench.info().await;
    let bench = reopen(bench);
    assert_eq!(bench.streams.read("S", ">", Sequence(1), 10).await.unwrap(), before);
    assert_eq!(bench.info().await, info);
    assert_eq!(bench.put("s.a", "").await, 4);
}

pub(super) async fn sequences_go_on_when_nothing_is_left(bench: Bench) {
    bench.queue().await;
    bench.put_many(3).await;
    let consumer = bench.consumer().await;
    for delivery in take_all(&*consumer).await {
        consumer.ack(delivery.tag).await.unwrap();
    }
    drop(consumer);
    let bench = reopen(bench);
    assert_eq!((bench.info().await.messages, bench.info().await.last), (0, Sequence(3)));
    assert_eq!(bench.put("s.a", "").await, 4);
}

pub(super) async fn streams_and_bounds_survive(bench: Bench) {
    let config = StreamConfig {
        name: "T_1".into(),
        subjects: vec!["t.*".into(), "u.>".into()],
        retention: Retention::WorkQueue,
        storage: Storage::File,
        max_age: Some(Duration::from_nanos(86_400_000_000_001)),
        max_bytes: Some(u64::MAX),
        max_messages: Some(9),
        discard: Discard::New,
        duplicate_window: Duration::from_millis(1_500),
    };
    bench.streams.create_stream(config.clone()).await.unwrap();
    bench.limits().await;
    let bench = reopen(bench);
    assert_eq!(bench.streams.stream_names().await.unwrap(), ["S", "T_1"]);
    assert_eq!(bench.streams.stream_info("T_1").await.unwrap().config, config);
    assert_conflict(bench.try_stream(|config| config.retention = Retention::WorkQueue).await, "retention");
}

pub(super) async fn a_stream_in_memory_is_gone(bench: Bench) {
    bench.stream(|config| config.storage = Storage::Memory).await;
    bench.put("s.a", "").await;
    let config = BucketConfig { storage: Storage::Memory, ..bucket_config("b", None) };
    let bucket = bench.streams.bucket(config).await.unwrap();
    bucket.put("k", Bytes::new(), Expect::Any, None).await.unwrap();
    assert!(bucket.get("k").await.unwrap().is_some());
    drop(bucket);
    let bench = reopen(bench);
    assert_eq!(bench.streams.stream_names().await, Ok(vec![]));
    assert_eq!(bench.bucket().await.get("k").await, Ok(None));
}

pub(super) async fn a_consumer_is_where_it_was(bench: Bench) {
    bench.limits().await;
    bench.put_many(4).await;
    let consumer = bench.consumer().await;
    let taken = consumer.fetch(3, NOW).await.unwrap();
    consumer.ack(taken[0].tag).await.unwrap();
    consumer.ack(taken[2].tag).await.unwrap();
    drop(consumer);
    let bench = reopen(bench);
    let consumers = bench.info().await.consumers;
    assert_eq!((consumers[0].waiting, consumers[0].in_flight), (1, 1));
    let consumer = bench.consumer().await;
    let taken = take_all(&*consumer).await;
    assert_eq!(texts(&taken), ["2", "4"]);
    assert_eq!((taken[0].attempt, taken[1].attempt), (2, 1));
}

pub(super) async fn what_was_in_hand_comes_again_at_once(bench: Bench) {
    bench.limits().await;
    bench.put_many(1).await;
    let consumer = bench.consumer().await;
    consumer.nak(take(&*consumer).await.tag, NOW).await.unwrap();
    assert_eq!(take(&*consumer).await.attempt, 2);
    drop(consumer);
    let bench = reopen(bench);
    let consumer = bench.consumer().await;
    assert_eq!(take_all(&*consumer).await[0].attempt, 3);
}

pub(super) async fn the_last_attempt_in_hand_is_exhausted(bench: Bench) {
    bench.limits().await;
    bench.put_many(1).await;
    let change = |config: &mut ConsumerConfig| config.max_deliver = Some(1);
    let consumer = bench.consumer_with(change).await;
    take(&*consumer).await;
    drop(consumer);
    let bench = reopen(bench);
    let consumer = bench.consumer_with(change).await;
    assert_eq!(take_all(&*consumer).await, []);
    assert_eq!(consumer.exhausted().await.unwrap().len(), 1);
}

pub(super) async fn what_is_exhausted_is_told_again(bench: Bench) {
    bench.limits().await;
    bench.put_many(1).await;
    let change = |config: &mut ConsumerConfig| config.max_deliver = Some(1);
    let consumer = bench.consumer_with(change).await;
    consumer.nak(take(&*consumer).await.tag, NOW).await.unwrap();
    assert_eq!(consumer.exhausted().await.unwrap().len(), 1);
    drop(consumer);
    let bench = reopen(bench);
    let consumer = bench.consumer_with(change).await;
    assert_eq!(consumer.exhausted().await.unwrap().len(), 1);
    assert_eq!(consumer.exhausted().await.unwrap().len(), 0);
}

pub(super) async fn a_delay_survives(bench: Bench) {
    bench.limits().await;
    bench.put_many(2).await;
    let consumer = bench.consumer().await;
    let taken = take_all(&*consumer).await;
    consumer.nak(taken[0].tag, LONG).await.unwrap();
    consumer.nak(taken[1].tag, bench.short).await.unwrap();
    drop(consumer);
    let bench = reopen(bench);
    let consumer = bench.consumer().await;
    assert_eq!(texts(&[take(&*consumer).await]), ["2"]);
    assert_eq!(take_all(&*consumer).await, []);
    assert_eq!(consumer.info().await.unwrap().in_flight, 2);
}

pub(super) async fn ids_survive(bench: Bench) {
    bench.limits().await;
    bench.put_id(1, "").await;
    let bench = reopen(bench);
    assert_eq!(bench.put_id(1, "").await, Published { sequence: Sequence(1), duplicate: true });
}

pub(super) async fn ids_of_removed_messages_survive(bench: Bench) {
    bench.queue().await;
    bench.put_id(1, "").await;
    bench.put_id(2, "").await;
    let consumer = bench.consumer().await;
    consumer.ack(take(&*consumer).await.tag).await.unwrap();
    bench.streams.delete("S", Sequence(2)).await.unwrap();
    drop(consumer);
    let bench = reopen(bench);
    assert_eq!(bench.put_id(1, "").await, Published { sequence: Sequence(1), duplicate: true });
    assert_eq!(bench.put_id(2, "").await, Published { sequence: Sequence(2), duplicate: true });
    assert_eq!(bench.info().await.messages, 0);
}

pub(super) async fn a_deleted_consumer_stays_deleted(bench: Bench) {
    bench.limits().await;
    bench.put_many(2).await;
    let consumer = bench.consumer().await;
    take(&*consumer).await;
    bench.streams.delete_consumer("S", "c").await.unwrap();
    drop(consumer);
    let bench = reopen(bench);
    assert!(bench.info().await.consumers.is_empty());
    let consumer = bench.consumer().await;
    assert!(take_all(&*consumer).await.iter().all(|delivery| delivery.attempt == 1));
}

pub(super) async fn entries_and_revisions_survive(bench: Bench) {
    let bucket = bench.bucket().await;
    for (key, value) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")] {
        bucket.put(key, Bytes::from_static(value.as_bytes()), Expect::Any, None).await.unwrap();
    }
    bucket.delete("c", Expect::Any).await.unwrap();
    let before = (bucket.get("a").await, bucket.get("b").await);
    drop(bucket);
    let bench = reopen(bench);
    let bucket = bench.bucket().await;
    assert_eq!((bucket.get("a").await, bucket.get("b").await), before);
    assert_eq!(bucket.get("c").await, Ok(None));
    assert_eq!(bucket.keys("").await.unwrap(), ["a", "b"]);
}

pub(super) async fn revisions_go_on_when_nothing_is_left(bench: Bench) {
    let bucket = bench.bucket().await;
    let old = bucket.put("k", Bytes::new(), Expect::Absent, None).await.unwrap();
    bucket.delete("k", Expect::Any).await.unwrap();
    drop(bucket);
    let bench = reopen(bench);
    let bucket = bench.bucket().await;
    assert!(bucket.put("k", Bytes::new(), Expect::Absent, None).await.unwrap() > old);
}

pub(super) async fn expiry_goes_on(bench: Bench) {
    let bucket = bench.bucket_with(Some(bench.short * 3)).await;
    bucket.put("k", Bytes::new(), Expect::Any, None).await.unwrap();
    bucket.put("stays", Bytes::new(), Expect::Any, Some(LONG)).await.unwrap();
    drop(bucket);
    let bench = reopen(bench);
    bench.let_pass(bench.short * 4).await;
    let bucket = bench.bucket_with(Some(bench.short * 3)).await;
    assert_eq!(bucket.keys("").await.unwrap(), ["stays"]);
}

pub(super) async fn old_messages_leave(bench: Bench) {
    let age = bench.short;
    bench.stream(|config| config.max_age = Some(age)).await;
    bench.put("s.a", "").await;
    let bench = reopen(bench);
    bench.let_pass(age * 2).await;
    assert_eq!(bench.info().await.messages, 0);
}

pub(super) async fn bodies_come_back_from_the_disk(bench: Bench) {
    const MIB: usize = 1024 * 1024;
    bench.limits().await;
    let body = |i: usize| Bytes::from(vec![i as u8; MIB - i]);
    for i in 0..40 {
        let message = Publish { subject: "s.a".into(), id: None, body: body(i) };
        bench.streams.publish("S", message).await.unwrap();
    }
    let mut tail = bench.tail(">", Start::First).await;
    for i in 0..40 {
        assert!(tail.next().await.unwrap().body == body(i));
    }
    drop(tail);
    let bench = reopen(bench);
    let consumer = bench.consumer().await;
    let mut taken = Vec::new();
    while taken.len() < 40 {
        taken.extend(consumer.fetch(40, NOW).await.unwrap());
    }
    assert!(taken.iter().enumerate().all(|(i, delivery)| delivery.message.body == body(i)));
}

fn path_of(bench: &Bench) -> PathBuf {
    bench.directory.clone().expect("a store on disk")
}

#[track_caller]
fn assert_names(error: &OpenError, path: &std::path::Path) {
    assert!(error.to_string().contains(path.to_str().unwrap()), "it names the path: {error}");
}

pub(super) async fn two_stores_in_one_directory_are_refused(bench: Bench) {
    let path = path_of(&bench);
    let error = open(&path).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert_names(&error, &path);
    drop(bench);
    open(&path).unwrap();
}

pub(super) async fn a_directory_of_others_is_refused_untouched(_: Bench) {
    let foreign = tempfile::tempdir().unwrap();
    fs::write(foreign.path().join("thesis.txt"), "years of work").unwrap();
    let error = open(foreign.path()).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    assert_names(&error, foreign.path());
    assert_eq!(fs::read_dir(foreign.path()).unwrap().count(), 1);
}

pub(super) async fn a_file_is_refused(_: Bench) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = open(file.path()).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    assert_names(&error, file.path());
}

pub(super) async fn another_format_is_refused(bench: Bench) {
    let path = path_of(&bench);
    drop(bench);
    fs::write(path.join("CONNECTOME_STORE"), "connectome store, format 2\n").unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Format { .. }), "{error}");
    assert_names(&error, &path);
    fs::write(path.join("CONNECTOME_STORE"), [0xff; 3]).unwrap();
    assert_names(&open(&path).unwrap_err(), &path);
}

pub(super) async fn damage_is_told_by_its_path(bench: Bench) {
    const NEEDLE: &[u8] = b"a body that is easy to find";
    bench.limits().await;
    bench.put("s.a", std::str::from_utf8(NEEDLE).unwrap()).await;
    bench.put("s.a", "another").await;
    let path = path_of(&bench);
    drop(bench);
    let mut damaged = 0;
    for file in fs::read_dir(path.join("tables")).unwrap().map(|file| file.unwrap().path()) {
        let Ok(mut bytes) = fs::read(&file) else { continue };
        let Some(at) = bytes.windows(NEEDLE.len()).position(|window| window == NEEDLE) else {
            continue;
        };
        bytes[at] ^= 1;
        fs::write(&file, bytes).unwrap();
        damaged += 1;
    }
    assert!(damaged > 0, "the body lies somewhere in the open");
    let error = open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert_names(&error, &path);
}
