//! The core held against a naive model: random operations, time, commits, crashes.
//!
//! The model is lists that are searched from the front, so that it is obviously right. A crash keeps what was
//! committed and a random part of what was on its way, in order; the model goes back to the same point.

mod naive;
mod op;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use connectome_actors::port::*;
use connectome_codecs::{MessageId, UnixMillis};
use proptest::prelude::*;

use super::effects::{Appended, Effects};
use super::record::{ConsumerNumber, Place, Record, Write};
use super::{Core, Lookup, Now};
use crate::streams::embedded::disk::codec;
use crate::streams::subject::Filter;
use naive::{Model, Rules};
use op::{Guess, Op, op, rules};

const SUBJECTS: [&str; 3] = ["s.a", "s.b", "t"];
const KEYS: [&str; 3] = ["a", "b", "c"];

proptest! {
    #[test]
    fn the_core_does_what_the_naive_model_does(rules in rules(), ops in proptest::collection::vec(op(), 1..80)) {
        let mut trial = Trial::new(rules);
        for op in ops {
            trial.step(op);
        }
    }
}

/// The core, its disk and the model, side by side.
struct Trial {
    rules: Rules,
    core: Core,
    model: Model,
    committed: Model,
    rows: Rows,
    /// What was written but not committed, and the model right after each.
    on_the_way: Vec<(Vec<Write>, Vec<Appended>, Model)>,
    wall: u64,
    opened: u64,
}

/// What the disk has, as bytes.
#[derive(Default)]
struct Rows {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    bodies: BTreeMap<[u8; 12], Bytes>,
}

const PLACE: Place = Place(1);
const CONSUMER: ConsumerNumber = ConsumerNumber(0);
const BUCKET: Place = Place(2);

impl Trial {
    fn new(rules: Rules) -> Self {
        let mut trial = Self {
            core: Core::new(rules.on_disk),
            model: Model::new(rules.clone()),
            committed: Model::new(rules.clone()),
            rules,
            rows: Rows::default(),
            on_the_way: Vec::new(),
            wall: 1_000,
            opened: 1_000,
        };
        trial.apply(|core, now, effects, rules| {
            core.create_stream(rules.stream(), now, effects).unwrap();
            let bell = core.new_bell();
            let (place, stream) = core.stream("S").unwrap();
            let (number, _) = stream.open_consumer(rules.consumer(), bell, effects).unwrap();
            assert_eq!((place, number), (PLACE, CONSUMER));
            let bucket = BucketConfig { name: "b".into(), ttl: None, storage: Storage::File };
            assert_eq!(core.open_bucket(bucket, effects).unwrap(), BUCKET);
        });
        trial.commit();
        trial
    }

    fn step(&mut self, op: Op) {
        self.model.pass_to(self.wall);
        match op {
            Op::Publish { subject, id, size } => self.publish(subject, id, size),
            Op::Delete { sequence } => {
                self.model.remove(sequence);
                self.apply(|core, _, effects, _| core.stream_at(PLACE).remove(sequence, effects));
            }
            Op::Take { max } => self.take(max),
            Op::Ack { nth } => {
                let Some(sequence) = self.model.nth_pending(nth) else {
                    return;
                };
                self.model.settle(sequence);
                self.apply(|core, _, effects, _| core.stream_at(PLACE).settle(CONSUMER, sequence, effects));
            }
            Op::Nak { nth, delay_ms } => {
                let Some(sequence) = self.model.nth_pending(nth) else {
                    return;
                };
                self.model.refuse(sequence, delay_ms);
                let delay = Duration::from_millis(delay_ms);
                self.apply(|core, now, fx, _| {
                    core.stream_at(PLACE).refuse(CONSUMER, sequence, delay, now, fx)
                });
            }
            Op::Extend { nth } => {
                let Some(sequence) = self.model.nth_pending(nth) else {
                    return;
                };
                self.model.extend(sequence);
                self.apply(|core, now, fx, _| core.stream_at(PLACE).extend(CONSUMER, sequence, now, fx));
            }
            Op::Exhausted => {
                let expected = self.model.tell_exhausted();
                let told = self.apply(|core, now, fx, _| {
                    core.stream_at(PLACE).tell_exhausted(CONSUMER, now, fx).unwrap()
                });
                assert_eq!(told.iter().map(|seen| seen.sequence).collect::<Vec<_>>(), expected);
            }
            Op::Put { key, expect, ttl_ms } => self.put(KEYS[key], expect, ttl_ms),
            Op::Remove { key, expect } => {
                let expect = self.expect(KEYS[key], expect);
                let expected = self.model.remove_key(KEYS[key], expect);
                let removed =
                    self.apply(|core, now, fx, _| core.bucket_at(BUCKET).delete(KEYS[key], expect, now, fx));
                assert_eq!(removed.is_ok(), expected, "{removed:?}");
            }
            Op::Pass { ms } => self.wall += ms,
            Op::Commit => self.commit(),
            Op::Crash { kept } if self.rules.on_disk => self.crash(kept),
            Op::Crash { .. } => {}
        }
        self.model.pass_to(self.wall);
        self.compare();
    }

    fn publish(&mut self, subject: usize, id: Option<u8>, size: usize) {
        let id = id.map(|id| MessageId::from_parts(UnixMillis(1), u128::from(id)));
        let body = Bytes::from(vec![7; size]);
        let message = Publish { subject: SUBJECTS[subject].into(), id, body };
        let expected = self.model.publish(&message);
        let published = self.apply(|core, now, fx, _| core.stream_at(PLACE).publish(message, now, fx));
        let published = published.ok().map(|published| (published.sequence.0, published.duplicate));
        assert_eq!(published, expected);
    }

    fn take(&mut self, max: usize) {
        let expected = self.model.take(max);
        let taken =
            self.apply(|core, now, fx, _| core.stream_at(PLACE).take(CONSUMER, max, now, fx).unwrap());
        let taken: Vec<(u64, u32)> = taken.handed.iter().map(|h| (h.seen.sequence, h.attempt)).collect();
        assert_eq!(taken, expected);
    }

    fn put(&mut self, key: &str, expect: Guess, ttl_ms: Option<u64>) {
        let expect = self.expect(key, expect);
        let expected = self.model.put(key, expect, ttl_ms);
        let ttl = ttl_ms.map(Duration::from_millis);
        let put = self
            .apply(|core, now, fx, _| core.bucket_at(BUCKET).put(key, Bytes::new(), expect, ttl, now, fx));
        assert_eq!(put.ok(), expected);
    }

    fn expect(&self, key: &str, guess: Guess) -> Expect {
        let current = self.model.revision(key);
        match guess {
            Guess::Any => Expect::Any,
            Guess::Absent => Expect::Absent,
            Guess::Present => current.map_or(Expect::Any, Expect::Revision),
            Guess::Wrong => Expect::Revision(current.unwrap_or_default().next()),
        }
    }

    /// Runs an operation of the core, and queues what it writes.
    fn apply<T>(&mut self, operation: impl FnOnce(&mut Core, Now, &mut Effects, &Rules) -> T) -> T {
        let mut effects = Effects::default();
        let now = self.now();
        let answer = operation(&mut self.core, now, &mut effects, &self.rules);
        self.core.hold(&effects);
        if !effects.writes.is_empty() {
            assert!(self.rules.on_disk, "a place in memory writes nothing");
            self.on_the_way.push((effects.writes, effects.appended, self.model.clone()));
        }
        answer
    }

    fn commit(&mut self) {
        for (writes, appended, _) in std::mem::take(&mut self.on_the_way) {
            self.rows.write(writes);
            for appended in appended {
                self.core.show(appended.place, appended.number, &mut Effects::default());
            }
        }
        self.model.commit();
        self.committed = self.model.clone();
    }

    /// Loses all but the first `kept` of what is on its way, and begins again from the disk.
    fn crash(&mut self, kept: usize) {
        let mut on_the_way = std::mem::take(&mut self.on_the_way);
        on_the_way.truncate(kept);
        self.model = self.committed.clone();
        for (writes, _, model) in on_the_way {
            self.rows.write(writes);
            self.model = model;
        }
        self.committed = self.model.clone();
        self.model.restart(self.wall);
        self.opened = self.wall;
        self.core = Core::new(true);
        for (key, value) in &self.rows.records {
            let record = codec::decode(key, value).unwrap();
            self.core.restore(record, Now { wall: UnixMillis(self.wall), tick: 0 }).unwrap();
        }
        self.core.restored();
    }

    fn now(&self) -> Now {
        Now { wall: UnixMillis(self.wall), tick: self.wall - self.opened }
    }

    /// Everything that can be seen is the same, and nothing else is kept.
    fn compare(&mut self) {
        self.compare_bucket();
        self.compare_stream();
        if self.rules.on_disk && self.on_the_way.is_empty() {
            let bodies = self.model.visible().len() + self.model.keys();
            assert_eq!(self.rows.bodies.len(), bodies, "no body is left behind");
            assert_eq!(self.rows.remembered(), self.model.ids_without_message(), "no id is left behind");
        }
    }

    fn compare_stream(&mut self) {
        let all = Filter::parse(">").unwrap();
        let (info, seen) = self.apply(|core, now, fx, _| {
            let stream = core.stream_at(PLACE);
            stream.expire(now, fx);
            (stream.info(now, fx), stream.read(&all, 1, 1_000))
        });
        let seen: Vec<u64> = seen.iter().map(|seen| seen.sequence).collect();
        assert_eq!(seen, self.model.visible());
        assert_eq!((info.messages, info.bytes, info.last.0), self.model.totals());
        let consumer = &info.consumers[0];
        let standing = (consumer.waiting, consumer.in_flight, consumer.exhausted);
        assert_eq!(standing, self.model.standing());
        for subject in SUBJECTS {
            let count = self.core.stream_at(PLACE).count(subject);
            assert_eq!(count, self.model.count(subject));
        }
    }

    fn compare_bucket(&mut self) {
        for key in KEYS {
            let expected = self.model.revision(key).map(|revision| revision.0);
            match self.apply(|core, now, fx, _| core.bucket_at(BUCKET).get(key, now, fx).unwrap()) {
                Lookup::Found(found) => assert_eq!(Some(found.head.revision), expected),
                Lookup::Absent => assert_eq!(None, expected),
                Lookup::InFlight => assert!(!self.on_the_way.is_empty()),
            }
        }
    }
}

impl Rows {
    fn write(&mut self, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::Put(record) => {
                    drop(self.records.insert(codec::key_of(&record), codec::value_of(&record)))
                }
                Write::Remove(key) => drop(self.records.remove(&codec::key(&key))),
                Write::PutBody(place, number, body) => {
                    let before = self.bodies.insert(codec::body_key(place, number), body);
                    assert_eq!(before, None, "a number is given once");
                }
                Write::RemoveBody(place, number) => {
                    let before = self.bodies.remove(&codec::body_key(place, number));
                    assert!(before.is_some(), "a body is removed once");
                }
            }
        }
    }

    fn remembered(&self) -> usize {
        let records = self.records.iter().map(|(key, value)| codec::decode(key, value).unwrap());
        records.filter(|record| matches!(record, Record::Remembered(..))).count()
    }
}
