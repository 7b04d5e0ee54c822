//! Something that is open at the node that serves: in each session anew, when it is first used there.

use std::sync::Arc;
use std::time::Duration;

use connectome_actors::port::StreamError;
use tokio::sync::Mutex;

use super::asking::{Answered, Client, Question, Repeat};
use super::session::{Lost, Session};
use crate::streams::served::said::{Answer, Ask, Said};

/// A place, for as long as somebody has use for it.
pub(super) struct Place {
    pub(super) client: Arc<Client>,
    /// How it is opened under a handle.
    opening: Box<dyn Fn(u32) -> Ask + Send + Sync>,
    at: Mutex<Option<At>>,
}

/// Where it is open.
struct At {
    session: Arc<Session>,
    handle: u32,
    /// The first sequence that a reader may be given.
    begins: u64,
}

impl Place {
    pub(super) fn new(client: &Arc<Client>, opening: impl Fn(u32) -> Ask + Send + Sync + 'static) -> Place {
        Place { client: client.clone(), opening: Box::new(opening), at: Mutex::new(None) }
    }

    /// Opens it, and says where a reader begins.
    pub(super) async fn open(&self) -> Result<u64, StreamError> {
        let (repeat, place, wait) = (Repeat::Same, Some(self), Duration::ZERO);
        self.client.ask(Question { repeat, place, ask: None, body: None, wait }).await?;
        Ok(self.at.lock().await.as_ref().map_or(0, |at| at.begins))
    }

    /// Asks something about what is open.
    pub(super) async fn ask(
        &self,
        repeat: Repeat,
        ask: impl Fn(u32) -> Ask + Send + Sync,
    ) -> Result<Answered, StreamError> {
        let (place, ask, wait) = (Some(self), Some(&ask as _), Duration::ZERO);
        self.client.ask(Question { repeat, place, ask, body: None, wait }).await
    }

    /// The session in which it is open, if it is.
    pub(super) async fn session(&self) -> Option<u64> {
        self.at.lock().await.as_ref().map(|at| at.session.number)
    }

    /// Its handle in a session; it is opened there if it is not yet.
    pub(super) async fn handle(&self, session: &Arc<Session>) -> Result<u32, Lost> {
        let mut at = self.at.lock().await;
        if let Some(at) = at.as_ref().filter(|at| at.session.number == session.number) {
            return Ok(at.handle);
        }
        let mut opening = Opening { session, handle: session.new_handle(), is_open: false };
        let asked = session.begin((self.opening)(opening.handle), None).await?.answer().await?;
        match asked.answer {
            Answer::Number(begins) => {
                opening.is_open = true;
                *at = Some(At { session: session.clone(), handle: opening.handle, begins });
                Ok(opening.handle)
            }
            Answer::Refused(refusal) => Err(Lost::Final(refusal.into())),
            other => Err(Lost::Final(super::asking::nonsense(&other))),
        }
    }

    /// It is not open under this handle any more.
    pub(super) async fn forget(&self, handle: u32) {
        let mut at = self.at.lock().await;
        if at.as_ref().is_some_and(|at| at.handle == handle) {
            *at = None;
        }
    }

    /// It is to be opened again.
    pub(super) async fn forget_all(&self) {
        *self.at.lock().await = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(At { session, handle, .. }) = self.at.get_mut().take() {
            session.tell(&Said::Close { handle });
        }
    }
}

/// What is being opened; closed again when nobody waits for it.
struct Opening<'s> {
    session: &'s Session,
    handle: u32,
    is_open: bool,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if !self.is_open {
            self.session.tell(&Said::Close { handle: self.handle });
        }
    }
}
