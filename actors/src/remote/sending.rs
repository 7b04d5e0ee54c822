//! Envelopes on their way to another node: with room and without, with somebody who waits for it and without.

use bytes::Bytes;
use connectome_codecs::{Address, Envelope, Kind, MessageName, NodeId};
use tokio::time::Instant;

use super::hop;
use crate::dead_letters::Reason;
use crate::deadline;
use crate::error::CallError;
use crate::parcel::message_name;
use crate::peers::Unsent;
use crate::router::Router;

impl Router {
    /// Waits for room on the way to a node, and no longer than the message itself lasts.
    pub(crate) async fn transmit(&self, node: NodeId, envelope: Envelope) -> Result<(), CallError> {
        let (to, name, until) = self.outline(&envelope);
        let busy = self.inner().remote.in_flight(node) > 1;
        let sent = match self.passes(node, &envelope, until).await {
            Ok(()) => self.inner().peers.send(node, self.frame(node, envelope)?, until, busy).await,
            Err(full) => Err(full),
        };
        sent.map_err(|unsent| self.unsent(to, name, &unsent))
    }

    /// The same for what has no answer: among others that follow one another it waits for room alone, and is a dead letter
    /// when it does not leave after that.
    pub(super) async fn transmit_cast(&self, node: NodeId, envelope: Envelope) -> Result<(), CallError> {
        let (to, name, until) = self.outline(&envelope);
        let sent = match self.passes(node, &envelope, until).await {
            Ok(()) => {
                let (frame, router) = (self.frame(node, envelope)?, self.downgrade());
                let (to, name) = (to.clone(), name.clone());
                let lost = Box::new(move |unsent| {
                    if let Some(router) = router.upgrade() {
                        router.unsent(to, name, &unsent);
                    }
                });
                self.inner().peers.cast(node, frame, until, lost).await
            }
            Err(full) => Err(full),
        };
        sent.map_err(|unsent| self.unsent(to, name, &unsent))
    }

    /// To whom, what, and until when.
    fn outline(&self, envelope: &Envelope) -> (Address, MessageName, Instant) {
        let wait = envelope.expires.map_or(self.call_timeout(), |expires| expires.since(envelope.sent));
        (envelope.to.clone(), message_name(envelope), deadline::after(wait))
    }

    /// Waits while the mailbox that it is for is full.
    async fn passes(&self, node: NodeId, envelope: &Envelope, until: Instant) -> Result<(), Unsent> {
        match envelope.kind {
            Kind::Control => Ok(()),
            _ => self.inner().remote.pauses.over(node, &envelope.to, until).await,
        }
    }

    fn unsent(&self, to: Address, name: MessageName, unsent: &Unsent) -> CallError {
        let problem = unsent.to_string();
        self.letter(to, None, name, Reason::NotSent, &problem);
        CallError::NotSent(problem)
    }

    pub(super) fn frame(&self, node: NodeId, envelope: Envelope) -> Result<Bytes, CallError> {
        let encoding = self.inner().remote.encoding(node);
        let envelope = envelope.compress(encoding, self.inner().config.compression_threshold);
        let frame = hop("send", node, &envelope).in_scope(|| envelope.encode());
        frame.map_err(|error| CallError::NotSent(error.to_string()))
    }

    /// Sends what nobody waits for: an answer, a control message. Where there is no room it is sent a little later.
    ///
    /// # Errors
    /// When it is too large to be sent at all.
    pub(super) fn transmit_later(&self, node: NodeId, envelope: Envelope) -> Result<(), CallError> {
        let frame = self.frame(node, envelope)?;
        let busy = self.inner().remote.serving.len() > 1;
        if let Err(frame) = self.inner().peers.post(node, frame, busy) {
            let (peers, until) = (self.inner().peers.clone(), deadline::after(self.call_timeout()));
            tokio::spawn(async move { drop(peers.send(node, frame, until, true).await) });
        }
        Ok(())
    }
}
