//! Records as bytes: keys that sort by kind, place and number; values that are read back whole or not at all.
//!
//! A key is a letter for the kind, the place, and what names the record within it; numbers are big-endian, so rows of
//! one kind and place lie together and in order. Configurations sort before what belongs to them. A value holds its
//! fields in order, numbers little-endian, texts with their length. The format's version is the directory's: see
//! `marker`.

mod reader;
#[cfg(test)]
mod vectors;
mod writer;

use std::sync::Arc;

use connectome_actors::port::{
    BucketConfig, ConsumerConfig, Discard, Retention, Start, Storage, StreamConfig,
};
use connectome_codecs::{MessageId, Sequence, UnixMillis};

use crate::streams::embedded::core::record::{
    ConsumerNumber, EntryHead, Key, MessageHead, PendingRecord, PendingState, Place, Record,
};
use reader::Reader;
use writer::Writer;

const STREAM: u8 = 1;
const BUCKET: u8 = 2;
const LAST: u8 = 3;
const MESSAGE: u8 = 4;
const REMEMBERED: u8 = 5;
const CONSUMER: u8 = 6;
const CURSOR: u8 = 7;
const PENDING: u8 = 8;
const ENTRY: u8 = 9;

/// The key of a body.
pub(crate) fn body_key(place: Place, number: u64) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&place.0.to_be_bytes());
    key[4..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The key of a record as bytes.
pub(crate) fn key(key: &Key) -> Vec<u8> {
    let start = |kind: u8, place: &Place| Writer::key(kind, place.0);
    match key {
        Key::Stream(place) => start(STREAM, place).done(),
        Key::Bucket(place) => start(BUCKET, place).done(),
        Key::Last(place) => start(LAST, place).done(),
        Key::Message(place, sequence) => start(MESSAGE, place).ordered(*sequence).done(),
        Key::Remembered(place, id) => start(REMEMBERED, place).raw(&id.to_bytes()).done(),
        Key::Consumer(place, number) => start(CONSUMER, place).raw(&number.0.to_be_bytes()).done(),
        Key::Cursor(place, number) => start(CURSOR, place).raw(&number.0.to_be_bytes()).done(),
        Key::Pending(place, number, sequence) => {
            start(PENDING, place).raw(&number.0.to_be_bytes()).ordered(*sequence).done()
        }
        Key::Entry(place, key) => start(ENTRY, place).raw(key.as_bytes()).done(),
    }
}

/// The key of a whole record as bytes.
pub(crate) fn key_of(record: &Record) -> Vec<u8> {
    key(&match record {
        Record::Stream(place, _) => Key::Stream(*place),
        Record::Bucket(place, _) => Key::Bucket(*place),
        Record::Last(place, _) => Key::Last(*place),
        Record::Message(place, sequence, _) => Key::Message(*place, *sequence),
        Record::Remembered(place, id, _, _) => Key::Remembered(*place, *id),
        Record::Consumer(place, number, _) => Key::Consumer(*place, *number),
        Record::Cursor(place, number, _) => Key::Cursor(*place, *number),
        Record::Pending(place, number, sequence, _) => Key::Pending(*place, *number, *sequence),
        Record::Entry(place, key, _) => Key::Entry(*place, Arc::clone(key)),
    })
}

/// The value of a record as bytes.
pub(crate) fn value_of(record: &Record) -> Vec<u8> {
    let writer = Writer::default();
    match record {
        Record::Stream(_, config) => write_stream(writer, config),
        Record::Bucket(_, config) => write_bucket(writer, config),
        Record::Last(_, number) | Record::Cursor(_, _, number) => writer.number(*number),
        Record::Message(_, _, head) => write_message(writer, head),
        Record::Remembered(_, _, sequence, at) => writer.number(*sequence).number(at.0),
        Record::Consumer(_, _, config) => write_consumer(writer, config),
        Record::Pending(_, _, _, pending) => write_pending(writer, *pending),
        Record::Entry(_, _, head) => write_entry(writer, *head),
    }
    .done()
}

/// Reads a record back.
///
/// # Errors
/// What does not fit, in words.
pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Record, String> {
    let (mut k, mut v) = (Reader::new(key), Reader::new(value));
    let record = decode_fields(&mut k, &mut v);
    let whole = record.filter(|_| k.is_empty() && v.is_empty());
    whole.ok_or_else(|| format!("the row {} can't be read", key.escape_ascii()))
}

fn decode_fields(k: &mut Reader<'_>, v: &mut Reader<'_>) -> Option<Record> {
    let (kind, place) = (k.byte()?, Place(k.ordered_u32()?));
    Some(match kind {
        STREAM => Record::Stream(place, read_stream(v)?),
        BUCKET => Record::Bucket(place, read_bucket(v)?),
        LAST => Record::Last(place, v.number()?),
        MESSAGE => Record::Message(place, k.ordered()?, read_message(v)?),
        REMEMBERED => Record::Remembered(place, read_id(k)?, v.number()?, UnixMillis(v.number()?)),
        CONSUMER => Record::Consumer(place, ConsumerNumber(k.ordered_u32()?), read_consumer(v)?),
        CURSOR => Record::Cursor(place, ConsumerNumber(k.ordered_u32()?), v.number()?),
        PENDING => Record::Pending(place, ConsumerNumber(k.ordered_u32()?), k.ordered()?, read_pending(v)?),
        ENTRY => Record::Entry(place, Arc::from(k.rest()?), read_entry(v)?),
        _ => return None,
    })
}

fn write_stream(writer: Writer, config: &StreamConfig) -> Writer {
    let StreamConfig {
        name,
        subjects,
        retention,
        storage,
        max_age,
        max_bytes,
        max_messages,
        discard,
        duplicate_window,
    } = config;
    let retention = match retention {
        Retention::Limits => 0,
        Retention::WorkQueue => 1,
    };
    let discard = match discard {
        Discard::Old => 0,
        Discard::New => 1,
    };
    let writer = writer.text(name).list(subjects, |writer, subject| writer.text(subject));
    let writer = writer.byte(retention).byte(storage_byte(*storage)).option(*max_age, Writer::duration);
    let writer = writer.option(*max_bytes, Writer::number).option(*max_messages, Writer::number);
    writer.byte(discard).duration(*duplicate_window)
}

fn read_stream(v: &mut Reader<'_>) -> Option<StreamConfig> {
    Some(StreamConfig {
        name: v.text()?,
        subjects: v.list(Reader::text)?,
        retention: match v.byte()? {
            0 => Retention::Limits,
            1 => Retention::WorkQueue,
            _ => return None,
        },
        storage: read_storage(v)?,
        max_age: v.option(Reader::duration)?,
        max_bytes: v.option(Reader::number)?,
        max_messages: v.option(Reader::number)?,
        discard: match v.byte()? {
            0 => Discard::Old,
            1 => Discard::New,
            _ => return None,
        },
        duplicate_window: v.duration()?,
    })
}

fn write_bucket(writer: Writer, BucketConfig { name, ttl, storage }: &BucketConfig) -> Writer {
    writer.text(name).option(*ttl, Writer::duration).byte(storage_byte(*storage))
}

fn read_bucket(v: &mut Reader<'_>) -> Option<BucketConfig> {
    Some(BucketConfig { name: v.text()?, ttl: v.option(Reader::duration)?, storage: read_storage(v)? })
}

fn write_message(writer: Writer, MessageHead { subject, id, at, size }: &MessageHead) -> Writer {
    let writer = writer.text(subject).option(*id, |writer, id| writer.raw(&id.to_bytes()));
    writer.number(at.0).number(u64::from(*size))
}

fn read_message(v: &mut Reader<'_>) -> Option<MessageHead> {
    Some(MessageHead {
        subject: Arc::from(v.text()?),
        id: v.option(read_id)?,
        at: UnixMillis(v.number()?),
        size: u32::try_from(v.number()?).ok()?,
    })
}

fn write_consumer(writer: Writer, config: &ConsumerConfig) -> Writer {
    let ConsumerConfig { name, filter, start, ack_wait, max_deliver, max_ack_pending, backoff } = config;
    let writer = writer.text(name).text(filter);
    let writer = match start {
        Start::First => writer.byte(0),
        Start::New => writer.byte(1),
        Start::At(sequence) => writer.byte(2).number(sequence.0),
    };
    let writer = writer.duration(*ack_wait).option(max_deliver.map(u64::from), Writer::number);
    writer.number(*max_ack_pending as u64).list(backoff, |writer, step| writer.duration(*step))
}

fn read_consumer(v: &mut Reader<'_>) -> Option<ConsumerConfig> {
    Some(ConsumerConfig {
        name: v.text()?,
        filter: v.text()?,
        start: match v.byte()? {
            0 => Start::First,
            1 => Start::New,
            2 => Start::At(Sequence(v.number()?)),
            _ => return None,
        },
        ack_wait: v.duration()?,
        max_deliver: v.option(|v| u32::try_from(v.number()?).ok())?,
        max_ack_pending: usize::try_from(v.number()?).ok()?,
        backoff: v.list(Reader::duration)?,
    })
}

fn write_pending(writer: Writer, PendingRecord { attempt, state }: PendingRecord) -> Writer {
    let writer = writer.number(u64::from(attempt));
    match state {
        PendingState::InHand => writer.byte(0),
        PendingState::Waiting(until) => writer.byte(1).number(until.0),
        PendingState::Exhausted => writer.byte(2),
    }
}

fn read_pending(v: &mut Reader<'_>) -> Option<PendingRecord> {
    let attempt = u32::try_from(v.number()?).ok()?;
    let state = match v.byte()? {
        0 => PendingState::InHand,
        1 => PendingState::Waiting(UnixMillis(v.number()?)),
        2 => PendingState::Exhausted,
        _ => return None,
    };
    Some(PendingRecord { attempt, state })
}

fn write_entry(writer: Writer, EntryHead { revision, at, expires }: EntryHead) -> Writer {
    writer.number(revision).number(at.0).option(expires.map(|expires| expires.0), Writer::number)
}

fn read_entry(v: &mut Reader<'_>) -> Option<EntryHead> {
    Some(EntryHead {
        revision: v.number()?,
        at: UnixMillis(v.number()?),
        expires: v.option(Reader::number)?.map(UnixMillis),
    })
}

fn storage_byte(storage: Storage) -> u8 {
    match storage {
        Storage::File => 0,
        Storage::Memory => 1,
    }
}

fn read_storage(v: &mut Reader<'_>) -> Option<Storage> {
    match v.byte()? {
        0 => Some(Storage::File),
        1 => Some(Storage::Memory),
        _ => None,
    }
}

fn read_id(reader: &mut Reader<'_>) -> Option<MessageId> {
    reader.raw().map(MessageId::from_bytes)
}
