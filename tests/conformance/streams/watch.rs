//! Watching a bucket.

use super::bench::*;

async fn put(bucket: &dyn Bucket, key: &str, value: &str) -> Revision {
    let value = Bytes::copy_from_slice(value.as_bytes());
    bucket.put(key, value, Expect::Any, None).await.unwrap()
}

/// The next change, as key and value.
async fn next(watch: &mut dyn Watch) -> (String, Option<String>) {
    let entry = watch.next().await.unwrap();
    (entry.key, entry.value.as_ref().map(text))
}

fn is(key: &str, value: &str) -> (String, Option<String>) {
    (key.to_owned(), Some(value.to_owned()))
}

fn gone(key: &str) -> (String, Option<String>) {
    (key.to_owned(), None)
}

pub(super) async fn it_gives_what_is_there_and_then_what_comes(bench: Bench) {
    let bucket = bench.bucket().await;
    put(&*bucket, "a", "1").await;
    let mut watch = bucket.watch("").await.unwrap();
    assert_eq!(next(&mut *watch).await, is("a", "1"));
    let (came, revision) = tokio::join!(biased; watch.next(), put(&*bucket, "b", "2"));
    let came = came.unwrap();
    assert_eq!((came.key.as_str(), came.revision), ("b", revision));
}

pub(super) async fn what_is_there_comes_by_revision(bench: Bench) {
    let bucket = bench.bucket().await;
    for key in ["c", "a", "b", "a"] {
        put(&*bucket, key, "").await;
    }
    let mut watch = bucket.watch("").await.unwrap();
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(next(&mut *watch).await.0);
    }
    assert_eq!(keys, ["c", "b", "a"]);
}

pub(super) async fn a_removed_key_comes_without_a_value(bench: Bench) {
    let bucket = bench.bucket().await;
    let written = put(&*bucket, "a", "1").await;
    let mut watch = bucket.watch("").await.unwrap();
    assert_eq!(next(&mut *watch).await, is("a", "1"));
    bucket.delete("a", Expect::Any).await.unwrap();
    let removed = watch.next().await.unwrap();
    assert_eq!((removed.key.as_str(), removed.value), ("a", None));
    assert!(removed.revision > written);
    put(&*bucket, "a", "2").await;
    assert_eq!(next(&mut *watch).await, is("a", "2"));
}

pub(super) async fn an_expired_key_comes_without_a_value(bench: Bench) {
    let bucket = bench.bucket_with(Some(bench.short * 10)).await;
    let mut watch = bucket.watch("").await.unwrap();
    put(&*bucket, "a", "1").await;
    assert_eq!(next(&mut *watch).await, is("a", "1"));
    assert_eq!(next(&mut *watch).await, gone("a"));
    assert_eq!(bucket.get("a").await, Ok(None));
}

pub(super) async fn keys_removed_before_are_not_told(bench: Bench) {
    let bucket = bench.bucket().await;
    put(&*bucket, "a", "").await;
    put(&*bucket, "b", "").await;
    bucket.delete("a", Expect::Any).await.unwrap();
    let mut watch = bucket.watch("").await.unwrap();
    assert_eq!(next(&mut *watch).await, is("b", ""));
    put(&*bucket, "c", "").await;
    assert_eq!(next(&mut *watch).await, is("c", ""));
}

pub(super) async fn it_sees_only_its_prefix(bench: Bench) {
    let bucket = bench.bucket().await;
    put(&*bucket, "a.1", "").await;
    put(&*bucket, "b.1", "").await;
    let mut watch = bucket.watch("b.").await.unwrap();
    assert_eq!(next(&mut *watch).await, is("b.1", ""));
    put(&*bucket, "a.1", "x").await;
    bucket.delete("a.1", Expect::Any).await.unwrap();
    put(&*bucket, "b.2", "").await;
    assert_eq!(next(&mut *watch).await, is("b.2", ""));
}

pub(super) async fn a_dropped_wait_loses_nothing(bench: Bench) {
    let bucket = bench.bucket().await;
    let mut watch = bucket.watch("").await.unwrap();
    for round in 1..=20 {
        tokio::select! {
            biased;
            entry = watch.next() => panic!("nothing has changed: {entry:?}"),
            () = std::future::ready(()) => {}
        }
        let value = round.to_string();
        put(&*bucket, "k", &value).await;
        assert_eq!(next(&mut *watch).await, is("k", &value));
    }
}

pub(super) async fn one_that_is_behind_sees_the_newest(bench: Bench) {
    let bucket = bench.bucket().await;
    let mut watch = bucket.watch("").await.unwrap();
    for value in ["1", "2", "3"] {
        put(&*bucket, "a", value).await;
        put(&*bucket, "b", value).await;
    }
    // What came between may be told or not; the newest of each key is, and it is the last told of that key.
    let (mut a, mut b) = (String::new(), String::new());
    while a != "3" || b != "3" {
        let (key, value) = next(&mut *watch).await;
        let newest = if key == "a" { &mut a } else { &mut b };
        let value = value.unwrap();
        assert!(value > *newest);
        *newest = value;
    }
}

pub(super) async fn every_watch_is_told(bench: Bench) {
    let bucket = bench.bucket().await;
    let mut watches = Vec::new();
    for _ in 0..10 {
        watches.push(bucket.watch("k").await.unwrap());
    }
    put(&*bucket, "k", "1").await;
    for watch in &mut watches {
        assert_eq!(next(&mut **watch).await, is("k", "1"));
    }
}
