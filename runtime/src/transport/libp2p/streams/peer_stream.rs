//! One stream for others: bytes both ways, until either side closes it, it is idle for too long, or somebody closes it here.

use std::fmt;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use connectome_codecs::NodeId;
use futures_util::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::swarm::Stream;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Table;

/// A stream to or from a peer. Dropping it closes it; it reads and writes like any other (`AsyncRead`, `AsyncWrite` of
/// `futures`), and has the most needed methods itself.
pub struct PeerStream {
    id: u64,
    peer: NodeId,
    protocol: String,
    shared: Arc<Shared>,
    table: Arc<Table>,
}

/// The stream itself, which its owner and the table share.
pub(super) struct Shared {
    inner: Mutex<Inner>,
    begun: Instant,
    /// When something moved last, in milliseconds since the table began.
    moved: AtomicU64,
}

/// `None`: it was closed here. Then whoever waits is woken.
struct Inner {
    stream: Option<Stream>,
    waiting: [Option<Waker>; 2],
}

/// Who waits.
#[derive(Clone, Copy)]
enum Side {
    Reader,
    Writer,
}

impl PeerStream {
    pub(super) fn new(
        id: u64,
        peer: NodeId,
        protocol: String,
        shared: Arc<Shared>,
        table: Arc<Table>,
    ) -> PeerStream {
        PeerStream { id, peer, protocol, shared, table }
    }

    /// Its number on this node.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Who is at the other end, as the connection authenticated it.
    pub fn peer(&self) -> NodeId {
        self.peer
    }

    /// Its protocol.
    pub fn protocol(&self) -> &str {
        &self.protocol
    }

    /// Reads some bytes; 0: the peer writes no more.
    ///
    /// # Errors
    /// When the stream is closed or its connection lost.
    pub async fn read(&mut self, space: &mut [u8]) -> Result<usize> {
        AsyncReadExt::read(self, space).await
    }

    /// Writes all bytes and lets them leave.
    ///
    /// # Errors
    /// As [`read`](PeerStream::read).
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        AsyncWriteExt::write_all(self, bytes).await?;
        AsyncWriteExt::flush(self).await
    }

    /// Writes no more; the peer reads to the end. It can still be read from.
    ///
    /// # Errors
    /// As [`read`](PeerStream::read).
    pub async fn finish(&mut self) -> Result<()> {
        AsyncWriteExt::close(self).await
    }
}

impl Shared {
    pub(super) fn new(stream: Stream, begun: Instant) -> Shared {
        let moved = AtomicU64::new(begun.elapsed().as_millis() as u64);
        Shared { inner: Mutex::new(Inner { stream: Some(stream), waiting: [None, None] }), begun, moved }
    }

    /// For how long nothing has moved.
    pub(super) fn idle(&self) -> Duration {
        let now = self.begun.elapsed().as_millis() as u64;
        Duration::from_millis(now.saturating_sub(self.moved.load(Ordering::Relaxed)))
    }

    pub(super) fn close(&self) {
        let mut inner = self.inner.lock();
        let stream = inner.stream.take();
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        drop(stream);
        waiting.into_iter().flatten().for_each(Waker::wake);
    }

    fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        side: Side,
        act: impl FnOnce(Pin<&mut Stream>, &mut Context<'_>) -> Poll<Result<T>>,
    ) -> Poll<Result<T>> {
        let mut inner = self.inner.lock();
        let Some(stream) = &mut inner.stream else {
            return Poll::Ready(Err(Error::new(ErrorKind::ConnectionAborted, "the stream was closed here")));
        };
        let polled = act(Pin::new(stream), cx);
        match &polled {
            Poll::Pending => inner.waiting[side as usize] = Some(cx.waker().clone()),
            Poll::Ready(_) => {
                self.moved.store(self.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
            }
        }
        polled
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<Result<usize>> {
        self.shared.poll(cx, Side::Reader, |stream, cx| stream.poll_read(cx, space))
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.shared.poll(cx, Side::Writer, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.shared.poll(cx, Side::Writer, Stream::poll_flush)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.shared.poll(cx, Side::Writer, Stream::poll_close)
    }
}

impl Drop for PeerStream {
    fn drop(&mut self) {
        // The table's row may be gone already.
        self.table.close(self.id);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("idle", &self.idle()).finish_non_exhaustive()
    }
}

impl fmt::Debug for PeerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerStream")
            .field("peer", &self.peer)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}
