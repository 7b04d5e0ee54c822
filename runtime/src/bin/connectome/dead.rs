//! `connectome dead`: what was given up, why, and what to do about it.

use connectome::codecs::message::{Body, Task};
use connectome::codecs::{Envelope, Sequence, TaskRecord};
use connectome::port::Stored;
use connectome::{Buried, DEAD_LETTERS};

use crate::args::{DeadAction, DeadCommand, Part};
use crate::doc::{Doc, Table};
use crate::failure::Failure;
use crate::opened::{self, Opened};
use crate::store::{self, Store};
use crate::{body, replay};

pub(crate) fn run(command: &DeadCommand) -> Result<Doc, Failure> {
    store::with(&command.store, async |store| match &command.action {
        DeadAction::Ls(part) => list(&store, part).await,
        DeadAction::Show { sequence } => show(&store, &find(&store, *sequence).await?).await,
        DeadAction::Replay { sequence, keep } => {
            let stored = find(&store, *sequence).await?;
            replay::run(&store, &stored, *keep).await
        }
        DeadAction::Drop { sequence } => {
            let stored = find(&store, *sequence).await?;
            remove(&store, &stored).await?;
            let sentence = format!("dead letter {sequence} is dropped");
            Ok(Doc::Said(sentence, vec![("dropped", Doc::Number(*sequence))]))
        }
    })
}

async fn list(store: &Store, part: &Part) -> Result<Doc, Failure> {
    let letters = store.select(DEAD_LETTERS, part.from, part.max, |stored| Some(row(store, &stored))).await?;
    let columns =
        &["sequence", "at", "kind", "to", "attempts", "cause", "message", "stream", "subject", "code"];
    Ok(Doc::Table(Table { columns, shown: 7, rows: letters.noted(), empty: "no dead letters" }))
}

fn row(store: &Store, stored: &Stored) -> Vec<Doc> {
    let mut row = vec![Doc::Number(stored.sequence.0), Doc::Moment(stored.at), kind(stored)];
    match Buried::decode(&stored.body) {
        Ok(letter) => {
            let letter = opened::letter(store, letter).it;
            let envelope = Envelope::decode(letter.payload.clone()).ok();
            let name = envelope.as_ref().and_then(|envelope| envelope.name.clone());
            row.extend([
                Doc::maybe(envelope.map(|envelope| envelope.to)),
                Doc::Number(letter.attempts.into()),
                Doc::Text(body::cause(&letter)),
                Doc::maybe(name),
                Doc::Text(letter.stream),
                Doc::Text(letter.subject),
                Doc::Text(letter.code),
            ]);
        }
        Err(error) => {
            row.extend([Doc::Nothing, Doc::Nothing, Doc::Text(format!("it can't be read: {error}"))]);
            row.extend([Doc::Nothing, Doc::Nothing, Doc::Nothing, Doc::Nothing]);
        }
    }
    row
}

/// `message`, `task` or `malformed`: the third token of `<namespace>.dead.<kind>.<whose>`.
fn kind(stored: &Stored) -> Doc {
    Doc::maybe(stored.subject.split('.').nth(2))
}

async fn show(store: &Store, stored: &Stored) -> Result<Doc, Failure> {
    let letter = match Buried::decode(&stored.body) {
        Ok(letter) => show_letter(store, letter).await,
        Err(_) => Doc::Octets(stored.body.clone()),
    };
    Ok(Doc::Record(vec![
        ("sequence", Doc::Number(stored.sequence.0)),
        ("at", Doc::Moment(stored.at)),
        ("kind", kind(stored)),
        ("letter", letter),
    ]))
}

/// The letter, and what is in it, opened as far as that goes.
async fn show_letter(store: &Store, letter: Buried) -> Doc {
    let Opened { it: letter, mut why } = opened::letter(store, letter);
    let (mut payload, mut input) = (Doc::Octets(letter.payload.clone()), None);
    if let Ok(envelope) = Envelope::decode(letter.payload.clone()) {
        let envelope = opened::envelope(store, envelope).await;
        why = why.or(envelope.why);
        payload = body::envelope(&envelope.it);
        input = envelope.it.plain_body().ok().and_then(|body| Task::decode(&body).ok());
    }
    let task = match letter.record.as_ref().map(|bytes| (bytes, TaskRecord::decode(bytes))) {
        None => Doc::Nothing,
        Some((bytes, Err(_))) => Doc::Octets(bytes.clone()),
        Some((_, Ok(record))) => {
            let mut record = opened::record(store, record);
            if let Some(task) = input.filter(|_| !record.it.input.is_empty()) {
                (record.it.content_type, record.it.input) = (task.content_type, task.input);
            }
            body::task(&record)
        }
    };
    body::dead_letter(&letter, task, payload, why)
}

async fn find(store: &Store, sequence: u64) -> Result<Stored, Failure> {
    let found = store.message(DEAD_LETTERS, sequence).await?;
    let none =
        || format!("there is no dead letter {sequence}; `connectome dead ls` lists those that are kept");
    found.ok_or_else(|| Failure::new(none()))
}

pub(crate) async fn remove(store: &Store, stored: &Stored) -> Result<(), Failure> {
    Ok(store.streams().delete(DEAD_LETTERS, Sequence(stored.sequence.0)).await?)
}
