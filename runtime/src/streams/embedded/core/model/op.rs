//! What may happen in one random history, and how the stream is configured in it.

use proptest::prelude::*;

use super::naive::Rules;
use crate::streams::subject::Filter;

/// What may happen.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Publish { subject: usize, id: Option<u8>, size: usize },
    Delete { sequence: u64 },
    Take { max: usize },
    Ack { nth: usize },
    Nak { nth: usize, delay_ms: u64 },
    Extend { nth: usize },
    Exhausted,
    Put { key: usize, expect: Guess, ttl_ms: Option<u64> },
    Remove { key: usize, expect: Guess },
    Pass { ms: u64 },
    Commit,
    Crash { kept: usize },
}

/// A condition, before it is known what is there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Guess {
    Any,
    Absent,
    Present,
    Wrong,
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let guess = prop_oneof![Just(Guess::Any), Just(Guess::Absent), Just(Guess::Present), Just(Guess::Wrong)];
    prop_oneof![
        8 => (0..3_usize, proptest::option::of(0..6_u8), 0..40_usize)
            .prop_map(|(subject, id, size)| Op::Publish { subject, id, size }),
        1 => (0..30_u64).prop_map(|sequence| Op::Delete { sequence }),
        5 => (0..4_usize).prop_map(|max| Op::Take { max }),
        3 => (0..6_usize).prop_map(|nth| Op::Ack { nth }),
        3 => (0..6_usize, 0..30_u64).prop_map(|(nth, delay_ms)| Op::Nak { nth, delay_ms }),
        1 => (0..6_usize).prop_map(|nth| Op::Extend { nth }),
        1 => Just(Op::Exhausted),
        3 => (0..3_usize, guess.clone(), proptest::option::of(1..40_u64))
            .prop_map(|(key, expect, ttl_ms)| Op::Put { key, expect, ttl_ms }),
        1 => (0..3_usize, guess).prop_map(|(key, expect)| Op::Remove { key, expect }),
        4 => (1..30_u64).prop_map(|ms| Op::Pass { ms }),
        4 => Just(Op::Commit),
        1 => (0..8_usize).prop_map(|kept| Op::Crash { kept }),
    ]
}

pub(super) fn rules() -> impl Strategy<Value = Rules> {
    let bounds =
        (proptest::option::of(1..8_u64), proptest::option::of(40..200_u64), proptest::option::of(20..90_u64));
    let delivery = (proptest::option::of(1..4_u32), 1..5_usize, any::<bool>());
    (bounds, delivery, any::<bool>(), any::<bool>(), prop_oneof![Just("s.a"), Just("*.a"), Just(">")])
        .prop_map(
            |(
                (max_messages, max_bytes, max_age_ms),
                (max_deliver, max_pending, is_queue),
                refuses,
                on_disk,
                filter,
            )| Rules {
                max_messages,
                max_bytes,
                max_age_ms,
                max_deliver,
                max_pending,
                is_queue,
                refuses,
                on_disk,
                filter: Filter::parse(filter).unwrap(),
            },
        )
}
