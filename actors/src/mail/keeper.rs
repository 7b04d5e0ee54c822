//! The mail keeper: gives a lane to every agent of this node that has durable messages.
//!
//! An agent that was never sent one costs nothing: its lane is opened when the first one arrives, or when it starts and
//! some are waiting.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use connectome_codecs::AgentName;
use tokio_util::sync::CancellationToken;

use super::lane::Lane;
use super::{AGENT_MESSAGES, agent_of, subject_of};
use crate::cell::AgentCell;
use crate::port::{Start, StreamError};
use crate::protocol::restart::{ChildSpec, Refusal, Restart};
use crate::router::Router;
use crate::service::{Service, ServiceStart};
use crate::supervisor::{SupervisorError, SupervisorSlot};

/// Opens and closes lanes.
pub(crate) struct MailKeeper {
    pub(crate) router: Router,
    pub(crate) lanes: SupervisorSlot,
    /// Whose lanes were opened: an agent that went and came again has another cell.
    pub(crate) opened: BTreeMap<AgentName, Weak<AgentCell>>,
}

impl Service for MailKeeper {
    async fn run(mut self, stop: CancellationToken) -> Result<(), String> {
        // Followed from now on, and only then asked for what waits: so nothing arrives unseen in between.
        let tail =
            self.router.streams().tail(AGENT_MESSAGES, &self.router.subject("message.>"), Start::New).await;
        let mut tail = tail.map_err(|error| error.to_string())?;
        for name in self.router.local_agents() {
            self.changed(&name).await?;
        }
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                names = self.router.inner().mail.take() => {
                    for name in names {
                        self.changed(&name).await?;
                    }
                }
                arrived = tail.next() => match arrived {
                    Ok(stored) => self.arrived(&stored.subject).await?,
                    Err(StreamError::Gap { .. }) => {}
                    Err(error) => return Err(error.to_string()),
                },
            }
        }
    }
}

impl MailKeeper {
    /// An agent of this node appeared or went.
    async fn changed(&mut self, name: &AgentName) -> Result<(), String> {
        let cell = self.router.registry().local(name);
        let known = self.opened.get(name).map(Weak::as_ptr);
        if known.is_some_and(|known| cell.as_ref().is_none_or(|cell| Arc::as_ptr(cell) != known)) {
            self.close(name).await?;
        }
        let Some(cell) = cell else { return self.close(name).await };
        let waiting = self.router.streams().count(AGENT_MESSAGES, &subject_of(&self.router, name)).await;
        match waiting {
            Ok(0) => Ok(()),
            Ok(_) => self.open(cell).await,
            Err(error) => Err(error.to_string()),
        }
    }

    async fn close(&mut self, name: &AgentName) -> Result<(), String> {
        self.opened.remove(name);
        let lanes = self.lanes.current().map_err(|error| error.to_string())?;
        match lanes.terminate(name.as_str()).await {
            Ok(()) | Err(SupervisorError::Refused { refusal: Refusal::NotFound, .. }) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn arrived(&mut self, subject: &str) -> Result<(), String> {
        let Some(name) = agent_of(subject) else { return Ok(()) };
        match self.router.registry().local(&name) {
            Some(cell) if !cell.has_lane() => self.open(cell).await,
            Some(_) => Ok(()),
            None => {
                self.router.offers().want(&name);
                Ok(())
            }
        }
    }

    async fn open(&mut self, cell: Arc<AgentCell>) -> Result<(), String> {
        self.opened.insert(cell.name.clone(), Arc::downgrade(&cell));
        let child = ChildSpec::worker(cell.name.as_str()).restart(Restart::Transient);
        let router = self.router.clone();
        let start = ServiceStart::shared(move || Lane { router: router.clone(), cell: cell.clone() });
        let lanes = self.lanes.current().map_err(|error| error.to_string())?;
        match lanes.add(child, start).await {
            Ok(())
            | Err(SupervisorError::Refused {
                refusal: Refusal::AlreadyStarted(_) | Refusal::AlreadyPresent,
                ..
            }) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}
