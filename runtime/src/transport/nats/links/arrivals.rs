//! What has arrived and waits to be read: one queue in order of arrival, with a bound for each sender.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use connectome_codecs::NodeId;

use super::super::packet::Token;
use crate::transport::local::{QUEUE_BYTES_MAX, QUEUE_FRAMES_MAX};

/// What one sender may have here. Its window keeps it to half of this; the other half is for what an earlier life of it left.
const LANE_ITEMS_MAX: usize = 2 * QUEUE_FRAMES_MAX;
const LANE_BYTES_MAX: usize = 2 * QUEUE_BYTES_MAX;

#[derive(Debug, Default)]
pub(in super::super) struct Arrivals {
    queue: VecDeque<Item>,
    lanes: BTreeMap<NodeId, Lane>,
}

/// Something to be read.
#[derive(Debug)]
pub(in super::super) struct Item {
    pub(in super::super) peer: NodeId,
    pub(in super::super) what: What,
    /// The link that it came over, as we call it.
    pub(in super::super) link: Token,
    /// With this item, all frames of that link before this number are read.
    pub(in super::super) before: u64,
}

#[derive(Debug)]
pub(in super::super) enum What {
    Frame(Bytes),
    Gap(u64),
    Gone,
}

/// One sender's part of the queue. It exists while something of that sender is in there.
#[derive(Debug, Default)]
struct Lane {
    items: usize,
    bytes: usize,
    /// Whether the last thing that the queue tells of this sender is that it has gone.
    ended: bool,
}

impl Arrivals {
    /// Whether this sender may have one more frame here.
    pub(in super::super) fn has_room(&self, peer: NodeId) -> bool {
        let lane = self.lanes.get(&peer);
        lane.is_none_or(|lane| lane.items < LANE_ITEMS_MAX && lane.bytes < LANE_BYTES_MAX)
    }

    /// Queues an item. That a sender has gone, twice in a row, is said once.
    pub(in super::super) fn push(&mut self, item: Item) {
        let lane = self.lanes.entry(item.peer).or_default();
        let ends = matches!(item.what, What::Gone);
        if ends && lane.ended {
            return;
        }
        lane.ended = ends;
        lane.items += 1;
        lane.bytes += item.size();
        self.queue.push_back(item);
    }

    pub(in super::super) fn pop(&mut self) -> Option<Item> {
        let item = self.queue.pop_front()?;
        if let Some(lane) = self.lanes.get_mut(&item.peer) {
            lane.items -= 1;
            lane.bytes -= item.size();
            if lane.items == 0 {
                self.lanes.remove(&item.peer);
            }
        }
        Some(item)
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many senders have something here.
    pub(in super::super) fn senders(&self) -> usize {
        self.lanes.len()
    }

    /// Drops everything.
    pub(in super::super) fn clear(&mut self) {
        *self = Arrivals::default();
    }
}

impl Item {
    pub(in super::super) fn size(&self) -> usize {
        match &self.what {
            What::Frame(frame) => frame.len(),
            What::Gap(_) | What::Gone => 0,
        }
    }
}
