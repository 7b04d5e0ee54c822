//! Buckets: values, revisions, compare-and-set, expiry.

use std::sync::Arc;

use connectome_codecs::limits::FRAME_MAX;
use tokio::task::JoinSet;

use super::bench::*;

async fn put(bucket: &dyn Bucket, key: &str, value: &str) -> Revision {
    bucket.put(key, bytes(value), Expect::Any, None).await.unwrap()
}

async fn value(bucket: &dyn Bucket, key: &str) -> Option<String> {
    bucket
        .get(key)
        .await
        .unwrap()
        .map(|entry| text(&entry.value.expect("an entry that is there has a value")))
}

fn bytes(value: &str) -> Bytes {
    Bytes::copy_from_slice(value.as_bytes())
}

#[track_caller]
fn assert_wrong(result: Result<Revision, StreamError>, expected: Option<Revision>) {
    match result {
        Err(StreamError::WrongRevision { current, .. }) => assert_eq!(current, expected),
        other => panic!("a wrong revision was expected, not {other:?}"),
    }
}

pub(super) async fn a_value_is_kept(bench: Bench) {
    let bucket = bench.bucket().await;
    let revision = put(&*bucket, "did:key/z6Mk=.:-_", "value").await;
    let entry = bucket.get("did:key/z6Mk=.:-_").await.unwrap().unwrap();
    assert_eq!((entry.key.as_str(), entry.revision), ("did:key/z6Mk=.:-_", revision));
    assert_eq!(entry.value, Some(bytes("value")));
    assert!(entry.at.0 > 0);
}

pub(super) async fn an_empty_value_is_a_value(bench: Bench) {
    let bucket = bench.bucket().await;
    put(&*bucket, "k", "").await;
    assert_eq!(value(&*bucket, "k").await.as_deref(), Some(""));
    assert_eq!(bucket.keys("").await.unwrap(), ["k"]);
}

pub(super) async fn a_missing_key_has_no_entry(bench: Bench) {
    let bucket = bench.bucket().await;
    assert_eq!(bucket.get("k").await, Ok(None));
    assert_eq!(bucket.keys("").await, Ok(vec![]));
}

pub(super) async fn revisions_rise_over_all_keys(bench: Bench) {
    let bucket = bench.bucket().await;
    let mut revisions = Vec::new();
    for key in ["a", "b", "a", "c", "b"] {
        revisions.push(put(&*bucket, key, "").await);
    }
    assert!(revisions.is_sorted_by(|a, b| a < b), "{revisions:?}");
}

pub(super) async fn absent_holds_once(bench: Bench) {
    let bucket = bench.bucket().await;
    let first = bucket.put("k", bytes("1"), Expect::Absent, None).await.unwrap();
    assert_wrong(bucket.put("k", bytes("2"), Expect::Absent, None).await, Some(first));
    assert_eq!(value(&*bucket, "k").await.as_deref(), Some("1"));
}

pub(super) async fn a_revision_holds_once(bench: Bench) {
    let bucket = bench.bucket().await;
    let first = put(&*bucket, "k", "1").await;
    let second = bucket.put("k", bytes("2"), Expect::Revision(first), None).await.unwrap();
    assert!(second > first);
    assert_wrong(bucket.put("k", bytes("3"), Expect::Revision(first), None).await, Some(second));
    assert_eq!(value(&*bucket, "k").await.as_deref(), Some("2"));
}

pub(super) async fn a_wrong_revision_says_the_right_one(bench: Bench) {
    let bucket = bench.bucket().await;
    assert_wrong(bucket.put("k", bytes(""), Expect::Revision(Revision(1)), None).await, None);
    let other = put(&*bucket, "other", "").await;
    let current = put(&*bucket, "k", "").await;
    assert_wrong(bucket.put("k", bytes(""), Expect::Revision(other), None).await, Some(current));
}

pub(super) async fn many_writers_of_one_revision_one_wins(bench: Bench) {
    let bucket: Arc<dyn Bucket> = bench.bucket().await.into();
    let mut expected = Expect::Absent;
    for _ in 0..10 {
        let mut writers = JoinSet::new();
        for writer in 0..10 {
            let bucket = Arc::clone(&bucket);
            writers.spawn(async move { bucket.put("k", bytes(&writer.to_string()), expected, None).await });
        }
        let won: Vec<Revision> = writers.join_all().await.into_iter().flatten().collect();
        assert_eq!(won.len(), 1);
        assert_eq!(bucket.get("k").await.unwrap().unwrap().revision, won[0]);
        expected = Expect::Revision(won[0]);
    }
}

pub(super) async fn a_removed_key_is_gone(bench: Bench) {
    let bucket = bench.bucket().await;
    put(&*bucket, "k", "").await;
    bucket.delete("k", Expect::Any).await.unwrap();
    assert_eq!(bucket.get("k").await, Ok(None));
    assert_eq!(bucket.keys("").await, Ok(vec![]));
}

pub(super) async fn removing_a_missing_key_is_no_error(bench: Bench) {
    let bucket = bench.bucket().await;
    bucket.delete("k", Expect::Any).await.unwrap();
    put(&*bucket, "k", "").await;
    bucket.delete("k", Expect::Any).await.unwrap();
    bucket.delete("k", Expect::Any).await.unwrap();
}

pub(super) async fn removing_needs_the_expected_revision(bench: Bench) {
    let bucket = bench.bucket().await;
    let old = put(&*bucket, "k", "1").await;
    let new = put(&*bucket, "k", "2").await;
    let refused = bucket.delete("k", Expect::Revision(old)).await;
    assert!(matches!(refused, Err(StreamError::WrongRevision { current, .. }) if current == Some(new)));
    assert_eq!(value(&*bucket, "k").await.as_deref(), Some("2"));
    bucket.delete("k", Expect::Revision(new)).await.unwrap();
    let refused = bucket.delete("k", Expect::Revision(new)).await;
    assert!(matches!(refused, Err(StreamError::WrongRevision { current: None, .. })));
}

pub(super) async fn a_removed_key_can_be_made_again_with_a_higher_revision(bench: Bench) {
    let bucket = bench.bucket().await;
    let mut last = Revision(0);
    for _ in 0..5 {
        let revision = bucket.put("k", bytes(""), Expect::Absent, None).await.unwrap();
        assert!(revision > last);
        last = revision;
        bucket.delete("k", Expect::Revision(revision)).await.unwrap();
    }
}

pub(super) async fn keys_are_listed_by_prefix(bench: Bench) {
    let bucket = bench.bucket().await;
    for key in ["b.2", "a.2", "b", "a.1", "ab", "b.1"] {
        put(&*bucket, key, "").await;
    }
    bucket.delete("a.2", Expect::Any).await.unwrap();
    assert_eq!(bucket.keys("").await.unwrap(), ["a.1", "ab", "b", "b.1", "b.2"]);
    assert_eq!(bucket.keys("a.").await.unwrap(), ["a.1"]);
    assert_eq!(bucket.keys("b.1").await.unwrap(), ["b.1"]);
    assert_eq!(bucket.keys("c").await, Ok(vec![]));
}

pub(super) async fn entries_expire(bench: Bench) {
    let bucket = bench.bucket_with(Some(bench.short)).await;
    put(&*bucket, "k", "").await;
    bench.let_pass(bench.short * 2).await;
    assert_eq!(bucket.get("k").await, Ok(None));
    assert_eq!(bucket.keys("").await, Ok(vec![]));
}

pub(super) async fn a_time_to_live_of_its_own_wins(bench: Bench) {
    let bucket = bench.bucket_with(Some(LONG)).await;
    bucket.put("short", bytes(""), Expect::Any, Some(bench.short)).await.unwrap();
    put(&*bucket, "long", "").await;
    bench.let_pass(bench.short * 2).await;
    assert_eq!(bucket.keys("").await.unwrap(), ["long"]);
}

pub(super) async fn writing_begins_the_time_to_live_anew(bench: Bench) {
    let ttl = bench.short * 15;
    let bucket = bench.bucket_with(Some(ttl)).await;
    let mut revision = put(&*bucket, "k", "").await;
    for _ in 0..2 {
        bench.let_pass(bench.short * 9).await;
        revision = bucket.put("k", bytes(""), Expect::Revision(revision), None).await.unwrap();
    }
    assert_eq!(bucket.get("k").await.unwrap().unwrap().revision, revision);
}

pub(super) async fn an_expired_key_is_absent(bench: Bench) {
    let bucket = bench.bucket_with(Some(bench.short)).await;
    let old = put(&*bucket, "k", "").await;
    bench.let_pass(bench.short * 2).await;
    assert_wrong(bucket.put("k", bytes(""), Expect::Revision(old), None).await, None);
    let new = bucket.put("k", bytes(""), Expect::Absent, None).await.unwrap();
    assert!(new > old);
}

pub(super) async fn buckets_are_separate(bench: Bench) {
    let one = bench.bucket().await;
    let other = bench.streams.bucket(bucket_config("B-2", None)).await.unwrap();
    put(&*one, "k", "one").await;
    assert_eq!(other.get("k").await, Ok(None));
    put(&*other, "k", "other").await;
    assert_eq!(value(&*one, "k").await.as_deref(), Some("one"));
}

pub(super) async fn opened_twice_it_is_the_same(bench: Bench) {
    let (one, other) = (bench.bucket().await, bench.bucket_with(Some(LONG)).await);
    put(&*one, "k", "1").await;
    assert_eq!(value(&*other, "k").await.as_deref(), Some("1"));
}

pub(super) async fn another_storage_is_a_conflict(bench: Bench) {
    bench.bucket().await;
    let other = BucketConfig { storage: Storage::Memory, ..bucket_config("b", None) };
    assert_conflict(bench.streams.bucket(other).await, "storage");
}

pub(super) async fn bad_names_and_keys_are_refused(bench: Bench) {
    for name in ["", "a.b", "a b", "\u{c4}", &"a".repeat(65)] {
        assert_invalid(bench.streams.bucket(bucket_config(name, None)).await);
    }
    let bucket = bench.bucket().await;
    for key in ["", "a b", "a*", "a>", "\u{e9}", &"a".repeat(257)] {
        assert_invalid(bucket.put(key, bytes(""), Expect::Any, None).await);
        assert_invalid(bucket.get(key).await);
        assert_invalid(bucket.delete(key, Expect::Any).await);
    }
    put(&*bucket, &"a".repeat(256), "").await;
}

pub(super) async fn a_value_too_large_is_refused(bench: Bench) {
    let bucket = bench.bucket().await;
    let value = |len| Bytes::from(vec![7; len]);
    assert_invalid(bucket.put("k", value(FRAME_MAX + 1), Expect::Any, None).await);
    bucket.put("k", value(FRAME_MAX), Expect::Absent, None).await.unwrap();
}

pub(super) async fn no_time_to_live_is_refused(bench: Bench) {
    assert_invalid(bench.streams.bucket(bucket_config("b", Some(NOW))).await);
    let bucket = bench.bucket().await;
    assert_invalid(bucket.put("k", bytes(""), Expect::Any, Some(NOW)).await);
}
