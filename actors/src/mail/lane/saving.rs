//! The agent's state and the cursor, written as one value; and handed to the next incarnation.

use connectome_codecs::Sequence;
use tokio::time::sleep;

use super::super::state::{self, Kept, Place};
use super::{Event, RETRY, Work};
use crate::port::StreamError;
use crate::protocol::delivery::Input;
use crate::protocol::restart::Exit;

impl Work {
    pub(super) fn save(&mut self, cursor: Sequence) {
        self.saving = true;
        let kept = Kept { lane: self.protocol.kept(), state: self.state.clone(), term: self.cell.term() };
        let (router, agent, mut over) = (self.router.clone(), self.cell.name.clone(), self.place);
        self.begin(async move {
            loop {
                match state::save(&router, &agent, &kept, over).await {
                    Err(StreamError::Unavailable(_) | StreamError::Unknown(_)) => sleep(RETRY).await,
                    Err(StreamError::WrongRevision { .. }) => {
                        // Perhaps it was this very save, whose answer was lost.
                        let now = state::load(&router, &agent).await;
                        let place = match now {
                            Ok((known, Some(place))) if known == kept => Ok(place),
                            // The store has lost it, and nobody has it yet: whoever takes over writes first.
                            Ok((_, None)) if over.is_some() => {
                                over = None;
                                continue;
                            }
                            Ok(_) => {
                                Err(StreamError::Invalid("another incarnation has written it".to_owned()))
                            }
                            Err(StreamError::Unavailable(_) | StreamError::Unknown(_)) => continue,
                            Err(error) => Err(error),
                        };
                        return Event::Saved { cursor, place };
                    }
                    place => return Event::Saved { cursor, place },
                }
            }
        });
    }

    pub(super) fn saved(
        &mut self,
        cursor: Sequence,
        place: Result<Place, StreamError>,
    ) -> Result<(), String> {
        self.saving = false;
        match place {
            Ok(place) => {
                self.place = Some(place);
                self.tell(Input::Saved { cursor });
                self.restore();
                Ok(())
            }
            Err(error) => {
                // Another incarnation, elsewhere, goes by this name: this one is the older.
                self.router.fenced(&self.cell);
                self.cell.stop(Exit::Crashed(format!("its state could not be saved: {error}")));
                Err(format!("the state of {} could not be saved: {error}", self.cell.name))
            }
        }
    }

    /// Hands out the saved state as soon as no save is on the way.
    pub(super) fn restore(&mut self) {
        if self.saving || self.restoring.is_empty() {
            return;
        }
        let (router, agent) = (self.router.clone(), self.cell.name.clone());
        let waiting = std::mem::take(&mut self.restoring);
        self.begin(async move {
            let kept =
                state::load(&router, &agent).await.map(|(kept, _)| kept).map_err(|error| error.to_string());
            for reply in waiting {
                // An incarnation that no longer waits has failed to start.
                drop(reply.send(kept.clone()));
            }
            Event::Nothing
        });
    }
}
