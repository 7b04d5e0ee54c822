//! The part of one connection that opens and takes streams.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use libp2p::swarm::handler::{
    ConnectionEvent, ConnectionHandlerEvent, DialUpgradeError, FullyNegotiatedInbound,
    FullyNegotiatedOutbound,
};
use libp2p::swarm::{ConnectionHandler, Stream, StreamProtocol, StreamUpgradeError, SubstreamProtocol};

use super::named::{Named, Protocols};
use super::{OpenError, Reply, never};

/// How long two peers may take to agree on a protocol: a round trip, on a busy machine.
const AGREE_MAX: Duration = Duration::from_secs(5);

/// Streams that came and that the swarm has not fetched, at the most: it fetches them at once, unless it is flooded.
const CAME_MAX: usize = 16;

/// A stream that is to be opened.
#[derive(Debug)]
pub(in super::super) struct Ask {
    pub(super) protocol: StreamProtocol,
    pub(super) reply: Reply,
}

/// A stream that the peer has opened.
#[derive(Debug)]
pub(in super::super) struct Came {
    pub(in super::super) protocol: StreamProtocol,
    pub(in super::super) stream: Stream,
}

/// What one connection opens and takes.
#[derive(Debug)]
pub(in super::super) struct Handler {
    protocols: Arc<Protocols>,
    asked: VecDeque<Ask>,
    came: VecDeque<Came>,
    waker: Option<Waker>,
}

impl Handler {
    pub(super) fn new(protocols: Arc<Protocols>) -> Handler {
        let (asked, came) = (VecDeque::new(), VecDeque::new());
        Handler { protocols, asked, came, waker: None }
    }

    /// Takes a stream that the peer has opened; one too many is dropped, which resets it.
    fn take(&mut self, stream: Stream, protocol: StreamProtocol) {
        if self.came.len() >= CAME_MAX {
            tracing::debug!(%protocol, "a peer opens streams faster than they are taken");
            return;
        }
        self.came.push_back(Came { protocol, stream });
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Ask;
    type ToBehaviour = Came;
    type InboundProtocol = Named;
    type OutboundProtocol = Named;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Reply;

    fn listen_protocol(&self) -> SubstreamProtocol<Named, ()> {
        SubstreamProtocol::new(Named(self.protocols.all()), ()).with_timeout(AGREE_MAX)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Named, Reply, Came>> {
        if let Some(came) = self.came.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(came));
        }
        if let Some(Ask { protocol, reply }) = self.asked.pop_front() {
            let protocol = SubstreamProtocol::new(Named(vec![protocol]), reply).with_timeout(AGREE_MAX);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, ask: Ask) {
        self.asked.push_back(ask);
        self.wake();
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<Named, Named, (), Reply>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol),
                ..
            }) => self.take(stream, protocol),
            // Whoever asked may have gone; then the stream is dropped.
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                drop(info.send(Ok(protocol)));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                drop(info.send(Err(why(error))));
            }
            _ => {}
        }
    }
}

fn why(error: StreamUpgradeError<std::convert::Infallible>) -> OpenError {
    match error {
        StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
        StreamUpgradeError::Timeout => OpenError::Failed("it did not agree on a protocol in time".to_owned()),
        StreamUpgradeError::Io(error) => OpenError::Failed(error.to_string()),
        StreamUpgradeError::Apply(error) => never(error),
    }
}
