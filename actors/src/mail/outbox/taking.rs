//! The receiver's side: what another node hands over is stored here, once, and then confirmed.

use bytes::Bytes;
use connectome_codecs::{Address, AgentName, CorrelationId, Envelope, Kind, NodeId};

use super::{count, handed_bucket};
use crate::error::CallError;
use crate::port::Expect;
use crate::router::{Router, STOPPING};

/// A message of another node's outbox, and where it stood there.
pub(crate) struct Handed {
    pub(crate) outbox: u64,
    pub(crate) sequence: u64,
    pub(crate) envelope: Bytes,
}

impl Router {
    /// Takes what another node hands over, and answers when it is stored.
    pub(crate) fn take_handed(&self, from: NodeId, request: &Envelope, handed: Handed) {
        let Some(correlation) = request.correlation else { return };
        let Ok(turn) = self.inner().outbox.turns.clone().try_acquire_owned() else {
            return self.confirm(from, correlation, Err(busy()));
        };
        let (router, to) = (self.clone(), request.to.clone());
        tokio::spawn(async move {
            let _turn = turn;
            let taken = router.take(from, &to, handed).await;
            router.confirm(from, correlation, taken);
        });
    }

    async fn take(&self, from: NodeId, to: &Address, handed: Handed) -> Result<(), CallError> {
        let agent = self.recipient(to)?;
        let Handed { outbox, sequence, envelope } = handed;
        let bad = |problem: String| CallError::BadMessage { message: "keep".to_owned(), problem };
        let mut envelope = Envelope::decode(envelope).map_err(|error| bad(error.to_string()))?;
        if envelope.to != *to || envelope.kind != Kind::Typed {
            return Err(bad(format!("it is for {}, and was handed over for {to}", envelope.to)));
        }
        let store = |error: &dyn std::fmt::Display| CallError::NotSent(error.to_string());
        let bucket = self.streams().bucket(handed_bucket(self.mail_age())).await;
        let bucket = bucket.map_err(|error| store(&error))?;
        let key = format!("{from}/{outbox:016x}/{agent}");
        let entry = bucket.get(&key).await.map_err(|error| store(&error))?;
        let last =
            entry.as_ref().and_then(|entry| entry.value.as_deref()).and_then(|value| value.try_into().ok());
        if last.map(u64::from_be_bytes).is_some_and(|last| sequence <= last) {
            count(&self.inner().outbox.repeated);
            return Ok(());
        }
        self.check_sender(from, &mut envelope);
        self.store_for(&agent, envelope.id, &envelope).await.map_err(|error| store(&error))?;
        count(&self.inner().outbox.taken);
        let expect = entry.map_or(Expect::Absent, |entry| Expect::Revision(entry.revision));
        let cursor = Bytes::copy_from_slice(&sequence.to_be_bytes());
        bucket.put(&key, cursor, expect, None).await.map(drop).map_err(|error| store(&error))
    }

    /// What is stored is sealed here, in its sender's name: so another node may not name an agent that is this node's.
    fn check_sender(&self, from: NodeId, envelope: &mut Envelope) {
        if let Some(Address::Agent(name)) = &envelope.from
            && self.registry().local(name).is_some()
        {
            tracing::warn!(%from, %name, "a message of another node names an agent of this one as its sender, and is taken as nobody's");
            envelope.from = None;
        }
    }

    /// The agent of this node that something is for.
    fn recipient(&self, to: &Address) -> Result<AgentName, CallError> {
        let Address::Agent(agent) = to else { return Err(CallError::NoAgent(to.clone())) };
        if self.is_draining() {
            return Err(CallError::Stopped(STOPPING.to_owned()));
        }
        match self.registry().local(agent) {
            Some(_) => Ok(agent.clone()),
            None => Err(CallError::NoAgent(to.clone())),
        }
    }

    fn confirm(&self, to: NodeId, correlation: CorrelationId, taken: Result<(), CallError>) {
        if let Err(error) = &taken {
            tracing::debug!(%to, %error, "a message of another node was not taken; it comes again");
        }
        self.respond_to(to, correlation, taken.map(|()| Bytes::new()));
    }
}

fn busy() -> CallError {
    CallError::NotSent("this node is taking as many messages as it can".to_owned())
}
