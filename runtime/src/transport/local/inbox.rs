//! What waits for one node to read it: one queue in order of arrival, with a bound for each sender.
//!
//! The bound is each sender's own, so that nobody can take the room of another. It counts frames and bytes; the news that
//! a peer has gone is never refused, and bounded by being told once for each life that left a frame.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use connectome_actors::port::Inbound;
use connectome_codecs::NodeId;
use connectome_codecs::limits::FRAME_MAX;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Frames from one node that wait for another to read them, at the most: as many as a mailbox holds by default, so
/// that the queue between two nodes is no larger than the one behind it.
pub const QUEUE_FRAMES_MAX: usize = 1_024;

/// Bytes of such frames: eight of the largest, as a mailbox; without it 1,024 of them would be a gigabyte. The frame that
/// reaches the bound is taken, the next one is not.
pub const QUEUE_BYTES_MAX: usize = 8 * FRAME_MAX;

/// The sender's share of the queue is used up.
#[derive(Debug)]
pub(super) struct Full {
    /// Its frames in the queue now.
    pub(super) frames: usize,
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    /// Something can be read, or nothing ever will.
    some: Notify,
    /// A sender whose share was used up has room again, or nobody ever will.
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Item>,
    lanes: BTreeMap<NodeId, Lane>,
    closed: bool,
}

/// What one sender left: a frame, or the news that it has gone.
#[derive(Debug)]
struct Item {
    from: NodeId,
    frame: Option<Bytes>,
}

/// One sender's part of the queue. It exists while something of that sender is in there.
#[derive(Debug, Default)]
struct Lane {
    frames: usize,
    bytes: usize,
    /// How often the queue tells that this sender has gone.
    ends: usize,
    /// Whether that is the last thing it tells of this sender.
    ended: bool,
}

impl Lane {
    fn is_full(&self) -> bool {
        self.frames >= QUEUE_FRAMES_MAX || self.bytes >= QUEUE_BYTES_MAX
    }

    fn is_empty(&self) -> bool {
        self.frames == 0 && self.ends == 0
    }

    fn add(&mut self, frame: &Bytes) {
        self.frames += 1;
        self.bytes += frame.len();
        self.ended = false;
    }

    fn remove(&mut self, item: &Item) {
        match &item.frame {
            Some(frame) => {
                self.frames -= 1;
                self.bytes -= frame.len();
            }
            None => self.ends -= 1,
        }
    }
}

impl Inbox {
    /// Queues a frame. One for a closed inbox is lost, as it would be on its way to a node that has just ended.
    pub(super) fn put(&self, from: NodeId, frame: Bytes) -> Result<(), Full> {
        let mut state = self.state.lock();
        if state.closed {
            return Ok(());
        }
        let lane = state.lanes.entry(from).or_default();
        if lane.is_full() {
            return Err(Full { frames: lane.frames });
        }
        lane.add(&frame);
        state.queue.push_back(Item { from, frame: Some(frame) });
        drop(state);
        self.some.notify_one();
        Ok(())
    }

    /// Tells the reader that a peer has gone, behind all that it sent.
    pub(super) fn disconnected(&self, peer: NodeId) {
        let mut state = self.state.lock();
        let lane = state.lanes.entry(peer).or_default();
        if !lane.ended {
            lane.ended = true;
            lane.ends += 1;
            state.queue.push_back(Item { from: peer, frame: None });
            self.some.notify_one();
        }
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
        if state.closed {
            self.some.notify_one();
            return Some(None);
        }
        let item = state.queue.pop_front()?;
        if state.account(&item) {
            self.room.notify_waiters();
        }
        Some(Some(item.into()))
    }

    /// Waits until a frame of this sender may fit, or none will be taken any more.
    pub(super) async fn room_for(&self, from: NodeId) {
        self.wait(|state| state.closed || !state.lanes.get(&from).is_some_and(Lane::is_full)).await;
    }

    /// Waits until the inbox is closed.
    pub(super) async fn closed(&self) {
        self.wait(|state| state.closed).await;
    }

    async fn wait(&self, done: impl Fn(&State) -> bool) {
        loop {
            let changed = self.room.notified();
            tokio::pin!(changed);
            // Enlisted before the look, so that a change in between is not missed.
            changed.as_mut().enable();
            if done(&self.state.lock()) {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// What waited is dropped; readers and waiting senders end.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        *state = State { closed: true, ..State::default() };
        self.some.notify_one();
        self.room.notify_waiters();
    }
}

impl State {
    /// Takes an item that left the queue off its sender's share. Whether that share was used up until now.
    fn account(&mut self, item: &Item) -> bool {
        let Some(lane) = self.lanes.get_mut(&item.from) else {
            return false;
        };
        let was_full = lane.is_full();
        lane.remove(item);
        if lane.is_empty() {
            self.lanes.remove(&item.from);
        }
        was_full
    }
}

impl From<Item> for Inbound {
    fn from(item: Item) -> Inbound {
        match item.frame {
            Some(frame) => Inbound::Frame { from: item.from, frame },
            None => Inbound::Disconnected { peer: item.from },
        }
    }
}
