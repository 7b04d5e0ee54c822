//! A link that goes on, on another connection: begun over a relay, it moves to a direct connection once there is one.
//!
//! The opener of the link opens a stream of the protocol [`MOVE`] on that connection. Each side ends what it writes on the old
//! stream with the unit *moved*, and writes on the new one from then on; it reads the old one to that unit, and then the new one.
//! So the order holds, nothing is lost, and nobody above notices. A link moves once: from a relay, never back to one; a direct
//! connection that is lost is the end of its link, and the next one begins on what there is.

use std::time::Duration;

use futures_util::io::{AsyncReadExt, ReadHalf, WriteHalf};
use libp2p::swarm::{ConnectionId, Stream, StreamProtocol};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::life;
use super::net::Net;
use super::peer::{Offer, Peer};

/// The protocol of streams that links go on with.
pub(super) const MOVE: StreamProtocol = StreamProtocol::new("/connectome/link/1/move");

/// How often an opener looks for a better connection.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What was not fetched yet of a stream: what is read, what is written.
type Halves = (Option<ReadHalf<Stream>>, Option<WriteHalf<Stream>>);

/// The stream that a link goes on with, until each side has changed over.
#[derive(Default)]
pub(super) struct Next {
    halves: Mutex<Halves>,
    reads: Notify,
    writes: Notify,
}

impl Next {
    fn put(&self, stream: Stream) {
        let (reader, writer) = stream.split();
        *self.halves.lock() = (Some(reader), Some(writer));
        self.reads.notify_one();
        self.writes.notify_one();
    }

    /// What to read on, when there is something.
    pub(super) async fn reader(&self) -> ReadHalf<Stream> {
        loop {
            if let Some(reader) = self.halves.lock().0.take() {
                return reader;
            }
            self.reads.notified().await;
        }
    }

    /// Where to write on, when there is a place. Dropping the future loses nothing.
    pub(super) async fn writer(&self) -> WriteHalf<Stream> {
        loop {
            if let Some(writer) = self.halves.lock().1.take() {
                return writer;
            }
            self.writes.notified().await;
        }
    }
}

/// Lets a link go on where that is better; runs beside it, and does not end.
pub(super) async fn seek(net: &Net, peer: &Peer, next: &Next, is_opener: bool) {
    let (connection, stream) = match is_opener {
        true => better(net, peer).await,
        false => offered(peer).await,
    };
    peer.link_moved(connection);
    next.put(stream);
    net.moved(peer);
    std::future::pending().await
}

/// A stream on a better connection. One on which it can't be opened is not tried again.
async fn better(net: &Net, peer: &Peer) -> Offer {
    let mut tried: Option<ConnectionId> = None;
    loop {
        // Also at first: the other side has its link a moment later than we do.
        sleep(LOOK_EVERY).await;
        if let Some(connection) = peer.better().filter(|better| tried != Some(*better)) {
            tried = Some(connection);
            if let Some(offer) = life::open(net, peer, connection, MOVE).await {
                return offer;
            }
        }
    }
}

/// The stream that the peer has opened for that.
async fn offered(peer: &Peer) -> Offer {
    loop {
        if let Some(offer) = peer.take_offer_to_move() {
            return offer;
        }
        peer.moved.notified().await;
    }
}
