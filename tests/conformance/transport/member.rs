//! A cluster as a case sees it: how it is had, and what its nodes do with frames.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome::codecs::NodeId;
use connectome::codecs::limits::FRAME_MAX;
use connectome::port::{Inbound, Transport, TransportError};
use tokio::time::timeout;

/// How a transport is had for a case.
pub(super) trait Network {
    /// Nodes that all reach each other now, and that share nothing with any other cluster.
    fn cluster(size: usize) -> impl Future<Output = Vec<Member>> + Send;
}

/// A node of a cluster. Dropping it is its sudden end.
pub(super) struct Member {
    pub(super) id: NodeId,
    pub(super) transport: Arc<dyn Transport>,
}

/// How long something that must happen may take: a network notices a silent death late.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A queue without room for this long stays full until somebody reads.
pub(super) const STALL: Duration = Duration::from_millis(500);

/// Frames and bytes that one receiver who does not read may hold up, all queues and sockets on the way together.
pub(super) const HELD_FRAMES_MAX: usize = 64 * 1024;
pub(super) const HELD_BYTES_MAX: usize = 64 * FRAME_MAX;

pub(super) const NOBODY: NodeId = NodeId([0xee; 32]);

impl Member {
    pub(super) fn send(&self, to: &Member, frame: Bytes) -> Result<(), TransportError> {
        self.transport.send(to.id, frame)
    }

    /// Sends, waiting for room where there is none.
    pub(super) async fn deliver(&self, to: &Member, frame: Bytes) {
        deliver(&*self.transport, to.id, frame).await;
    }

    /// The next thing that happens here.
    pub(super) async fn event(&self) -> Option<Inbound> {
        timeout(PATIENCE, self.transport.receive()).await.expect("something happens in time")
    }

    /// The next frame, from whom it must be.
    pub(super) async fn frame_from(&self, from: &Member) -> Bytes {
        match self.event().await {
            Some(Inbound::Frame { from: sender, frame }) if sender == from.id => frame,
            other => panic!("a frame from {:?} was due, not {other:?}", from.id),
        }
    }

    pub(super) async fn ready(&self, to: NodeId) {
        timeout(PATIENCE, self.transport.ready(to))
            .await
            .expect("room, or the end of waiting, comes in time");
    }

    /// Waits until the others have noticed that this node is gone.
    pub(super) async fn disconnected(&self, peer: NodeId) {
        assert_eq!(self.event().await, Some(Inbound::Disconnected { peer }));
    }

    /// Sends frames of a size, numbered from 0, until there is no room any more. How many were taken.
    pub(super) async fn fill(&self, to: &Member, size: usize) -> u64 {
        let mut taken = 0;
        loop {
            match self.send(to, sized(taken, size)) {
                Ok(()) => taken += 1,
                Err(TransportError::Full { .. })
                    if timeout(STALL, self.transport.ready(to.id)).await.is_err() =>
                {
                    return taken;
                }
                Err(TransportError::Full { .. }) => {}
                Err(other) => panic!("{other}"),
            }
            assert!(taken as usize <= HELD_FRAMES_MAX, "a receiver who does not read must make send refuse");
            assert!(
                taken as usize * size <= HELD_BYTES_MAX,
                "a receiver who does not read must not make memory grow"
            );
        }
    }
}

pub(super) async fn deliver(transport: &dyn Transport, to: NodeId, frame: Bytes) {
    loop {
        match transport.send(to, frame.clone()) {
            Ok(()) => return,
            Err(TransportError::Full { .. }) => {
                timeout(PATIENCE, transport.ready(to)).await.expect("room comes in time");
                // A queue may be full again at once; on one thread its reader must come to read.
                tokio::task::yield_now().await;
            }
            Err(other) => panic!("{other}"),
        }
    }
}

pub(super) async fn pair<N: Network>() -> (Member, Member) {
    let [ada, bob] = members::<N, 2>().await;
    (ada, bob)
}

pub(super) async fn members<N: Network, const SIZE: usize>() -> [Member; SIZE] {
    N::cluster(SIZE).await.try_into().unwrap_or_else(|_| panic!("a cluster of {SIZE} was asked for"))
}

/// A frame that says which one it is.
pub(super) fn numbered(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// The same, at least eight bytes long.
pub(super) fn sized(number: u64, size: usize) -> Bytes {
    let mut frame = number.to_be_bytes().to_vec();
    frame.resize(size.max(8), 0x5a);
    frame.into()
}

pub(super) fn number(frame: &Bytes) -> u64 {
    u64::from_be_bytes(frame[..8].try_into().expect("a numbered frame has eight bytes"))
}

/// A frame of any size in which every byte tells its place.
pub(super) fn pattern(size: usize) -> Bytes {
    (0..size).map(|at| (at * 31 + at / 251) as u8).collect()
}
