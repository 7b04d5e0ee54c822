//! The mail keeper: gives a lane to every agent of this node that has durable messages.
//!
//! An agent that was never sent one costs nothing: its lane is opened when the first one arrives, or when it starts and
//! some are waiting. What arrives is only heard of here; the lanes read it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use connectome_codecs::{AgentName, Sequence};
use tokio_util::sync::CancellationToken;

use super::credit::Credit;
use super::lane::Lane;
use super::{AGENT_MESSAGES, agent_of, subject_of};
use crate::cell::AgentCell;
use crate::port::{Arrival, Arrivals, StreamError};
use crate::protocol::restart::{ChildSpec, Refusal, Restart};
use crate::protocol::shard::shard_of;
use crate::router::Router;
use crate::service::{Service, ServiceStart};
use crate::supervisor::{SupervisorError, SupervisorSlot};

/// How far the stream goes, for a lane that is to look for itself.
const PERHAPS: Sequence = Sequence(u64::MAX);

/// Messages that are read at once to see whose they are; there are only so many when many were missed.
const LOOK_PAGE: usize = 256;

/// Opens and closes lanes.
pub(crate) struct MailKeeper {
    pub(crate) router: Router,
    pub(crate) lanes: SupervisorSlot,
    pub(crate) credit: Arc<Credit>,
    /// Whose lanes were opened: an agent that went and came again has another cell.
    pub(crate) opened: BTreeMap<AgentName, Weak<AgentCell>>,
    /// The shards that are listened to: those of agents that are, or were, here.
    pub(crate) shards: BTreeSet<usize>,
    /// From where it could not be looked, since the store was away.
    pub(crate) unseen: Option<Sequence>,
}

impl Service for MailKeeper {
    async fn run(mut self, stop: CancellationToken) -> Result<(), String> {
        let arrivals = self.router.streams().arrivals(AGENT_MESSAGES).await;
        let mut arrivals = arrivals.map_err(|error| error.to_string())?;
        for name in self.router.local_agents().into_iter().chain(self.router.offers().names_here()) {
            self.changed(&name, &mut *arrivals).await?;
        }
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                names = self.router.inner().mail.take() => {
                    for name in names {
                        self.changed(&name, &mut *arrivals).await?;
                    }
                }
                arrival = arrivals.next() => match arrival.map_err(|error| error.to_string())? {
                    Arrival::Stored { subject, sequence } => self.arrived(&subject, sequence).await?,
                    Arrival::Missed { from } => self.look(from).await?,
                    Arrival::Anew => self.begin_anew(&mut *arrivals).await?,
                },
            }
        }
    }
}

impl MailKeeper {
    /// An agent of this node appeared or went, or may come.
    async fn changed(&mut self, name: &AgentName, arrivals: &mut dyn Arrivals) -> Result<(), String> {
        // Listened to from now on, and only then asked for what waits: so nothing arrives unseen in between.
        self.listen(shard_of(name.as_str(), self.router.inner().config.shards), arrivals).await?;
        let cell = self.router.registry().local(name);
        let known = self.opened.get(name).map(Weak::as_ptr);
        if known.is_some_and(|known| cell.as_ref().is_none_or(|cell| Arc::as_ptr(cell) != known)) {
            self.close(name).await?;
        }
        let Some(cell) = cell else { return self.close(name).await };
        if cell.mail_arrived(PERHAPS) {
            return Ok(());
        }
        let waiting = self.router.streams().count(AGENT_MESSAGES, &subject_of(&self.router, name)).await;
        match waiting {
            Ok(0) => Ok(()),
            Ok(_) => self.open(cell).await,
            Err(error) => Err(error.to_string()),
        }
    }

    async fn listen(&mut self, shard: usize, arrivals: &mut dyn Arrivals) -> Result<(), String> {
        if self.shards.insert(shard) {
            let listening = arrivals.listen(&self.filter(shard)).await;
            listening.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Everybody's messages in a shard.
    fn filter(&self, shard: usize) -> String {
        self.router.subject(&format!("message.{shard}.*"))
    }

    async fn close(&mut self, name: &AgentName) -> Result<(), String> {
        self.opened.remove(name);
        self.end(name).await
    }

    async fn arrived(&mut self, subject: &str, sequence: Sequence) -> Result<(), String> {
        let Some(name) = agent_of(subject) else { return Ok(()) };
        match self.router.registry().local(&name) {
            Some(cell) if cell.mail_arrived(sequence) || self.opens(&cell) => Ok(()),
            Some(cell) => self.open(cell).await,
            None => {
                self.router.offers().want(&name);
                Ok(())
            }
        }
    }

    /// Whether the agent's lane was begun: it reads what has arrived until then.
    fn opens(&self, cell: &Arc<AgentCell>) -> bool {
        self.opened.get(&cell.name).is_some_and(|opened| opened.as_ptr() == Arc::as_ptr(cell))
    }

    /// Looks itself for what it was not told of. What the store does not show now is looked for the next time too.
    async fn look(&mut self, from: Sequence) -> Result<(), String> {
        let from = self.unseen.take().map_or(from, |unseen| unseen.min(from));
        for shard in self.shards.clone() {
            if !self.look_through(&self.filter(shard), from).await? {
                self.unseen = Some(from);
                return Ok(());
            }
        }
        Ok(())
    }

    /// False when the store is away.
    async fn look_through(&mut self, filter: &str, mut from: Sequence) -> Result<bool, String> {
        loop {
            let missed = match self.router.streams().read(AGENT_MESSAGES, filter, from, LOOK_PAGE).await {
                Ok(missed) => missed,
                Err(StreamError::Unavailable(_) | StreamError::Unknown(_)) => return Ok(false),
                Err(error) => return Err(error.to_string()),
            };
            for stored in &missed {
                self.arrived(&stored.subject, stored.sequence).await?;
            }
            let Some(last) = missed.last().filter(|_| missed.len() >= LOOK_PAGE) else { return Ok(true) };
            from = last.sequence.next();
        }
    }

    /// Sequences have begun anew, so no lane stands where it thinks: each begins again.
    async fn begin_anew(&mut self, arrivals: &mut dyn Arrivals) -> Result<(), String> {
        // The keys that mail was sealed to went with what was lost.
        self.router.inner().outgoing_mail.forget();
        tracing::warn!("{AGENT_MESSAGES} was removed and made again: what was in it is gone");
        for name in self.opened.keys().cloned().collect::<Vec<_>>() {
            self.close(&name).await?;
        }
        for name in self.router.local_agents() {
            self.changed(&name, arrivals).await?;
        }
        Ok(())
    }

    async fn open(&mut self, cell: Arc<AgentCell>) -> Result<(), String> {
        self.opened.insert(cell.name.clone(), Arc::downgrade(&cell));
        if self.begin(&cell).await? {
            return Ok(());
        }
        // There is one from before this keeper began, of an agent that had the name before, or one that has ended.
        self.end(&cell.name).await?;
        self.begin(&cell).await.map(drop)
    }

    /// Starts a lane; false when there is one by that name.
    async fn begin(&self, cell: &Arc<AgentCell>) -> Result<bool, String> {
        let child = ChildSpec::worker(cell.name.as_str()).restart(Restart::Transient);
        let (router, cell, credit) = (self.router.clone(), cell.clone(), self.credit.clone());
        let start = ServiceStart::shared(move || Lane {
            router: router.clone(),
            cell: cell.clone(),
            credit: credit.clone(),
        });
        let lanes = self.lanes.current().map_err(|error| error.to_string())?;
        match lanes.add(child, start).await {
            Ok(()) => Ok(true),
            Err(SupervisorError::Refused {
                refusal: Refusal::AlreadyStarted(_) | Refusal::AlreadyPresent,
                ..
            }) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn end(&self, name: &AgentName) -> Result<(), String> {
        let lanes = self.lanes.current().map_err(|error| error.to_string())?;
        match lanes.terminate(name.as_str()).await {
            Ok(()) | Err(SupervisorError::Refused { refusal: Refusal::NotFound, .. }) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}
