//! What waits for the node to read it: batches of frames, link by link, in the order of their arrival.
//!
//! Nothing here has a bound of its own: each link's window bounds what its peer may leave here, and a new link to that peer
//! begins only when everything of the one before was read ([`Unread`]).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use connectome_actors::port::Inbound;
use connectome_codecs::NodeId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::window::{is_overrun, is_telling_due};

/// What of one link was received, and read.
#[derive(Debug)]
pub(super) struct Unread {
    peer: NodeId,
    received_frames: AtomicU64,
    received_bytes: AtomicU64,
    read_frames: AtomicU64,
    read_bytes: AtomicU64,
    told_frames: AtomicU64,
    told_bytes: AtomicU64,
    /// The news of its end was read: nothing of this link is left.
    is_over: AtomicBool,
    /// Whoever writes on the link should tell the sender what was read, or everything was.
    pub(super) changed: Notify,
}

impl Unread {
    pub(super) fn new(peer: NodeId) -> Unread {
        let zero = || AtomicU64::new(0);
        Unread {
            peer,
            received_frames: zero(),
            received_bytes: zero(),
            read_frames: zero(),
            read_bytes: zero(),
            told_frames: zero(),
            told_bytes: zero(),
            is_over: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// Counts what arrived. Whether the sender may have sent it.
    pub(super) fn receive(&self, frames: u64, bytes: u64) -> bool {
        let frames = self.received_frames.fetch_add(frames, Ordering::Relaxed) + frames;
        let bytes = self.received_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let read = (self.read_frames.load(Ordering::Relaxed), self.read_bytes.load(Ordering::Relaxed));
        !is_overrun(frames.saturating_sub(read.0), bytes.saturating_sub(read.1))
    }

    /// What the sender is to be told, when that is due.
    pub(super) fn due(&self) -> Option<u64> {
        let (frames, bytes) =
            (self.read_frames.load(Ordering::Relaxed), self.read_bytes.load(Ordering::Relaxed));
        let told = (self.told_frames.load(Ordering::Relaxed), self.told_bytes.load(Ordering::Relaxed));
        is_telling_due(frames - told.0, bytes - told.1).then(|| self.tell())
    }

    /// What the sender is to be told now.
    pub(super) fn tell(&self) -> u64 {
        let frames = self.read_frames.load(Ordering::Relaxed);
        self.told_bytes.store(self.read_bytes.load(Ordering::Relaxed), Ordering::Relaxed);
        self.told_frames.store(frames, Ordering::Relaxed);
        frames
    }

    /// Ends when nothing of the link is left to be read.
    pub(super) async fn over(&self) {
        while !self.is_over.load(Ordering::Acquire) {
            self.changed.notified().await;
        }
    }

    fn read(&self, bytes: usize) {
        let frames = self.read_frames.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        let told = (self.told_frames.load(Ordering::Relaxed), self.told_bytes.load(Ordering::Relaxed));
        if is_telling_due(frames.saturating_sub(told.0), bytes.saturating_sub(told.1)) {
            self.changed.notify_one();
        }
    }

    fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.changed.notify_one();
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    /// Something can be read, or nothing ever will.
    some: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Batch>,
    is_closed: bool,
}

/// What arrived together, or the news that its link has ended.
#[derive(Debug)]
struct Batch {
    link: Arc<Unread>,
    frames: std::vec::IntoIter<Bytes>,
    is_end: bool,
}

impl Inbox {
    /// Queues what has arrived over a link; takes everything out of `frames`.
    pub(super) fn put(&self, link: &Arc<Unread>, frames: &mut Vec<Bytes>) {
        if !frames.is_empty() {
            let frames = std::mem::take(frames).into_iter();
            self.push(Batch { link: link.clone(), frames, is_end: false });
        }
    }

    /// Tells the reader that a link has ended, behind all that came over it.
    pub(super) fn end(&self, link: &Arc<Unread>) {
        self.push(Batch { link: link.clone(), frames: Vec::new().into_iter(), is_end: true });
    }

    fn push(&self, batch: Batch) {
        let mut state = self.state.lock();
        if state.is_closed {
            return batch.link.end();
        }
        state.queue.push_back(batch);
        drop(state);
        self.some.notify_one();
    }

    /// The next thing, or `None` once closed. Nothing is taken before the future is done.
    pub(super) async fn take(&self) -> Option<Inbound> {
        // A reader that always finds something must still let others run.
        tokio::task::coop::consume_budget().await;
        loop {
            if let Some(next) = self.try_take() {
                return next;
            }
            self.some.notified().await;
        }
    }

    /// `Some(None)`: there will never be anything.
    fn try_take(&self) -> Option<Option<Inbound>> {
        let mut state = self.state.lock();
        if state.is_closed {
            self.some.notify_one();
            return Some(None);
        }
        let batch = state.queue.front_mut()?;
        let peer = batch.link.peer;
        if let Some(frame) = batch.frames.next() {
            batch.link.read(frame.len());
            if batch.frames.len() == 0 && !batch.is_end {
                state.queue.pop_front();
            }
            return Some(Some(Inbound::Frame { from: peer, frame }));
        }
        let end = state.queue.pop_front()?;
        end.link.end();
        Some(Some(Inbound::Disconnected { peer }))
    }

    /// What waited is dropped; the reader ends.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.queue.drain(..).for_each(|batch| batch.link.end());
        self.some.notify_one();
    }
}
