//! Durable messages: `send`, and the lanes that bring them to their agents.
//!
//! ```text
//!  sender                 AGENT_MESSAGES                lane of the agent            agent
//!    │ ── publish(id) ───────► │                              │                        │
//!    │ ◄─ stored ───────────── │ ── "there is one" ─────────► │                        │
//!    │                         │ ◄─ read, by subject ──────── │                        │
//!    │                         │                              │ ── one at a time ────► │
//!    │                         │                              │ ◄─ handled, state ──── │
//!    │                         │          state and cursor ◄─ │                        │
//!    │                         │ ◄─ remove ────────────────── │                        │
//! ```
//!
//! The cursor is saved with the agent's state, before the message is removed: one that is read again after it was applied is
//! removed and not applied twice. What a lane decides is in `protocol/delivery`.
//!
//! The store keeps nothing for a lane. Where an agent stands is in its own state, so an agent that nobody runs costs only
//! what waits for it, ten thousand agents need no ten thousand consumers, and the next owner reads on at once: there is no
//! delivery that would have to time out first.

mod answer;
mod credit;
mod inherit;
mod keeper;
mod keys;
mod lane;
mod opening;
mod outbox;
mod sealing;
mod state;

pub(crate) use credit::Credit;
pub(crate) use inherit::{NotInherited, inherit};
pub(crate) use keeper::MailKeeper;
pub(crate) use keys::{KEYS_OF_MAIL, KeyTable, MailKeys, NoMailKeys, own, published, rotate};
pub(crate) use lane::{LaneHandle, Word};
pub use outbox::{AGENT_OUTBOX, OUTBOX_MESSAGES_MAX, OutboxCounts};
pub(crate) use outbox::{Forwarder, Handed, Outbox};
pub(crate) use sealing::Outgoing as OutgoingMail;
use sealing::Sealed;
pub(crate) use state::{Kept, States};
pub use state::{STATE_MAX, STATES};

use connectome_codecs::{Address, AgentName, Envelope, Kind, MessageId, MessageName, Sequence, wire};

use crate::message::Message;
use crate::parcel::Named;
use crate::port::{Publish, StreamError};
use crate::protocol::shard::shard_of;
use crate::router::Router;
use crate::scope;

/// The stream that keeps durable messages.
pub const AGENT_MESSAGES: &str = "AGENT_MESSAGES";

/// Why a durable message was not, or may not have been, stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// It certainly was not stored. The text says who must act.
    #[error("not sent: {0}")]
    NotSent(String),
    /// No answer came: it may have been stored. Send it again with [`AgentRef::send_as`](crate::AgentRef::send_as)
    /// and the same id.
    #[error("it may have been sent, no answer came: {0}")]
    Unknown(String),
}

impl From<StreamError> for SendError {
    fn from(error: StreamError) -> SendError {
        match error {
            StreamError::Unknown(why) => SendError::Unknown(why),
            other => SendError::NotSent(other.to_string()),
        }
    }
}

impl Router {
    #[tracing::instrument(level = "debug", skip_all, fields(%to, %id, message = M::NAME))]
    pub(crate) async fn send_durably<M: Message>(
        &self,
        to: &Address,
        id: MessageId,
        message: M,
    ) -> Result<MessageId, SendError> {
        let agent = self.durable_name(to)?;
        let body = wire::encode(&message).map_err(|error| SendError::NotSent(error.to_string()))?;
        let meta = scope::outgoing(false);
        let mut envelope = Envelope::new(id, Kind::Typed, Address::Agent(agent.clone()), self.now(), body)
            .named(Named::<M>::NAME);
        envelope.from = meta.from.clone();
        envelope.trace = self.trace_of(&meta);
        #[cfg(feature = "planted-bugs")]
        if self.has_bug(crate::planted::Planted::LosesAcknowledged) && self.dice().is_multiple_of(64) {
            return Ok(id);
        }
        if self.leaves(&agent).await? {
            self.put_out(&agent, id, &envelope).await?;
        } else {
            self.store_for(&agent, id, &envelope).await?;
        }
        Ok(id)
    }

    /// Stores a message for the agent's lane, sealed where that is so.
    pub(crate) async fn store_for(
        &self,
        agent: &AgentName,
        id: MessageId,
        envelope: &Envelope,
    ) -> Result<(), SendError> {
        if !self.inner().config.sealed {
            return self.store_mail(agent, id, envelope).await.map(drop);
        }
        let (outer, sealed) = self.sealed_for(agent, envelope).await?;
        let stored = self.store_mail(agent, id, &outer).await?;
        let doubt = |error: &dyn std::fmt::Display| {
            SendError::Unknown(format!("it was stored in a stream that was made again, and {error}"))
        };
        if sealed.is_stranded(self, agent, stored).await.map_err(|error| doubt(&error))? {
            // Whoever has opened it all the same knows its id.
            self.streams().delete(AGENT_MESSAGES, stored).await?;
            let (outer, _) = self.sealed_for(agent, envelope).await?;
            self.store_mail(agent, self.message_id(), &outer).await.map_err(|error| doubt(&error))?;
        }
        Ok(())
    }

    async fn sealed_for(
        &self,
        agent: &AgentName,
        envelope: &Envelope,
    ) -> Result<(Envelope, Sealed), SendError> {
        sealing::seal(self, envelope, agent).await.map_err(|error| SendError::NotSent(error.to_string()))
    }

    /// `id`: the name by which the store keeps it once.
    async fn store_mail(
        &self,
        agent: &AgentName,
        id: MessageId,
        envelope: &Envelope,
    ) -> Result<Sequence, SendError> {
        let body = envelope.encode().map_err(|error| SendError::NotSent(error.to_string()))?;
        let message = Publish { subject: subject_of(self, agent), id: Some(id), body };
        Ok(self.streams().publish(AGENT_MESSAGES, message).await?.sequence)
    }

    /// Publishes the mail keys of an agent of this node, for somebody who has something for it.
    pub(crate) fn furnish_mail(&self, to: &Address) {
        let Address::Agent(name) = to else { return };
        if self.registry().local(name).is_none() {
            return;
        }
        let turn = self.inner().mail_keys.furnishing.0.clone().try_acquire_owned();
        let Ok(turn) = turn else { return };
        let (router, name) = (self.clone(), name.clone());
        tokio::spawn(async move {
            let _turn = turn;
            if let Err(error) = keys::own(&router, &name).await {
                tracing::warn!(agent = %name, %error, "the keys of an agent's mail could not be published");
            }
        });
    }

    /// The envelope to store for the agent that an envelope addresses by its name.
    ///
    /// # Errors
    /// When it can't be sealed: the text says who must act.
    pub async fn seal_mail(&self, envelope: Envelope) -> Result<Envelope, SendError> {
        let Address::Agent(agent) = envelope.to.clone() else {
            return Err(SendError::NotSent(format!("{} names no single mailbox", envelope.to)));
        };
        if !self.inner().config.sealed {
            return Ok(envelope);
        }
        Ok(self.sealed_for(&agent, &envelope).await?.0)
    }

    fn durable_name(&self, to: &Address) -> Result<AgentName, SendError> {
        match to {
            Address::Agent(name) => Ok(name.clone()),
            Address::Id(id) => self.registry().name_of(id).ok_or_else(|| {
                SendError::NotSent(format!("{to} is not known here yet: send to the agent's name"))
            }),
            Address::Capability(_) => Err(SendError::NotSent(format!(
                "{to} names no single mailbox: submit a task, or send to a name"
            ))),
        }
    }
}

/// The subject of an agent's durable messages.
pub(crate) fn subject_of(router: &Router, agent: &AgentName) -> String {
    let shard = shard_of(agent.as_str(), router.inner().config.shards);
    router.subject(&format!("message.{shard}.{agent}"))
}

/// Whose message a subject carries: its last token.
fn agent_of(subject: &str) -> Option<AgentName> {
    subject.rsplit('.').next()?.parse().ok()
}

/// For letters about envelopes.
fn name_of(envelope: &Envelope) -> MessageName {
    crate::parcel::message_name(envelope)
}
