//! `connectome dead replay`: the payload of a dead letter goes where it was, as a new message or a new task.
//!
//! It needs a fresh id, since the old one has been dealt with: its agent would not apply it again, its task has ended.

use connectome::codecs::message::{Body, Task};
use connectome::codecs::{
    Attempt, ContentType, Encoding, Envelope, Kind, MessageId, TaskId, TaskRecord, UnixMillis,
};
use connectome::port::{Expect, Publish, Stored, StreamError, World};
use connectome::{Buried, Bytes};

use crate::doc::Doc;
use crate::failure::Failure;
use crate::opened::{self, Opened};
use crate::store::Store;
use crate::{dead, task};

/// Sends it again, and then removes the letter unless it is to be kept.
pub(crate) async fn run(store: &Store, stored: &Stored, keep: bool) -> Result<Doc, Failure> {
    let sequence = stored.sequence;
    let unreadable = |error| Failure::new(format!("dead letter {sequence} can't be read: {error}; drop it"));
    let letter = Buried::decode(&stored.body).map_err(unreadable)?;
    let letter = match opened::letter(store, letter) {
        Opened { it: letter, why: None } => letter,
        Opened { why: Some(why), .. } => return Err(Failure::new(why)),
    };
    let again = Again::of(store, &letter).await?;
    let message = Publish { subject: letter.subject.clone(), id: Some(again.id), body: again.body };
    let published = store.streams().publish(&letter.stream, message).await?;
    if let Some(record) = &again.record {
        show_task(store, record).await?;
    }
    if !keep {
        dead::remove(store, stored).await?;
    }
    let (what, id) = match &again.record {
        Some(record) => ("task", record.id.to_string()),
        None => ("message", again.id.to_string()),
    };
    let left = if keep { "the dead letter is kept" } else { "the dead letter is removed" };
    let sentence = format!(
        "dead letter {sequence} is sent again as {what} {id}, on {} as {}; {left}",
        letter.subject, published.sequence
    );
    Ok(Doc::Said(
        sentence,
        vec![
            ("replayed", Doc::Number(sequence.0)),
            ("kind", Doc::text(what)),
            ("id", Doc::Text(id)),
            ("stream", Doc::Text(letter.stream)),
            ("subject", Doc::Text(letter.subject)),
            ("sequence", Doc::Number(published.sequence.0)),
            ("kept", Doc::Truth(keep)),
        ],
    ))
}

/// The same payload under a fresh id.
#[derive(Debug)]
struct Again {
    id: MessageId,
    body: Bytes,
    /// The record that a task begins with.
    record: Option<TaskRecord>,
}

impl Again {
    async fn of(store: &Store, letter: &Buried) -> Result<Again, Failure> {
        let world = &*store.world;
        let mut envelope = Envelope::decode(letter.payload.clone()).map_err(|error| {
            Failure::new(format!("its payload is no envelope, so nobody could handle it: {error}; drop it"))
        })?;
        let now = world.now();
        refuse_late("message", envelope.expires, now)?;
        let record = match envelope.kind {
            Kind::Task => {
                envelope.attempt = Attempt::FIRST;
                Some(renew_task(store, &mut envelope, now, world.random()).await?)
            }
            Kind::Text
            | Kind::Response
            | Kind::Status
            | Kind::Error
            | Kind::Discovery
            | Kind::Heartbeat
            | Kind::Typed
            | Kind::Control
            | Kind::Unknown(_) => {
                envelope.id = MessageId::from_parts(now, world.random());
                envelope.sent = now;
                envelope.attempt = Attempt::FIRST;
                envelope = store.seal_mail(envelope).await?;
                None
            }
        };
        let body = envelope.encode().map_err(|error| Failure::new(error.to_string()))?;
        Ok(Again { id: envelope.id, body, record })
    }
}

/// Makes a new task of an old one: its envelope goes by the task's id, as with every task.
async fn renew_task(
    store: &Store,
    envelope: &mut Envelope,
    now: UnixMillis,
    random: u128,
) -> Result<TaskRecord, Failure> {
    let bad =
        |error: &dyn std::error::Error| Failure::new(format!("its payload is no task: {error}; drop it"));
    let plain = envelope.plain_body().map_err(|error| bad(&error))?;
    let mut task = Task::decode(&plain).map_err(|error| bad(&error))?;
    refuse_late("task", task.deadline, now)?;
    if task.content_type == ContentType::Sealed {
        task = opened::open_task(store, envelope, task).await.map_err(Failure::new)?;
    }
    task.id = TaskId::from_parts(now, random);
    envelope.id = MessageId::from_bytes(task.id.to_bytes());
    envelope.correlation = Some(task.id.into());
    envelope.encoding = Encoding::Identity;
    envelope.sent = now;
    // Sealed anew: a seal is bound to the envelope that it goes in.
    if let Ok(seals) = store.seals() {
        task = seals.seal_task(envelope, task).await?;
    }
    envelope.body = task.encode().map_err(|error| bad(&error))?;
    Ok(TaskRecord::submitted(&task, now))
}

fn refuse_late(what: &str, until: Option<UnixMillis>, now: UnixMillis) -> Result<(), Failure> {
    match until.filter(|until| *until <= now) {
        None => Ok(()),
        Some(until) => Err(Failure::new(format!(
            "the {what} was of use until {} and would be given up again: send it anew from where it came, or drop it",
            crate::time::show(until)
        ))),
    }
}

/// The queue has the task, and that is the promise; the record lets it be looked at before a worker has it. A worker of a
/// cluster that runs may have been faster.
async fn show_task(store: &Store, record: &TaskRecord) -> Result<(), Failure> {
    let value = record.encode().map_err(|error| Failure::new(error.to_string()))?;
    match task::bucket(store).await?.put(&record.id.to_string(), value, Expect::Absent, None).await {
        Ok(_) | Err(StreamError::WrongRevision { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
