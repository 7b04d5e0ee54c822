//! The caller's side of a move: what is for an agent that several nodes offer waits for its owner, and goes to the next one
//! where the first certainly did not begin it. What may have happened is never sent again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::{Address, AgentName, Envelope, NodeId, Term};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::agent_ref::{push, refuse_cycle};
use crate::cell::AgentCell;
use crate::dead_letters::Reason;
use crate::deadline;
use crate::error::CallError;
use crate::parcel::{Answer, Encoded, Meta};
use crate::registry::Place;
use crate::reply::Limit;
use crate::router::Router;

/// Before an owner that said no is asked again, unless another one is heard of first. Long, since hundreds of callers may
/// wait at once; seldom needed, since the next owner makes itself known.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// How often a caller that waits looks whether the name is still offered at all.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Router {
    /// The agent's name, where an address is one that several nodes may offer.
    pub(crate) fn offered(&self, to: &Address) -> Option<AgentName> {
        let name = match to {
            Address::Agent(name) => name.clone(),
            Address::Id(id) => self.registry().name_of(id)?,
            Address::Capability(_) => return None,
        };
        self.offers().is_offered(&name).then_some(name)
    }

    /// Asks whoever owns the agent, or will within the time that there is. The message is encoded, so that it can be sent
    /// once more.
    pub(crate) async fn call_owner(
        &self,
        name: &AgentName,
        envelope: Envelope,
        meta: Meta,
        within: Duration,
    ) -> Result<Bytes, CallError> {
        let until = deadline::after(within);
        loop {
            let place = self.owner_until(name, until, within).await?;
            let asked = self.registry().term_of(name);
            let left = until.saturating_duration_since(Instant::now());
            let (answer, node) = match place {
                Place::Here(cell) => {
                    refuse_cycle(&meta, name)?;
                    (self.call_encoded(&cell, self.afresh(&envelope), &meta, (until, within)).await, None)
                }
                Place::There(node) => {
                    let call = self.ask(node, self.asking(self.afresh(&envelope), left), left);
                    (self.unless_overtaken(name, node, call).await, Some(node))
                }
            };
            match answer {
                Err(error) if Instant::now() < until && self.comes_again(&error, node) => {
                    self.until_moved(name, asked, until).await
                }
                answer => return answer,
            }
        }
    }

    /// The same one way.
    pub(crate) async fn cast_owner(
        &self,
        name: &AgentName,
        envelope: Envelope,
        meta: Meta,
    ) -> Result<(), CallError> {
        let within = self.call_timeout();
        let until = deadline::after(within);
        loop {
            let place = self.owner_until(name, until, within).await?;
            let asked = self.registry().term_of(name);
            let (sent, node) = match place {
                Place::Here(cell) => {
                    let parcel =
                        Encoded { envelope: self.afresh(&envelope), answer: None, meta: meta.clone() };
                    (push(self, &cell, Box::new(parcel), None).await.map(|_ticket| ()), None)
                }
                Place::There(node) => (self.transmit(node, self.afresh(&envelope)).await, Some(node)),
            };
            match sent {
                Err(error) if Instant::now() < until && self.comes_again(&error, node) => {
                    self.until_moved(name, asked, until).await
                }
                sent => return sent,
            }
        }
    }

    /// Each attempt is a message of its own: a late answer to an earlier one is nobody's.
    fn afresh(&self, envelope: &Envelope) -> Envelope {
        let mut envelope = envelope.clone();
        (envelope.id, envelope.sent) = (self.message_id(), self.now());
        envelope
    }

    /// Where the agent's owner is, once there is one.
    pub(crate) async fn owner_until(
        &self,
        name: &AgentName,
        until: Instant,
        within: Duration,
    ) -> Result<Place, CallError> {
        match timeout_at(until, self.owner(name)).await {
            Ok(Some(place)) => Ok(place),
            Ok(None) => Err(CallError::NoAgent(Address::Agent(name.clone()))),
            Err(_) => Err(CallError::NotSent(format!(
                "no node has taken {name} over within {within:?}, though it is offered"
            ))),
        }
    }

    /// `None`: nobody offers it any more.
    async fn owner(&self, name: &AgentName) -> Option<Place> {
        loop {
            let arrival = self.registry().arrival();
            tokio::pin!(arrival);
            arrival.as_mut().enable();
            if let Some(place) = self.registry().owner(name) {
                return Some(place);
            }
            if !self.offers().is_offered(name) {
                return None;
            }
            self.offers().want(name);
            drop(timeout(LOOK_EVERY, arrival).await);
        }
    }

    /// Waits for the answer of a node, but not once it is silent and another one has taken its place: then none will come.
    async fn unless_overtaken<T>(
        &self,
        name: &AgentName,
        node: NodeId,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        tokio::pin!(call);
        loop {
            let arrival = self.registry().arrival();
            tokio::pin!(arrival);
            arrival.as_mut().enable();
            if self.registry().is_overtaken(name, node) {
                // An answer that is here already is taken all the same.
                return call.now_or_never().unwrap_or(Err(CallError::PathLost(node)));
            }
            tokio::select! {
                biased;
                answer = &mut call => return answer,
                () = arrival => {}
            }
        }
    }

    /// Whether a message certainly was not begun because its agent moves.
    fn comes_again(&self, error: &CallError, node: Option<NodeId>) -> bool {
        match error {
            CallError::Stopped(_) | CallError::NoAgent(_) => true,
            CallError::Refused { code, .. } => code == "no_agent",
            CallError::NotSent(_) => node.is_some_and(|node| !self.transport().reaches(node)),
            CallError::MailboxFull { .. }
            | CallError::NoHandler { .. }
            | CallError::BadMessage { .. }
            | CallError::Cycle(_)
            | CallError::NotStarted(_)
            | CallError::TimedOut(_)
            | CallError::Crashed(_)
            | CallError::PathLost(_)
            | CallError::BadReply(_)
            | CallError::Unbound
            | CallError::Handler(_) => false,
        }
    }

    /// Waits until somebody else owns it than whoever just said no.
    async fn until_moved(&self, name: &AgentName, asked: Option<Term>, until: Instant) {
        let again = until.min(Instant::now() + AGAIN_AFTER);
        loop {
            let arrival = self.registry().arrival();
            tokio::pin!(arrival);
            arrival.as_mut().enable();
            if self.registry().term_of(name) > asked || timeout_at(again, arrival).await.is_err() {
                return;
            }
        }
    }

    /// Asks an agent of this node by an encoded message: one that comes back is sent again.
    async fn call_encoded(
        &self,
        cell: &Arc<AgentCell>,
        envelope: Envelope,
        meta: &Meta,
        (until, within): (Instant, Duration),
    ) -> Result<Bytes, CallError> {
        let (told, answer) = oneshot::channel();
        let gone = CancellationToken::new();
        let _gone_when_dropped = gone.clone().drop_guard();
        let answers = NearAnswer { told: Some(told), gone };
        let parcel = Encoded { envelope, answer: Some(Box::new(answers)), meta: meta.clone() };
        let ticket = push(self, cell, Box::new(parcel), Some(Limit { until, within })).await?;
        match timeout_at(until, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(CallError::Crashed(format!("{} ended while it was at work", cell.name))),
            Err(_) => Err(self.too_late(cell, ticket, within)),
        }
    }

    fn too_late(&self, cell: &AgentCell, ticket: u64, within: Duration) -> CallError {
        match cell.mailbox.withdraw(ticket) {
            Some(parcel) => {
                self.note_dead(&cell.name, &*parcel, Reason::Expired, "its deadline came before its turn");
                CallError::NotStarted(within)
            }
            None => CallError::TimedOut(within),
        }
    }
}

/// The answer to an encoded call of this node.
struct NearAnswer {
    told: Option<oneshot::Sender<Result<Bytes, CallError>>>,
    gone: CancellationToken,
}

impl Answer for NearAnswer {
    fn give(mut self: Box<Self>, result: Result<Bytes, CallError>, _: Option<Bytes>) {
        if let Some(told) = self.told.take() {
            // The caller may have stopped waiting.
            drop(told.send(result));
        }
    }

    fn is_gone(&self) -> bool {
        self.gone.is_cancelled()
    }

    fn gone(&self) -> BoxFuture<'static, ()> {
        self.gone.clone().cancelled_owned().boxed()
    }
}
