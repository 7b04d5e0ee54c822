//! `connectome task`: what became of tasks.

use connectome::codecs::{TaskId, TaskRecord, TaskState};
use connectome::port::Bucket;
use connectome::tasks_bucket;

use crate::args::{TaskAction, TaskCommand};
use crate::doc::{Doc, Table};
use crate::failure::Failure;
use crate::store::{self, Selection, Store};
use crate::{body, opened, output};

pub(crate) fn run(command: &TaskCommand) -> Result<Doc, Failure> {
    store::with(&command.store, async |store| match &command.action {
        TaskAction::Ls { state, max } => list(&store, state.as_ref(), *max).await,
        TaskAction::Show { id } => show(&store, *id).await,
    })
}

async fn list(store: &Store, state: Option<&TaskState>, max: usize) -> Result<Doc, Failure> {
    let tasks = bucket(store).await?;
    let mut chosen = Selection { items: Vec::new(), more: false };
    // Keys are ids, and ids sort by time: from the newest back, until there are enough.
    for key in tasks.keys("").await?.iter().rev() {
        let Some(record) = read(&*tasks, key).await? else {
            continue;
        };
        if state.is_some_and(|state| *state != record.state) {
            continue;
        }
        if chosen.items.len() == max {
            chosen.more = true;
            break;
        }
        chosen.items.push(row(&opened::record(store, record).it));
    }
    chosen.items.reverse();
    let columns = &[
        "id",
        "state",
        "attempts",
        "capability",
        "worker",
        "updated",
        "error",
        "submitted",
        "attempts_max",
        "owner",
    ];
    Ok(Doc::Table(Table { columns, shown: 7, rows: chosen.noted(), empty: "no tasks" }))
}

fn row(record: &TaskRecord) -> Vec<Doc> {
    vec![
        Doc::text(record.id),
        Doc::text(&record.state),
        Doc::Number(record.attempt.0.into()),
        Doc::text(&record.capability),
        Doc::maybe(record.worker.as_ref()),
        Doc::Moment(record.updated),
        Doc::maybe(record.error.as_ref()),
        Doc::Moment(record.submitted),
        Doc::Number(record.attempts_max.into()),
        Doc::maybe(record.owner),
    ]
}

async fn show(store: &Store, id: TaskId) -> Result<Doc, Failure> {
    match read(&*bucket(store).await?, &id.to_string()).await? {
        Some(record) => Ok(body::task(&opened::whole_record(store, record).await?)),
        None => Err(Failure::new(format!(
            "there is no task {id}; `connectome task ls` lists those that are kept"
        ))),
    }
}

pub(crate) async fn bucket(store: &Store) -> Result<Box<dyn Bucket>, Failure> {
    Ok(store.streams().bucket(tasks_bucket()).await?)
}

/// One record; one that can't be read is told of and passed over.
async fn read(tasks: &dyn Bucket, key: &str) -> Result<Option<TaskRecord>, Failure> {
    let value = tasks.get(key).await?.and_then(|entry| entry.value);
    Ok(value.and_then(|value| {
        let told =
            |error| output::note(format_args!("warning: the record of task {key} can't be read: {error}"));
        TaskRecord::decode(&value).map_err(told).ok()
    }))
}
