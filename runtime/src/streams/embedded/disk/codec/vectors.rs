//! The bytes of format 1, pinned: a store that was written yesterday is read tomorrow.

use std::sync::Arc;
use std::time::Duration;

use connectome_actors::port::*;
use connectome_codecs::{MessageId, Sequence, UnixMillis};
use proptest::prelude::*;

use super::super::super::core::record::*;
use super::{decode, key_of, value_of};

fn every_kind() -> Vec<Record> {
    let place = Place(0x0102_0304);
    let number = ConsumerNumber(5);
    let id = MessageId::from_bytes(*b"0123456789abcdef");
    let stream = StreamConfig {
        name: "S".into(),
        subjects: vec!["s.>".into()],
        retention: Retention::WorkQueue,
        storage: Storage::File,
        max_age: Some(Duration::new(1, 2)),
        max_bytes: None,
        max_messages: Some(3),
        discard: Discard::New,
        duplicate_window: Duration::from_secs(4),
    };
    let consumer = ConsumerConfig {
        name: "c".into(),
        filter: "s.a".into(),
        start: Start::At(Sequence(1)),
        ack_wait: Duration::from_secs(2),
        max_deliver: Some(3),
        max_ack_pending: 4,
        backoff: vec![Duration::from_secs(5)],
    };
    let head = |id| MessageHead { subject: Arc::from("s.a"), id, at: UnixMillis(6), size: 7 };
    let pending = |state| Record::Pending(place, number, 8, PendingRecord { attempt: 9, state });
    let entry = EntryHead { revision: 1, at: UnixMillis(2), expires: Some(UnixMillis(3)) };
    vec![
        Record::Stream(place, stream),
        Record::Bucket(place, BucketConfig { name: "b".into(), ttl: None, storage: Storage::File }),
        Record::Last(place, 10),
        Record::Message(place, 11, head(None)),
        Record::Message(place, 12, head(Some(id))),
        Record::Remembered(place, id, 13, UnixMillis(14)),
        Record::Consumer(place, number, consumer),
        Record::Cursor(place, number, 15),
        pending(PendingState::InHand),
        pending(PendingState::Waiting(UnixMillis(16))),
        pending(PendingState::Exhausted),
        Record::Entry(place, Arc::from("key"), entry),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_bytes_of_every_kind_are_what_they_were() {
    let rows: Vec<String> = every_kind()
        .iter()
        .map(|record| format!("{} {}", hex(&key_of(record)), hex(&value_of(record))))
        .collect();
    let expected: Vec<&str> = include_str!("vectors.txt").lines().collect();
    assert_eq!(rows, expected);
}

#[test]
fn every_kind_is_read_back_whole_or_not_at_all() {
    for record in every_kind() {
        let (key, value) = (key_of(&record), value_of(&record));
        assert_eq!(decode(&key, &value), Ok(record));
        for length in 0..value.len() {
            decode(&key, &value[..length]).unwrap_err();
        }
        decode(&key, &[&value[..], &[0]].concat()).unwrap_err();
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_without_panic(
        kind in 0..12_u8,
        key in proptest::collection::vec(any::<u8>(), 0..24),
        value in proptest::collection::vec(prop_oneof![3 => Just(0), 1 => any::<u8>()], 0..80),
    ) {
        let _ = decode(&[&[kind], &key[..]].concat(), &value);
    }

    #[test]
    fn keys_sort_like_what_they_name(a in any::<(u32, u64)>(), b in any::<(u32, u64)>()) {
        let key = |(place, sequence)| super::key(&Key::Message(Place(place), sequence));
        prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
    }
}
