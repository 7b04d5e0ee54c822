//! Taking over what an agent kept, under a new term: the fence in front of its state.
//!
//! Whoever becomes the owner writes the record once under its own term, before anything of the agent runs. From then on a
//! write of the owner before finds another revision and is refused, so it can't save, and what it has not saved it does not
//! acknowledge.

use std::time::Duration;

use connectome_codecs::{AgentName, Term};
use tokio::time::sleep;

use super::state::{self, Kept, Place};
use crate::cell::AgentCell;
use crate::port::StreamError;
use crate::router::Router;

/// Rounds against writes of the owner before, each of which is a message that it still handled, and against a store that
/// does not answer: together some seconds, a fraction of a lease.
const ROUNDS_MAX: u32 = 20;

/// How long a store that does not answer is left alone.
const RETRY: Duration = Duration::from_millis(200);

/// Why an agent's state could not be taken over.
#[derive(Debug, Clone)]
pub(crate) enum NotInherited {
    /// Somebody has it under this newer term.
    Fenced(Term),
    /// The store.
    Store(StreamError),
}

impl From<StreamError> for NotInherited {
    fn from(error: StreamError) -> NotInherited {
        NotInherited::Store(error)
    }
}

/// What the agent kept, written anew under this term.
pub(crate) async fn inherit(router: &Router, agent: &AgentName, term: Term) -> Result<Kept, NotInherited> {
    Ok(inherit_at(router, agent, term).await?.0)
}

async fn inherit_at(
    router: &Router,
    agent: &AgentName,
    term: Term,
) -> Result<(Kept, Option<Place>), NotInherited> {
    let mut last = StreamError::Unavailable("the state is written by others all the time".to_owned());
    for _ in 0..ROUNDS_MAX {
        match claim(router, agent, term).await {
            Err(NotInherited::Store(StreamError::WrongRevision { .. })) => {}
            Err(NotInherited::Store(error @ (StreamError::Unavailable(_) | StreamError::Unknown(_)))) => {
                last = error;
                sleep(RETRY).await;
            }
            done => return done,
        }
    }
    Err(last.into())
}

async fn claim(
    router: &Router,
    agent: &AgentName,
    term: Term,
) -> Result<(Kept, Option<Place>), NotInherited> {
    let (mut kept, place) = state::load(router, agent).await?;
    match kept.term {
        Some(newest) if newest > term => Err(NotInherited::Fenced(newest)),
        Some(mine) if mine == term => Ok((kept, place)),
        Some(_) | None => {
            kept.term = Some(term);
            let place = state::save(router, agent, &kept, place).await?;
            Ok((kept, Some(place)))
        }
    }
}

/// What a lane begins with. `None`: a newer term has begun, and there is nothing for this lane to do.
pub(super) async fn open(
    router: &Router,
    cell: &AgentCell,
) -> Result<Option<(Kept, Option<Place>)>, StreamError> {
    let Some(term) = cell.term() else { return state::load(router, &cell.name).await.map(Some) };
    match inherit_at(router, &cell.name, term).await {
        Ok(kept) => Ok(Some(kept)),
        Err(NotInherited::Store(error)) => Err(error),
        Err(NotInherited::Fenced(_)) => {
            router.fenced(cell);
            Ok(None)
        }
    }
}
