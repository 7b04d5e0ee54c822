//! The life of a peer: dialled, linked, lost, dialled again, and at last forgotten. One actor runs it for each peer.
//!
//! Of two nodes the one with the lower id opens the stream of their link, whoever made the connection; so two that dial each
//! other at once have two connections and one link. The spare connection ends by being idle.

use std::sync::{Arc, Weak};
use std::time::Duration;

use connectome_codecs::NodeId;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use libp2p::swarm::{ConnectionId, StreamProtocol};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{Mutex, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::events::LinkEnd;
use super::lanes::OpenError;
use super::link::{self, MEET_MAX};
use super::net::{Net, NotDialled, Order};
use super::peer::{Offer, Peer};
use super::swarm::LINK;
use crate::transport::looped::{Attended, Run};

/// The wait after the first failure; it doubles with each one that follows, and varies by half.
const WAIT_MIN: Duration = Duration::from_millis(200);

/// The longest wait: a node that comes back is linked within it.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// A link that has stood for this long was no failure.
const STOOD_MIN: Duration = Duration::from_secs(10);

/// A peer that is neither connected nor to be dialled is forgotten after this.
const FORGET_AFTER: Duration = Duration::from_secs(30);

/// Dials in a row that fail before what was only heard of is given up: some five minutes.
const DIALS_MAX: u32 = 40;

/// How long to wait before trying again.
pub(super) struct Backoff {
    dice: StdRng,
    failures: u32,
    until: Instant,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Backoff {
        Backoff { dice: StdRng::seed_from_u64(seed), failures: 0, until: Instant::now() }
    }

    pub(super) fn failed(&mut self) {
        let wait = WAIT_MIN.saturating_mul(1 << self.failures.min(16)).min(WAIT_MAX);
        self.failures = self.failures.saturating_add(1);
        self.until = Instant::now() + wait.mul_f64(self.dice.random_range(0.5..1.5));
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.until = Instant::now();
    }

    /// When it is time again.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    pub(super) async fn wait(&self) {
        sleep_until(self.until).await;
    }
}

/// The life of a peer as a loop that anybody may run. It goes on where the one before left it, unless that one crashed: so a
/// link outlives the actor that is told to stop, and says farewell when the transport closes.
pub(super) fn looped(net: Weak<Net>, peer: Arc<Peer>) -> Attended {
    let life: Arc<Mutex<Option<BoxFuture<'static, ()>>>> = Arc::default();
    Attended::start(format!("peer {}", peer.peer_id), move |run: Run<'_>| {
        let (net, peer, life) = (net.clone(), peer.clone(), life.clone());
        // At once, and not when it is polled: whoever has the turn may be asked for it before that.
        if run.follows_a_crash
            && let Ok(mut life) = life.try_lock()
        {
            *life = None;
        }
        async move {
            let mut life = life.lock().await;
            if let Some(net) = net.upgrade() {
                life.get_or_insert_with(|| live(net, peer).boxed()).await;
            }
            *life = None;
            Ok(())
        }
        .boxed()
    })
}

/// Lives until the peer is forgotten or the transport is closed.
async fn live(net: Arc<Net>, peer: Arc<Peer>) {
    let mut backoff = Backoff::new(seed(&net, peer.id));
    while !net.is_closed() {
        let Some((offer, is_opener)) = stream(&net, &peer, &mut backoff).await else { break };
        let begun = Instant::now();
        let (connection, end, unread) = tokio::select! {
            biased;
            ended = link::run(&net, &peer, offer, is_opener) => ended,
            () = net.closed.cancelled() => break,
        };
        let is_kept = is_no_member(&end) && net.is_of_use(&peer);
        if end != LinkEnd::Replaced && !is_kept {
            net.order_later(Order::Close(connection));
            peer.disconnected(connection);
        }
        match begun.elapsed() >= STOOD_MIN {
            true => backoff.succeeded(),
            false => backoff.failed(),
        }
        if is_kept {
            backoff.wait().await;
        }
        if matches!(end, LinkEnd::Farewell(_)) {
            peer.unlearn();
        }
        // The next link begins when nothing of this one is left to be read: so a peer that comes and goes fills nothing.
        if let Some(unread) = unread {
            unread.over().await;
        }
    }
}

/// Whether there is no link because one does not want the other.
fn is_no_member(end: &LinkEnd) -> bool {
    matches!(end, LinkEnd::Refused(_) | LinkEnd::NotMet(_))
}

/// Two nodes wait differently, and so does one node for two peers.
fn seed(net: &Net, peer: NodeId) -> u64 {
    let of = |node: NodeId| {
        node.as_bytes().iter().fold(0_u64, |seed, byte| seed.rotate_left(5) ^ u64::from(*byte))
    };
    net.incarnation ^ of(net.node).rotate_left(32) ^ of(peer)
}

/// A stream for the next link, and whether we have opened it. `None`: the peer is forgotten.
async fn stream(net: &Arc<Net>, peer: &Peer, backoff: &mut Backoff) -> Option<(Offer, bool)> {
    let is_opener = net.node < peer.id;
    loop {
        if let Some(offer) = peer.take_offer() {
            return Some((offer, false));
        }
        if is_opener && let Some(connection) = peer.hopeful() {
            match open(net, peer, connection, LINK).await {
                Some(offer) => return Some((offer, true)),
                None => peer.give_up_on(connection),
            }
        } else if !peer.is_connected() && !net.ways_to(peer).is_empty() {
            dial(net, peer, backoff).await;
        } else if !wait(net, peer).await {
            return None;
        }
    }
}

/// Opens a stream for a link.
pub(super) async fn open(
    net: &Net,
    peer: &Peer,
    connection: ConnectionId,
    protocol: StreamProtocol,
) -> Option<Offer> {
    let (reply, opened) = oneshot::channel();
    net.order(Order::Open { peer: peer.peer_id, connection, protocol, reply }).await;
    let problem = match timeout(MEET_MAX, opened).await {
        Ok(Ok(Ok(stream))) => return Some((connection, stream)),
        // It speaks libp2p and not our protocol: its connection stays, for those who open other streams on it.
        Ok(Ok(Err(OpenError::Unsupported))) => return None,
        Ok(Ok(Err(OpenError::Failed(problem)))) => problem,
        Ok(Err(_)) => "the connection is gone".to_owned(),
        Err(_) => "it did not answer in time".to_owned(),
    };
    net.ended(peer, LinkEnd::NotMet(problem), false);
    net.order(Order::Close(connection)).await;
    None
}

/// Waits until it is time, and dials; ends early when something comes of itself.
async fn dial(net: &Net, peer: &Peer, backoff: &mut Backoff) {
    let dialling = async {
        backoff.wait().await;
        let (reply, dialled) = oneshot::channel();
        let addresses = net.ways_to(peer);
        net.know_relays(&addresses);
        net.order(Order::Dial { peer: Some(peer.peer_id), addresses, reply }).await;
        dialled.await.unwrap_or_else(|_| Err(NotDialled::Failed("the transport is closed".to_owned())))
    };
    tokio::select! {
        biased;
        () = peer.stirred.notified() => {}
        dialled = dialling => if let Err(problem) = dialled {
            tracing::debug!(peer = %peer.id, ?problem, "a dial came to nothing");
            backoff.failed();
            if backoff.failures >= DIALS_MAX {
                peer.unlearn();
            }
        }
    }
}

/// Waits for a connection, a stream or an address. False: none came for so long that the peer is forgotten.
async fn wait(net: &Net, peer: &Peer) -> bool {
    tokio::select! {
        biased;
        () = peer.stirred.notified() => true,
        () = net.closed.cancelled() => false,
        () = sleep(FORGET_AFTER) => !net.forget(peer),
    }
}
