//! What a store keeps sealed, as its owner reads it; and where it can't be opened, why.

use connectome::codecs::message::{Body, Task};
use connectome::codecs::{ContentType, Envelope, Kind, MessageId, Sequence, TaskRecord};
use connectome::{Buried, DEAD_LETTERS, TASK_ROUTING};

use crate::failure::Failure;
use crate::store::{Flow, Store};

/// Something, and why not all of it could be opened.
pub(crate) struct Opened<T> {
    pub(crate) it: T,
    pub(crate) why: Option<String>,
}

impl<T> Opened<T> {
    fn of(sealed: T, opened: Result<T, String>) -> Opened<T> {
        match opened {
            Ok(it) => Opened { it, why: None },
            Err(why) => Opened { it: sealed, why: Some(why) },
        }
    }
}

pub(crate) fn letter(store: &Store, letter: Buried) -> Opened<Buried> {
    if letter.sealed.is_none() {
        return Opened { it: letter, why: None };
    }
    let seals = store.seals().map_err(|error| error.to_string());
    let opened = seals.and_then(|seals| seals.open_letter(letter.clone()).map_err(|error| error.to_string()));
    Opened::of(letter, opened)
}

pub(crate) fn record(store: &Store, record: TaskRecord) -> Opened<TaskRecord> {
    if record.sealed.is_none() {
        return Opened { it: record, why: None };
    }
    let seals = store.seals().map_err(|error| error.to_string());
    let opened = seals.and_then(|seals| seals.open_record(record.clone()).map_err(|error| error.to_string()));
    Opened::of(record, opened)
}

/// An envelope with the input of its task, if it is one.
pub(crate) async fn envelope(store: &Store, envelope: Envelope) -> Opened<Envelope> {
    let Some(task) = sealed_task(&envelope) else { return Opened { it: envelope, why: None } };
    let opened = match open_task(store, &envelope, task).await {
        Ok(task) => {
            let body = task.encode().map_err(|error| error.to_string());
            body.map(|body| {
                let mut opened = envelope.clone();
                opened.body = body;
                opened
            })
        }
        Err(why) => Err(why),
    };
    Opened::of(envelope, opened)
}

/// The same task with its input in the open.
pub(crate) async fn open_task(store: &Store, envelope: &Envelope, task: Task) -> Result<Task, String> {
    let seals = store.seals().map_err(|error| error.to_string())?;
    let input = seals.show_task(envelope, &task).await?;
    Ok(Task { content_type: input.content_type, input: input.body, ..task })
}

fn sealed_task(envelope: &Envelope) -> Option<Task> {
    if envelope.kind != Kind::Task {
        return None;
    }
    let task = Task::decode(&envelope.plain_body().ok()?).ok()?;
    (task.content_type == ContentType::Sealed).then_some(task)
}

/// A record with its input, which is bound to the envelope that it came in: in the queue, or among the dead letters.
pub(crate) async fn whole_record(store: &Store, sealed: TaskRecord) -> Result<Opened<TaskRecord>, Failure> {
    let mut opened = record(store, sealed);
    if opened.it.content_type != ContentType::Sealed || opened.it.input.is_empty() {
        return Ok(opened);
    }
    let input = match find(store, &opened.it).await? {
        Some((envelope, task)) => open_task(store, &envelope, task).await,
        None => Err("its input can't be opened: the envelope that it came in is gone".to_owned()),
    };
    match input {
        Ok(task) => (opened.it.content_type, opened.it.input) = (task.content_type, task.input),
        Err(why) => opened.why = opened.why.or(Some(why)),
    }
    Ok(opened)
}

async fn find(store: &Store, record: &TaskRecord) -> Result<Option<(Envelope, Task)>, Failure> {
    let (id, ending) = (MessageId::from_bytes(record.id.to_bytes()), format!(".task.{}", record.id));
    let mut found = None;
    for stream in [TASK_ROUTING, DEAD_LETTERS] {
        store
            .scan(stream, Sequence(1), |stored| {
                let bytes = match stream {
                    TASK_ROUTING if stored.id == Some(id) => Some(stored.body),
                    DEAD_LETTERS if stored.subject.ends_with(&ending) => {
                        Buried::decode(&stored.body).ok().map(|letter| letter.payload)
                    }
                    _ => None,
                };
                let envelope = bytes.and_then(|bytes| Envelope::decode(bytes).ok());
                found = envelope.and_then(|envelope| sealed_task(&envelope).map(|task| (envelope, task)));
                if found.is_some() { Flow::Enough } else { Flow::More }
            })
            .await?;
        if found.is_some() {
            break;
        }
    }
    Ok(found)
}
