//! What tails, watches and listeners share: one question under way, which is asked again in each session.

use std::sync::Arc;

use connectome_actors::port::StreamError;

use super::asking::{Answered, Client};
use super::place::Place;
use super::session::{Asked, Lost};
use crate::streams::served::said::{Answer, Ask};

/// A reader at the node that serves.
pub(super) struct Follower {
    pub(super) place: Place,
    /// The session that it last read in.
    session: Option<u64>,
    /// Dropping a reader's future leaves it here, so that nothing is lost.
    asked: Option<Asked>,
}

/// What a reader hears.
pub(super) enum Heard {
    /// These came, and then, perhaps, something that went wrong.
    Came(Answered),
    /// It was opened anew, in another session: whatever was not heard before is to be found otherwise.
    Anew,
}

impl Follower {
    /// Begins to read; gives the first sequence that may come.
    pub(super) async fn open(
        client: &Arc<Client>,
        opening: impl Fn(u32) -> Ask + Send + Sync + 'static,
    ) -> Result<(Follower, u64), StreamError> {
        let place = Place::new(client, opening);
        let begins = place.open().await?;
        let session = place.session().await;
        Ok((Follower { place, session, asked: None }, begins))
    }

    /// Waits for something, however long the node that serves is away. Dropping the future loses nothing.
    pub(super) async fn hear(&mut self) -> Result<Heard, StreamError> {
        loop {
            let Some(asked) = &mut self.asked else {
                match self.begin().await {
                    Ok(true) => return Ok(Heard::Anew),
                    Ok(false) | Err(Lost::Unsent | Lost::Silent) => {}
                    Err(Lost::Final(error)) => return Err(error),
                }
                continue;
            };
            let answered = asked.answer().await;
            self.asked = None;
            // Where there is no answer the session is over, and the next one is waited for.
            let Ok(answered) = answered else { continue };
            match &answered.answer {
                Answer::NotOpen | Answer::Cancelled => self.reopen().await,
                _ => return Ok(Heard::Came(answered)),
            }
        }
    }

    /// Asks for what comes next; or says that it was opened anew, once.
    async fn begin(&mut self) -> Result<bool, Lost> {
        let session = self.place.client.session().await;
        let handle = self.place.handle(&session).await?;
        if self.session != Some(session.number) {
            self.session = Some(session.number);
            return Ok(true);
        }
        self.asked = Some(session.begin(Ask::Next { handle }, None).await?);
        Ok(false)
    }

    /// It is to be opened again, in this session too.
    async fn reopen(&mut self) {
        self.place.forget_all().await;
        self.session = None;
    }
}
