//! Streams by name: those that we open on a connection of our choice, and those that peers open.
//!
//! What it does not do: dial, choose a connection, or keep streams. Opening passes the swarm's loop; what is read and written on
//! a stream does not. Who takes the streams that peers open bounds their number; those that nobody takes are closed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, Stream, StreamProtocol,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;

mod handler;
mod named;

use handler::Handler;
pub(super) use handler::{Ask, Came};
pub(super) use named::Protocols;

/// Why a stream was not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OpenError {
    /// The peer does not speak the protocol.
    Unsupported,
    /// Something else, in words.
    Failed(String),
}

/// Where the answer to an order to open a stream goes.
pub(super) type Reply = oneshot::Sender<Result<Stream, OpenError>>;

/// A stream that a peer has opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) peer: PeerId,
    pub(super) connection: ConnectionId,
    pub(super) came: Came,
}

/// The part of a swarm that opens and takes streams.
#[derive(Debug)]
pub(super) struct Lanes {
    protocols: Arc<Protocols>,
    /// What the swarm has not fetched yet: as much as it orders itself, and what handlers tell, which it bounds.
    pending: VecDeque<ToSwarm<Opened, Ask>>,
    waker: Option<Waker>,
}

impl Lanes {
    /// Takes streams of these protocols.
    pub(super) fn new(protocols: Arc<Protocols>) -> Lanes {
        Lanes { protocols, pending: VecDeque::new(), waker: None }
    }

    /// Opens a stream on a connection. Where that is gone, the reply is dropped.
    pub(super) fn open(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        protocol: StreamProtocol,
        reply: Reply,
    ) {
        let (handler, event) = (NotifyHandler::One(connection), Ask { protocol, reply });
        self.push(ToSwarm::NotifyHandler { peer_id: peer, handler, event });
    }

    fn push(&mut self, event: ToSwarm<Opened, Ask>) {
        self.pending.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn handler(&self) -> Handler {
        Handler::new(self.protocols.clone())
    }
}

impl NetworkBehaviour for Lanes {
    type ConnectionHandler = Handler;
    type ToSwarm = Opened;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, _: FromSwarm) {}

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        came: THandlerOutEvent<Self>,
    ) {
        self.push(ToSwarm::GenerateEvent(Opened { peer, connection, came }));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.pending.pop_front() {
            Some(event) => Poll::Ready(event),
            None => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// What can't be.
fn never<T>(never: Infallible) -> T {
    match never {}
}
