//! What streams and buckets keep, as documents: envelopes, events, task records, dead letters, and bytes that are none.

use connectome::codecs::message::{Body, Task};
use connectome::codecs::{ContentType, Envelope, Event, Fact, Kind, TaskRecord, TaskStep};
use connectome::{Buried, Bytes};

use crate::doc::{Doc, Table};
use crate::opened::Opened;
use crate::tree;

/// A body by its media type; what does not keep to it is shown as the bytes that it is.
pub(crate) fn body(content_type: &ContentType, bytes: &Bytes) -> Doc {
    let read = match content_type {
        _ if bytes.is_empty() => Some(Doc::Nothing),
        ContentType::MessagePack => tree::read(bytes).ok().map(Doc::Tree),
        ContentType::Text => std::str::from_utf8(bytes).ok().map(Doc::text),
        ContentType::Json => serde_json::from_slice(bytes).ok().map(Doc::Tree),
        ContentType::Octets | ContentType::Sealed | ContentType::Other(_) => None,
    };
    read.unwrap_or_else(|| Doc::Octets(bytes.clone()))
}

pub(crate) fn envelope(envelope: &Envelope) -> Doc {
    Doc::Record(vec![
        ("version", Doc::Number(envelope.version.into())),
        ("id", Doc::text(envelope.id)),
        ("kind", Doc::text(envelope.kind)),
        ("name", Doc::maybe(envelope.name.as_ref())),
        ("from", Doc::maybe(envelope.from.as_ref())),
        ("to", Doc::text(&envelope.to)),
        ("correlation", Doc::maybe(envelope.correlation)),
        ("reply_to", Doc::maybe(envelope.reply_to)),
        ("sent", Doc::Moment(envelope.sent)),
        ("expires", Doc::moment(envelope.expires)),
        ("trace", Doc::maybe(envelope.trace.as_ref())),
        ("attempt", Doc::Number(envelope.attempt.0.into())),
        ("idempotency_key", Doc::maybe(envelope.idempotency_key.as_ref())),
        ("content_type", Doc::text(&envelope.content_type)),
        ("encoding", Doc::text(envelope.encoding)),
        ("call_chain", some_list(&envelope.call_chain)),
        ("unknown_fields", unknown(envelope)),
        ("body_bytes", Doc::Number(envelope.body.len() as u64)),
        ("body", envelope_body(envelope)),
    ])
}

fn some_list(words: &[impl ToString]) -> Doc {
    if words.is_empty() { Doc::Nothing } else { Doc::list(words.iter().map(ToString::to_string)) }
}

fn unknown(envelope: &Envelope) -> Doc {
    if envelope.unknown.is_empty() {
        return Doc::Nothing;
    }
    let rows = envelope.unknown.iter().map(|(key, value)| {
        vec![
            Doc::Number(key),
            tree::read(value).map_or(Doc::Octets(Bytes::copy_from_slice(value)), Doc::Tree),
        ]
    });
    Doc::Table(Table { columns: &["key", "value"], shown: 2, rows: rows.collect(), empty: "" })
}

fn envelope_body(envelope: &Envelope) -> Doc {
    let Ok(plain) = envelope.plain_body() else {
        return Doc::Octets(envelope.body.clone());
    };
    match (envelope.kind, Task::decode(&plain)) {
        (Kind::Task, Ok(task)) => submitted(&task),
        (_, Ok(_) | Err(_)) => body(&envelope.content_type, &plain),
    }
}

fn submitted(task: &Task) -> Doc {
    Doc::Record(vec![
        ("id", Doc::text(task.id)),
        ("capability", Doc::text(&task.capability)),
        ("deadline", Doc::moment(task.deadline)),
        ("attempts_max", Doc::Number(task.attempts_max.into())),
        ("idempotency_key", Doc::maybe(task.idempotency_key.as_ref())),
        ("content_type", Doc::text(&task.content_type)),
        ("input", body(&task.content_type, &task.input)),
    ])
}

pub(crate) fn event(event: &Event) -> Doc {
    Doc::Record(vec![
        ("id", Doc::text(event.id)),
        ("at", Doc::Moment(event.at)),
        ("type", Doc::text(event.fact.event_type())),
        ("source", Doc::text(&event.source)),
        ("correlation", Doc::maybe(event.correlation)),
        ("fact", fact(&event.fact)),
    ])
}

/// What happened, without its type.
pub(crate) fn fact(fact: &Fact) -> Doc {
    match fact {
        Fact::AgentRegistered(fact) => Doc::tree(fact),
        Fact::AgentUnregistered(fact) => Doc::tree(fact),
        Fact::AgentStatusUpdated(fact) => Doc::tree(fact),
        Fact::TaskCreated(fact) => Doc::tree(fact),
        Fact::TaskAssigned(fact) => Doc::tree(fact),
        Fact::TaskCompleted(fact) => Doc::tree(fact),
        Fact::TaskFailed(fact) => Doc::tree(fact),
        Fact::MessageReceived(fact) => Doc::tree(fact),
        Fact::SystemReady(fact) => Doc::tree(fact),
        Fact::SystemShutdown(fact) => Doc::tree(fact),
        Fact::ErrorOccurred(fact) => Doc::tree(fact),
        Fact::ResourceLow(fact) => Doc::tree(fact),
        Fact::Unknown { body: bytes, .. } => body(&ContentType::MessagePack, bytes),
    }
}

pub(crate) fn task(opened: &Opened<TaskRecord>) -> Doc {
    let record = &opened.it;
    let result = record.result.as_ref().map(|result| body(&ContentType::MessagePack, result));
    Doc::Record(vec![
        ("id", Doc::text(record.id)),
        ("capability", Doc::text(&record.capability)),
        ("state", Doc::text(&record.state)),
        ("attempt", Doc::Number(record.attempt.0.into())),
        ("attempts_max", Doc::Number(record.attempts_max.into())),
        ("term", Doc::Number(record.term.0)),
        ("worker", Doc::maybe(record.worker.as_ref())),
        ("owner", Doc::maybe(record.owner)),
        ("submitted", Doc::Moment(record.submitted)),
        ("updated", Doc::Moment(record.updated)),
        ("lease_until", Doc::moment(record.lease_until)),
        ("deadline", Doc::moment(record.deadline)),
        ("idempotency_key", Doc::maybe(record.idempotency_key.as_ref())),
        ("content_type", Doc::text(&record.content_type)),
        ("input", body(&record.content_type, &record.input)),
        ("result", result.unwrap_or(Doc::Nothing)),
        ("error", record.error.as_ref().map_or(Doc::Nothing, Doc::tree)),
        ("history", history(&record.history)),
        ("sealed", Doc::maybe(opened.why.as_ref())),
    ])
}

fn history(steps: &[TaskStep]) -> Doc {
    let rows = steps.iter().map(|step| {
        let note = if step.note.is_empty() { Doc::Nothing } else { Doc::text(&step.note) };
        vec![Doc::Moment(step.at), Doc::text(&step.state), Doc::Number(step.term.0), note]
    });
    Doc::Table(Table {
        columns: &["at", "state", "term", "note"],
        shown: 4,
        rows: rows.collect(),
        empty: "none",
    })
}

/// A message of any stream: whichever of our forms it has, under the name of that form.
pub(crate) fn anything(bytes: &Bytes) -> Doc {
    if let Ok(read) = Envelope::decode(bytes.clone()) {
        return Doc::Record(vec![("envelope", envelope(&read))]);
    }
    if let Ok(read) = Event::decode(bytes) {
        return Doc::Record(vec![("event", event(&read))]);
    }
    match Buried::decode(bytes) {
        Ok(letter) => Doc::Record(vec![(
            "dead_letter",
            dead_letter(&letter, record_of(&letter), payload_of(&letter), None),
        )]),
        Err(_) => Doc::Octets(bytes.clone()),
    }
}

/// The same in a line.
pub(crate) fn summary(bytes: &Bytes) -> Doc {
    if let Ok(read) = Envelope::decode(bytes.clone()) {
        let name = read.name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
        return Doc::Text(format!("{}{name} to {}, {} bytes", read.kind, read.to, read.body.len()));
    }
    if let Ok(read) = Event::decode(bytes) {
        return Doc::Text(format!("{} of {}", read.fact.event_type(), read.source));
    }
    match Buried::decode(bytes) {
        Ok(letter) => Doc::Text(format!("dead after {} attempts: {}", letter.attempts, cause(&letter))),
        Err(_) => Doc::Octets(bytes.clone()),
    }
}

/// Why a letter is there: in words, or in the one that is not sealed.
pub(crate) fn cause(letter: &Buried) -> String {
    if letter.cause.is_empty() {
        format!("{} (its words are sealed)", letter.code)
    } else {
        letter.cause.clone()
    }
}

pub(crate) fn dead_letter(letter: &Buried, task: Doc, envelope: Doc, why: Option<String>) -> Doc {
    Doc::Record(vec![
        ("code", Doc::text(&letter.code)),
        ("cause", Doc::Text(cause(letter))),
        ("attempts", Doc::Number(letter.attempts.into())),
        ("stream", Doc::text(&letter.stream)),
        ("subject", Doc::text(&letter.subject)),
        ("task", task),
        ("envelope", envelope),
        ("sealed", Doc::maybe(why)),
    ])
}

fn record_of(letter: &Buried) -> Doc {
    letter.record.as_ref().map_or(Doc::Nothing, |bytes| match TaskRecord::decode(bytes) {
        Ok(it) => task(&Opened { it, why: None }),
        Err(_) => Doc::Octets(bytes.clone()),
    })
}

fn payload_of(letter: &Buried) -> Doc {
    Envelope::decode(letter.payload.clone())
        .map_or_else(|_| Doc::Octets(letter.payload.clone()), |read| envelope(&read))
}
