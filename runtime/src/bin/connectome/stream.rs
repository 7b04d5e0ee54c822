//! `connectome stream`: how the streams of a store are kept, and what is in them.

use std::time::Duration;

use connectome::config::units;
use connectome::port::{ConsumerInfo, Discard, Retention, Stored, StreamConfig, StreamInfo};

use crate::args::{Part, StreamAction, StreamCommand};
use crate::body;
use crate::doc::{Doc, Table};
use crate::failure::Failure;
use crate::store::{self, Store};

pub(crate) fn run(command: &StreamCommand) -> Result<Doc, Failure> {
    store::with(&command.store, async |store| match &command.action {
        StreamAction::Ls => list(&store).await,
        StreamAction::Show { name, part } => show(&store, name, part).await,
    })
}

async fn list(store: &Store) -> Result<Doc, Failure> {
    let mut rows = Vec::new();
    for name in store.streams().stream_names().await? {
        let info = store.info(&name).await?;
        rows.push(vec![
            Doc::Text(name),
            Doc::Number(info.messages),
            Doc::Number(info.bytes),
            Doc::Number(info.first.0),
            Doc::Number(info.last.0),
            Doc::text(retention(info.config.retention)),
            Doc::Number(info.consumers.len() as u64),
        ]);
    }
    let columns = &["name", "messages", "bytes", "first", "last", "retention", "consumers"];
    Ok(Doc::Table(Table { columns, shown: 7, rows, empty: "no streams: no node has run on this store" }))
}

async fn show(store: &Store, name: &str, part: &Part) -> Result<Doc, Failure> {
    let info = store.info(name).await?;
    let messages = store.select(name, part.from, part.max, |stored| Some(message(stored))).await?.noted();
    let columns = &["sequence", "at", "subject", "what", "id", "bytes", "body"];
    let messages = Table { columns, shown: 4, rows: messages, empty: "none" };
    Ok(Doc::Record(vec![
        ("stream", standing(&info)),
        ("consumers", consumers(&info.consumers)),
        ("messages", Doc::Table(messages)),
    ]))
}

fn standing(info: &StreamInfo) -> Doc {
    let StreamConfig { name, subjects, max_age, max_bytes, max_messages, discard, duplicate_window, .. } =
        &info.config;
    Doc::Record(vec![
        ("name", Doc::text(name)),
        ("subjects", Doc::list(subjects)),
        ("messages", Doc::Number(info.messages)),
        ("bytes", Doc::Number(info.bytes)),
        ("first", Doc::Number(info.first.0)),
        ("last", Doc::Number(info.last.0)),
        ("retention", Doc::text(retention(info.config.retention))),
        ("max_age", Doc::text(max_age.map_or_else(|| "none".to_owned(), duration))),
        ("max_bytes", max_bytes.map_or(Doc::text("none"), Doc::Number)),
        ("max_messages", max_messages.map_or(Doc::text("none"), Doc::Number)),
        ("when_full", Doc::text(when_full(*discard))),
        ("duplicate_window", Doc::text(duration(*duplicate_window))),
    ])
}

fn consumers(consumers: &[ConsumerInfo]) -> Doc {
    let rows = consumers.iter().map(|consumer| {
        vec![
            Doc::text(&consumer.name),
            Doc::Number(consumer.waiting),
            Doc::Number(consumer.in_flight),
            Doc::Number(consumer.exhausted),
        ]
    });
    Doc::Table(Table {
        columns: &["name", "waiting", "in_flight", "exhausted"],
        shown: 4,
        rows: rows.collect(),
        empty: "none",
    })
}

fn message(stored: Stored) -> Vec<Doc> {
    vec![
        Doc::Number(stored.sequence.0),
        Doc::Moment(stored.at),
        Doc::Text(stored.subject),
        body::summary(&stored.body),
        Doc::maybe(stored.id),
        Doc::Number(stored.body.len() as u64),
        body::anything(&stored.body),
    ]
}

fn duration(duration: Duration) -> String {
    units::show_duration(duration)
}

fn retention(retention: Retention) -> &'static str {
    match retention {
        Retention::Limits => "limits",
        Retention::WorkQueue => "work queue",
    }
}

fn when_full(discard: Discard) -> &'static str {
    match discard {
        Discard::Old => "the oldest messages make room",
        Discard::New => "new messages are refused",
    }
}
