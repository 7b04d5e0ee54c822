//! `connectome event`: what happened.

use connectome::SYSTEM_EVENTS;
use connectome::codecs::{Event, EventType, Sequence};

use crate::args::{EventAction, EventCommand, Part};
use crate::doc::{Doc, Table};
use crate::failure::Failure;
use crate::store::{self, Store};
use crate::{body, decode};

pub(crate) fn run(command: &EventCommand) -> Result<Doc, Failure> {
    match &command.action {
        EventAction::Ls { store, types, part } => {
            store::with(store, async |store| list(&store, types, part).await)
        }
        EventAction::Decode(input) => decode::event(input),
    }
}

async fn list(store: &Store, types: &[EventType], part: &Part) -> Result<Doc, Failure> {
    let events = store.select(SYSTEM_EVENTS, part.from, part.max, |stored| {
        let event = Event::decode(&stored.body).ok()?;
        let wanted = types.is_empty() || types.contains(&event.fact.event_type());
        wanted.then(|| row(stored.sequence, &event))
    });
    let columns = &["sequence", "at", "type", "source", "fact", "id", "correlation"];
    Ok(Doc::Table(Table { columns, shown: 5, rows: events.await?.noted(), empty: "no events" }))
}

fn row(sequence: Sequence, event: &Event) -> Vec<Doc> {
    vec![
        Doc::Number(sequence.0),
        Doc::Moment(event.at),
        Doc::text(event.fact.event_type()),
        Doc::text(&event.source),
        body::fact(&event.fact),
        Doc::text(event.id),
        Doc::maybe(event.correlation),
    ]
}
